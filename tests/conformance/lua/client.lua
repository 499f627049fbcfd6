-- The client in Lua: see README.md for its commands.
local clouds = require("clouds")
local canonical = require("canonical")
local lines = require("lines")
local messages = require("messages")
local real = require("real")

local TIMEOUT = 60
local OURS = { message = true, code = true, outcome = true, retryable = true, values = true, originStack = true }

local client = clouds.client({ timeout = TIMEOUT })
local monitor = clouds.monitor()

local function pack(...)
  return { n = select("#", ...), ... }
end

local function describe(err)
  local members = {}
  for key, value in pairs(err) do
    if not OURS[key] then
      members[key] = value
    end
  end
  return {
    code = err.code,
    message = err.message,
    outcome = err.outcome,
    members = canonical.of(members),
    values = err.values and canonical.of(err.values),
  }
end

-- The answer to a command: the values, or the error that results are.
local function told(results)
  local err = results[1] == nil and results[2]
  if clouds.is_error(err) then
    return { error = describe(err) }
  end
  return { values = canonical.list(results, results.n) }
end

-- Nested nulls stay, those at the top are nil: so the list of arguments needs its length.
local function arguments(line)
  local args = { n = #line.args }
  for i = 1, args.n do
    if line.args[i] ~= clouds.null then
      args[i] = real(line.args[i])
    end
  end
  return args
end

local commands = messages(client)

function commands.call(line)
  return told(pack(client:call(line.method, arguments(line), line.options)))
end

function commands.notify(line)
  return told(pack(client:notify(line.method, arguments(line), line.options)))
end

function commands.bind(line)
  local options, attempts, args = line.options, 0, arguments(line)
  if options.on_retry then
    options.on_retry = function(given, go)
      attempts = attempts + 1
      given[given.n + 1] = attempts
      go(unpack(given, 1, given.n + 1))
    end
  end
  local bound = client:bind(line.method, options)
  local answer = told(pack(bound(unpack(args, 1, args.n))))
  answer.attempts = attempts
  return answer
end

-- A node of its own with calls outstanding, closed at once.
function commands.close(line)
  local own, codes, tasks = clouds.client({ timeout = TIMEOUT }), clouds.array({}), {}
  assert(own:ready())
  for i = 1, line.calls do
    tasks[i] = clouds.spawn(function()
      local _, err = own:call(line.method, {})
      table.insert(codes, err.code)
    end)
  end
  assert(own:close(0))
  clouds.wait_all(tasks)
  return { codes = codes }
end

function commands.status()
  return { status = assert(monitor:status()) }
end

assert(client:ready())
assert(monitor:ready())
lines.say({ ready = client.id })
lines.serve(commands)
