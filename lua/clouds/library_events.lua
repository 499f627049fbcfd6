--- The library's side of subscriptions: calls of a function that an agent gave become messages to that agent, in order.
--
-- Each agent with subscriptions has one request open here, which is answered with what waits for it, and after PERIOD
-- seconds in any case; then it asks again. By that an agent learns of the end of the library, and the library of the
-- end of an agent: when it does not ask again, it is looked at.
local core = require("clouds.core")
local scheduler = require("clouds.scheduler")

local M = {}

local PERIOD = 5 -- seconds after which an agent is answered although there is nothing
local LOOK = 1 -- seconds after an answer until an agent that has not asked again is looked at, and between two looks
local QUEUE, QUEUE_BYTES = 1000, 8388608 -- of a subscription: past it the oldest is dropped
local TURN = 100 -- messages of a subscription before those of another
local BATCH_BYTES = 1000000 -- of one answer, when it is more than one message
local LONGEST = 4000000 -- bytes of one message: what can be sent at all

local agents = {} -- id of the agent's node -> agent
local by_callback = setmetatable({}, { __mode = "k" }) -- the function that a resource calls -> its subscription

--- How many subscriptions are open.
function M.count()
  local count = 0
  for _, agent in pairs(agents) do
    count = count + agent.count
  end
  return count
end

---- a subscription ----

local function drop_oldest(sub)
  sub.bytes = sub.bytes - #sub.list[sub.first]
  sub.list[sub.first] = nil
  sub.first = sub.first + 1
end

local function close(sub)
  if sub.closed then
    return
  end
  local agent = sub.agent
  sub.closed, sub.list, sub.first, sub.last = true, {}, 1, 0
  agent.subs[sub.id] = nil
  agent.count = agent.count - 1
  if agent.count == 0 and not agent.request and agents[agent.id] == agent then
    agents[agent.id] = nil
  end
  for _, fn in ipairs(sub.on_close) do
    scheduler.defer(fn)
  end
end

local function is_empty(sub)
  return sub.first > sub.last
end

---- an agent ----

-- The subscriptions that have something take turns.
local function set_waiting(sub)
  if not sub.is_waiting then
    sub.is_waiting = true
    table.insert(sub.agent.waiting, sub)
  end
end

