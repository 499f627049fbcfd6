-- What systemd is told of an application (Type=notify, WatchdogSec=), when it wants to know: by its events.
local host = require "clouds.host"
local loop = require "clouds.loop"
local cluster = host.cluster
local M = {}

local STATUS_EVERY = 5 -- seconds
local MARGIN = 8 -- seconds of a stop beyond what the groups may take

-- What cannot be told is told by systemd itself, which waits in vain.
local function tell(...)
  return cluster.notify(table.concat({ ... }, "\n"))
end

local function status_of(app)
  local list = {}
  for i, group in ipairs(app.groups) do list[i] = ("%s %d/%d"):format(group.name, group:ready_count(), group.count) end
  local text = table.concat(list, ", ")
  return "STATUS=" .. (app.state == "ready" and text or ("%s; %s"):format(app.state, text))
end

-- A group that was given up does not serve: then it is better that systemd starts all of it again.
local function is_well(app)
  for _, group in ipairs(app.groups) do
    if group.given_up and group:given_up() > 0 then return false end
  end
  return true
end

--- It serves; a reload that a stop has ended says nothing of that.
function M.ready(app)
  if app.state ~= "stopping" then tell("READY=1", status_of(app)) end
end

--- A reload begins; `ready` ends it, whether it has worked or not.
function M.reloading(app)
  tell("RELOADING=1", "MONOTONIC_USEC=" .. cluster.monotonic(), status_of(app))
end

--- It stops, which may take so long as the groups may drain.
function M.stopping(app)
  tell("STOPPING=1", ("EXTEND_TIMEOUT_USEC=%d"):format((app:longest_stop() + MARGIN) * 1e6), status_of(app))
end

local events = { ready = M.ready, reloading = M.reloading, reload = M.ready, stop = M.stopping }

-- The timer of a loop that does not turn is not told, and neither is the watchdog.
local function repeat_every(seconds, fn)
  loop.timer(seconds, function()
    fn()
    repeat_every(seconds, fn)
  end)
end

--- Tells systemd what becomes of the application, from now on; nothing when nobody wants to know.
function M.follow(app)
  if not os.getenv "NOTIFY_SOCKET" then return end
  app:on_event(function(event)
    if events[event] then events[event](app) end
  end)
  local told
  repeat_every(STATUS_EVERY, function()
    local status = status_of(app)
    if status ~= told and app.state ~= "starting" then tell(status) end
    told = status
  end)
  local limit = cluster.watchdog()
  if not limit then return end
  repeat_every(limit / 2, function()
    if is_well(app) then tell("WATCHDOG=1") end
  end)
end

return M
