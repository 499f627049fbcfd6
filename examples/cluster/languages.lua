-- One application in three languages: clouds start -c languages.lua, then clouds call hello.python '"Glen"'.
local cluster = require "clouds.cluster"
local app = cluster.master { name = "languages" }

app:register(os.getenv "HTTP_LISTEN" or 8080, "http.lua", { workers = 1 })
app:register("python", "hello.py", { workers = 2 })
app:register("node", "hello.js", { workers = 2, command = { "node", "--max-old-space-size=256" } })
