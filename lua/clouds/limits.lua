--- What a method is offered with, its limits and its schema: the options of register, as the library takes them.
local core = require("clouds.core")
local scheduler = require("clouds.scheduler")
local settings = require("clouds.options")

local kinds = {
  timeout = "seconds",
  serial = "boolean",
  key = "argument",
  concurrency = "concurrency",
  queue = "queue",
  queue_age = "seconds",
  queue_target = "seconds",
  rate = "amount",
  burst = "amount",
  caller_rate = "amount",
  caller_burst = "amount",
}

-- What the method says of itself. That it is right is for the library to say.
local of_schema = { "doc", "args", "returns" }

local MAX_COUNT = 2147483647

local function is_count(value, least)
  return type(value) == "number" and value >= least and value <= MAX_COUNT and value % 1 == 0
end

local function is_amount(value)
  return type(value) == "number" and value > 0 and value < math.huge
end

local checks = {
  seconds = {
    function(value)
      return type(value) == "number" and value > 0
    end,
    "a number of seconds above 0",
  },
  boolean = {
    function(value)
      return type(value) == "boolean"
    end,
    "true or false",
  },
  argument = {
    function(value)
      return is_count(value, 1)
    end,
    "the number of an argument, from 1 on",
  },
  concurrency = {
    function(value)
      return value == "auto" or is_count(value, 1)
    end,
    "a whole number above 0, or 'auto'",
  },
  queue = {
    function(value)
      return is_count(value, 0)
    end,
    "a whole number, 0 or more",
  },
  amount = { is_amount, "a number above 0" },
}

local names = {}
for name in pairs(kinds) do
  names[#names + 1] = name
end
for _, name in ipairs(of_schema) do
  names[#names + 1] = name
end
table.sort(names)

-- As JSON text; nil without any. An empty table is a list of none.
local function schema_of(options, level)
  local schema
  for _, name in ipairs(of_schema) do
    local value = options[name]
    if value ~= nil then
      schema = schema or {}
      schema[name] = type(value) == "table" and next(value) == nil and core.array(value) or value
    end
  end
  if not schema then
    return nil
  end
  local text, problem = core.encode(schema)
  return text or error(("the schema cannot be written as JSON: %s"):format(tostring(problem)), level + 1)
end

local function check(name, value, level)
  local is_right, expected = unpack(checks[kinds[name]])
  if name ~= "timeout" and not is_right(value) then
    error(("option '%s': expected %s"):format(name, expected), level + 1)
  end
end

--- The options of register: the timeout, and the limits in a table, or nil without any. Raises for others.
return function(options, level)
  if options == nil then
    return nil
  end
  settings.check_names(options, names, level + 1)
  local limits
  local schema = schema_of(options, level + 1)
  for name, value in pairs(options) do
    if kinds[name] then
      check(name, value, level + 1)
    end
    if kinds[name] and name ~= "timeout" then
      limits = limits or {}
      limits[name] = value
    end
  end
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
  if limits then -- for the library 0 is the default, and below 0 is none
    limits.queue = limits.queue == 0 and -1 or limits.queue
    limits.queue_age = limits.queue_age == math.huge and -1 or limits.queue_age
    limits.concurrency = limits.concurrency == "auto" and -1 or limits.concurrency
  end
  if schema then
    limits = limits or {}
    limits.schema = schema
  end
  return options.timeout, limits
end
