--- Calling: by name and list of arguments, or bound to a function.
local core = require("clouds.core")
local errors = require("clouds.error")
local node = require("clouds.node")
local scheduler = require("clouds.scheduler")

local Client = node.class()

local call_options = {
  timeout = "number",
  deadline = "number",
  retry = "number",
  server = "string",
  on_retry = "function",
}

local MOST_RETRIES = 1000000

local function check_value(name, value, level)
  if name == "retry" and (value < 0 or value > MOST_RETRIES or value % 1 ~= 0) then
    error(("option 'retry': expected a whole number from 0 to %d"):format(MOST_RETRIES), level + 1)
  elseif (name == "timeout" or name == "deadline") and (value < 0 or value ~= value) then
    error(("option '%s': expected a number of seconds, 0 or more"):format(name), level + 1)
  end
end

local function check_options(options, allowed_server, level)
  if type(options) ~= "table" then
    error("expected a table of options", level + 1)
  end
  for name, value in pairs(options) do
    local expected = call_options[name]
    if not expected or name == (allowed_server and "on_retry" or "server") then
      error(("unknown option '%s': expected timeout, deadline, retry or %s"):format(
        tostring(name),
        allowed_server and "server" or "on_retry"
      ), level + 1)
    end
    if type(value) ~= expected then
      error(("option '%s': expected a %s"):format(name, expected), level + 1)
    end
    check_value(name, value, level + 1)
  end
end

-- For the library 0 retries are the node's default, and below 0 is none.
local function retries_of(retry)
  if retry == nil then
    return 0
  end
  return retry > 0 and retry or -1
end

--- call(name, arguments [, options] [, callback]): results, or nil and an error; a callback gets error, results.
function Client:call(name, args, options, callback)
  if type(options) == "function" then
    options, callback = nil, options
  end
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if args ~= nil and type(args) ~= "table" then
    error("expected the arguments in a table", 2)
  end
  if options == nil then
    return self.core:call(name, args or {}, callback)
  end
  check_options(options, true, 2)
  return self.core:call(
    name,
    args or {},
    callback,
    options.timeout or 0,
    options.deadline or 0,
    retries_of(options.retry),
    options.server
  )
end

---- retries with a hook before each attempt ----

-- Runs the hook; the arguments it goes on with, or nil when the time is over first.
local function ask(hook, args, until_when)
  local handle, answered = core.slot(), false
  local timer
  local function go(...)
    if answered then
      return
    end
    answered = true
    if timer then
      timer:stop()
    end
    core.wake(handle, scheduler.pack(...))
  end
  local ok, problem = pcall(hook, args, go)
  if not ok then
    answered = true
    core.drop(handle)
    error(problem, 0)
  end
  if not answered then
    timer = scheduler.loop.timer(math.max(0, until_when - scheduler.loop.now()), function()
      core.wake(handle)
    end)
  end
  return core.wait(handle)
end

local function failure(results)
  local err = results[1] == nil and results[2] or nil
  return errors.is_error(err) and err or nil
end

local LONGEST = 86400

-- What another attempt is made after. CLOUDS_EXPIRED: it could not even be sent within the timeout of one attempt.
local try_again = {
  CLOUDS_CALL_SERVICE_TIMEOUT = true,
  CLOUDS_NO_AVAILABLE_SERVER = true,
  CLOUDS_EXPIRED = true,
}

local function attempt(self, name, options, args, stop)
  local sent = ask(options.on_retry, args, stop)
  local left = stop - scheduler.loop.now()
  if not sent or left <= 0 then
    return { n = 2, nil, errors.new(core.EEXPIRED) }
  end
  return scheduler.pack(self.core:call(name, sent, nil, options.timeout or 0, left, -1))
end

local function call_hooked(self, name, options, args)
  local retry = options.retry or self.options.retries or 0
  local timeout = options.timeout or self.options.timeout or 60
  local stop = scheduler.loop.now() + (options.deadline or LONGEST)
  for left = retry, 0, -1 do
    local results = attempt(self, name, options, args, stop)
    local err = failure(results)
    local code = err and err.code
    if left == 0 or not try_again[code] or scheduler.loop.now() >= stop then
      return unpack(results, 1, results.n)
    end
    if code == "CLOUDS_NO_AVAILABLE_SERVER" then
      scheduler.sleep(math.max(0, math.min(timeout, stop - scheduler.loop.now())))
    end
  end
end

local function hand_over(callback, ...)
  local first, second = ...
  if first == nil and errors.is_error(second) then
    return callback(second)
  end
  return callback(nil, ...)
end

local function bind_hooked(self, name, options)
  return function(...)
    local args = scheduler.pack(...)
    local callback = args[args.n]
    if type(callback) ~= "function" then
      core.check_wait()
      return call_hooked(self, name, options, args)
    end
    args[args.n], args.n = nil, args.n - 1
    scheduler.spawn(function()
      local results = scheduler.pack(pcall(call_hooked, self, name, options, args))
      if results[1] then
        return hand_over(callback, unpack(results, 2, results.n))
      end
      return callback(errors.new(core.ECANCELED, "on_retry failed: " .. errors.describe(results[2])))
    end)
  end
end

--- bind(name [, retry | { retry =, timeout =, deadline =, on_retry = }]): a function of the method's arguments.
function Client:bind(name, options)
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if type(options) == "number" then
    options = { retry = options }
  end
  if options == nil then
    options = {}
  end
  check_options(options, false, 2)
  if options.on_retry then
    return bind_hooked(self, name, options)
  end
  return self.core:bind(name, options.timeout or 0, options.deadline or 0, retries_of(options.retry))
end

return Client
