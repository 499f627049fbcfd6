-- What may be done by whom asks: lists of `shop.*` (calls), `subscribe:chat.>`, `publish:chat.*` and `send:s.*`.
local patterns = require "clouds.gateway.patterns"
local M = {}

local verbs = { call = true, subscribe = true, publish = true, send = true }
local EXPECTED = "expected call:, subscribe:, publish: or send: before a pattern"

local function split(entry)
  local verb, pattern = entry:match("^(%l+):(.*)$")
  if not verb then return "call", entry end
  if verbs[verb] then return verb, pattern end
  return nil, ("'%s': %s"):format(entry, EXPECTED)
end

--- What a list of entries allows; or nil and what is wrong with it.
function M.read(entries)
  local access = {}
  for _, entry in ipairs(entries) do
    local verb, text = split(entry)
    if not verb then return nil, text end
    local pattern, problem = patterns.read(text)
    if not pattern then return nil, problem end
    access[verb] = access[verb] or {}
    table.insert(access[verb], pattern)
  end
  return access
end

--- Whether all of these accesses allow it. A name of a method or of a node, or a topic or a pattern of topics.
function M.allows(verb, name, first, second)
  if not (first[verb] and patterns.covers(first[verb], name)) then return false end
  return not second or (second[verb] ~= nil and patterns.covers(second[verb], name))
end

return M
