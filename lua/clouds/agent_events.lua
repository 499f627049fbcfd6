--- The agent's side of subscriptions: functions of this process that the library calls, by messages in order.
--
-- While there are subscriptions one request is open at the library: its answers are the messages, and its failure is
-- the news that this library is gone. Then all subscriptions are made again at the next one.
local core = require("clouds.core")
local link = require("clouds.agent_link")
local scheduler = require("clouds.scheduler")

local M = {}

local QUEUE, QUEUE_BYTES = 1000, 8388608 -- what waits for the function of a subscription: past it the oldest is dropped
local FOLLOW_TIMEOUT = 60 -- seconds; the library answers far sooner
local UNSUBSCRIBE_TIMEOUT = 10
local PAUSE = 0.2 -- seconds between two tries to make subscriptions again

local subs, last_id = {}, 0 -- number -> subscription
local is_following = false

local Subscription = {}
Subscription.__index = Subscription

local EVENTS = { again = true, gap = true, error = true }

function Subscription:__tostring()
  return "clouds.agent subscription: " .. self.name
end

--- Calls fn when it happens: "again" (it was made again at a new library; the results of that), "gap" (how many
--- messages are missing before the next one), "error" (it could not be made again, and has ended; why). Gives the
--- subscription.
function Subscription:on(event, fn)
  if not EVENTS[event] then
    error(("no such event: %s; expected again, gap or error"):format(tostring(event)), 2)
  elseif type(fn) ~= "function" then
    error("expected a function", 2)
  end
  self.listeners[event] = self.listeners[event] or {}
  table.insert(self.listeners[event], fn)
  return self
end

local function run(fn, ...)
  local ok, problem, traceback = scheduler.protected(fn, ...)
  if not ok then
    scheduler.report(problem, traceback, "subscription")
  end
end

local function emit(sub, event, ...)
  for _, fn in ipairs(sub.listeners[event] or {}) do
    run(fn, ...)
  end
  return sub.listeners[event] ~= nil
end

---- messages ----

local function deliver(sub, message)
  if message.missed > 0 then
    sub.missed = sub.missed + message.missed
    emit(sub, "gap", message.missed)
  end
  local args = message.args
  for i = 1, message.count do
    if args[i] == core.null then
      args[i] = nil
    end
  end
  if not sub.closed then
    run(sub.fn, unpack(args, 1, message.count))
  end
end

-- One after the other: the function may wait.
local function deliver_all(sub)
  while sub.first <= sub.last do
    local message = sub.list[sub.first]
    sub.list[sub.first] = nil
    sub.first, sub.bytes = sub.first + 1, sub.bytes - message.bytes
    deliver(sub, message)
  end
  sub.is_delivering = false
end

local function drop_oldest(sub)
  local dropped = sub.list[sub.first]
  sub.list[sub.first] = nil
  sub.first, sub.bytes = sub.first + 1, sub.bytes - dropped.bytes
  local oldest = sub.list[sub.first]
  oldest.missed = oldest.missed + 1 + dropped.missed
end

