--- The access of a worker to the library of its application: agent.db.get("k") calls the function there.
local events = require("clouds.agent_events")
local library_bus = require("clouds.library_bus")
local link = require("clouds.agent_link")
local scheduler = require("clouds.scheduler")
local settings = require("clouds.options")
local suggest = require("clouds.suggest")

local M = {}

local OF_WITH = { "timeout" }
local OF_CALL, OF_SUBSCRIBE = 2, 3 -- arguments of the library's own before those of a function

local places = setmetatable({}, { __mode = "k" }) -- what a program holds for an object over there -> its place

---- calls ----

-- An error of what cannot be sent says where in the arguments: the program counts its own only.
local function own_words(problem, before)
  if type(problem) ~= "string" then
    return problem
  end
  local text = problem:gsub("^[^\n]-:%d+: ", "")
  if text:find("cannot encode", 1, true) then
    text = text:gsub("%[(%d+)%]", function(number)
      return ("[%d]"):format(number - before)
    end, 1)
  end
  return text
end

local function checked(before, ok, ...)
  if not ok then
    local problem = own_words((...), before)
    error(problem, type(problem) == "string" and 4 or 0)
  end
  return ...
end

local function same_place(value, place)
  local other = places[value]
  return other ~= nil and other.name == place.name
end

local function call(view, path, is_method, ...)
  local args = { path, is_method, ... }
  args.n = OF_CALL + select("#", ...)
  local results = checked(OF_CALL, pcall(link.call, "call", args, scheduler.loop.now() + view.timeout))
  return unpack(results, 1, results.n)
end

local function subscribe(view, path, is_method, ...)
  local args = scheduler.pack(...)
  local fn = args[args.n]
  args[args.n], args.n = nil, args.n - 1
  local until_ = scheduler.loop.now() + view.timeout
  return checked(OF_SUBSCRIBE, pcall(events.subscribe, path, is_method, args, fn, until_))
end

local function invoke(view, path, is_method, ...)
  local count = select("#", ...)
  if count > 0 and type((select(count, ...))) == "function" then
    return subscribe(view, path, is_method, ...)
  end
  return call(view, path, is_method, ...)
end

---- places: what stands at a path ----

local function path_to(place, name)
  local path = { unpack(place.path) }
  path[#path + 1] = name
  return path
end

-- In every new signature objects have numbers of their own.
local function names_at(place, signature)
  local object = signature.objects[1]
  for _, name in ipairs(place.path) do
    local number = object and object[name]
    object = type(number) == "number" and signature.objects[number] or nil
  end
  return object
end

local function known_signature(place)
  local signature, err = link.known, nil
  if not signature then
    signature, err = link.signature(scheduler.loop.now() + place.view.timeout)
  end
  if not signature then
    error(err, 0)
  end
  return signature
end

local function fail_unknown(place, names, name, level)
  local path = table.concat(path_to(place, name), ".")
  if not names then
    error(("the library has no '%s' any more"):format(place.name), level + 1)
  end
  local list = {}
  for known in pairs(names) do
    list[#list + 1] = known
  end
  local near = suggest.nearest(name, list)
  error(("the library has no '%s'%s"):format(path, near and ("; did you mean '%s'?"):format(near) or ""), level + 1)
end

local function read(place, name)
  local results = link.call("read", { path_to(place, name) }, scheduler.loop.now() + place.view.timeout)
  if link.is_failure(results) then
    error(results[2], 0)
  end
  return results[1]
end

local function function_at(place, name)
  local path = path_to(place, name)
  local view = place.view
  return function(...)
    local first = ...
    if type(first) == "userdata" and same_place(first, place) then
      return invoke(view, path, true, select(2, ...))
    end
    return invoke(view, path, false, ...)
  end
end

local new_place

local function index(place, name)
  local child = place.functions[name]
  if type(name) ~= "string" then
    error("expected the name of what the library has", 3)
  elseif library_bus.is_private(name) then
    error(("'%s' is not shared: names that begin with '_' are the library's own"):format(name), 3)
  end
  local signature = known_signature(place)
  if place.signature ~= signature then
    place.signature, place.names = signature, names_at(place, signature)
  end
  local kind = place.names and place.names[name]
  if kind == "function" then
    child = child or function_at(place, name)
    place.functions[name] = child
    return child
  elseif kind == "value" then
    return read(place, name)
  elseif not kind then
    fail_unknown(place, place.names, name, 3)
  end
  place.objects[name] = place.objects[name] or new_place(place.view, path_to(place, name))
  return place.objects[name].held
end

local function set_methods(meta, place)
  function meta.__index(_, name)
    return index(place, name)
  end
  function meta.__newindex(_, name)
    error(("'%s' is the library's: it can be changed by a function of the library only"):format(tostring(name)), 2)
  end
  function meta.__tostring()
    return "clouds.agent: " .. (place.name == "" and "the library" or place.name)
  end
end

function new_place(view, path)
  local place = { view = view, path = path, name = table.concat(path, "."), functions = {}, objects = {} }
  place.held = newproxy(true) -- no table: as an argument it would be taken for an empty one
  set_methods(getmetatable(place.held), place)
  places[place.held] = place
  return place
end

---- the module ----

--- The same library, with a limit in seconds for each call (60 without it): agent.with { timeout = 1 }.db.get("k").
function M.with(options, ...)
  if options == M then
    options = ...
  end
  settings.check_names(options, OF_WITH, 2)
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, 2)
  end
  return new_place({ timeout = options.timeout or link.DEADLINE }, {}).held
end

set_methods(M, new_place({ timeout = link.DEADLINE }, {}))

return setmetatable(M, M)
