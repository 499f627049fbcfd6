-- The worker of web_terminal.py that writes lines without end, once there is the file arg[1], which it removes.
local clouds = require "clouds"

local lines = (("x"):rep(79) .. "\n"):rep(100)
clouds.spawn(function()
  while not io.open(arg[1]) do clouds.sleep(0.01) end
  os.remove(arg[1])
  while true do
    io.stdout:write(lines)
    clouds.sleep(0)
  end
end)
clouds.server {}:register("lines", function() end)