local function put(sub, number, bytes, args)
  sub.last, sub.bytes = sub.last + 1, sub.bytes + bytes
  sub.list[sub.last] = { args = args, count = #args, bytes = bytes, missed = number - sub.next_number }
  sub.next_number = number + 1
  while sub.last - sub.first + 1 > QUEUE or (sub.bytes > QUEUE_BYTES and sub.first < sub.last) do
    drop_oldest(sub)
  end
  if not sub.is_delivering then
    sub.is_delivering = true
    scheduler.defer(deliver_all, sub)
  end
end

local function take(batch)
  local list = assert(core.decode(tostring(batch)))
  for _, message in ipairs(list) do
    local sub = subs[message[1]]
    if sub then
      put(sub, message[2], message[3], message[4])
    end
  end
end

---- the life of a subscription ----

local function forget(sub)
  sub.closed, sub.list, sub.first, sub.last, sub.bytes = true, {}, 1, 0, 0
  subs[sub.id] = nil
end

-- The library is told, on nobody's behalf; one that is gone knows already.
local function tell_closed(sub)
  local signature = sub.made_at
  if signature then
    scheduler.defer(function()
      link.call_at(signature, "unsubscribe", { sub.id }, UNSUBSCRIBE_TIMEOUT)
    end)
  end
end

--- Ends it: its function is not called any more. A second time is fine.
function Subscription:close()
  if not self.closed then
    forget(self)
    tell_closed(self)
  end
  return true
end

local function arguments_of(sub)
  local args = { sub.id, sub.path, sub.is_method, unpack(sub.args, 1, sub.args.n) }
  args.n = 3 + sub.args.n
  return args
end

local function ended_with(sub, err)
  forget(sub)
  if not emit(sub, "error", err) then
    scheduler.report(err, nil, ("subscription of '%s' at a new library"):format(sub.name))
  end
end

-- At another library than before. What that one has not refused is tried again with the next wait for messages.
local function make_again(sub, signature)
  sub.next_number = 1
  local results = scheduler.pack(link.call_at(signature, "subscribe", arguments_of(sub), link.DEADLINE))
  local failed = link.is_failure(results)
  sub.is_opening = nil
  if failed and results[2].outcome ~= "APP_ERROR" then
    return
  elseif not failed then
    sub.made_at = signature
  end
  if sub.closed then
    tell_closed(sub)
  elseif failed then
    ended_with(sub, results[2])
  else
    emit(sub, "again", unpack(results, 1, results.n))
  end
end

-- Each in a coroutine of its own: a function over there that hangs keeps no other waiting.
local function make_all(signature)
  local others = {}
  for _, sub in pairs(subs) do
    if sub.made_at ~= signature and not sub.is_opening then
      others[#others + 1] = sub
      sub.is_opening = true
    end
  end
  for _, sub in ipairs(others) do
    scheduler.spawn(make_again, sub, signature)
  end
end

local function count_made(signature)
  local count = 0
  for _, sub in pairs(subs) do
    count = count + (sub.made_at == signature and 1 or 0)
  end
  return count
end

-- One wait for messages; false when this library is gone, or does not know us.
local function follow_once(signature)
  local answer, err = link.call_at(signature, "follow", { count_made(signature) }, FOLLOW_TIMEOUT)
  if err and err.code == "CLOUDS_CALL_SERVICE_TIMEOUT" then
    return true -- it is busy
  elseif err or answer == "again" then
    return false
  elseif core.is_bytes(answer) then
    take(answer)
  end
  return true
end

-- It is asked for no more, and what was made there is made again, also when it turns out to be the next one, too.
local function lost(signature)
  link.forget(signature)
  for _, sub in pairs(subs) do
    if sub.made_at == signature then
      sub.made_at = nil
    end
  end
end

local function follow()
  local client = link.client(1)
  while next(subs) and not client.closing and not client.closed do
    local signature = link.signature(scheduler.loop.now() + link.DEADLINE)
    if not signature then
      scheduler.sleep(PAUSE)
    else
      make_all(signature)
      if not follow_once(signature) then
        lost(signature)
        scheduler.sleep(PAUSE)
      end
    end
  end
  is_following = false
  if client.closing or client.closed then
    for _, sub in pairs(subs) do
      forget(sub)
    end
  end
end

--- Calls a function of the library with `fn` behind its arguments, until then: a subscription and the results; or nil
--- and an error.
function M.subscribe(path, is_method, args, fn, until_)
  last_id = last_id + 1
  local sub = setmetatable({ id = last_id, name = table.concat(path, "."), path = path, is_method = is_method,
    args = args, fn = fn, listeners = {}, missed = 0, next_number = 1, list = {}, first = 1, last = 0,
    bytes = 0, is_opening = true }, Subscription)
  subs[sub.id] = sub
  local ok, results, signature = pcall(link.call, "subscribe", arguments_of(sub), until_)
  sub.is_opening, sub.made_at = nil, signature
  if not ok then
    forget(sub)
    error(results, 0)
  end
  if link.is_failure(results) then
    forget(sub)
    if results[2].outcome == "UNKNOWN" then
      tell_closed(sub)
    end
    return nil, results[2]
  end
  if not is_following then
    is_following = true
    scheduler.defer(follow)
  end
  return sub, unpack(results, 1, results.n)
end

return M
