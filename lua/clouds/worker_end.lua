--- The end of a worker: what runs when it begins to drain, again and again until nobody is served any more, and then.
local link = require("clouds.worker_link")
local nodes = require("clouds.node")
local scheduler = require("clouds.scheduler")

local M = { draining = false }

local LEAST = 1 -- seconds that what runs at last has in any case: the program ends two seconds after its drain

local function run(fn, what, ...)
  local ok, problem, traceback = scheduler.protected(fn, ...)
  if not ok then
    scheduler.report(problem, traceback, what)
  end
end

-- All of these functions, at once, for so many seconds at most; nil: as long as they take.
local function run_all(fns, what, seconds, ...)
  local args, runs = scheduler.pack(...), {}
  for i, fn in ipairs(fns) do
    runs[i] = function()
      run(fn, what, unpack(args, 1, args.n))
    end
  end
  scheduler.within(seconds or math.huge, function() end, function()
    scheduler.wait_all(runs)
  end)
end

---- again and again ----

local Every = {}
Every.__index = Every
Every.__name = "clouds.worker.every"

local repeated = {} -- those that are not stopped -> true

--- It is not called any more; a call that runs goes on.
function Every:stop()
  self.stopped, repeated[self] = true, nil
  if self.timer then
    self.timer:stop()
  end
  return true
end

local function schedule(self, seconds)
  self.timer = scheduler.loop.timer(seconds, function()
    self.timer = nil
    self.task = scheduler.spawn(function()
      local begun = scheduler.loop.now()
      run(self.fn, "function of worker.every")
      if not self.stopped then
        schedule(self, math.max(0, begun + self.seconds - scheduler.loop.now()))
      end
    end)
  end)
end

-- Those that run now are waited for.
local function stop_repeated()
  local runs = {}
  for self in pairs(repeated) do
    if self.task and not self.task.done then
      runs[#runs + 1] = self.task
    end
  end
  for self in pairs(repeated) do
    self:stop()
  end
  return function()
    scheduler.wait_all(runs)
  end
end

---- the order of the end ----

local handlers = { drain = {}, stop = {} }

nodes.at_shutdown(function(drain)
  if M.draining then
    return
  end
  M.draining = true
  if handlers.drain[1] then
    run_all(handlers.drain, "function for 'drain'", drain, link.host.stop_reason or "stop", drain)
  end
end)

local function at_last(drain)
  drain = drain and math.max(LEAST, drain)
  run_all({ stop_repeated() }, "function of worker.every", drain)
  run_all(handlers.stop, "function for 'stop'", drain)
  handlers.stop = {}
end

local is_set = false

-- While there is nothing that runs then, the nodes close as ever.
local function set()
  if not is_set then
    nodes.after_shutdown(at_last)
  end
  is_set = true
end

--- Calls fn every so many seconds, in a coroutine, and not again before it has ended; until nobody is served any more.
function M.every(seconds, fn)
  set()
  local self = setmetatable({ seconds = seconds, fn = fn }, Every)
  repeated[self] = true
  schedule(self, seconds)
  return self
end

--- Calls fn, which may wait, at "drain" or "stop".
function M.on(event, fn)
  if event == "stop" then
    set()
  end
  table.insert(handlers[event], fn)
end

return M
