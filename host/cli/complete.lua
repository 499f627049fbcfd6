-- What a word of the console may become: names of globals, and fields along a path such as clouds.json.en or client:ca.
-- Nothing of the program is called for it.
local M = {}

local words = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch("%a+") do words[word] = true end

-- The field of a value, as far as tables alone say it.
local function field(value, name)
  for _ = 1, 10 do
    if type(value) ~= "table" then return end
    local found = rawget(value, name)
    if found ~= nil then return found end
    local meta = getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
  end
end

local function add_names(list, seen, value, before, partial)
  for _ = 1, 10 do
    if type(value) ~= "table" then return end
    for name in next, value do
      if type(name) == "string" and name:match("^[%a_][%w_]*$") and name:sub(1, #partial) == partial and not seen[name]
        and (name:sub(1, 2) ~= "__" or partial:sub(1, 2) == "__") then
        seen[name] = true
        list[#list + 1] = before .. name
      end
    end
    local meta = getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
  end
end

-- The sorted list for `word`; `extra` holds names that are globals once they are used.
function M.list(word, extra)
  local before, partial = word:match("^(.-)([%w_]*)$")
  local value, path = _G, before
  local name, rest = path:match("^([%a_][%w_]*)([.:].*)$")
  if name then
    value = field(_G, name)
    if value == nil then value = extra[name] end
    path = rest
    for step in path:gmatch("[.:]([%a_][%w_]*)") do value = field(value, step) end
  elseif path ~= "" then
    return {}
  end
  local list, seen = {}, {}
  add_names(list, seen, value, before, partial)
  if before == "" then
    add_names(list, seen, extra, before, partial)
    add_names(list, seen, words, before, partial)
  end
  table.sort(list)
  return list
end

return M
