-- Who serves what.
--
--   clouds run monitor.lua
local clouds = require("clouds")

local status = assert(clouds.monitor():status())

local names = {}
for name in pairs(status.methods) do
  names[#names + 1] = name
end
table.sort(names)

for _, name in ipairs(names) do
  print(("%-30s %s"):format(name, table.concat(status.methods[name], " ")))
end
if #names == 0 then
  print("nobody serves anything")
end
