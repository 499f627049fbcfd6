-- The server in Lua: see README.md for its methods.
local here = arg[0]:match("^(.*/)")
package.path = here .. "?.lua;" .. here .. "../../support/?.lua;" .. package.path
local clouds = require("clouds")
local canonical = require("canonical")
local lines = require("lines")
local messages = require("messages")

-- All clients ask at once, and a starved machine must not let registrations expire.
local function server(heartbeat)
  return clouds.server({ heartbeat = heartbeat or 30, write_soft = 2 ^ 26 })
end

local nodes = { first = server() }
local counts, kept, given_up = {}, {}, {}

local function count(key)
  counts[key] = (counts[key] or 0) + 1
  return counts[key]
end

-- Keeps the request for later; how many of the key there are.
local function keep(key)
  kept[key] = kept[key] or {}
  table.insert(kept[key], clouds.request():detach())
  return #kept[key]
end

local function answer_kept(key, ...)
  for _, request in ipairs(kept[key]) do
    request.reply(...)
  end
  kept[key] = nil
end

local methods = {
  echo = function(...)
    return ...
  end,
  describe = function(...)
    return canonical.list({ ... }, select("#", ...))
  end,
  add = function(a, b)
    return a + b
  end,
  many = function()
    return 1, "two", nil, { 3 }, nil
  end,
  nothing = function() end,
  one_null = function()
    return nil
  end,
  big = function(size)
    return ("x"):rep(size)
  end,
  slow = function(seconds, ...)
    clouds.sleep(seconds)
    return ...
  end,
  meet = function(key, wanted)
    if keep(key) == wanted then
      answer_kept(key, wanted)
    end
  end,
  hold = function(key)
    keep(key)
  end,
  release = function(key, ...)
    if not kept[key] then
      return false
    end
    answer_kept(key, ...)
    return true
  end,
  fail = function(err, ...)
    if select("#", ...) > 0 then
      return clouds.request().fail(err, ...)
    end
    error(err)
  end,
  fail_text = function(text)
    error(text, 0)
  end,
  throws = function()
    return clouds.no_such_field.field
  end,
  unsendable = function()
    local t = {}
    t.t = t
    return t
  end,
  count_failures = function(key)
    error({ message = "counted", code = "E_COUNT", count = count(key) })
  end,
  time_left = function()
    local left = clouds.request().time_left()
    return left ~= nil and left > 0 and left <= 45
  end,
  never = function()
    keep("for ever")
  end,
  attempts = function(key, silent)
    local attempt = count(key)
    if attempt <= silent then
      return keep(key) and clouds.pending
    end
    return attempt
  end,
  second = function()
    return "second"
  end,
  meta = function()
    return clouds.request().meta
  end,
  pass_on = function()
    return nodes.first:call("meta")
  end,
  watch_caller = function(key)
    clouds.request().on_cancel(function()
      given_up[key] = true
    end)
    keep("for ever")
  end,
}

local commands = messages(nodes.first)

function commands.register(line)
  local name = line.node or "first"
  nodes[name] = nodes[name] or server(line.heartbeat)
  assert(nodes[name]:register(line.method, methods[line.as]))
  return {}
end

function commands.held(line)
  return { count = #(kept[line.key] or {}) }
end

function commands.canceled(line)
  return { canceled = given_up[line.key] or false }
end

function commands.leave(line)
  assert(nodes[line.node]:close(line.drain))
  return {}
end

-- What a handler raises on purpose is told to nobody else.
clouds.on_error = function() end

for name, method in pairs(methods) do
  assert(nodes.first:register(name, method))
end
lines.say({ ready = nodes.first.id })
lines.serve(commands)
