--- A worker of `clouds start`, as its script sees it; in a program of `clouds run` the only one. docs/HOST.md.
local connections = require("clouds.worker_connections")
local core = require("clouds.core")
local ending = require("clouds.worker_end")
local link = require("clouds.worker_link")
local messages = require("clouds.worker_messages")
local scheduler = require("clouds.scheduler")
local serial = require("clouds.worker_token")
local suggest = require("clouds.suggest")

local M = {}

-- With a dot or a colon alike.
local function either(fn)
  return function(first, ...)
    if first == M then
      return fn(...)
    end
    return fn(first, ...)
  end
end

local function check_function(fn, level)
  if type(fn) ~= "function" then
    error(("expected a function, got a %s"):format(type(fn)), level + 1)
  end
end

---- connections ----

--- Says that this worker is ready, and who takes its connections: a function that is called with each as a socket, and
--- its port; or a server of HTTP. Without either they are closed. Called again, it takes the place of what was said.
M.ready = either(function(taker)
  connections.take(taker, 2)
  link.say_ready()
  return M
end)

--- One more thing is under way. From the first time on the worker with the fewest gets the next connection.
M.transact = either(function()
  connections.transact()
end)

--- One thing less is; or there are `remain`.
M.release = either(function(remain)
  if remain ~= nil and (type(remain) ~= "number" or remain < 0 or remain % 1 ~= 0) then
    error(("expected how many things remain, a whole number, got %s"):format(tostring(remain)), 2)
  end
  connections.release(remain)
end)

---- its life ----

local EVENTS = { "drain", "message", "stop" }

local is_event = {}
for _, event in ipairs(EVENTS) do
  is_event[event] = true
end

local message_handlers = {}

local function emit_message(value, group, index)
  for _, fn in ipairs(message_handlers) do
    scheduler.spawn(fn, value, group, index)
  end
end

--- Calls fn when it happens: "drain" (reason, seconds), "message" (value, group, index of who sent it), "stop". It runs
--- in a coroutine; the end of the worker waits for those of "drain", and of "stop".
M.on = either(function(event, fn)
  if not is_event[event] then
    local hint = suggest.hint(event, EVENTS, ("expected %s, %s or %s"):format(unpack(EVENTS)))
    error(("unknown event '%s'; %s"):format(tostring(event), hint), 2)
  end
  check_function(fn, 2)
  if event ~= "message" then
    ending.on(event, fn)
    return M
  end
  table.insert(message_handlers, fn)
  messages.receive(emit_message)
  return M
end)

--- Asks to be replaced: another worker is started, and when that is ready this one drains. Without a master it stops.
M.retire = either(function()
  if link.is_solo() then
    link.host.stop()
    return true
  end
  return link.tell("W")
end)

local function check_group(group, level)
  if type(group) ~= "string" or not group:find("^[%w_.-]+$") then
    error(("expected the name of a group, got %s"):format(type(group) == "string" and ("'%s'"):format(group)
      or "a " .. type(group)), level + 1)
  end
end

--- Asks the master for a reload of one group, or of everything. Whether there is one to ask.
M.reload = either(function(group)
  if group ~= nil then
    check_group(group, 2)
  end
  return link.tell("P", group)
end)

--- Calls fn every so many seconds, in a coroutine, and not again before that has ended, until the worker has drained:
--- what it gives has `stop`.
M.every = either(function(seconds, fn)
  if type(seconds) ~= "number" or not (seconds > 0 and seconds < math.huge) then
    error("expected a number of seconds, more than 0", 2)
  end
  check_function(fn, 2)
  return ending.every(seconds, fn)
end)

--- Runs fn while no other worker of the group, this one included, runs such a function: what it returns.
M.serial = either(function(fn)
  check_function(fn, 2)
  return serial(fn)
end)

---- what it says ----

--- Sends a value to all workers of a group, or to the one of this index: true, it is under way; or nil and an error. An
--- empty message, nil or "", is none: false.
M.send = either(function(group, value, index)
  check_group(group, 2)
  if index ~= nil and (type(index) ~= "number" or index < 1 or index % 1 ~= 0) then
    error(("expected the index of a worker, from 1, got %s"):format(tostring(index)), 2)
  elseif value == nil or value == "" or value == core.null then
    return false
  end
  return messages.send(group, value, index, 2)
end)

--- A variable of this worker, which `clouds ps` shows: a value of JSON; nil takes it away.
M.set = either(function(name, value)
  messages.set(name, value, 2)
  return M
end)

---- who it is ----

local lazy = {}

function lazy.draining()
  return ending.draining
end

function lazy.solo()
  return link.is_solo()
end

function lazy.ports()
  return link.ports()
end

return setmetatable(M, {
  __index = function(_, name)
    local fn = lazy[name]
    if fn then
      return fn()
    end
    return link.fact(name)
  end,
})
