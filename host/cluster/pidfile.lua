-- The file with the process id of the master, for scripts and supervisors. It is held as long as the master runs, so
-- that one that was left behind is taken over, and one of a master that runs is not.
local host = require "clouds.host"
local M = {}

local MODE = 420 -- 0644

local Pidfile = {}
Pidfile.__index = Pidfile

--- Removes the file if it is still ours.
function Pidfile:close()
  host.cluster.unlock(self.path, self.descriptor)
end

--- For M.resume.
function Pidfile:state()
  return { path = self.path, descriptor = self.descriptor }
end

--- Takes it for this process, in folders that are made when they are missing. Or nil, why not, and the code of the
--- program.
function M.take(path)
  host.cluster.make_folders_of(path)
  local descriptor, problem, holder = host.cluster.lock(path, MODE)
  if descriptor then return M.resume { path = path, descriptor = descriptor } end
  if holder then
    return nil, ("%s is held by process %d, which runs already"):format(path, holder), host.exit.UNREACHABLE
  end
  return nil, ("cannot take the pidfile %s: %s"):format(path, problem), host.exit.USAGE
end

--- One that this process holds already.
function M.resume(state)
  return setmetatable({ path = state.path, descriptor = state.descriptor }, Pidfile)
end

return M
