-- What signals to the master do. Those that stop a program stop it, too (host/signals.c): the second kills the workers.
local host = require "clouds.host"
local library = require "clouds.master.library"
local upgrade = require "clouds.master.upgrade"
local values = require "clouds.master.plan_values"
local M = {}

local MARGIN = 8 -- seconds beyond the drain that a stop may take: to give what waits, and to kill who does not end

local handlers = {}

function handlers.HUP(app)
  app:emit("signal", "reload")
  app.log:reopen()
  app:reload(nil, function() end)
end
handlers.USR1 = handlers.HUP -- as node-cluster has it

function handlers.USR2(app)
  app:emit("signal", "upgrade")
  upgrade.begin(app, {}, function(result)
    if result.code == "WRONG_STATE" then app.log:own(("upgrade: %s"):format(result.problem)) end
  end)
end

-- Of the first group that is not the library.
local function scale(app, change, word)
  app:emit("signal", word)
  local group = (library.without(app.groups))[1]
  if not group then return end
  local count = group.count + change
  if values.is_worker_count(count) then return app:scale(group, count) end
  app.log:own(("group %s stays at %d workers"):format(group.name, group.count))
end

function handlers.TTIN(app) scale(app, 1, "more") end
function handlers.TTOU(app) scale(app, -1, "fewer") end

-- As TERM does.
function handlers.QUIT(app)
  if not host.stop() then app:kill() end
end

local on_no_terminal = {}

function on_no_terminal.TSTP(app)
  app:emit("signal", "quiet")
  app:be_quiet(true)
end

function on_no_terminal.CONT(app)
  if app.state ~= "quiet" then return end
  app:emit("signal", "resume")
  app:be_quiet(false)
end

-- How long a stop may take is what the plan says, which a reload may change.
local function watch_stop(app)
  local function watch()
    host.on_stop(function()
      app:emit("signal", "stop")
      app:stop()
    end, app:longest_stop(), MARGIN, function() app:kill() end)
  end
  watch()
  app:on_event(function(event)
    if event == "reload" then watch() end
  end)
end

--- From now on. Who was started on a terminal is stopped by the HUP of its end, and by Ctrl-Z like any program.
function M.follow(app)
  watch_stop(app)
  if host.is_terminal(0) then
    handlers.HUP = nil
  else
    for name, fn in pairs(on_no_terminal) do handlers[name] = fn end
  end
  local names = {}
  for name in pairs(handlers) do names[#names + 1] = name end
  host.cluster.on_signals(names, function(name) handlers[name](app) end)
end

return M
