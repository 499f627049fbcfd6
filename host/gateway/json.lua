-- JSON with bytes in it, which {"$base64":"..."} stands for, as on the command line.
local bytes = require "clouds.cli.bytes"
local core = require "clouds.core"
local M = {}

--- The value of a text; nil and an error when it is none.
function M.decode(text)
  local value, problem = core.decode(text)
  if problem == nil and text:find('"$base64"', 1, true) then value = bytes.read(value) end
  return value, problem
end

M.encode = bytes.encode

return M
