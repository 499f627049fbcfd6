-- The workers that run one script: as many as there should be, started again when they end, replaced by a reload.
--
-- A slot is a place for a worker. What starts new workers beside those that serve is a generation: all of it has to be
-- ready before any of the old drains, and if one is not, the new ones end and nothing has changed. When that is so is
-- decided by the application, which may renew several groups at once.
local loop = require "clouds.loop"
local Worker = require "clouds.master.worker"

local Group = {}
Group.__index = Group

local FIRST_DELAY, LONGEST_DELAY = 0.1, 5 -- seconds until a worker that failed is started again
local WELL = 10 -- seconds of service after which the delay is the first again
local WINDOW, MOST, PAUSE = 60, 5, 60 -- more failures than MOST for each worker in WINDOW: none is started for PAUSE
local AGAIN = 1 -- seconds between the ends of a worker that ends by itself, at least

--- settings: of the group in the plan of the application.
function Group.new(app, settings)
  return setmetatable({ app = app, settings = settings, name = settings.name, script = settings.script,
    arguments = settings.arguments, count = settings.workers, drain = settings.drain,
    ready_timeout = settings.ready_timeout, slots = {}, workers = {}, generation = 0, failures = {} }, Group)
end

local function count_of(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

-- A worker in its slot, or nil and why not.
local function start_worker(self, index, generation)
  local worker, problem = Worker.start(self, index, generation)
  if worker then self.workers[worker] = true end
  return worker, problem
end

---- a generation ----

--- Starts a whole generation beside what serves. ready(problem or nil) is called when it is all ready, or will not be
-- and has been ended; also when it was ready and one of it ends before the switch.
function Group:renew(ready)
  local new = { generation = self.generation + 1, workers = {}, ready = ready }
  self.coming = new
  for index = 1, self.count do
    local worker, problem = start_worker(self, index, new.generation)
    if not worker then return self:roll_back(("worker %s.%d: %s"):format(self.name, index, problem)) end
    new.workers[index] = worker
  end
end

--- Every new worker is ready: it takes the place of the old.
function Group:switch()
  local new = self.coming
  self.coming, self.generation = nil, new.generation
  for index, worker in pairs(new.workers) do
    local old = self.slots[index] and self.slots[index].worker
    self.slots[index] = { worker = worker, delay = FIRST_DELAY }
    worker:take(true)
    if old then old:drain() end
  end
  for index, slot in pairs(self.slots) do
    if index > self.count then
      if slot.worker then slot.worker:drain() end
      self.slots[index] = nil
    end
  end
  self.failures = {}
end

--- Ends what is new; nothing else has changed.
function Group:roll_back(problem)
  local new = self.coming
  if not new then return end
  self.coming = nil
  for _, worker in pairs(new.workers) do
    if worker.state ~= "gone" then worker:drain() end
  end
  new.ready(problem)
end

function Group:is_renewing()
  return self.coming ~= nil
end

---- what a worker tells ----

function Group:is_ready(worker)
  self.app.log:own(("worker %s ready in %d ms, generation %d"):format(worker.name, (loop.now() - worker.begun) * 1000,
    worker.generation))
  if self.is_quiet then worker:be_quiet(true) end
  local new = self.coming
  if not new or new.workers[worker.index] ~= worker then return worker:take(true) end
  for _, other in pairs(new.workers) do
    if other.state ~= "ready" then return end
  end
  new.ready(nil)
end

-- How many failures there were in the window, this one with them.
local function note_failure(self)
  local now, kept = loop.now(), {}
  for _, at in ipairs(self.failures) do
    if now - at < WINDOW then kept[#kept + 1] = at end
  end
  kept[#kept + 1] = now
  self.failures = kept
  return #kept
end

local function restart(self, slot, index, delay)
  slot.timer = loop.timer(delay, function()
    slot.timer = nil
    if self.is_stopping or self.slots[index] ~= slot then return end
    local worker, problem = start_worker(self, index, self.generation)
    slot.worker = worker
    if worker then return end
    self.app.log:own(("worker %s.%d cannot be started: %s"):format(self.name, index, problem))
    restart(self, slot, index, LONGEST_DELAY)
  end)
end

-- A fifth more or less, so that many that failed at once do not come back at once.
local function about(seconds)
  return seconds * (0.8 + 0.4 * math.random())
end

local function failed(self, slot, worker)
  local served = worker.ready_at and loop.now() - worker.ready_at or 0
  if served > WELL then slot.delay = FIRST_DELAY end
  local count = note_failure(self)
  if count > MOST * self.count then
    self.app.log:own(("group %s: %d failures within %d s, the last: %s; the next try is in %d s"):format(self.name,
      count, WINDOW, worker.exit, PAUSE))
    self.failures = {}
    return restart(self, slot, worker.index, PAUSE)
  end
  local delay = about(slot.delay)
  slot.delay = math.min(slot.delay * 2, LONGEST_DELAY)
  restart(self, slot, worker.index, delay)
end

-- Of a worker that serves, or did until just now.
local function ended_in_slot(self, slot, worker, before, code)
  slot.worker = nil
  if self.is_stopping then return end
  self.app.log:own(("worker %s ended: %s"):format(worker.name, worker.exit))
  if code == 0 and before ~= "starting" then return restart(self, slot, worker.index, AGAIN) end
  failed(self, slot, worker)
end

-- Killed by us, or by its own limit, or by whatever else: requests it had accepted may be unanswered.
local function note_end(self, worker, before, code)
  local in_order = code == 0 and not worker.was_killed
  if in_order or not (self.is_stopping or before == "draining") then return end
  if not worker.was_killed then
    self.app.log:own(("worker %s did not end in order: %s"):format(worker.name, worker.exit))
  end
  if self.is_stopping then self.app.had_to_kill = true end
end

function Group:has_ended(worker, before, code)
  self.workers[worker] = nil
  note_end(self, worker, before, code)
  local new, slot = self.coming, self.slots[worker.index]
  if new and new.workers[worker.index] == worker then
    self:roll_back(("worker %s: %s"):format(worker.name, worker.exit))
  elseif slot and slot.worker == worker then
    ended_in_slot(self, slot, worker, before, code)
  end
  if self.is_stopping and not next(self.workers) then self.is_stopping() end
end

---- the end ----

--- Drains all workers; done() when the last has ended.
function Group:stop(done)
  if self.is_stopping then return end
  self.is_stopping = done
  self:roll_back("stopped")
  for _, slot in pairs(self.slots) do
    if slot.timer then slot.timer:stop() end
  end
  for worker in pairs(self.workers) do worker:drain() end
  if not next(self.workers) then done() end
end

function Group:kill()
  for worker in pairs(self.workers) do worker:kill() end
end

--- Its workers take nothing new; or begin again.
function Group:be_quiet(yes)
  self.is_quiet = yes
  if self.dispatch then self.dispatch:pause(yes) end
  for worker in pairs(self.workers) do worker:be_quiet(yes) end
end

function Group:ready_count()
  local ready = {}
  for index, slot in pairs(self.slots) do
    if slot.worker and slot.worker.state == "ready" then ready[index] = true end
  end
  return count_of(ready)
end

return Group
