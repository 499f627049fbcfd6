--- Serving: functions that answer calls.
local core = require("clouds.core")
local client = require("clouds.client")
local errors = require("clouds.error")
local events = require("clouds.events")
local limits_of = require("clouds.limits")
local node = require("clouds.node")
local settings = require("clouds.options")
local scheduler = require("clouds.scheduler")

local Server = node.class()

-- Every node can call; a service does so from its handlers.
Server.call, Server.bind, Server.notify = client.call, client.bind, client.notify

local failing = setmetatable({}, { __mode = "k" }) -- node -> method -> why its registration failed

-- A method whose registration failed does not keep the loop running.
local function note_registration(self, name, problem)
  local failed = failing[self]
  if failed or problem then
    failed = failed or {}
    failed[name] = problem
    failing[self] = failed
    self.core:failed(failed)
  end
end

--- For a program that has nothing left to wait for: why the registrations of a server failed that was not closed.
function node.registration_failure()
  for server, failed in pairs(failing) do
    local _, problem = next(failed)
    if problem and not server.closed and not server.closing then
      return problem
    end
  end
end

local function register(self, name, handler, limits)
  self.served[name] = self.served[name] or { paused = false }
  local ok, problem, goes_on = self.core:register(name, handler, limits)
  note_registration(self, name, not ok and not goes_on and problem or nil)
  return ok, problem
end

local function report_late(self, name)
  return function(ok, problem)
    if not ok and not self.closing and not self.closed then
      events.failed(self, problem, ("registration of '%s'"):format(name))
    end
  end
end

-- Where nothing can wait, a failure that comes later is the event "error".
local function register_beside(self, name, handler, limits)
  local at_once = true
  local task = scheduler.spawn(function()
    local ok, problem = register(self, name, handler, limits)
    if not at_once then
      report_late(self, name)(ok, problem)
    end
    return ok, problem
  end)
  at_once = false
  if task.done then
    return task:wait()
  end
  return true
end

-- It is tried on after the time; a failure that comes then is the event "error".
local function register_within(self, name, handler, limits, timeout)
  local results = scheduler.pack(scheduler.within(timeout, report_late(self, name), function()
    return register(self, name, handler, limits)
  end))
  if results.n > 0 then
    return unpack(results, 1, results.n)
  end
  local late = ("the registration of '%s' took longer than %g s"):format(name, timeout)
  return nil, self.context.reason or errors.new(core.ETIMEOUT, late)
end

--- Registers a method. true; or nil and an error. Waits for the registration where that is possible; after
-- { timeout = seconds } it is tried on. The other options are limits of the method, and what it says of itself: doc,
-- args and returns. They may stand before the handler.
function Server:register(name, handler, options)
  if type(handler) == "table" and type(options) == "function" then
    handler, options = options, handler
  end
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if type(handler) ~= "function" then
    error("expected a function as the handler", 2)
  end
  local timeout, limits = limits_of(options, 2)
  if timeout and core.may_wait() then
    return register_within(self, name, handler, limits, timeout)
  elseif core.may_wait() then
    return register(self, name, handler, limits)
  end
  return register_beside(self, name, handler, limits)
end

--- Takes a method back; requests it has accepted are still answered.
function Server:unregister(name, options)
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  local timeout = settings.timeout(options, 2)
  note_registration(self, name, nil)
  self.served[name] = nil
  return self.core:unregister(name, timeout)
end

--- What is known of the pauses of this node: of one method, or of all, those that come later included.
function node.note_pause(self, name, paused)
  if name then
    local method = self.served[name]
    if method then
      method.paused = paused
    end
    return
  end
  self.paused = paused
  for _, method in pairs(self.served) do
    method.paused = not paused and false or method.paused
  end
end

local function pause(self, name, paused, timeout)
  local ok, problem = self.core:pause(name, paused, timeout)
  if ok then
    node.note_pause(self, name, paused)
  end
  return ok, problem
end

local function check_some_or_all(name, level)
  if name ~= nil and (type(name) ~= "string" or name == "") then
    error("expected the name of a method, or nil for all", level + 1)
  end
end

--- Takes no calls for a method, or for all: callers go to other servers, or wait where they have retries. What was
--- accepted is still answered.
function Server:pause(name, options)
  check_some_or_all(name, 2)
  local timeout = settings.timeout(options, 2)
  return pause(self, name, true, timeout)
end

--- Takes calls again; without a name for all methods.
function Server:resume(name, options)
  check_some_or_all(name, 2)
  local timeout = settings.timeout(options, 2)
  return pause(self, name, false, timeout)
end

return Server
