-- The file with the process id of the master, for scripts and supervisors. It is held as long as the master runs, so
-- that one that was left behind is taken over, and one of a master that runs is not.
local host = require "clouds.host"
local M = {}

local MODE = 420 -- 0644

--- Takes it for this process, in folders that are made when they are missing: an object with close(), which removes
-- the file if it is still ours. Or nil, why not, and the code of the program.
function M.take(path)
  host.cluster.make_folders_of(path)
  local descriptor, problem, holder = host.cluster.lock(path, MODE)
  if descriptor then
    return { close = function() host.cluster.unlock(path, descriptor) end }
  end
  if holder then
    return nil, ("%s is held by process %d, which runs already"):format(path, holder), host.exit.UNREACHABLE
  end
  return nil, ("cannot take the pidfile %s: %s"):format(path, problem), host.exit.USAGE
end

return M
