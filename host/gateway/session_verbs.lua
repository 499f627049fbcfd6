-- What a message of a WebSocket can ask for: by the name of the verb what it takes beside it, whether it needs an id,
-- and run(session, id, value, message).
local accounts = require "clouds.gateway.accounts"
local calls = require "clouds.gateway.calls"
local clouds = require "clouds"
local json = require "clouds.gateway.json"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"

local M = {}

local LONGEST_NAME = 255

-- Whether one more is within the rate of who asks; if not, that is said.
local function take(self, id)
  local ok, seconds = accounts.take(self.who.account)
  if not ok then self:refuse(id, 429, "too many requests", seconds) end
  return ok
end

local function is_name(value) return type(value) == "string" and value ~= "" and #value <= LONGEST_NAME end

-- Whether who asks may do that; if not, that is said.
local function may(self, id, verb, name)
  if not is_name(name) then
    self:refuse(id, 400, ("%s: expected a text of up to %d bytes"):format(verb, LONGEST_NAME))
    return false
  elseif not who_asks.may(self.gateway, self.who, verb, name) then
    self:refuse(id, 403, ("not allowed: %s"):format(verb))
    return false
  end
  return true
end

local function is_free(self, id)
  if id == nil or not self.open[id] then return true end
  self:refuse(nil, 400, ("the id %s is in use"):format(json.encode(id)))
  return false
end

---- calls ----

local function call(self, id, method, args, options)
  calls.make(self.gateway, self.who, method, args, options, function(_, ok, result)
    self:answer(id, { results = ok and result or nil, error = not ok and result or nil,
      server = calls.server_of(options) })
  end)
end

local function run_call(self, id, method, message)
  if not is_free(self, id) or not take(self, id) then return end
  local args = message.args
  if type(method) ~= "string" then return self:refuse(id, 400, "call: expected the name of a method") end
  if args == nil then args = clouds.array({}) end
  if not clouds.json.is_array(args) then return self:refuse(id, 400, "args: expected a list") end
  local options, problem = calls.options(self.gateway, self.who, message, calls.new_id())
  if not options then return self:refuse(id, 400, problem) end
  self:run(id, call, self, id, method, args, options)
end

M.call = { takes = { args = true, timeout = true, key = true, traceparent = true, tracestate = true }, needs_id = true,
  run = run_call }

M.cancel = { takes = {}, needs_id = true, run = function(self, id)
  local entry = self.open[id]
  if entry and entry.scope then require("clouds.core").cancel(entry.scope, "the client has canceled it") end
end }

---- subscriptions ----

local Subscription = {}
Subscription.__index = Subscription

function Subscription:receive(topic, value, missed)
  self.outbox:offer(self, ('{"sub":%s,"topic":%s,"value":%s}'):format(self.id, topic, value), missed)
end

function Subscription:gap(missed) return ('{"sub":%s,"gap":%d}'):format(self.id, missed) end

function Subscription:ended()
  local entry = self.session.open[self.number]
  self.session.open[self.number] = nil
  entry.leave()
  self.session:refuse(self.number, 503, "the subscription has ended", 1)
end

local function leave(self, subscription, pattern)
  self.gateway.hub:leave(pattern, subscription)
  self.outbox:forget(subscription)
  accounts.finish(subscription.account, "subscriptions")
end

local function subscribe(self, id, pattern, entry)
  local ok, problem = self.gateway.hub:join(pattern, entry.subscription)
  if self.open[id] ~= entry then return end -- it was ended meanwhile
  if ok then return self:answer(id, { ok = true }) end
  self.open[id] = nil
  entry.leave()
  self:answer(id, { error = status.describe(problem, self.gateway.is_inside) })
end

local function run_subscribe(self, id, pattern)
  if not is_free(self, id) or not take(self, id) or not may(self, id, "subscribe", pattern) then return end
  local account = self.who.account
  if not accounts.begin(account, "subscriptions") then return self:refuse(id, 429, "too many subscriptions", 1) end
  local subscription = setmetatable({ session = self, outbox = self.outbox, account = account, number = id,
    id = json.encode(id) }, Subscription)
  local entry = { subscription = subscription, leave = function() leave(self, subscription, pattern) end }
  self.open[id] = entry
  clouds.spawn(subscribe, self, id, pattern, entry)
end

M.subscribe = { takes = {}, needs_id = true, run = run_subscribe }

M.unsubscribe = { takes = {}, needs_id = true, run = function(self, id)
  local entry = self.open[id]
  if not (entry and entry.leave) then return self:refuse(id, 400, "there is no such subscription") end
  self.open[id] = nil
  entry.leave()
  self:answer(id, { ok = true })
end }

---- what is published and sent ----

local function sent(self, id, ok, problem)
  if ok then return self:answer(id, { ok = true }) end
  self:answer(id, { error = status.describe(problem) })
end

local function value_of(message)
  if message.value == nil then return clouds.null end
  return message.value
end

M.publish = { takes = { value = true }, run = function(self, id, topic, message)
  if not take(self, id) or not may(self, id, "publish", topic) then return end
  local meta = self.who.name and { caller = self.who.name } or nil
  sent(self, id, self.gateway.client:publish(topic, value_of(message), { meta = meta }))
end }

M.send = { takes = { value = true }, run = function(self, id, node, message)
  if not take(self, id) or not may(self, id, "send", node) then return end
  sent(self, id, self.gateway.client:send(node, value_of(message)))
end }

return M
