--- The shape of what a library shares: which names its objects have, and what stands behind them.
--
-- An object is a table from which a function can be reached by names; any other value is data, which is read as it is.
local library_bus = require("clouds.library_bus")

local M = {}

local LONGEST_CHAIN = 100 -- of __index tables; a longer one goes round

-- The table whose names this one has, too.
local function parent_of(object)
  local meta = getmetatable(object)
  local parent = type(meta) == "table" and rawget(meta, "__index")
  return type(parent) == "table" and parent or nil
end

--- What stands behind a name of an object, up its `__index` tables; nil when there is nothing.
function M.member(object, name)
  local at = object
  for _ = 1, LONGEST_CHAIN do
    local value = rawget(at, name)
    if value ~= nil then
      return value
    end
    at = parent_of(at)
    if not at then
      return nil
    end
  end
end

-- All that it shares: name -> value.
local function members(object)
  local found, at = {}, object
  for _ = 1, LONGEST_CHAIN do
    for name, value in next, at do
      if type(name) == "string" and not library_bus.is_private(name) and found[name] == nil then
        found[name] = value
      end
    end
    at = parent_of(at)
    if not at then
      break
    end
  end
  return found
end

-- Whether a function can be reached from a table by names that are shared.
local function is_object(object)
  local waiting, seen = { object }, { [object] = true }
  while waiting[1] do
    for _, value in next, members(table.remove(waiting)) do
      if type(value) == "function" then
        return true
      end
      if type(value) == "table" and not seen[value] then
        seen[value] = true
        waiting[#waiting + 1] = value
      end
    end
  end
  return false
end

--- The signature: a list of objects, the first of them `root`, each a table of what stands behind a name: "function",
--- "value", or the number of an object.
function M.describe(root)
  local objects, numbers, described = { root }, { [root] = 1 }, {}
  local at = 1
  while objects[at] do
    local names = {}
    for name, value in next, members(objects[at]) do
      if type(value) == "function" then
        names[name] = "function"
      elseif type(value) == "table" and (numbers[value] or is_object(value)) then
        if not numbers[value] then
          objects[#objects + 1] = value
          numbers[value] = #objects
        end
        names[name] = numbers[value]
      else
        names[name] = "value"
      end
    end
    described[at] = names
    at = at + 1
  end
  return described
end

return M
