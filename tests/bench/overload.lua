-- A service of a known capacity, for those that call it too often.
--
--   clouds run overload.lua COST DIRECT [NAME=VALUE ...]   the limits of its methods, such as concurrency=8
--
-- `wait` takes COST seconds of time, `work` as much of a processor. `stall` gives for how many ms at a time nothing was
-- done here, at most, since it was called last.
local clouds = require("clouds")

local cost, limits = tonumber(arg[1]), {}
for i = 3, #arg do
  local name, value = arg[i]:match("^([%w_]+)=(.+)$")
  limits[name] = value == "true" or tonumber(value) or value
end

local server = clouds.server({ direct = arg[2] == "true" })
assert(server:register("wait", function()
  clouds.sleep(cost)
end, limits))
assert(server:register("work", function()
  local till = os.clock() + cost
  repeat
  until os.clock() >= till
end, limits))
local longest = 0
assert(server:register("stall", function()
  local was = longest
  longest = 0
  return was
end))
print("ready")

while true do
  local before = clouds.now()
  clouds.sleep(0.01)
  longest = math.max(longest, (clouds.now() - before - 0.01) * 1000)
end
