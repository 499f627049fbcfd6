--- Which handler a path belongs to: a tree of the parts between the slashes.
--
-- A part is a word, `:name` (any one part) or, at the end, `*name` (the rest, slashes included). Words go before names,
-- names before the rest. Each part of a path is decoded by itself, so that %2F is no slash between parts.
local memo = require("clouds.memo")

local M = {}

local MOST_KNOWN = 256 -- paths that are not looked for again

local Router = {}
Router.__index = Router

local function new_place()
  return { words = {} }
end

function M.new()
  return setmetatable({ root = new_place(), exact = {} }, Router):forget()
end

local function byte_of(digits)
  return string.char(tonumber(digits, 16))
end

--- A text with its %XX decoded; nil when it is not encoded as it should be.
function M.decode(text)
  if not text:find("%", 1, true) then
    return text
  elseif text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil
  end
  return (text:gsub("%%(%x%x)", byte_of))
end

--- What is behind the question mark: names and values. Of several values of a name the last counts.
function M.query(text)
  local query = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = name:gsub("+", " "), value:gsub("+", " ")
    query[M.decode(name) or name] = M.decode(value) or value
  end
  return query
end

--- What is before the question mark.
function M.path_of(target)
  local mark = target:find("?", 1, true)
  return mark and target:sub(1, mark - 1) or target
end

local function check_pattern(pattern, level)
  if type(pattern) ~= "string" or pattern:sub(1, 1) ~= "/" then
    error("expected a path that begins with /, as /users/:id", level + 1)
  end
  local seen = {}
  for sign, name in pattern:gmatch("/([:*])([^/]*)") do
    if not name:find("^[%a_][%w_]*$") then
      error(("expected a name behind %s in '%s', of letters, digits and _"):format(sign, pattern), level + 1)
    elseif seen[name] then
      error(("'%s' names two parts '%s'"):format(pattern, name), level + 1)
    end
    seen[name] = true
  end
  if pattern:find("/%*[^/]*/") then
    error(("expected nothing behind the rest of the path (*) in '%s'"):format(pattern), level + 1)
  end
end

-- The place of a pattern in the tree, made if need be; and the names of its parts in their order.
local function place_of(self, pattern)
  local place, names = self.root, {}
  for part in pattern:gmatch("/([^/]*)") do
    local sign, name = part:match("^([:*])(.*)$")
    if not sign then
      place.words[part] = place.words[part] or new_place()
      place = place.words[part]
    else
      local kind = sign == ":" and "any" or "rest"
      place[kind] = place[kind] or new_place()
      place = place[kind]
      names[#names + 1] = name
    end
  end
  return place, names
end

function Router:forget()
  self.known = memo(MOST_KNOWN, function(path)
    return self:look_for(path)
  end)
  return self
end

--- Adds a handler for a method ("*": all) and a pattern. Raises when it is no pattern, or there is one already.
function Router:add(method, pattern, route, level)
  check_pattern(pattern, level + 1)
  local place, names = place_of(self, pattern)
  place.methods = place.methods or {}
  if place.methods[method] then
    error(("%s %s has a handler already"):format(method, pattern), level + 1)
  end
  self:forget()
  route.names, route.pattern = names, pattern
  place.methods[method] = route
  if not pattern:find("/[:*]") then
    self.exact[pattern] = place.methods
  end
end

-- Looks below a place for one that the parts from `at` on lead to; the values of its names are in `values` then.
local function walk(place, parts, at, values, count)
  if at > #parts then
    return place.methods and place or nil
  end
  local part = parts[at]
  local next_place = place.words[part]
  local found = next_place and walk(next_place, parts, at + 1, values, count)
  if not found and place.any and part ~= "" then
    values[count + 1] = part
    found = walk(place.any, parts, at + 1, values, count + 1)
  end
  if not found and place.rest then
    values[count + 1] = table.concat(parts, "/", at)
    values[count + 2] = nil
    found = place.rest
  end
  return found
end

-- The parts of a path, decoded; nil when one cannot be.
local function split(path)
  local parts, at = {}, path:find("/", 1, true)
  while at do
    local slash = path:find("/", at + 1, true)
    local decoded = M.decode(path:sub(at + 1, slash and slash - 1))
    if not decoded then
      return nil
    end
    parts[#parts + 1] = decoded
    at = slash
  end
  return parts
end

function Router:look_for(path)
  local parts = split(path)
  if not parts then
    return { methods = false }
  end
  local values = {}
  local place = walk(self.root, parts, 1, values, 0)
  return { methods = place and place.methods, values = values }
end

--- What is there at a path: its handlers by method, and the values of the names in their order. nil: nothing; false:
-- the path is not encoded as it should be.
function Router:find(path)
  local methods = self.exact[path]
  if methods then
    return methods
  end
  local found = self.known(path)
  return found.methods, found.values
end

--- The handler for a method of those: HEAD is answered as GET is, if there is nothing of its own.
function M.handler(methods, method)
  return methods[method] or (method == "HEAD" and methods.GET) or methods["*"]
end

--- The methods that can be asked for there, for the field Allow.
function M.allowed(methods)
  local list = { "OPTIONS" }
  for method in pairs(methods) do
    list[#list + 1] = method ~= "OPTIONS" and method or nil
  end
  if methods.GET and not methods.HEAD then
    list[#list + 1] = "HEAD"
  end
  table.sort(list)
  return table.concat(list, ", ")
end

return M
