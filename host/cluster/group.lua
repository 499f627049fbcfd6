-- The workers that run one script: as many as there should be, started again when they end, replaced by a reload.
--
-- A slot (slot.lua) is a place for a worker. What starts new workers beside those that serve is a generation: all of it
-- has to be ready before any of the old drains, and if one is not, the new ones end and nothing has changed. When that
-- is so is decided by the application, which may renew several groups at once.
local loop = require "clouds.loop"
local keys = require "clouds.master.keys"
local library = require "clouds.master.library"
local Slot = require "clouds.master.slot"
local Token = require "clouds.master.token"
local Worker = require "clouds.master.worker"
local watch = require "clouds.master.watch"

local Group = {}
Group.__index = Group

local RETIRING = 8 -- workers for each that may be replaced at a time

--- settings: of the group in the plan of the application.
function Group.new(app, settings)
  local self = setmetatable({ app = app, name = settings.name, slots = {}, workers = {}, generation = 0,
    failures = {}, restarts = { failed = 0, hung = 0, ended = 0, replaced = 0 },
    past = { accepted = 0, requests = 0, errors = 0 } }, Group)
  self.token = Token.new(function(worker) worker.process:send("T") end)
  self:apply(settings)
  return self
end

--- Workers that are started from now on are so.
function Group:apply(settings)
  self.settings, self.count, self.drain = settings, settings.workers, settings.drain
end

--- The same, until it is taken back by the end of a generation that fails.
function Group:try(settings, prepared)
  local before, count, spawned = self.settings, self.count, self.spawn
  self.undo = function()
    self:apply(before)
    self.count, self.spawn = count, spawned
  end
  self:apply(settings)
  self.spawn = prepared
end

--- What was tried counts no longer.
function Group:take_back()
  local undo = self.undo
  self.undo = nil
  if undo then undo() end
end

--- Where its workers are given connections from, those that start during a reload included.
function Group:listeners()
  return self.next_listeners or self.app.listeners[self.name] or {}
end

