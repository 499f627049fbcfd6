-- JSON with bytes in it, which {"$base64":"..."} stands for, as on the command line.
local bytes = require "clouds.cli.bytes"
local core = require "clouds.core"
local errors = require "clouds.error"
local status = require "clouds.gateway.status"
local M = {}

local BYTES = '"$base64"'
local OPEN, CLOSE = ("[]"):byte(1, 2)

--- The value of a text; nil and an error when it is none.
function M.decode(text)
  local value, problem = core.decode(text)
  if problem == nil and text:find(BYTES, 1, true) then value = bytes.read(value) end
  return value, problem
end

M.encode = bytes.encode

-- What is nested too deep is JSON, and more than is taken, as the library says it of a list that goes on as it is.
local function refuse(problem)
  if problem:find("^nested deeper") then status.refuse(413, "the body is too big: " .. problem) end
  status.refuse(400, "the body is no JSON: " .. problem)
end

--- The list of arguments that a body is, which is refused when it cannot be read: a list is the arguments, any other
-- value the only one, nothing is none.
function M.arguments(body)
  local value, problem = M.decode(body)
  if problem and not body:find("%S") then return core.array({}) end
  if problem then refuse(errors.describe(problem)) end
  return core.is_array(value) and value or core.array({ value }, 1)
end

--- Whether a body can be the list of arguments as it is: it is one if it is JSON, and has no bytes in it.
function M.is_list(body)
  return body:byte(1) == OPEN and body:byte(-1) == CLOSE and not body:find(BYTES, 1, true)
end

return M
