--- Nodes: one identity on the bus. Servers, clients and monitors are nodes with more (or other) methods.
local core = require("clouds.core")
local errors = require("clouds.error")
local listeners = require("clouds.listeners")
local settings = require("clouds.options")
local scheduler = require("clouds.scheduler")

local nodes = setmetatable({}, { __mode = "v" }) -- number -> node
local M = { nodes = nodes }

local Node = {}
Node.__index = Node

-- For people: what it is, and who.
function Node:__tostring()
  return ("clouds.%s: %s"):format(self.options.type, self.id or "not open")
end

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
  local of_context, of_node = settings.split(kind, options, level)
  local self = setmetatable({ options = of_node, hooks = {}, subscriptions = {}, served = {}, paused = false }, class)
  self.operation_timeout = settings.operation_timeout(of_node)
  self.listeners = listeners.new(settings.message_limits(of_context), function()
    return self.id
  end)
  for name, value in pairs(options) do
    if type(value) == "function" and settings.hook_names[name] then
      self.hooks[settings.hook_names[name]] = value
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

-- Waits until the list that is kept under `name` is woken, or the time is over: true then. The loop runs on.
local function wait_for(self, name, timeout)
  local context, handle = self.context, core.slot()
  self[name] = self[name] or {}
  table.insert(self[name], handle)
  local timer = timeout and scheduler.loop.timer(timeout, function()
    core.wake(handle, true)
  end)
  context.holds = context.holds + 1
  local ok, late = pcall(core.wait, handle)
  context.holds = context.holds - 1
  if timer then
    timer:stop()
  end
  if not ok then
    error(late, 0)
  end
  return late
end

--- Waits until the node listens: true; or nil and an error. After { timeout = seconds }, or the option
-- `operation_timeout`, the error is why it does not listen yet, as far as that is known.
function Node:ready(options)
  local timeout = settings.timeout(options, 2) or self.operation_timeout
  if self.closed then
    return nil, errors.new(core.ECLOSED)
  end
  local late
  if not self.is_ready and not self.failure then
    core.check_wait()
    late = wait_for(self, "waiting_ready", timeout)
  end
  if self.is_ready then
    return true
  elseif late then
    return nil, self.context.reason or errors.new(core.ETIMEOUT, ("%s does not listen yet"):format(self.id))
  end
  return nil, self.failure or errors.new(core.ECLOSED)
end

--- It listens, or never will.
function M.ready_known(self)
  wake_all(self.waiting_ready)
  self.waiting_ready = nil
end

--- Its last event came.
function M.ended(self)
  self.closed = true
  if self.closing then
    self.context.holds = self.context.holds - 1
  end
  self.core:destroy()
  wake_all(self.waiting_ready)
  wake_all(self.waiting_exit)
end

--- Stops the node in order, with `drain` seconds for the requests it has accepted. Waits where that is possible; not on
-- behalf of a request of its own: the end would wait for the answer, and the answer for the end.
function Node:close(drain, options)
  if drain ~= nil then
    scheduler.check_seconds(drain, 2)
  end
  local timeout = settings.timeout(options, 2)
  if not self.closed and not self.closing then
    local ok, problem = self.core:close(drain)
    if not ok then
      return nil, problem
    end
    self.closing = true
    self.context.holds = self.context.holds + 1
  end
  if self.closed or not core.may_wait() or core.serving(self.number) then
    return true
  end
  if wait_for(self, "waiting_exit", timeout) then
    return nil, errors.new(core.ETIMEOUT, ("%s is not closed yet"):format(self.id))
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
  error = "error",
  up = "up",
  down = "down",
  peer = "peer",
  stop = "stop",
  paused = "paused",
}

local function event_name(name)
  local expected = "message, unknown message, ready, exit, error, up, down, peer, stop or paused"
  return names[name] or error(("no such event: %s; expected %s"):format(tostring(name), expected), 3)
end

local function update_listening(self)
  local listening = self.listeners:has("message") or self.listeners:has("unknown message") or next(self.subscriptions)
  self.core:listen(listening and not self.closed)
