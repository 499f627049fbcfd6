-- What is published, for everybody who asked for it here: one subscription of the cluster for each pattern, whose
-- values are made text once, however many they go to.
--
-- A member is a table with receive(topic, value, missed, sequence), both as JSON, which does not wait, and ended(),
-- when nothing will come any more.
local clouds = require "clouds"
local core = require "clouds.core"
local json = require "clouds.gateway.json"

local Hub = {}
Hub.__index = Hub

local M = {}

function M.new(node)
  return setmetatable({ node = node, by_pattern = {} }, Hub)
end

local function hand_out(entry, value, message)
  local topic, text = json.encode(message.topic), json.encode(value)
  for member in pairs(entry.members) do member:receive(topic, text, message.missed, message.sequence) end
end

local function end_of(self, pattern, entry)
  if self.by_pattern[pattern] == entry then self.by_pattern[pattern] = nil end
  for member in pairs(entry.members) do member:ended() end
  entry.members = {}
end

local function subscribe(self, pattern, entry)
  local subscription, problem = self.node:subscribe(pattern, function(value, message)
    hand_out(entry, value, message)
  end)
  if not subscription then
    if self.by_pattern[pattern] == entry then self.by_pattern[pattern] = nil end
    return nil, problem
  end
  entry.subscription = subscription
  subscription.ended = function() end_of(self, pattern, entry) end
  if not next(entry.members) then self:leave(pattern) end
  return true
end

-- Apart from who asks first, whose end is not that of the others who wait.
local function open(self, pattern)
  local entry = { members = {} }
  self.by_pattern[pattern] = entry
  core.run_apart(function() entry.opening = clouds.spawn(subscribe, self, pattern, entry) end)
  return entry
end

--- From now on the member gets what is published there: true, once that is sure; or nil and an error.
function Hub:join(pattern, member)
  local entry = self.by_pattern[pattern] or open(self, pattern)
  entry.members[member] = true
  local ok, problem = entry.opening:wait()
  if not ok then entry.members[member] = nil end
  return ok, problem
end

--- Nothing more comes to the member. The last one ends the subscription.
function Hub:leave(pattern, member)
  local entry = self.by_pattern[pattern]
  if not entry then return end
  if member then entry.members[member] = nil end
  if next(entry.members) or not entry.subscription then return end
  self.by_pattern[pattern] = nil
  entry.subscription.ended = nil
  entry.subscription:close()
end

return M
