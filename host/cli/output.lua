-- Standard output that says so when it fails. A reader that went away (head, a closed pipe) ends the command quietly.
local host = require "clouds.host"
local M = {}

local EPIPE = 32

local function failed(problem, number)
  if number ~= EPIPE then io.stderr:write(("clouds: cannot write the output: %s\n"):format(problem)) end
  host.finish(1)
  return false
end

-- Writes and flushes; false when that failed, and then the program is about to end.
function M.write(...)
  local ok, problem, number = io.stdout:write(...)
  if ok then ok, problem, number = io.stdout:flush() end
  if ok then return true end
  return failed(problem, number)
end

return M
