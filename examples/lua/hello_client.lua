-- A caller. It runs from top to bottom and ends by itself.
--
--   clouds run hello_client.lua [name]
local clouds = require("clouds")

local client = clouds.client({ timeout = 2 })
local hello = client:bind("test.hello", { retry = 2 })

local text, err = hello(arg[1] or "Glen", "it is " .. os.date("%H:%M"))
if not text then
  io.stderr:write("no hello: ", tostring(err), "\n")
  return 1
end
print(text)
