--- clouds: services and calls over processes and machines, by name. See docs/LUA.md.
local core = require("clouds.core")
local errors = require("clouds.error")
local scheduler = require("clouds.scheduler")
local events = require("clouds.events")
local node = require("clouds.node")
local settings = require("clouds.options")
local hooked = require("clouds.hooked")
local trace = require("clouds.trace")
local Client = require("clouds.client")
local Server = require("clouds.server")

scheduler.start(events.event, hooked.attempt)
require("clouds.coroutines").install()
require("clouds.modules").install()

local M = {
  version = core.version,
  null = core.null,
  array = core.array,
  bytes = core.bytes,
  is_bytes = core.is_bytes,
  json = { encode = core.encode, decode = core.decode, array = core.array, is_array = core.is_array, null = core.null },
  is_error = errors.is_error,
  spawn = scheduler.spawn,
  sleep = scheduler.sleep,
  wait_all = scheduler.wait_all,
  request = core.request,
  log = require("clouds.log").log,
  trace = { span = trace.span, current = trace.current },
  pending = core.pending,
  now = scheduler.loop.now,
  shutdown = node.shutdown,
  defaults = settings.defaults,
}

-- Every kind of node can do everything; the kind gives it its letter and its defaults.
function M.server(options)
  return node.create(Server, "server", options, 2)
end

function M.client(options)
  return node.create(Client, "client", options, 2)
end

function M.monitor(options)
  return node.create(Server, "monitor", options, 2)
end

function M.base(options)
  return node.create(Server, options and type(options) == "table" and options.type or "base", options, 2)
end

--- Runs fn in one process of an application of `clouds start`, its library: timers that would run in each worker
-- otherwise. Whether it runs here.
function M.once(name, fn)
  return require("clouds.once")(name, fn)
end

--- Without a host around the script: runs until nothing is left to wait for. In the host the loop runs anyway.
function M.run()
  if scheduler.loop.run then
    scheduler.loop.run()
  end
end

--- Functions that may be replaced; nil brings the default back.
-- clouds.on_error = function(err, traceback, what, about): told of what no one else takes.
-- clouds.on_log = function(level, message, about): told of the library's log lines.
local defaults = { on_error = scheduler.on_error, on_log = scheduler.on_log }

return setmetatable(M, {
  __index = function(_, key)
    return defaults[key] and scheduler[key]
  end,
  __newindex = function(self, key, value)
    if defaults[key] then
      scheduler[key] = value or defaults[key]
    else
      rawset(self, key, value)
    end
  end,
})
