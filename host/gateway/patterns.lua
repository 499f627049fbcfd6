-- Patterns of names: tokens with dots between, of which `*` is any one, and `>` at the end one or more. It is the
-- pattern of channels, here for methods and nodes, too.
local memo = require "clouds.memo"
local M = {}

local function tokens_of(text)
  local tokens = {}
  for token in (text .. "."):gmatch("([^.]*)%.") do tokens[#tokens + 1] = token end
  return tokens
end

--- A pattern as `covers` takes it; or nil and what is wrong with it.
function M.read(text)
  local tokens = tokens_of(text)
  for i, token in ipairs(tokens) do
    if token == "" then return nil, ("'%s' has an empty part between its dots"):format(text) end
    if token == ">" and i < #tokens then return nil, ("'%s': > may only be its last part"):format(text) end
    if token ~= "*" and token ~= ">" and token:find("[*>]") then
      return nil, ("'%s': * and > stand for whole parts, expected a dot beside them"):format(text)
    end
  end
  return tokens
end

local function covers(pattern, asked)
  for i, token in ipairs(pattern) do
    if token == ">" then return asked[i] ~= nil end
    if not asked[i] or asked[i] == ">" or (token ~= "*" and token ~= asked[i]) then return false end
  end
  return #pattern == #asked
end

local tokens_asked_for = memo(1000, tokens_of) -- a name of many parts is a list of many texts

--- Whether one of the patterns stands for all that `asked`, a name or a pattern, stands for.
function M.covers(patterns, asked)
  local tokens = tokens_asked_for(asked)
  for _, pattern in ipairs(patterns) do
    if covers(pattern, tokens) then return true end
  end
  return false
end

return M
