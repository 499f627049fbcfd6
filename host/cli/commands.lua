-- The commands: their names, and the modules that describe and do them.
local M = {}

local commands = {
  { "run", "run a Lua script, with services and clients on one loop" },
  { "start", "run a Lua script in several processes, watched and reloaded" },
  { "ps", "show the workers of what was started" },
  { "reload", "replace the workers of an application" },
  { "upgrade", "put a new program in the place of the master of an application" },
  { "scale", "change how many workers it has" },
  { "logs", "show what the workers of an application have written last" },
  { "quiet", "let it take nothing new, until resume" },
  { "gateway", "let programs and browsers call, by HTTP and WebSocket" },
  { "call", "call a method and print what it returns" },
  { "notify", "let a server do something, and wait for no answer" },
  { "send", "send a message to a node" },
  { "publish", "publish a value at a topic" },
  { "subscribe", "print what is published at topics" },
  { "status", "show who serves what" },
  { "list", "list the methods, with what they take" },
  { "describe", "show what methods take and give, for people or as code" },
  { "explain", "show who would be called, and why" },
  { "trace", "call a method and show which calls came of it" },
  { "top", "show which methods are called, how often and how fast" },
  { "doctor", "look for what is wrong with the cluster or this machine" },
  { "ping", "ask a node whether it is there" },
  { "pause", "let a node take no calls" },
  { "resume", "let a node or an application take calls again" },
  { "stop", "stop an application, or a node, in order" },
  { "bench", "measure calls per second and latency" },
  { "completion", "print the completion of command lines for a shell" },
  { "key", "make a key for links over TCP" },
  { "check", "check a cluster.lua, and show what it comes to" },
  { "manager", nil }, -- for clouds start
  { "endpoint", nil }, -- for clouds start
  { "successor", nil }, -- for clouds upgrade
  { "manual", nil }, -- for the build
  { "version", "show versions" },
  { "help", "show help for a command" },
}

-- Those that are for people, in the order of the help: { name, summary }.
function M.shown()
  local list = {}
  for _, row in ipairs(commands) do list[#list + 1] = row[2] and row end
  return list
end

function M.names()
  local names = {}
  for i, row in ipairs(M.shown()) do names[i] = row[1] end
  return names
end

function M.is_known(name)
  for _, row in ipairs(commands) do
    if row[1] == name then return true end
  end
  return false
end

-- What a command says of itself; nil: it is help, which has no module.
function M.load(name)
  return name ~= "help" and require("clouds.cli." .. name).command or nil
end

M.exit_text = [[
 0 ok    1 the service's or the script's own error    2 wrong usage    3 unreachable: not done
 4 timeout or connection lost: it may have been done
]]

return M
