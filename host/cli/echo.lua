-- The built-in echo service of clouds bench: in a process of its own, except over inproc:, which reaches no other.
local host = require "clouds.host"
local common = require "clouds.cli.common"
local M = {}

-- Limits that thousands of calls in one turn of the loop do not reach.
M.limits = {
  max_in_flight = 1000000,
  max_events = 1000000,
  write_soft = 256 * 2 ^ 20,
  write_hard = 1024 * 2 ^ 20,
}

-- Settings of a node for the bench: its own, and the limits.
function M.settings(more)
  local result = {}
  for name, value in pairs(M.limits) do result[name] = value end
  for name, value in pairs(more or {}) do result[name] = value end
  return result
end

function M.start(method)
  local server = common.open("bench", "server", M.settings())
  server:register(method, function(...) return ... end)
end

-- Serves `method` until the process `parent` ends or stops it.
function M.serve(method, parent)
  common.stop_on_signal(0)
  if not host.follow(parent) then return host.finish(0) end
  M.start(method)
end

return M
