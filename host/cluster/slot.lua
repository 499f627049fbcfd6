-- The place of one worker in its group: it starts the worker, and another one when that ends, or is to be replaced.
--
-- `worker` is ready, or was; `coming` starts, and takes its place when it is ready; `timer`: one is started then. Of
-- `coming` and `timer` there is one at most. A worker that failed is followed by another after a pause, which grows
-- with each failure in a row; when the group has failed too often, the slot is given up, and tried once in a while.
local loop = require "clouds.loop"

local Slot = {}
Slot.__index = Slot

local FIRST_DELAY, LONGEST_DELAY = 0.1, 5 -- seconds until a worker that failed is started again
local WELL = 10 -- seconds of service after which the delay is the first again
local AGAIN = 1 -- seconds between the starts of a worker that ends by itself, at least

function Slot.new(group, index)
  return setmetatable({ group = group, index = index, delay = FIRST_DELAY, restarts = 0, recycles = 0 }, Slot)
end

---- starting ----

local function start(self)
  local worker, problem = self.group:start_worker(self.index, self.group.generation)
  self.coming = worker
  if worker then return end
  self.group.app.log:own(("worker %s.%d cannot be started: %s"):format(self.group.name, self.index, problem))
  self:start_in(LONGEST_DELAY)
end

--- A worker is started in so many seconds, unless one is under way.
function Slot:start_in(seconds)
  if self.coming or self.timer or self.group.is_stopping or self.group.is_killed then return end
  self.starts_at = loop.now() + seconds
  self.timer = loop.timer(seconds, function()
    self.timer = nil
    start(self)
  end)
end

-- Seconds until it may be started again without a pause that grows.
local function until_next(worker)
  return math.max(0, AGAIN - (loop.now() - worker.begun))
end

--- No worker is started here any more.
function Slot:stop()
  if self.timer then self.timer:stop() end
  self.timer = nil
end

--- Everything here drains, for this reason; the slot is over.
function Slot:close(reason)
  self:stop()
  if self.worker then self.worker:drain(reason) end
  if self.coming then self.coming:drain(reason) end
  self.worker, self.coming = nil, nil
end

local function is_well(self)
  self.delay, self.given_up, self.is_final = FIRST_DELAY, false, false
end

--- A ready worker of a new generation takes the place.
function Slot:renew(worker)
  self:close("reload")
  is_well(self)
  self.worker = worker
  worker:take(true)
end

--- The worker that was started here is ready.
function Slot:is_ready(worker)
  local old = self.worker
  if self.given_up then is_well(self) end
  self.coming, self.worker = nil, worker
  worker:take(true)
  if old then old:drain("retire") end
end

---- ends ----

-- A fifth more or less, so that many that failed at once do not come back at once.
local function about(seconds)
  return seconds * (0.8 + 0.4 * math.random())
end

-- One try after each pause; without a pause only a reload tries again.
local function try_later(self)
  local pause = self.group:setting("giveup_pause")
  if pause > 0 then self:start_in(pause) end
end

-- Why the next one is started.
local function count(self, reason)
  local restarts = self.group.restarts
  restarts[reason] = restarts[reason] + 1
end

--- What the worker did counts as a failure: another is started after a pause.
function Slot:failed(worker)
  local served = worker.ready_at and loop.now() - worker.ready_at or 0
  if served > WELL then self.delay = FIRST_DELAY end
  self.restarts = self.restarts + 1
  count(self, worker.state == "hung" and "hung" or "failed")
  if self.given_up then return try_later(self) end
  if self.group:note_failure(self, worker) then
    self.given_up = true
    return try_later(self)
  end
  self:start_in(about(self.delay))
  self.delay = math.min(self.delay * 2, LONGEST_DELAY)
end

--- The worker ends, as it was meant to: another is started at once.
function Slot:replace(worker)
  self.recycles = self.recycles + 1
  count(self, "replaced")
  self:start_in(until_next(worker))
end

-- It had been ready, and nobody wanted it to end.
local function ended_by_itself(self, worker, code)
  if not self.group:setting("restart") then
    self.is_final = true
  elseif code ~= 0 then
    self:failed(worker)
  else
    self.restarts = self.restarts + 1
    count(self, "ended")
    self:start_in(until_next(worker))
  end
end

--- Its worker will be killed: another takes the place before.
function Slot:hangs(worker)
  worker.exit = worker.last_words
  if self.coming or self.timer then return end
  if self.group:setting("restart") then self:failed(worker) else self.is_final = true end
end

--- A worker of this slot has ended; before: its state until then.
function Slot:has_ended(worker, before, code)
  self.last_exit = worker.exit
  if self.coming == worker then self.coming = nil else self.worker = nil end
  if self.group.is_stopping then return end
  if before ~= "hung" then self.group.app.log:own(("worker %s ended: %s"):format(worker.name, worker.exit)) end
  if before == "starting" and (self.worker or self.group:setting("restart")) then return self:failed(worker) end
  if before == "starting" then self.is_final = true end
  if before == "ready" then return ended_by_itself(self, worker, code) end
  if self.is_final or self.given_up then return end
  self:start_in(until_next(worker)) -- it was being replaced: another is under way, nearly always
end

---- what is known of it ----

-- Without a worker.
local function state_of(self)
  if self.is_final then return "ended" end
  return self.given_up and "given up" or "backoff"
end

--- Its row for `clouds ps`: of the worker; or why there is none.
function Slot:describe()
  local worker = self.worker or self.coming
  local row = worker and worker:describe()
    or { worker = ("%s.%d"):format(self.group.name, self.index), index = self.index, state = state_of(self) }
  row.restarts, row.recycles, row.last_exit = self.restarts, self.recycles, self.last_exit
  row.given_up = self.given_up or nil
  return row
end

return Slot
