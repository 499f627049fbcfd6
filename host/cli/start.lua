-- clouds start: a script in several processes, which are watched, replaced by a reload, and stopped in order.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local M = {}

local BACKLOG, HOLD, CONNECTIONS, READY_TIMEOUT = 1024, 2, 10000, 30
local OTHER_DESCRIPTORS = 64 -- of a worker, that are no connections
local MARGIN = 8 -- seconds beyond the drain that a stop may take: to give what waits, and to kill who does not end
local BUSY = 3 -- exit code: the address is in use

M.command = {
  name = "start",
  usage = "start [options] SCRIPT [arguments]",
  summary = "Run a script in several processes, on all processors.",
  text = "A master accepts connections and gives each to the worker that has the fewest; a worker that ends is\n"
    .. "started again. SIGHUP starts new workers, and lets the old finish once all of the new are ready; when one of\n"
    .. "them fails, the old go on. SIGTERM or SIGINT stops in order, a second one at once.\n"
    .. "Exit codes: 0 stopped in order, 1 a worker failed to start, 2 wrong usage, 3 the address is in use,\n"
    .. "4 stopped, but a worker had to be killed.",
  options = {
    { long = "listen", value = "ADDRESS", many = true,
      help = "where http.serve of the script listens: PORT,\n127.0.0.1:PORT, [::1]:PORT or unix:PATH\n"
      .. "(may be repeated)" },
    { long = "workers", short = "w", value = "COUNT", kind = "count", least = 1,
      help = "how many processes (default: one for each processor)" },
    { long = "name", value = "NAME", help = "of the application (default: of the script)" },
    { long = "drain", value = "SECONDS", kind = "number",
      help = "how long a stop lets accepted requests finish (default 8)" },
  },
  operands = { 1, math.huge },
  stop_at_operand = true,
}

local GONE = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

local function name_of(script)
  return script:match("([^/]+)$"):gsub("%.lua$", "")
end

-- The descriptors of all listeners, or nil when one cannot be opened, which has been said.
local function listen(addresses)
  local list = {}
  for i, address in ipairs(addresses) do
    local fd, problem, is_wrong = host.cluster.listen(address, BACKLOG)
    if not fd then
      if is_wrong then args.fail("start", "--listen %s", problem) end
      io.stderr:write(("clouds start: cannot listen at %s\n"):format(problem))
      return nil
    end
    if address:match("(%d+)$") == "0" then io.stderr:write(("clouds: listening at port %d\n"):format(problem)) end
    list[i] = fd
  end
  return list
end

local function dispatch_for(addresses)
  if not addresses then return nil, true end
  local listeners = listen(addresses)
  if not listeners then return nil, false end
  local most = math.max(1, host.cluster.descriptors() - OTHER_DESCRIPTORS)
  local dispatch = host.cluster.dispatch(HOLD, GONE, math.min(CONNECTIONS, most))
  for i, fd in ipairs(listeners) do dispatch:listen(fd, i) end
  return dispatch, true
end

local reload_again

local function reload(group, app)
  if app.stops then return end
  if group:is_renewing() then app.again = true return end
  group:renew(function(problem)
    if problem then
      app.log:own(("reload failed, generation %d goes on: %s"):format(group.generation, problem))
    else
      app.log:own(("%s reloaded: %d workers, generation %d"):format(app.name, group:ready_count(), group.generation))
    end
    reload_again(group, app)
  end)
end

-- What was asked for while another was under way.
reload_again = function(group, app)
  if not app.again then return end
  app.again = nil
  reload(group, app)
end

local LOOK = 0.02 -- seconds

-- Connections that were made before the stop are served: the workers drain when the last of them has been given.
local function stop_when_given(group, app, until_)
  local loop = require "clouds.loop"
  if group.dispatch and group.dispatch:counts().held > 0 and loop.now() < until_ then
    return loop.timer(LOOK, function() stop_when_given(group, app, until_) end)
  end
  group:stop(function()
    if group.dispatch then group.dispatch:close() end
    app.log:close()
    host.finish(group.had_to_kill and host.exit.UNKNOWN or host.exit.OK)
  end)
end

local function stop(group, app, addresses)
  app.log:own(("%s stops"):format(app.name))
  app.stops = true
  if group.dispatch then
    for i in ipairs(addresses) do group.dispatch:unlisten(i) end
  end
  stop_when_given(group, app, require("clouds.loop").now() + math.min(group.drain, HOLD))
end

function M.main(options, operands)
  local script = operands[1]
  if not host.is_file(script) then args.fail("start", "cannot read the script %s; expected: clouds %s", script,
    M.command.usage) end
  common.set_default_url("start", options)
  local loop = require "clouds.loop"
  local app = { name = options.name or name_of(script), url = require("clouds.options").default_url(),
    log = require("clouds.master.log").new() }
  local drain = options.drain or common.default_drain()
  local group = require("clouds.master.group").new({ app = app, name = name_of(script), script = script,
    arguments = { unpack(operands, 2) }, count = options.workers or host.cluster.processors(), drain = drain,
    ready_timeout = READY_TIMEOUT })
  host.on_stop(function() stop(group, app, options.listen or {}) end, drain, MARGIN)
  host.cluster.on_reload(function() reload(group, app) end)
  local begun = loop.now()
  local dispatch, is_open = dispatch_for(options.listen)
  if not is_open then return host.finish(BUSY) end
  group.dispatch = dispatch
  group:renew(function(problem)
    if not problem then
      app.log:own(("%s ready: %d workers (%d ms)"):format(app.name, group.count,
        (loop.now() - begun) * 1000))
      return reload_again(group, app)
    end
    if app.stops then return end
    app.log:own(("%s does not start: %s"):format(app.name, problem))
    group:stop(function()
      app.log:close()
      host.finish(host.exit.ERROR)
    end)
  end)
end

return M
