-- What an application says of itself: for `clouds ps`, and who else asks.
local host = require "clouds.host"
local loop = require "clouds.loop"
local common = require "clouds.cli.common"
local M = {}

local function listening(app, group)
  local list = {}
  for _, listener in ipairs(app.listeners[group.name] or {}) do
    list[#list + 1] = listener.address:match("^unix:") and listener.address
      or (listener.address:gsub("%d+$", tostring(listener.port)))
  end
  return list
end

local function group_of(app, group)
  local counts = group.dispatch and group.dispatch:counts()
  local array = require("clouds").array
  return { name = group.name, script = group.settings.script, generation = group.generation, wanted = group.count,
    ready = group:ready_count(), given_up = group:given_up(), listen = array(listening(app, group)),
    connections = counts, restarts = group.restarts, past = group.past, workers = array(group:describe()) }
end

--- "ready", "starting", "quiet", "stopping"; "degraded" when a group has fewer workers that are ready than it should.
function M.state(app)
  if app.state ~= "ready" then return app.state end
  for _, group in ipairs(app.groups) do
    if group:ready_count() < group.count then return "degraded" end
  end
  return "ready"
end

function M.of(app)
  local groups = {}
  for i, group in ipairs(app.groups) do groups[i] = group_of(app, group) end
  return { name = app.name, pid = host.pid(), version = host.versions().clouds,
    program = app.program.path,
    log = { files = require("clouds").array(app.log:paths()), lost_lines = app.log:lost_lines() },
    control = { cut_off = app.cut_off },
    state = M.state(app), reloading = app.is_reloading or false, uptime = loop.now() - app.begun,
    reloads = app.reloads, paused = require("clouds").array(common.sorted_keys(app.paused)), groups = groups }
end

return M
