-- The last lines of each group, for who asks for them, and what comes, for who follows.
local core = require "clouds.core"

local MOST_BYTES = 1e6 -- of text that is kept for a group, and that waits for one who follows
local MOST_WAITING = 1000 -- lines that wait for one who follows

---- a queue that forgets what is oldest ----

-- The entries stand in a ring: that of number n at n % most. A window that moves through a table would have Lua move
-- the table again and again.
local Queue = {}
Queue.__index = Queue

local function new_queue(most)
  return setmetatable({ most = most, first = 1, last = 0, bytes = 0 }, Queue)
end

function Queue:at(number)
  return self[number % self.most + 1]
end

function Queue:is_empty()
  return self.first > self.last
end

function Queue:take()
  local entry = self:at(self.first)
  self[self.first % self.most + 1] = false
  self.first, self.bytes = self.first + 1, self.bytes - #entry.text
  return entry
end

-- How many were forgotten for it.
function Queue:put(entry)
  local size, forgotten = #entry.text, 0
  while not self:is_empty() and (self.last - self.first + 1 >= self.most or self.bytes + size > MOST_BYTES) do
    self:take()
    forgotten = forgotten + 1
  end
  self.last, self.bytes = self.last + 1, self.bytes + size
  self[self.last % self.most + 1] = entry
  return forgotten
end

-- Another queue, of so many, with the last of these.
function Queue:resized(most)
  local other = new_queue(most)
  for number = self.first, self.last do other:put(self:at(number)) end
  return other
end

---- one who follows ----

local Follower = {}
Follower.__index = Follower

--- The next line, and how many before it were forgotten because this is not asked often enough; waits for it. nil: it
--- was closed.
function Follower:next()
  while not self.is_closed and self.queue:is_empty() do
    self.slot = core.slot(true)
    core.wait(self.slot)
    self.slot = nil
  end
  local missed = self.missed
  self.missed = 0
  if not self.is_closed then return self.queue:take(), missed end
end

local function wake(self)
  if self.slot then core.wake(self.slot, true) end
end

function Follower:close()
  self.is_closed = true
  self.followers[self] = nil
  wake(self)
end

---- all of them ----

local Kept = {}
Kept.__index = Kept

--- count: lines of each group.
function Kept.new(count)
  return setmetatable({ count = count, groups = {}, followers = {}, number = 0 }, Kept)
end

--- From now on so many, and of the groups that is_known(name) is true for.
function Kept:change(count, is_known)
  self.count = count
  for name, queue in pairs(self.groups) do
    self.groups[name] = is_known(name) and count > 0 and queue:resized(count) or nil
  end
end

local function matches(filter, entry)
  return (not filter.group or filter.group == entry.group) and (not filter.worker or filter.worker == entry.worker)
end

function Kept:add(entry)
  self.number = self.number + 1
  entry.number = self.number
  local queue = self.groups[entry.group]
  if not queue and self.count > 0 then
    queue = new_queue(self.count)
    self.groups[entry.group] = queue
  end
  if queue then queue:put(entry) end
  for follower in pairs(self.followers) do
    if matches(follower.filter, entry) then
      follower.missed = follower.missed + follower.queue:put(entry)
      wake(follower)
    end
  end
end

--- The last `count` of those that are kept, in their order. filter: { group =, worker = }, each may be left out.
function Kept:lines(filter, count)
  local all, list = {}, {}
  for _, queue in pairs(self.groups) do
    for number = queue.first, queue.last do
      local entry = queue:at(number)
      if matches(filter, entry) then all[#all + 1] = entry end
    end
  end
  table.sort(all, function(a, b) return a.number < b.number end)
  for i = math.max(1, #all - count + 1), #all do list[#list + 1] = all[i] end
  return list
end

--- For resume: all lines, in order.
function Kept:state()
  return self:lines({}, math.huge)
end

--- Those that another program has kept.
function Kept:resume(entries)
  for _, entry in ipairs(entries) do self:add(entry) end
end

--- What comes from now on.
function Kept:follow(filter)
  local follower = setmetatable({ filter = filter, queue = new_queue(MOST_WAITING), missed = 0,
    followers = self.followers }, Follower)
  self.followers[follower] = true
  return follower
end

return Kept
