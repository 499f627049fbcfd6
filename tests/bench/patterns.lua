-- Subscribes to as many patterns as the first argument says, for calls beside them.
local clouds = require("clouds")
local node = clouds.base()
for i = 1, tonumber(arg[1]) do
  assert(node:subscribe("bench." .. i .. ".*", function() end))
end
print("ready")
