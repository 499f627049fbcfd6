--- Values of a command: what stands for bytes, { ["$bin"] = hex }, becomes some.
local clouds = require("clouds")

local function real(value)
  if type(value) ~= "table" then
    return value
  end
  local bin = value["$bin"]
  if bin then
    return clouds.bytes((bin:gsub("..", function(digits)
      return string.char(tonumber(digits, 16))
    end)))
  end
  for key, member in pairs(value) do
    value[key] = real(member)
  end
  return value
end

return real
