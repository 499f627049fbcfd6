-- JSON with bytes in it, which {"$base64":"..."} stands for, as on the command line.
local bytes = require "clouds.cli.bytes"
local M = {}

--- The value of a text; nil and an error when it is none.
function M.decode(text)
  local value, problem = require("clouds").json.decode(text)
  if problem == nil and text:find('"$base64"', 1, true) then value = bytes.read(value) end
  return value, problem
end

function M.encode(value)
  local json = require("clouds").json
  return json.encode(value) or json.encode(bytes.shown(value))
end

return M
