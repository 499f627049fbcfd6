--- Channels: publishing at topics, and subscriptions to them.
local core = require("clouds.core")
local node = require("clouds.node")
local scheduler = require("clouds.scheduler")
local settings = require("clouds.options")
local trace = require("clouds.trace")

local Node = node.Node
local M = {}

local OF_PUBLISH = { "confirm", "meta", "timeout" }
local OF_SUBSCRIBE = { "all", "group", "queue", "queue_bytes", "keep_oldest", "timeout" }

local function check_timeout(options, level)
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
end

--- Publishes a value at a topic. With { confirm = true } it waits and gives how many got it (true: not known).
function Node:publish(topic, value, options)
  if type(topic) ~= "string" then
    error("expected a topic", 2)
  end
  if options == nil then
    return self.core:publish(topic, value)
  end
  settings.check_names(options, OF_PUBLISH, 2)
  check_timeout(options, 2)
  if options.meta ~= nil and type(options.meta) ~= "table" then
    error("expected a table of meta", 2)
  end
  return self.core:publish(topic, value, options.meta, options.confirm, options.timeout)
end

---- subscriptions ----

local Subscription = {}
Subscription.__index = Subscription

function Subscription:__tostring()
  return "clouds.subscription: " .. table.concat(self.topics, ", ")
end

local function forget(self)
  self.closed = true
  self.node.subscriptions[self.id] = nil
  node.update_listening(self.node)
end

--- Ends it: nothing of it comes any more. A second time is fine.
function Subscription:close()
  if self.closed then
    return true
  end
  forget(self)
  if self.ended then
    self.ended()
  end
  return self.node.core:unsubscribe(self.id)
end

local function run(self, value, message)
  return trace.consume(self.node, message, scheduler.protected, self.fn, value, message)
end

---- what waits ----

local Waiting = {}
Waiting.__index = Waiting

local function new_waiting(options)
  return setmetatable({
    list = {},
    first = 1,
    last = 0,
    bytes = 0,
    missed = 0, -- before the next one that is put
    most = options.queue or core.QUEUE,
    most_bytes = options.queue_bytes or core.QUEUE_BYTES,
    keep_oldest = options.keep_oldest,
  }, Waiting)
end

local function add_missed(message, missed)
  if missed > 0 then
    message.missed, message.lagged = message.missed + missed, true
  end
end

function Waiting:is_empty()
  return self.first > self.last
end

--- Value and message of the oldest.
function Waiting:take()
  local entry = self.list[self.first]
  self.list[self.first] = nil
  self.first = self.first + 1
  self.bytes = self.bytes - entry.size
  return entry.value, entry.message
end

local function has_room(self, size)
  return self.last - self.first + 1 < self.most and self.bytes + size <= self.most_bytes
end

local function drop_oldest(self)
  local _, message = self:take()
  local behind = self.list[self.first]
  if behind then
    add_missed(behind.message, 1 + message.missed)
  else
    self.missed = self.missed + 1 + message.missed
  end
end

--- What does not fit is dropped: the oldest, or with keep_oldest this one. The one behind tells of it.
function Waiting:put(value, message, size)
  if size > self.most_bytes or (self.keep_oldest and not has_room(self, size)) then
    self.missed = self.missed + 1 + message.missed
    return
  end
  while not has_room(self, size) do
    drop_oldest(self)
  end
  add_missed(message, self.missed)
  self.missed = 0
  self.last = self.last + 1
  self.list[self.last] = { value = value, message = message, size = size }
  self.bytes = self.bytes + size
end

-- In a coroutine of its own, which goes on with what waits. So many functions may be at work at a time.
local function work(self)
  self.working = self.working + 1
  while not (self.closed or self.waiting:is_empty()) do
    local ok, problem, traceback = run(self, self.waiting:take())
    if not ok then
      scheduler.report(problem, traceback, "subscription")
    end
  end
  self.working = self.working - 1
end

local function take(self, value, message, size)
  self.waiting:put(value, message, size)
  if self.is_watch then
    self.fn()
  elseif self.working < self.waiting.most then
    work(self)
  end
