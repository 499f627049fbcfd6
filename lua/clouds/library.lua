--- The library of an application: one process has what all its workers share, and serves it to their agents.
local core = require("clouds.core")
local errors = require("clouds.error")
local library_bus = require("clouds.library_bus")
local library_events = require("clouds.library_events")
local node = require("clouds.node")
local shape = require("clouds.library_shape")
local Server = require("clouds.server")

local M = {}

local RESERVED = { with = true } -- names of agents themselves

local root, signature

---- what is asked ----

local function refuse(path, what)
  error({ code = "NO_SUCH_MEMBER", message = ("the library has no %s '%s'"):format(what, table.concat(path, ".")) }, 0)
end

-- What stands at a path, and the object that has it.
local function find(path, what)
  local object, value = nil, root
  for i = 1, #path do
    local name = path[i]
    if type(name) ~= "string" or library_bus.is_private(name) or type(value) ~= "table" then
      refuse(path, what)
    end
    object, value = value, shape.member(value, name)
  end
  return value, object
end

local function find_function(path)
  local fn, object = find(path, "function")
  if type(fn) ~= "function" then
    refuse(path, "function")
  end
  return fn, object
end

local function call(path, is_method, ...)
  local fn, object = find_function(path)
  if is_method then
    return fn(object, ...)
  end
  return fn(...)
end

local function read(path)
  local value = find(path, "field")
  if value == nil then
    refuse(path, "field")
  end
  return value
end

-- What the function gives is the result; when it fails there is no subscription.
local function made(close, ok, ...)
  if not ok then
    close()
    error((...), 0)
  elseif (...) == nil and errors.is_error((select(2, ...))) then
    close()
  end
  return ...
end

local function subscribe(id, path, is_method, ...)
  local fn, object = find_function(path)
  local callback, close = library_events.open(core.request().caller, id, table.concat(path, "."))
  local args, count = { ... }, select("#", ...) + 1
  args[count] = callback
  if is_method then
    return made(close, pcall(fn, object, unpack(args, 1, count)))
  end
  return made(close, pcall(fn, unpack(args, 1, count)))
end

local handlers = {
  hello = function()
    return signature
  end,
  call = call,
  read = read,
  subscribe = subscribe,
  unsubscribe = function(id)
    library_events.close(core.request().caller, id)
  end,
  follow = function(count)
    library_events.follow(core.request():detach(), count)
    return core.pending
  end,
}

---- serving ----

local function resource(name, value)
  if type(value) ~= "function" then
    return value
  end
  local made_of = value()
  if type(made_of) ~= "table" then
    error(("%s: expected a function that returns a table, got %s"):format(name, type(made_of)), 0)
  end
  return made_of
end

local function resources(given, level)
  if type(given) == "function" then
    given = given()
  end
  if type(given) ~= "table" then
    error("expected a table of resources, or a function that returns one", level + 1)
  end
  local names, made_of = {}, {}
  for name in pairs(given) do
    if type(name) ~= "string" then
      error(("the resources have names: { db = db }; got the key %s"):format(tostring(name)), level + 1)
    elseif RESERVED[name] then
      error(("a resource cannot be called '%s': agents have a function of that name"):format(name), level + 1)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    made_of[name] = resource(name, given[name])
  end
  return made_of
end

-- The method by which agents find it comes last: all is there then.
local function register(server)
  for _, name in ipairs({ "call", "read", "subscribe", "unsubscribe", "follow", "hello" }) do
    local ok, problem = server:register(library_bus.method(name), handlers[name])
    if not ok then
      error(problem, 0)
    end
  end
end

-- Agents that wait for messages go to the next library, which this one does not say to be any more.
local function stop_before(server)
  node.before_shutdown(function()
    server:unregister(library_bus.method("hello"))
    library_events.stop()
  end)
end

--- Serves a table of resources, or what a function returns, to the agents of the application. A resource is a table, or
--- a function that returns one and may wait; names that begin with '_' are not shared. Waits until it serves. Raises.
function M.serve(given, ...)
  if given == M then
    given = ...
  end
  local url = library_bus.address()
  if not url then
    error(("this process is not the library of an application: expected clouds start --library FILE, "
      .. "or the address of library and agents in the variable %s"):format(library_bus.VARIABLE), 2)
  elseif root then
    error("this library serves already", 2)
  end
  core.check_wait()
  local made_of = resources(given, 2)
  local described = shape.describe(made_of)
  local server = node.create(Server, "library", { url = url }, 2)
  root, signature = made_of, { id = server.id, objects = core.array(described) }
  local text, problem = core.encode(signature)
  if not text then
    error("the names of the resources: " .. problem, 2)
  end
  library_events.node, M.is_serving = server, true
  register(server)
  stop_before(server)
  return M
end

--- fn() is called when the subscription of the function `callback`, that a function of the library was given, ends.
function M.on_close(callback, fn, ...)
  if callback == M then
    callback, fn = fn, ...
  end
  return library_events.on_close(callback, fn)
end

--- How many subscriptions of agents are open.
function M.subscriptions()
  return library_events.count()
end

return M
