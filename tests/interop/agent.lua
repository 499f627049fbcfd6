-- A process of ours that does what JSON lines on its standard input say, as agent.js does for the original.
local clouds = require("clouds")

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/../support/?.lua;" .. package.path
local lines = require("lines")
local samples = dofile(folder .. "/samples.lua")
local nodes = {}

local function pack(...)
  return { n = select("#", ...), ... }
end

local function list(packed, from)
  local values = {}
  for i = from or 1, packed.n do
    values[#values + 1] = packed[i] == nil and clouds.null or packed[i]
  end
  return clouds.array(values)
end

-- The error that results are, or null; and the values.
local function told(results)
  local err = results[1] == nil and results[2]
  if not clouds.is_error(err) then
    return clouds.null, list(results)
  end
  local members = {}
  for key, value in pairs(err) do
    members[key] = value
  end
  return members, clouds.array(err.values or {})
end

---- what a registered method may do ----

local failures = {
  members = function()
    local extra = { a = { 1, clouds.null, {} }, b = clouds.array({}) }
    error({ message = "boom", code = "E_BOOM", status = 500, extra = extra })
  end,
  string = function()
    error("plain", 0)
  end,
  number = function()
    error(5, 0)
  end,
  raise = function()
    local nothing -- luacheck: ignore 221
    return nothing.field
  end,
  unsendable = function()
    return print
  end,
  cyclic = function()
    local t = {}
    t.t = t
    return t
  end,
  empty = function()
    error({})
  end,
}

local behaviours = {
  echo = function(_, ...)
    return ...
  end,
  who = function(node)
    return node.id
  end,
  count = function(_, ...)
    return select("#", ...)
  end,
  hang = function()
    clouds.request():detach()
    clouds.sleep(3600)
  end,
  fail = function(_, kind, ...)
    if select("#", ...) > 0 then
      return clouds.request().fail({ message = "boom", code = "E_BOOM" }, ...)
    end
    return failures[kind]()
  end,
  nothing = function() end,
  big = function(_, size)
    return ("x"):rep(size)
  end,
  slow = function(node, seconds)
    clouds.sleep(seconds)
    return node.id
  end,
  give = function(_, name)
    return samples.give(name)
  end,
  take = function(_, name, value)
    return samples.is(name, value)
  end,
}

---- what the lines ask for ----

local commands = {}

function commands.node(line)
  local node = clouds[line.kind](line.options or {})
  nodes[line.name] = node
  node:on("message", function(from, value)
    lines.say({ event = "message", node = line.name, from = from, value = value == nil and clouds.null or value })
  end)
  node:on("unknown message", function(kind, from)
    lines.say({ event = "unknown message", node = line.name, type = kind, from = from })
  end)
  assert(node:ready())
  return { id = node.id }
end

function commands.register(line)
  local node, behave = nodes[line.node], behaviours[line.as or line.method]
  local _, err = node:register(line.method, function(...)
    return behave(node, ...)
  end)
  return { error = err or clouds.null }
end

function commands.unregister(line)
  local _, err = nodes[line.node]:unregister(line.method)
  return { error = err or clouds.null }
end

function commands.call(line)
  local results = pack(nodes[line.node]:call(line.method, line.args, line.options or {}))
  local err, values = told(results)
  return { error = err, values = values, same = samples.same(values, line.args) }
end

function commands.calls(line)
  local call = nodes[line.node]:bind(line.method, line.retry)
  local got, left, workers = {}, line.count, {}
  for i = 1, math.min(line.at_once or 1, line.count) do
    workers[i] = function()
      while left > 0 do
        left = left - 1
        local value, err = call(unpack(line.args or {}))
        got[#got + 1] = value == nil and (err and err.code or clouds.null) or value
      end
    end
  end
  clouds.wait_all(workers)
  return { got = got }
end

function commands.bind(line)
  local attempts = 0
  local options = { retry = line.retry }
  if line.hook then
    options.on_retry = function(args, go)
      attempts = attempts + 1
      args[args.n + 1] = attempts
      go(unpack(args, 1, args.n + 1))
      args[args.n + 1] = nil
    end
  end
  local bound = nodes[line.node]:bind(line.method, options)
  local err, values = told(pack(bound(unpack(line.args))))
  return { error = err, values = values, attempts = attempts }
end

function commands.sample(line)
  local node = nodes[line.node]
  local value, err = node:call("give", { line.name })
  local taken, problem = node:call("take", { line.name, samples.give(line.name) })
  return { error = err or problem or clouds.null, given = samples.is(line.name, value), taken = taken }
end

function commands.send(line)
  return { received = nodes[line.node]:send(line.to, line.value, { confirm = true }) }
end

function commands.status(line)
  return { status = nodes[line.node]:status() }
end

function commands.counters(line)
  return { counters = nodes[line.node]:counters() }
end

function commands.exit(line)
  nodes[line.node]:close()
  return {}
end

lines.serve(commands)
