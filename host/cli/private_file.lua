-- A file with a secret in it, which nobody but its owner may read.
local host = require "clouds.host"
local M = {}

--- Its text; or nil and why there is none.
function M.read(path)
  local file, problem = io.open(path, "r")
  if not file then return nil, problem end
  local text, trouble = file:read("*a")
  file:close()
  if not text then return nil, ("%s: %s"):format(path, trouble) end
  if not host.is_private(path) then
    return nil, ("others may read %s; expected a file for its owner alone (chmod 600)"):format(path)
  end
  return text
end

return M
