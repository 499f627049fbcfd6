-- A cluster.lua as the program is given it: where it is, whether it may be run, and the managers that run it.
local host = require "clouds.host"
local Manager = require "clouds.master.manager"
local values = require "clouds.master.plan_values"
local M = {}

--- The folder that this program was started in, by the name it was entered by: what a symbolic link in that leads to
--- may be another one at the next reload.
function M.folder_here()
  local named, real = os.getenv "PWD", host.real_path(".")
  if named and named:sub(1, 1) == "/" and host.real_path(named) == real then return named end
  return real
end

--- The absolute path of the file; or nil and why it is not run.
function M.path(file)
  local path = file:sub(1, 1) == "/" and file or M.folder_here() .. "/" .. file
  if not host.is_file(path) then return nil, ("there is no file %s"):format(path) end
  if host.is_unsafe(path) then
    return nil, ("everybody may write %s, so root does not run it: chmod o-w %s"):format(path, path)
  end
  return path
end

--- Runs it: on_plan(plan, problem, manager) once, the manager to be closed by whoever takes it.
function M.run(path, url, log, on_plan, on_command)
  local manager
  local again, problem = M.path(path)
  if not again then return on_plan(nil, problem) end
  manager = Manager.new { file = path, url = url, log = log, on_command = on_command,
    on_plan = function(plan, why) on_plan(plan, why, manager) end }
end

-- What an application does with the commands of its manager.
local function on_command_of(app, command)
  if command["do"] == "stop" then return app:stop() end
  local group = type(command.group) == "string" and app:group(command.group)
  if command.group ~= nil and not group then
    return app.log:own(("the manager names a group that there is not: %s"):format(tostring(command.group)))
  end
  if command["do"] == "reload" then return app:reload(group and group.name, function() end) end
  local count = command["do"] == "scale" and tonumber(command.count)
  if group and values.is_worker_count(count) then app:scale(group, count) end
end

-- What the functions of a cluster.lua get: of an exit a table, of the others what the application says.
local function tell(manager, event, ...)
  if event ~= "exit" then return manager:tell(event, ...) end
  local group, index, pid, code, signal, text = ...
  manager:tell(event, { group = group, index = index, pid = pid, code = code, signal = signal, text = text })
end

local File = {}
File.__index = File

local function on_command_for(app)
  return function(command) on_command_of(app, command) end
end

--- Ties an application to its file: that hears of the events, and a reload makes a new plan of it.
function M.follow(app, path, url, manager)
  local self = setmetatable({ path = path, url = url, manager = manager }, File)
  manager.on_command = on_command_for(app)
  app:on_event(function(event, ...) tell(self.manager, event, ...) end)
  app.file = self
  app.planner = function(done)
    M.run(path, url, app.log, function(plan, problem, new)
      done(plan, problem, function(is_taken)
        local other = new
        if is_taken then self.manager, other = new, self.manager end
        if other then other:close() end
      end)
    end, on_command_for(app))
  end
end

--- For M.resume.
function File:state()
  return { path = self.path, url = self.url, manager = self.manager:state() }
end

--- The same with the manager that another program has started.
function M.resume(app, state)
  M.follow(app, state.path, state.url, Manager.resume({ file = state.path, url = state.url, log = app.log },
    state.manager))
end

--- It hears of nothing any more; done() when its manager has ended.
function File:close(done)
  self.manager:close(done)
end

return M
