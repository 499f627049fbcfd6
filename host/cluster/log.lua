-- What the workers write, and what the master says itself, line by line with who it is from.
local host = require "clouds.host"
local output = require "clouds.cli.output"

local Log = {}
Log.__index = Log

function Log.new()
  return setmetatable({ is_terminal = { host.is_terminal(1), host.is_terminal(2) } }, Log)
end

local files = { io.stdout, io.stderr }

local function put(self, stream, name, pid, text)
  local words
  if self.is_terminal[stream] then
    words = ("%s %s | %s\n"):format(os.date("%H:%M:%S"), name, output.plain(text))
  else
    words = ("%s %s %d | %s\n"):format(os.date("!%Y-%m-%dT%H:%M:%SZ"), name, pid, output.plain(text))
  end
  files[stream]:write(words)
  files[stream]:flush()
end

function Log:line(worker, stream, text)
  put(self, stream, worker.name, worker.pid or 0, text)
end

function Log:own(text)
  put(self, 2, "master", host.pid(), text)
end

return Log
