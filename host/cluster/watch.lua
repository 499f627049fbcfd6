-- What the master looks at once a second: whether a worker has served long enough, takes too much memory, or hangs.
local loop = require "clouds.loop"
local M = {}

local PERIOD = 1 -- seconds
local LATE = 1 -- seconds that a worker may be busy until that is told
local INTERRUPT = 1 -- seconds that a worker that was interrupted has to come back
local TOLERATED = 5 -- seconds that a worker may need more memory than it should

--- The number of a setting for one worker: a part more or less, so that workers of one age do not end at one time.
function M.about(group, name)
  local jitter = group:setting("jitter")
  return group:setting(name) * (1 - jitter + 2 * jitter * math.random())
end

local function megabytes(bytes)
  return ("%.1f MB"):format(bytes / 1e6)
end

local function look_at_memory(group, worker, soft, hard)
  local used = worker.process:memory()
  if not used then return end
  if hard > 0 and used > hard then
    worker.last_words = ("killed: it used %s of memory, at most %s are allowed"):format(megabytes(used),
      megabytes(hard))
    return worker:kill()
  end
  if soft == 0 or used <= soft or worker.state ~= "ready" then
    worker.too_large_since = nil
    return
  end
  worker.too_large_since = worker.too_large_since or loop.now()
  if loop.now() - worker.too_large_since < TOLERATED then return end
  group:retire(worker, ("it uses %s of memory"):format(megabytes(used)))
end

local function what_it_does(busy, doing)
  return ("busy for %.1f s%s"):format(busy, doing and ": " .. doing or "")
end

--- Whether its workers get an error in what runs for too long; those that are not Lua cannot.
function M.interrupts(group)
  return not group.settings.command and group:setting("watchdog") == "interrupt" and group:setting("hang_timeout") > 0
end

-- True when it is given time to come back by an error in what runs.
local function is_interrupted(group, worker, busy, doing)
  if not M.interrupts(group) then return false end
  if not worker.interrupted_at then
    worker.interrupted_at = loop.now()
    group.app.log:own(("worker %s is interrupted: %s"):format(worker.name, what_it_does(busy, doing)))
    worker.process:interrupt()
  end
  return loop.now() - worker.interrupted_at < INTERRUPT
end

-- Busy without end; or it takes no connection that it was given: it is stopped, or waits for something in C.
local function look_whether_it_hangs(group, worker)
  local board, limit = worker.process:board(), group:setting("hang_timeout")
  local busy = math.max(board.busy, worker:unanswered())
  if busy > LATE then worker:say("late", "is %s", what_it_does(busy, board.doing)) end
  if limit <= 0 then return end
  if busy > limit then
    if is_interrupted(group, worker, busy, board.doing) then return end
    group:hangs(worker, what_it_does(busy, board.doing))
  elseif worker.interrupted_at and not worker.retires_for then
    group:retire(worker, "it was interrupted")
  elseif board.silent > limit then
    group:hangs(worker, ("it took no connection for %.1f s"):format(board.silent))
  else
    worker:ask()
  end
end

local function look_at(group, worker, soft, hard)
  if soft > 0 or hard > 0 then look_at_memory(group, worker, soft, hard) end
  if worker.state == "ready" or worker.state == "retiring" then look_whether_it_hangs(group, worker) end
  if worker.state ~= "ready" then return end
  local age = loop.now() - worker.ready_at
  if worker.most_age > 0 and age > worker.most_age then
    group:retire(worker, ("it has served for %d s"):format(age))
  end
end

local function look(group)
  local soft, hard = group:setting("max_memory"), group:setting("max_memory_hard") or 0
  if hard == 0 then hard = 2 * soft end
  for worker in pairs(group.workers) do
    look_at(group, worker, soft, hard)
  end
  group:retire_waiting()
end

-- More often where little is allowed.
local function period_of(group)
  local limit = group:setting("hang_timeout")
  return limit > 0 and math.max(0.05, math.min(PERIOD, limit / 4)) or PERIOD
end

--- Looks until the group has ended.
function M.begin(group)
  group.watch = loop.timer(period_of(group), function()
    look(group)
    M.begin(group)
  end)
end

return M
