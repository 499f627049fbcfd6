-- Two groups of workers below one master:  clouds start -c cluster.lua
-- What can be said here: docs/HOST.md. clouds check cluster.lua shows what it comes to.
local cluster = require "clouds.cluster"

local app = cluster.master { name = "example" }

app:register(os.getenv "HTTP_LISTEN" or 8080, "http.lua", { workers = 2, args = { "hello" } })
app:register(os.getenv "STATIC_LISTEN" or "127.0.0.1:8081", "static.lua", { workers = { production = 4, default = 1 } })

app:on("exit", function(about)
  print(("worker %s.%d ended: %s"):format(about.group, about.index, about.text))
end)
app:on("giveup", function(group, text)
  print(("group %s fails again and again: %s"):format(group, text))
end)
