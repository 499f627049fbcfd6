--- Nodes: one identity on the bus. Servers, clients and monitors are nodes with more (or other) methods.
local core = require("clouds.core")
local errors = require("clouds.error")
local nearest = require("clouds.nearest")
local scheduler = require("clouds.scheduler")

local M = { defaults = {} }

local scopes = core.options()
local nodes = setmetatable({}, { __mode = "v" }) -- number -> node

local Node = {}
Node.__index = Node

---- options ----

--- The address for those who name none. An empty variable is as none.
function M.default_url()
  local from_environment = os.getenv("CLOUDS_URL")
  return M.defaults.url or (from_environment ~= "" and from_environment) or "local:"
end

local function check_name(name, known, level)
  if type(name) ~= "string" then
    error('options have names: { url = "local:", timeout = 2 }', level + 1)
  end
  if known[name] then
    return
  end
  local names = { "retry" }
  for option in pairs(known) do
    names[#names + 1] = option
  end
  local near = nearest(name, names)
  local hint = near and ("did you mean '%s'?"):format(near) or "docs/CONFIGURATION.md lists them"
  error(("unknown option '%s'; %s"):format(name, hint), level + 1)
end

-- Functions among the options are the questions that the program takes over.
local function split(kind, options, questions, level)
  local of_context, of_node = {}, { type = kind }
  for name, value in pairs(options) do
    if name == "retry" then -- the word of bind, and of the original; the library's is retries
      name = "retries"
    end
    local question = type(value) == "function" and questions[name]
    if not question then
      check_name(name, scopes, level + 1)
    end
    if question then
      of_node[question] = true
    elseif scopes[name] == "context" then
      of_context[name] = value
    else
      of_node[name] = value
    end
  end
  of_context.url = of_context.url or M.default_url()
  return of_context, of_node
end

---- what a program may answer instead of the library ----

local questions = {
  find_server = "find_server",
  ["find server"] = "find_server",
  find_one_server = "find_server",
  save_servers = "save_servers",
  ["save server list"] = "save_servers",
  save_server_list = "save_servers",
  remove_server = "remove_server",
  ["remove server"] = "remove_server",
  clear_servers = "clear_servers",
  ["clear server list"] = "clear_servers",
  clear_server_list = "clear_servers",
}

---- life ----

local function open(self)
  local node, number = core.node(self.context.core, self.options)
  if not node then
    return nil, number
  end
  self.core, self.number = node, number
  self.id = node:id()
  self.is_ready, self.failure = false, nil
  node:attach(self)
  nodes[number] = self
  return true
end

--- Makes a node of the class `class`. Raises when there can be none; `level` is whose mistake that is. `M.failure` is
--- then the library's error, unless the options are wrong in a way that the library never saw.
function M.create(class, kind, options, level)
  if type(options) == "string" then
    options = { url = options }
  end
  if options ~= nil and type(options) ~= "table" then
    error("expected a table of options", level)
  end
  options = options or {}
  local of_context, of_node = split(kind, options, questions, level)
  local self = setmetatable({ options = of_node, listeners = {}, answers = {} }, class)
  for name, value in pairs(options) do
    if type(value) == "function" and questions[name] then
      self.answers[questions[name]] = value
    end
  end
  local ok, context, problem = pcall(scheduler.context, of_context)
  if ok and context then
    self.context = context
    local opened
    ok, opened, problem = pcall(open, self)
    if ok and opened then
      return self
    end
    context = opened
  end
  M.failure = ok and problem or nil
  local text = ok and problem.message or tostring(context)
  error(options.retry ~= nil and text:gsub("'retries'", "'retry'") or text, level)
end

local function wake_all(list)
  for _, handle in ipairs(list or {}) do
    core.wake(handle)
  end
end

-- Waits until the list that is kept under `name` is woken. The loop runs on meanwhile.
local function wait_for(self, name)
  local context, handle = self.context, core.slot()
  self[name] = self[name] or {}
  table.insert(self[name], handle)
  context.holds = context.holds + 1
  local ok, problem = pcall(core.wait, handle)
  context.holds = context.holds - 1
  if not ok then
    error(problem, 0)
  end
end

--- Waits until the node listens: true; or nil and an error.
function Node:ready()
  if self.closed then
    return nil, errors.new(core.ECLOSED)
  end
  if not self.is_ready and not self.failure and not self.closed then
    core.check_wait()
    wait_for(self, "waiting_ready")
  end
  if self.is_ready then
    return true
  end
  return nil, self.failure or errors.new(core.ECLOSED)
end

local function end_node(self)
  self.closed = true
  if self.closing then
    self.context.holds = self.context.holds - 1
  end
  self.core:destroy()
  wake_all(self.waiting_ready)
  wake_all(self.waiting_exit)
end

--- Stops the node in order, with `drain` seconds for the requests it has accepted. Waits where that is possible.
function Node:close(drain)
  if drain ~= nil then
    scheduler.check_seconds(drain, 2)
  end
  if not self.closed and not self.closing then
    local ok, problem = self.core:close(drain)
    if not ok then
      return nil, problem
    end
    self.closing = true
    self.context.holds = self.context.holds + 1
  end
  if not self.closed and core.may_wait() then
    wait_for(self, "waiting_exit")
  end
  return true
end

---- events ----

local names = {
  message = "message",
  ["unknown message"] = "unknown message",
  unknown_message = "unknown message",
  ready = "ready",
  listen = "ready",
  exit = "exit",
  up = "up",
  down = "down",
}

local function event_name(name)
  local expected = "message, unknown message, ready, exit, up or down"
  return names[name] or error(("no such event: %s; expected %s"):format(tostring(name), expected), 3)
end

local function update_listening(self)
  local listening = self.listeners["message"] or self.listeners["unknown message"]
  self.core:listen(listening and not self.closed)
end

--- Calls fn, in a coroutine of its own, each time it happens. Gives the node back.
function Node:on(name, fn)
  name = event_name(name)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  self.listeners[name] = self.listeners[name] or {}
  table.insert(self.listeners[name], fn)
  update_listening(self)
  if name == "ready" and self.is_ready then
    scheduler.defer(fn)
  end
  return self
end

--- Takes a function back (or all, without one).
function Node:off(name, fn)
  name = event_name(name)
  local kept = {}
  for _, listener in ipairs(self.listeners[name] or {}) do
    if fn and listener ~= fn then
      kept[#kept + 1] = listener
    end
  end
  self.listeners[name] = kept[1] and kept or nil
  update_listening(self)
  return self
end

local function emit(self, name, ...)
  local list = self.listeners[name]
  if not list then
    return
  end
  for _, fn in ipairs({ unpack(list) }) do
    if not core.run(fn, ...) then
      scheduler.defer(fn, ...)
    end
  end
end

local happened = {}

function happened.ready(self, problem)
  if problem == true then
    self.is_ready = true
    emit(self, "ready")
  else
    self.failure = problem
  end
  wake_all(self.waiting_ready)
  self.waiting_ready = nil
end

function happened.exit(self, unanswered)
  end_node(self)
  emit(self, "exit", unanswered)
end

function happened.find_server(self, question, method, known)
  local answer = self.answers.find_server
  local ok, id = true, nil
  if answer then
    ok, id = pcall(answer, method, known)
  end
  local context = self.context.core
  context:choose(question, ok and type(id) == "string" and id or "")
  if not ok then
    error(id, 0)
  end
end

for _, name in ipairs({ "save_servers", "remove_server", "clear_servers" }) do
  happened[name] = function(self, ...)
    if self.answers[name] then
      self.answers[name](...)
    end
  end
end

-- What a program that listens to nothing would never hear of: a wrong password, a server that is not there. Told again
-- only when it is another problem, or after a connection.
local function tell_down(context, err)
  local words = errors.describe(err)
  if context.down ~= words then
    context.down = words
    scheduler.report(err, nil, "connection")
  end
end

local function bus_changed(number, name, err)
  local context = scheduler.context_by_number(number)
  local concerned, heard = {}, false
  for _, node in pairs(nodes) do
    if node.context == context and not node.closed then
      concerned[#concerned + 1] = node
      heard = heard or node.listeners[name] ~= nil
    end
  end
  if name == "up" then
    context.down = nil
  elseif concerned[1] and not heard then
    tell_down(context, err)
  end
  for _, node in ipairs(concerned) do
    emit(node, name, err)
  end
end

--- The hook that the core calls, in a coroutine.
function M.event(name, number, ...)
  if name == "up" or name == "down" then
    return bus_changed(number, name, (...))
  end
  local node = nodes[number]
  if not node then
    return
  end
  local fn = happened[name]
  if fn then
    return fn(node, ...)
  end
  return emit(node, name, ...)
end

---- messages, questions ----

--- Sends a value to another node. With { confirm = true } it waits and gives the number of nodes that got it.
function Node:send(receiver, value, options)
  if type(receiver) ~= "string" then
    error("expected the id of a node", 2)
  end
  if options ~= nil and type(options) ~= "table" then
    error("expected a table of options", 2)
  end
  for name in pairs(options or {}) do
    if name ~= "confirm" then
      error(("unknown option '%s': expected confirm"):format(tostring(name)), 2)
    end
  end
  return self.core:send(receiver, value, options and options.confirm)
end

--- Answers a question of the library by a function of the program's; nil gives it back to the library. The node; or nil
-- and an error.
function Node:set(name, fn)
  local expected = "find_server, save_servers, remove_server or clear_servers"
  local question = questions[name]
    or error(("no such function to set: %s; expected %s"):format(tostring(name), expected), 2)
  if fn ~= nil and type(fn) ~= "function" then
    error("expected a function", 2)
  end
  if self.closed or self.closing then
    return nil, errors.new(core.ECLOSED)
  end
  local before = self.answers[question]
  self.answers[question] = fn
  if (before == nil) == (fn == nil) then
    return self
  end
  local done, err = self.core:configure({ [question] = fn ~= nil })
  if not done then
    self.answers[question] = before
    return nil, err
  end
  return self
end

--- Who serves what: { servers = { id = { methods } }, methods = { name = { ids } } }.
function Node:status()
  return self.core:status()
end

--- The library's counters.
function Node:counters()
  return self.context.core:counters()
end

function M.class()
  local class = setmetatable({}, Node)
  class.__index = class
  return class
end

--- In a coroutine: closes every node.
function M.shutdown(drain)
  local closing = {}
  for _, node in pairs(nodes) do
    closing[#closing + 1] = function()
      return node:close(drain)
    end
  end
  scheduler.wait_all(closing)
  return true
end

M.Node = Node

return M