end

M.update_listening = update_listening

--- Calls fn, in a coroutine of its own, each time it happens. Gives the node back.
function Node:on(name, fn)
  name = event_name(name)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  self.listeners:add(name, fn)
  update_listening(self)
  if name == "ready" and self.is_ready then
    scheduler.defer(fn)
  end
  return self
end

--- Takes a function back (or all, without one).
function Node:off(name, fn)
  name = event_name(name)
  self.listeners:remove(name, fn)
  update_listening(self)
  return self
end

---- messages, hooks ----

--- Sends a value to another node. With { confirm = true } it waits, for `timeout` seconds at most, and gives how many
-- nodes got it.
function Node:send(receiver, value, options)
  if type(receiver) ~= "string" then
    error("expected the id of a node", 2)
  end
  options = settings.send(options, 2)
  return self.core:send(receiver, value, options.confirm, options.timeout)
end

--- Sets a hook, a function that decides instead of the library; nil removes it. The node; or nil
-- and an error.
function Node:set(name, fn)
  local expected = "find_server, save_servers, remove_server or clear_servers"
  local hook = settings.hook_names[name]
    or error(("no such function to set: %s; expected %s"):format(tostring(name), expected), 2)
  if fn ~= nil and type(fn) ~= "function" then
    error("expected a function", 2)
  end
  if self.closed or self.closing then
    return nil, errors.new(core.ECLOSED)
  end
  local before = self.hooks[hook]
  self.hooks[hook] = fn
  if (before == nil) == (fn == nil) then
    return self
  end
  local done, err = self.core:configure({ [hook] = fn ~= nil })
  if not done then
    self.hooks[hook] = before
    return nil, err
  end
  return self
end

--- Changes options while the node lives, such as weight, timeout or retry, for what begins from then on. The node; or
-- nil and an error. Raises for others than those that can change.
function Node:configure(changes)
  local values = settings.live(changes, 2)
  if self.closed or self.closing then
    return nil, errors.new(core.ECLOSED)
  end
  local ok, done, problem = pcall(self.core.configure, self.core, values)
  local wrong = not ok and done or (problem and problem.code == "CLOUDS_INVALID_OPTION" and problem.message)
  if wrong then
    error((tostring(wrong):gsub("'retries'", "'retry'")), 2)
  elseif not done then
    return nil, problem
  end
  for name, value in pairs(values) do
    self.options[name] = value
  end
  self.operation_timeout = settings.operation_timeout(self.options)
  return self
end

--- Who serves what: { servers = { id = { methods } }, methods = { name = { ids } } }.
function Node:status(options)
  return self.core:status(settings.timeout(options, 2))
end

--- Who would be called for a method now, and why: { method =, bus =, balance =, choice = { server =, rule =, among = },
-- servers = { { id =, state =, ... }, ... } }.
function Node:explain(method, options)
  if type(method) ~= "string" then
    error("expected the name of a method", 2)
  end
  return self.core:explain(method, settings.timeout(options, 2))
end

--- The direct links of this process's connection to other processes: a list of { peer =, here =, ours =, state =,
-- nodes =, address =, security =, in_flight =, unwritten =, age =, error = }.
function Node:links(options)
  return self.core:links(settings.timeout(options, 2))
end

--- How many calls and requests of each method this process's connection has had, how they ended, and how long they
-- took, where its option `stats` is on: { bounds = { seconds }, methods = { name = { calls =, requests = } } }.
function Node:stats(options)
  return self.core:stats(settings.timeout(options, 2))
end

local takes = {
  ping = {},
  info = {},
  status = {},
  stats = {},
  methods = {},
  links = {},
  pause = { method = "string" },
  resume = { method = "string" },
  stop = { drain = "number" },
}