end

local function list_of(topics, level)
  topics = type(topics) == "string" and { topics } or topics
  if type(topics) ~= "table" then
    error("expected a topic, or a list of topics", level + 1)
  end
  local list = {}
  for i, topic in ipairs(topics) do
    if type(topic) ~= "string" then
      error(("topic number %d is a %s"):format(i, type(topic)), level + 1)
    end
    list[i] = topic
  end
  return list
end

local function check_count(options, name, level)
  local value = options[name]
  if value ~= nil and not (type(value) == "number" and value >= 1 and value % 1 == 0) then
    error(("%s is %s: expected a whole number above 0"):format(name, tostring(value)), level + 1)
  end
end

local function subscribe(self, topics, fn, options, level, is_watch)
  options = options or {}
  settings.check_names(options, OF_SUBSCRIBE, level + 1)
  check_timeout(options, level + 1)
  check_count(options, "queue", level + 1)
  check_count(options, "queue_bytes", level + 1)
  if options.group ~= nil and type(options.group) ~= "string" then
    error("expected the name of a group", level + 1)
  end
  local list = list_of(topics, level + 1)
  local id, slot = self.core:subscribe(core.array(list), options)
  if not id then
    return nil, slot
  end
  local subscription = setmetatable({
    node = self,
    id = id,
    fn = fn,
    is_watch = is_watch,
    topics = { unpack(list) },
    waiting = new_waiting(options),
    working = 0,
  }, Subscription)
  self.subscriptions[id] = subscription
  node.update_listening(self)
  local done, err = self.core:subscribed(slot)
  if done then
    return subscription
  end
  forget(subscription)
  self.core:unsubscribe(id) -- one whose time was over goes on otherwise
  return nil, err
end

--- Calls fn(value, message) for what is published at a topic, at what matches a pattern, or at any of a list of them;
-- in a coroutine each. With { all = true }: fn(values, message) when there is a value of each. The subscription; or nil
-- and an error.
function Node:subscribe(topics, fn, options)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  return subscribe(self, topics, fn, options, 1) -- a tail call: this function is no level of its own
end

---- watching ----

local Watch = {}
Watch.__index = Watch

local function wake(self)
  if self.waiting then
    local handle = self.waiting
    self.waiting = nil
    core.wake(handle)
  end
end

--- The next value and its message, for which it waits; nil when it is closed.
function Watch:__call()
  local state = self.state
  while state.list:is_empty() do
    if state.subscription.closed then
      return nil
    elseif state.waiting then
      error("another coroutine waits for this watch already", 2)
    end
    core.check_wait()
    state.waiting = core.slot()
    core.wait(state.waiting)
  end
  return state.list:take()
end

--- Ends it. So does the loss of the last reference, some time later.
function Watch:close()
  return self.state.subscription:close()
end

--- for value, message in node:watch(topics, options) do ... end
function Node:watch(topics, options)
  settings.check_names(options or {}, OF_SUBSCRIBE, 2)
  local state = { list = nil }
  local subscription, problem = subscribe(self, topics, function()
    wake(state)
  end, options, 2, true)
  if not subscription then
    return nil, problem
  end
  state.subscription, state.list = subscription, subscription.waiting
  subscription.ended = function()
    wake(state)
  end
  local guard = newproxy(true)
  getmetatable(guard).__gc = function()
    scheduler.defer(function()
      subscription:close()
    end)
  end
  return setmetatable({ state = state, guard = guard }, Watch)
end

---- events ----

function M.published(self, id, value, topic, from, missed, lagged, sequence, meta, size)
  local subscription = self.subscriptions[id]
  if subscription then
    local message =
      { topic = topic, from = from, missed = missed, lagged = lagged, sequence = sequence, meta = meta }
    take(subscription, value, message, size)
  end
end

function M.unsubscribed(self, id, problem)
  local subscription = self.subscriptions[id]
  if not subscription then
    return
  end
  forget(subscription)
  if subscription.ended then
    subscription.ended()
  end
  if problem ~= true then
    scheduler.report(problem, nil, "subscription")
  end
end

return M
