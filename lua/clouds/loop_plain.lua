--- The loop of a program that has none: it waits in poll(2). See clouds.loop for what each function does.
local core = require("clouds.core")

local M = { can_block = true, now = core.clock }

local watches = {} -- descriptor -> watch
local timers = {} -- a heap by `at`; each timer knows its place
local before = function() end

local Watch = {}
Watch.__index = Watch

function Watch:hold(yes)
  self.held = yes
end

function Watch:stop()
  if watches[self.fd] == self then
    watches[self.fd] = nil
  end
end

function M.watch(fd, fn)
  local watch = setmetatable({ fd = fd, fn = fn, held = false }, Watch)
  watches[fd] = watch
  return watch
end

local function put(index, timer)
  timers[index] = timer
  timer.index = index
end

local function rise(index, timer)
  while index > 1 do
    local parent = math.floor(index / 2)
    if timers[parent].at <= timer.at then
      break
    end
    put(index, timers[parent])
    index = parent
  end
  put(index, timer)
end

local function sink(index, timer)
  local count = #timers
  while index * 2 <= count do
    local child = index * 2
    if child < count and timers[child + 1].at < timers[child].at then
      child = child + 1
    end
    if timers[child].at >= timer.at then
      break
    end
    put(index, timers[child])
    index = child
  end
  put(index, timer)
end

local Timer = {}
Timer.__index = Timer

function Timer:stop()
  local index = self.index
  if not index then
    return
  end
  self.index = nil
  local last = table.remove(timers)
  if last ~= self then
    rise(index, last)
    sink(last.index, last)
  end
end

function M.timer(seconds, fn)
  local timer = setmetatable({ at = core.clock() + math.max(0, seconds), fn = fn }, Timer)
  timers[#timers + 1] = timer
  rise(#timers, timer)
  return timer
end

function M.before_sleep(fn)
  before = fn
end

local function guarded(fn)
  local ok, problem = xpcall(fn, debug.traceback)
  if not ok then
    io.stderr:write("clouds: ", tostring(problem), "\n")
  end
end

-- Timers that are added while these run wait for the next turn.
local function run_timers()
  local now, ran = core.clock(), false
  local due = {}
  while timers[1] and timers[1].at <= now do
    due[#due + 1] = timers[1]
    timers[1]:stop()
  end
  for _, timer in ipairs(due) do
    ran = true
    guarded(timer.fn)
  end
  return ran
end

local function is_alive()
  if timers[1] then
    return true
  end
  for _, watch in pairs(watches) do
    if watch.held then
      return true
    end
  end
  return false
end

local function wait()
  local fds = {}
  for fd in pairs(watches) do
    fds[#fds + 1] = fd
  end
  local timeout = timers[1] and math.max(0, timers[1].at - core.clock()) or nil
  for _, fd in ipairs(core.wait_readable(fds, timeout) or {}) do
    if watches[fd] then
      guarded(watches[fd].fn)
    end
  end
end

function M.run_until(done)
  while true do
    guarded(before)
    if done() then
      return true
    end
    if not run_timers() then
      if not is_alive() then
        return false
      end
      wait()
    end
  end
end

function M.run()
  M.run_until(function()
    return false
  end)
end

return M