--- Where that is, each once, with blanks between.
function Group:addresses()
  local list, has = {}, {}
  local function add(address)
    if not has[address] then list[#list + 1] = address end
    has[address] = true
  end
  for _, address in ipairs(self.settings.listen or {}) do add(address) end
  for _, listener in ipairs(self.app.listeners[self.name] or {}) do add(listener.address) end
  return table.concat(list, " ")
end

local function count_of(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

--- The value of a setting, or its default.
function Group:setting(name)
  return keys.value(self.settings, name)
end

--- A new worker, or nil and why not.
function Group:start_worker(index, generation)
  local worker, problem = Worker.start(self, index, generation)
  if worker then self.workers[worker] = true end
  return worker, problem
end

---- a generation ----

--- Starts a whole generation beside what serves. ready(problem or nil) is called when it is all ready, or will not be
-- and has been ended; also when it was ready and one of it ends before the switch.
function Group:renew(ready)
  local new = { generation = self.generation + 1, workers = {}, ready = ready }
  if not self.watch then watch.begin(self) end
  self.coming = new
  for index = 1, self.count do
    local worker, problem = self:start_worker(index, new.generation)
    if not worker then return self:roll_back(("worker %s.%d: %s"):format(self.name, index, problem)) end
    new.workers[index] = worker
  end
end

--- Every new worker is ready: it takes the place of the old.
function Group:switch()
  local new = self.coming
  self.coming, self.generation = nil, new.generation
  for index, worker in pairs(new.workers) do
    self.slots[index] = self.slots[index] or Slot.new(self, index)
    self.slots[index]:renew(worker)
  end
  self:fit_slots()
  self.failures = {}
end

-- As many as there are to be: more are started, those that are too many drain.
function Group:fit_slots()
  for index = 1, self.count do
    if not self.slots[index] then
      self.slots[index] = Slot.new(self, index)
      self.slots[index]:start_in(0)
    end
  end
  for index, slot in pairs(self.slots) do
    if index > self.count then
      slot:close("scale")
      self.slots[index] = nil
    end
  end
end

--- Ends what is new; nothing else has changed.
function Group:roll_back(problem)
  local new = self.coming
  if not new then return end
  self.coming = nil
  for _, worker in pairs(new.workers) do
    if worker.state ~= "gone" then worker:drain("stop") end
  end
  self:take_back()
  if self.generation > 0 and not self.is_stopping then self:fit_slots() end
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
  if not library.is_one(self) then
    for method in pairs(self.app.paused) do worker:be_quiet(true, method) end
  end
  self.app:emit("worker_ready", self.name, worker.index, worker.pid, worker.generation)
  local new, slot = self.coming, self.slots[worker.index]
  if slot and slot.coming == worker then
    slot:is_ready(worker)
    return self:retire_waiting()
  end
  if not new or new.workers[worker.index] ~= worker then return end
  for _, other in pairs(new.workers) do
    if other.state ~= "ready" then return end
  end
  new.ready(nil)
end

--- A worker of this slot has failed: whether that was once too often, and the slot is given up. The failures of a slot
-- that was given up count no longer, so that the others have as many as before.
function Group:note_failure(slot, worker)
  local now, window, kept, others = loop.now(), self:setting("restart_window"), {}, {}
  table.insert(self.failures, { at = now, slot = slot })
  for _, failure in ipairs(self.failures) do
    if now - failure.at < window then
      kept[#kept + 1] = failure
      if failure.slot ~= slot then others[#others + 1] = failure end
    end
  end
  self.failures = kept
  if #kept <= self:setting("max_restarts") * self.count then return false end
  self.failures = others
  self:give_up(("%d failures in %g s: %s"):format(#kept, window, worker.exit))
  return true
end

-- It is told once, until all that were given up serve again.
function Group:give_up(text)
  local pause, had = self:setting("giveup_pause"), self:given_up() > 0
  self.app.log:own(("group %s: given up: %s; %s"):format(self.name, text,
    pause > 0 and ("the next try is in %g s"):format(pause) or "a reload tries again"))
  if not had then self.app:emit("giveup", self.name, text) end
end

--- How many of its slots have been given up.
function Group:given_up()
  local count = 0
  for _, slot in pairs(self.slots) do
    if slot.given_up then count = count + 1 end
  end
  return count
end

-- Killed by us, or by its own limit, or by whatever else: requests it had accepted may be unanswered.
local function note_end(self, worker, before, code)
  local in_order = code == 0 and not worker.was_killed
  if before == "hung" then self.app.log:own(("worker %s ended: %s"):format(worker.name, worker.exit)) end
  if in_order or not worker.ready_at or not (self.is_stopping or before == "draining") then return end
  if not worker.was_killed then
    self.app.log:own(("worker %s did not end in order: %s"):format(worker.name, worker.exit))
  end
  if self.is_stopping then self.app.had_to_kill = true end
end

-- What is counted by its board belongs to the group from now on.
local function add_to_past(self, worker)
  local board = worker.process:board()
  for name, sum in pairs(self.past) do self.past[name] = sum + board[name] end
end

function Group:has_ended(worker, before, code)
  local is_stopping = self.is_stopping -- a stop that begins in here looks by itself whether all have ended
  self.workers[worker] = nil
  self.token:forget(worker)
  add_to_past(self, worker)
  self.app.endpoint:has_ended(worker)
  note_end(self, worker, before, code)
  local new, slot = self.coming, self.slots[worker.index]
  if new and new.workers[worker.index] == worker then
    self:roll_back(("worker %s: %s"):format(worker.name, worker.exit))
  elseif slot and (slot.worker == worker or slot.coming == worker) then
    slot:has_ended(worker, before, code)
  end
  if is_stopping and not next(self.workers) then return is_stopping() end
  self:retire_waiting()
end

---- replacing ----

-- Whether one more may be replaced now: few at a time, and not while those before still drain without end.
local function may_retire(self)
  local retiring = 0
  for worker in pairs(self.workers) do
    if worker.state == "retiring" then retiring = retiring + 1 end
  end
  return not self.coming and not self.is_stopping and retiring < math.max(1, math.floor(self.count / RETIRING))
    and count_of(self.workers) < 2 * self.count
end

--- A worker that has served enough is replaced: by one that is started first, when it may be. It serves until then.
function Group:retire(worker, reason)
  worker.retires_for = worker.retires_for or reason
  local slot = self.slots[worker.index]
  if worker.state ~= "ready" or not slot or slot.worker ~= worker or not may_retire(self) then return end
  worker.state = "retiring"
  self.app.log:own(("worker %s is replaced: %s"):format(worker.name, worker.retires_for))
  self.app:emit("retire", self.name, worker.index, worker.pid, worker.retires_for)
  slot:replace(worker)
end

--- Those that could not be replaced before.
function Group:retire_waiting()
  for worker in pairs(self.workers) do
    if worker.retires_for and worker.state == "ready" then self:retire(worker) end
  end
end

--- A worker has been told to stop by somebody else, and drains: another is started at once.
function Group:is_told_to_stop(worker)
  local slot = self.slots[worker.index]
  if not slot or slot.worker ~= worker or self.is_stopping then return end
  self.app.log:own(("worker %s stops: it was told to, by a signal or by itself"):format(worker.name))
  if not self:setting("restart") then
    slot.is_final = true
  elseif not library.is_alone(self) then -- otherwise it is followed when it has ended
    slot:replace(worker)
  end
end

--- A worker does not come back: it says where it is, another is started, and it is killed.
function Group:hangs(worker, text)
  self.app.log:own(("worker %s hangs: %s"):format(worker.name, text))
  self.app:emit("hang", self.name, worker.index, worker.pid, text)
  worker:end_hung(text)
  local slot = self.slots[worker.index]
  if slot and slot.worker == worker and not library.is_alone(self) then slot:hangs(worker) end
end

--- Whether another is about to take the place of this worker.
function Group:is_replacing(worker)
  local slot = self.slots[worker.index]
  return slot ~= nil and slot.worker == worker and not slot.given_up and (slot.coming or slot.timer) ~= nil
end

--- There are to be `count` workers: more are started, or those that are too many drain.
function Group:scale(count)
  self.count = count
  if self.coming or self.is_stopping then return end -- seen to when that is over
  self:fit_slots()
end

---- the end ----

--- Drains all workers; done() when the last has ended.
function Group:stop(done)
  if self.is_stopping then return end
  -- Once: the last worker may be ending right now, which is why the application stops.
  self.is_stopping = function()
    if not self.has_stopped then
      self.has_stopped = true
      done()
    end
  end
  self:roll_back("stopped")
  for _, slot in pairs(self.slots) do slot:stop() end
  if self.watch then self.watch:stop() end
  for worker in pairs(self.workers) do worker:drain("stop") end
  if not next(self.workers) then self.is_stopping() end
end

--- Ends all workers by force; none is started any more.
function Group:kill()
  self.is_killed = true
  for _, slot in pairs(self.slots) do slot:stop() end
  for worker in pairs(self.workers) do worker:kill() end
end

--- Its workers take nothing new; or begin again.
function Group:be_quiet(yes)
  self.is_quiet = yes
  if self.dispatch then self.dispatch:pause(yes) end
  for worker in pairs(self.workers) do worker:be_quiet(yes) end
end

--- The same for one method.
function Group:pause_method(method, yes)
  for worker in pairs(self.workers) do worker:be_quiet(yes, method) end
end

function Group:ready_count()
  local ready = {}
  for index, slot in pairs(self.slots) do
    if slot.worker and (slot.worker.state == "ready" or slot.worker.state == "retiring") then ready[index] = true end
  end
  return count_of(ready)
end

--- What `clouds ps` shows: a row for each slot, and for each worker that has none, or not yet.
function Group:describe()
  local rows, shown = {}, {}
  for index = 1, self.count do
    local slot = self.slots[index]
    if slot then
      rows[#rows + 1] = slot:describe()
      shown[slot.worker or slot.coming or slot] = true
    end
  end
  for worker in pairs(self.workers) do
    if not shown[worker] then rows[#rows + 1] = worker:describe() end
  end
  return rows
end

return Group
