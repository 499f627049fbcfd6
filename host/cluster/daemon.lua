-- A master in the background: what starts it returns when it serves, or with the code that it ended with.
local host = require "clouds.host"
local M = {}

local VARIABLE = "CLOUDS_DAEMON" -- in the environment of the process in the background

--- Whether this process is the one in the background.
function M.is_one()
  return os.getenv(VARIABLE) == "1"
end

--- Starts this program again with the same arguments, in the background: the code to end with.
function M.start(argv)
  local environment = host.cluster.environment()
  table.insert(environment, 1, VARIABLE .. "=1")
  local words = { argv[0] }
  for _, word in ipairs(argv) do words[#words + 1] = word end
  local code, problem = host.cluster.daemonize(words, environment)
  if code then return code end
  io.stderr:write("clouds start: cannot go into the background: ", problem, "\n")
  return host.exit.ERROR
end

--- Tells whoever waits when the application serves, and leaves the terminal; the application stops when nobody waits
-- any more.
function M.follow(app)
  local forget
  forget = app:on_event(function(event)
    if event ~= "ready" then return end
    forget()
    if not host.cluster.daemon_ready() then host.stop() end
  end)
end

return M