local function check_question(what, args, level)
  local known = takes[what]
  if not known then
    local words = "a node cannot be asked to '%s'; expected ping, info, status, stats, methods, links, pause, resume "
      .. "or stop"
    error(words:format(tostring(what)), level + 1)
  end
  if args ~= nil and type(args) ~= "table" then
    error("expected a table of what the question needs, or nil", level + 1)
  end
  for name, value in pairs(args or {}) do
    if type(value) ~= known[name] then
      local expected = known[name] and ("'%s': expected a %s"):format(name, known[name])
      error(expected or ("'%s' does not take '%s'"):format(what, tostring(name)), level + 1)
    end
  end
end

--- Asks another node, whose library answers: "ping", "info", "status", "stats" (as node:stats() there), "methods",
-- "links", "pause" or "resume" ({ method = name }, or nil for all), "stop" ({ drain = seconds }, or nil). What it
-- answers; or nil and an error.
function Node:ask(peer, what, args, options)
  if type(peer) ~= "string" then
    error("expected the id of a node", 2)
  end
  check_question(what, args, 2)
  local timeout = settings.timeout(options, 2)
  return self.core:ask(peer, what, args and next(args) and core.encode(args) or nil, timeout)
end

--- What becomes of a node that another asks to stop, and whose program does not listen for it.
function M.stop_asked(self, drain)
  return self:close(drain)
end

--- The library's counters, and how many messages to this node were dropped, its listeners being at work with too many.
function Node:counters()
  local counters = self.context.core:counters()
  counters.dropped_messages = self.listeners.dropped
  return counters
end

function M.class()
  local class = setmetatable({}, Node)
  class.__index, class.__tostring = class, Node.__tostring
  return class
end

M.DRAIN = 8 -- seconds for what runs at a shutdown, when nobody has said how many

local ending_before, ending_first, ending_last = {}, {}, {}

--- fn(drain) is called, and may wait, before everything else of a shutdown: nothing has been taken back yet.
function M.at_shutdown(fn)
  table.insert(ending_before, fn)
end

--- fn(drain) is called, and may wait, before the nodes are closed: what still calls through them ends there. Names of
--- what it left unanswered are in `M.left_behind` then.
function M.before_shutdown(fn)
  table.insert(ending_first, fn)
end

--- fn(drain) is called, and may wait, when nobody is served any more; nodes that serve nothing are still open then.
function M.after_shutdown(fn)
  table.insert(ending_last, fn)
end

M.left_behind = {}

-- The nodes in the order in which they close: those that handlers of others call through come last, and those that
-- serve nothing behind those that do when there are functions that run in between.
local function in_turns()
  local turns = { {}, {}, {} }
  for _, node in pairs(nodes) do
    local waits = ending_last[1] and not next(node.served)
    table.insert(turns[node.closes_last and 3 or waits and 2 or 1], node)
  end
  return turns
end

local function close_all(list, drain)
  local closing = {}
  for i, node in ipairs(list) do
    closing[i] = function()
      return node:close(drain)
    end
  end
  scheduler.wait_all(closing)
end

-- What is left of `drain`, if there is one: what took no time leaves it as it was said.
local function left_of(drain, begun)
  local milliseconds = math.floor((scheduler.loop.now() - begun) * 1000)
  return drain and math.max(0, drain - milliseconds / 1000)
end

-- All of a list; what is left of `drain`.
local function run_all(list, drain)
  if not list[1] then
    return drain
  end
  local begun, runs = scheduler.loop.now(), {}
  for i, fn in ipairs(list) do
    runs[i] = function()
      return fn(drain)
    end
  end
  scheduler.wait_all(runs)
  return left_of(drain, begun)
end

--- In a coroutine: closes every node.
function M.shutdown(drain)
  if drain ~= nil then
    scheduler.check_seconds(drain, 2)
  end
  drain = run_all(ending_before, drain)
  -- A node that nobody has any more is in the list until its finalizer has run, which ends it without a word.
  collectgarbage()
  local turns = in_turns()
  drain = run_all(ending_first, drain)
  local begun = scheduler.loop.now()
  close_all(turns[1], drain)
  run_all(ending_last, left_of(drain, begun))
  close_all(turns[2], drain)
  close_all(turns[3], drain)
  return true
end

M.Node = Node

return M
