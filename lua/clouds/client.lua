--- Calling: by name and list of arguments, or bound to a function.
local core = require("clouds.core")
local hooked = require("clouds.hooked")
local node = require("clouds.node")
local scheduler = require("clouds.scheduler")
local settings = require("clouds.options")

local Client = node.class()

local types = {
  timeout = "number",
  deadline = "number",
  retry = "number",
  server = "string",
  meta = "table",
  key = "string",
  once = "string",
  reply_to = "string",
  correlation = "string",
  hedge = "number",
  idempotent = "boolean",
  about = "table",
  on_retry = "function",
}
local OF_CALL = {
  "timeout", "deadline", "retry", "server", "meta",
  "key", "once", "hedge", "idempotent", "reply_to", "correlation", "about",
}
-- These the core reads by name, from the table.
local RARER = {
  key = true,
  once = true,
  hedge = true,
  idempotent = true,
  reply_to = true,
  correlation = true,
  about = true,
}
local FILLED = { server = true, once = true, reply_to = true }
local OF_BIND = { "timeout", "deadline", "retry", "on_retry" }

local MAX_RETRIES = select(3, core.options()).retries

local function check_value(name, value, level)
  if name == "retry" and (value < 0 or value > MAX_RETRIES or value % 1 ~= 0) then
    error(("option 'retry': expected a whole number from 0 to %d"):format(MAX_RETRIES), level + 1)
  elseif (name == "timeout" or name == "deadline") and (value < 0 or value ~= value) then
    error(("option '%s': expected a number of seconds, 0 or more"):format(name), level + 1)
  elseif value == "" and FILLED[name] then -- it would be taken for none
    error(("option '%s': expected a text, and not an empty one"):format(name), level + 1)
  end
end

-- Whether there are rarer ones.
local function check_options(options, names, level)
  local has_rarer = false
  settings.check_names(options, names, level + 1)
  for name, value in pairs(options) do
    local expected = types[name]
    if type(value) ~= expected then
      error(("option '%s': expected a %s"):format(name, expected), level + 1)
    end
    check_value(name, value, level + 1)
    has_rarer = has_rarer or RARER[name]
  end
  return has_rarer
end

-- Checks the options of a call, of which `about` says nothing until it has ended. The table, if it has rarer ones.
local function check_call(options, level)
  if not check_options(options, OF_CALL, level + 1) then
    return nil
  end
  if options.about then
    options.about.server = nil
  end
  return options
end

-- For the library 0 retries are the node's default, and below 0 is none.
local function retries_of(retry)
  if retry == nil then
    return 0
  end
  return retry > 0 and retry or -1
end

-- How many arguments a list has that is a short one of the usual kind, and these: its keys come as 1, 2, 3, and behind
-- them perhaps the right n. -1: the core looks at it more closely, where a step from key to key costs four times as
-- much. No loop, which would keep LuaJIT from compiling what calls this.
local function few_of(args)
  local count, first, second, third = 0, nil, nil, nil
  local key, value = next(args)
  if key == 1 then
    count, first = 1, value
    key, value = next(args, 1)
    if key == 2 then
      count, second = 2, value
      key, value = next(args, 2)
      if key == 3 then
        count, third = 3, value
        key, value = next(args, 3)
      end
    end
  end
  if key == nil or (key == "n" and value == count and next(args, "n") == nil) then
    return count, first, second, third
  end
  return -1
end

-- Without options, and with so few arguments that they are handed over one by one.
local function call_plainly(to, name, callback, count, first, second, third)
  if count == 0 then
    return to:call_with(name, callback)
  elseif count == 1 then
    return to:call_with(name, first, callback)
  elseif count == 2 then
    return to:call_with(name, first, second, callback)
  end
  return to:call_with(name, first, second, third, callback)
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
    if args == nil then
      return self.core:call_with(name, callback)
    end
    local count, first, second, third = few_of(args)
    if count >= 0 then
      return call_plainly(self.core, name, callback, count, first, second, third)
    end
    return self.core:call(name, args, callback)
  end
  local rarer = check_call(options, 2)
  return self.core:call(
    name,
    args,
    callback,
    options.timeout or 0,
    options.deadline or 0,
    retries_of(options.retry),
    options.server,
    nil,
    options.meta,
    false,
    rarer
  )
end

-- What a call gives that wants no answer: no values mean that it went well.
local function sent(...)
  if select("#", ...) == 0 then
    return true
  end
  return ...
end

--- notify(name, arguments [, options]): a call that wants no answer. true when one server has it, or nil and an error.
function Client:notify(name, args, options)
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if args ~= nil and type(args) ~= "table" then
    error("expected the arguments in a table", 2)
  end
  options = options or {}
  local rarer = check_call(options, 2)
  local timeout, deadline, retries = options.timeout or 0, options.deadline or 0, retries_of(options.retry)
  return sent(
    self.core:call(name, args, nil, timeout, deadline, retries, options.server, nil, options.meta, true, rarer)
  )
end

---- retries with a hook before each attempt ----

local function bind_hooked(self, name, options)
  local timeout, deadline, retries = options.timeout or 0, options.deadline or 0, retries_of(options.retry)
  return function(...)
    local args = scheduler.pack(...)
    local state, callback = { hook = options.on_retry, args = args }, args[args.n]
    if type(callback) ~= "function" then
      core.check_wait()
      return hooked.outcome(state, self.core:call(name, args, nil, timeout, deadline, retries, nil, state))
    end
    args[args.n], args.n = nil, args.n - 1
    self.core:call(name, args, hooked.outcome_for(callback, state), timeout, deadline, retries, nil, state)
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
  check_options(options, OF_BIND, 2)
  if options.on_retry then
    return bind_hooked(self, name, options)
  end
  return self.core:bind(name, options.timeout or 0, options.deadline or 0, retries_of(options.retry))
end

return Client
