--- Functions that are called when something happens to a node. Each call is a coroutine, which may wait; those that
-- handle messages have limits, in number and in bytes, since a sender does not wait for them.
local core = require("clouds.core")
local errors = require("clouds.error")
local scheduler = require("clouds.scheduler")

local M = {}

local Listeners = {}
Listeners.__index = Listeners

--- `limits`: { items =, bytes = } for the messages that are being handled. `owner`: gives the id of the node.
function M.new(limits, owner)
  return setmetatable({
    by_event = {},
    limits = limits,
    owner = owner,
    handled = 0,
    handled_bytes = 0,
    dropped = 0,
    full = false,
  }, Listeners)
end

function Listeners:add(event, fn)
  self.by_event[event] = self.by_event[event] or {}
  table.insert(self.by_event[event], fn)
end

--- Takes `fn` away, or all of the event.
function Listeners:remove(event, fn)
  local kept = {}
  for _, listener in ipairs(self.by_event[event] or {}) do
    if fn and listener ~= fn then
      kept[#kept + 1] = listener
    end
  end
  self.by_event[event] = kept[1] and kept or nil
end

function Listeners:has(event)
  return self.by_event[event] ~= nil
end

local function start(fn, ...)
  if not core.run(fn, ...) then
    scheduler.defer(fn, ...)
  end
end

function Listeners:emit(event, ...)
  for _, fn in ipairs({ unpack(self.by_event[event] or {}) }) do
    start(fn, ...)
  end
end

local function handle(self, fn, bytes, ...)
  local ok, problem, traceback = scheduler.protected(fn, ...)
  self.handled = self.handled - 1
  self.handled_bytes = self.handled_bytes - bytes
  if self.handled == 0 then
    self.full = false
  end
  if not ok then
    scheduler.report(problem, traceback, "callback")
  end
end

local function drop(self)
  self.dropped = self.dropped + 1
  if self.full then
    return
  end
  self.full = true
  local words = "messages to %s are dropped: %d with %d bytes are still being handled; "
    .. "the limits are max_events = %d and max_event_bytes = %d"
  local limits = self.limits
  local text = words:format(self.owner(), self.handled, self.handled_bytes, limits.items, limits.bytes)
  scheduler.report(errors.new(core.ELIMIT, text), nil, "message listener")
end

--- As emit, for a message of so many bytes: past a limit the newest is dropped and counted, and reported once until
-- all that was being handled is done. When nothing is being handled a message is taken, however large.
function Listeners:emit_message(event, bytes, ...)
  for _, fn in ipairs({ unpack(self.by_event[event] or {}) }) do
    local limits = self.limits
    local over = self.handled >= limits.items or self.handled_bytes + bytes > limits.bytes
    if over and self.handled > 0 then
      drop(self)
    else
      self.handled = self.handled + 1
      self.handled_bytes = self.handled_bytes + bytes
      start(handle, self, fn, bytes, ...)
    end
  end
end

return M
