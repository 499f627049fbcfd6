-- The master of an application: what it holds as long as it runs, who hears of its events, and its end.
local host = require "clouds.host"
local App = require "clouds.master.app"
local Control = require "clouds.master.control"
local Log = require "clouds.master.log"
local Pidfile = require "clouds.master.pidfile"
local daemon = require "clouds.master.daemon"
local file = require "clouds.master.file"
local upgrade = require "clouds.master.upgrade"
local M = {}

-- Gives back what it holds, and ends.
local function finish(app, log, code)
  local function end_now()
    if app.control then app.control:close() end
    if app.pidfile then app.pidfile:close() end
    log:close()
    host.finish(code)
  end
  app.endpoint:close(function()
    if app.file then app.file:close(end_now) else end_now() end
  end)
end

-- Its pidfile, and its name with the control socket: true; or nil, why not, and the code of the program.
local function hold(app, pidfile)
  local problem, code, runs
  if pidfile then
    app.pidfile, problem, code = Pidfile.take(pidfile)
    if not app.pidfile then return nil, problem, code end
  end
  app.control, problem, runs = Control.open(app)
  if app.control then return true end
  return nil, problem, runs and host.exit.UNREACHABLE or host.exit.ERROR
end

--- Runs what the plan says. options: of `clouds start`; argv: its words; of: { path =, url =, manager = } when a file
--- has said the plan.
function M.start(plan, log, options, argv, of)
  local app
  app = App.new(plan, log, function(code) finish(app, log, code) end, options)
  app.program = upgrade.program(argv)
  require("clouds.master.systemd").follow(app)
  if options.daemon then daemon.follow(app) end
  local function fail(problem, code)
    log:plain("clouds start: " .. problem)
    finish(app, log, code)
  end
  if of then file.follow(app, of.path, of.url, of.manager) end
  local is_held, failure, wrong = hold(app, options.pidfile or plan.pidfile)
  if not is_held then return fail(failure, wrong) end
  local files, endpoint
  files, failure = log:prepare(plan)
  if not files then return fail(failure, host.exit.USAGE) end
  endpoint, failure, wrong = app.endpoint:prepare(plan)
  if not endpoint then
    files.abort()
    return fail(failure, wrong and host.exit.USAGE or host.exit.UNREACHABLE)
  end
  files.commit()
  endpoint.commit()
  require("clouds.master.signals").follow(app)
  app:start(function(problem, code)
    if not problem then return end
    app:emit("error", problem)
    if not code then return log:own(("%s does not start: %s"):format(app.name, problem)) end
    fail(problem, code)
  end)
end

--- Goes on with what the program before this one in this process knew: clouds.master.state. argv: the words of both.
function M.resume(state, argv)
  local State = require "clouds.master.state"
  local log = Log.new()
  local files = assert(log:prepare(state.plan))
  files.commit()
  log:resume(state.log)
  local app
  app = State.resume(state, log, function(code) finish(app, log, code) end)
  app.program = upgrade.program(argv)
  if state.pidfile then app.pidfile = Pidfile.resume(state.pidfile) end
  local answer
  app.control, answer = Control.resume(app, state.control, state.client)
  require("clouds.master.systemd").follow(app)
  require("clouds.master.signals").follow(app)
  if state.file then file.resume(app, state.file) end
  host.cluster.take_signals()
  upgrade.finish(app, state, answer)
end

return M