-- As much as one answer takes of what waits, each entry a JSON text.
local function take_batch(agent)
  local batch, bytes, waiting = {}, 0, agent.waiting
  while waiting[1] and bytes < BATCH_BYTES do
    local sub, turn = table.remove(waiting, 1), TURN
    sub.is_waiting = false
    while not is_empty(sub) and turn > 0 and (bytes == 0 or bytes + #sub.list[sub.first] <= BATCH_BYTES) do
      local text = sub.list[sub.first]
      batch[#batch + 1], bytes, turn = text, bytes + #text, turn - 1
      drop_oldest(sub)
    end
    if not is_empty(sub) then
      set_waiting(sub)
      bytes = turn > 0 and BATCH_BYTES or bytes
    end
  end
  return batch
end

local function forget(agent)
  agents[agent.id] = nil
  for _, sub in pairs(agent.subs) do
    close(sub)
  end
end

-- Looks at an agent that does not ask again after an answer. One that is only busy is there still, and what waits for
-- it is bounded.
local function look(agent)
  local answers = agent.answers
  local function is_quiet()
    return agents[agent.id] == agent and not agent.request and agent.answers == answers
  end
  scheduler.loop.timer(LOOK, function()
    scheduler.defer(function()
      local _, err
      if is_quiet() then
        _, err = M.node:ask(agent.id, "ping", nil, { timeout = LOOK })
      end
      if is_quiet() and err and err.outcome == "NOT_DONE" then
        forget(agent)
      end
      agent.is_watched = agents[agent.id] == agent and not agent.request
      if agent.is_watched then
        look(agent)
      end
    end)
  end)
end

local function watch(agent)
  if not agent.request and not agent.is_watched then
    agent.is_watched = true
    look(agent)
  end
end

-- what: bytes with a JSON list of messages; "on": none, ask again; "again": the subscriptions have to be made again.
local function answer(agent, what)
  local request = agent.request
  agent.request = nil
  if agent.timer then
    agent.timer:stop()
    agent.timer = nil
  end
  request.reply(what)
  if agent.count == 0 and agents[agent.id] == agent then
    agents[agent.id] = nil
  elseif agents[agent.id] == agent then
    agent.answers = agent.answers + 1
    watch(agent)
  end
end

local function flush(agent)
  agent.flushing = false
  if agent.request and agent.waiting[1] then
    answer(agent, core.bytes("[" .. table.concat(take_batch(agent), ",") .. "]"))
  end
end

local function agent_of(id)
  local agent = agents[id]
  if not agent then
    agent = { id = id, subs = {}, waiting = {}, count = 0, answers = 0 }
    agents[id] = agent
  end
  return agent
end

---- what resources do ----

local function put(sub, text)
  sub.last = sub.last + 1
  sub.list[sub.last], sub.bytes = text, sub.bytes + #text
  while sub.last - sub.first + 1 > QUEUE or (sub.bytes > QUEUE_BYTES and sub.first < sub.last) do
    drop_oldest(sub)
  end
  local agent = sub.agent
  set_waiting(sub)
  if agent.request and not agent.flushing then
    agent.flushing = true
    scheduler.defer(flush, agent)
  end
end

-- What is told now counts, whatever becomes of the tables meanwhile.
local function tell(sub, ...)
  if sub.closed then
    return false
  end
  local text, problem = core.encode(core.array({ ... }, select("#", ...)))
  if not text then
    error(("what %s tells: %s"):format(sub.name, problem), 3)
  elseif #text > LONGEST then
    error(("what %s tells has %d bytes of JSON; at most %d can be sent"):format(sub.name, #text, LONGEST), 3)
  end
  sub.told = sub.told + 1
  put(sub, ("[%d,%d,%d,%s]"):format(sub.id, sub.told, #text, text))
  return true
end

--- The function that stands here for the one of an agent: its calls go there. id: the agent's number of it.
function M.open(agent_id, id, name)
  local before = agents[agent_id] and agents[agent_id].subs[id]
  if before then
    close(before)
  end
  local agent = agent_of(agent_id)
  local sub =
    { agent = agent, id = id, name = name, list = {}, first = 1, last = 0, bytes = 0, told = 0, on_close = {} }
  agent.subs[id], agent.count = sub, agent.count + 1
  watch(agent)
  local function callback(...)
    local taken = tell(sub, ...) -- no tail call: its errors are those of who called this
    return taken
  end
  by_callback[callback] = sub
  return callback, function()
    close(sub)
  end
end

local function sub_of(callback, level)
  local words = "expected the function of a subscription, as the library's functions get it"
  return by_callback[callback] or error(words, level + 1)
end

--- fn() is called when the subscription of this function ends: it was closed, or its worker is gone. At once when it
--- has.
function M.on_close(callback, fn)
  local sub = sub_of(callback, 2)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  if sub.closed then
    return scheduler.defer(fn)
  end
  table.insert(sub.on_close, fn)
end

---- what agents ask ----

--- An agent waits for messages. made: how many subscriptions it knows to be made here.
function M.follow(request, made)
  local agent = agent_of(request.caller)
  if agent.request then
    answer(agent, "on")
    agents[agent.id] = agent
  end
  agent.request = request
  if M.is_stopping or (made > 0 and agent.count == 0) then
    return answer(agent, "again")
  end
  agent.timer = scheduler.loop.timer(PERIOD, function()
    answer(agent, "on")
  end)
  flush(agent)
end

--- An agent has closed one.
function M.close(agent_id, id)
  local agent = agents[agent_id]
  local sub = agent and agent.subs[id]
  if sub then
    close(sub)
  end
  if agent and agent.count == 0 and agent.request then
    answer(agent, "on")
  end
end

--- The library ends: agents go to the next one.
function M.stop()
  M.is_stopping = true
  for _, agent in pairs(agents) do
    if agent.request then
      answer(agent, "again")
    end
  end
end

return M
