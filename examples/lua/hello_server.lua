-- A service. It runs until it is stopped (Ctrl-C).
--
--   clouds run hello_server.lua
local clouds = require("clouds")

local server = clouds.server({ heartbeat = 2 })

assert(server:register("test.hello", function(name, message)
  return ("Hello %s, %s"):format(name, message)
end))

print("serving test.hello as " .. server.id)
