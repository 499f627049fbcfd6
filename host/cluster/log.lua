-- What the workers write, and what the master says itself, line by line with who it is from.
local host = require "clouds.host"
local output = require "clouds.cli.output"

local Log = {}
Log.__index = Log

local STDERR = 2
local LAST = 2 -- seconds that what waits at the end is given to be written

function Log.new()
  return setmetatable({ is_terminal = { host.is_terminal(1), host.is_terminal(2) }, sink = host.cluster.sink() }, Log)
end

local function put(self, stream, name, pid, text, is_own)
  local words
  if self.is_terminal[stream] then
    words = ("%s %s | %s\n"):format(os.date("%H:%M:%S"), name, output.plain(text))
  else
    words = ("%s %s %d | %s\n"):format(os.date("!%Y-%m-%dT%H:%M:%SZ"), name, pid, output.plain(text))
  end
  return self.sink:put(stream, words, is_own)
end

-- What was lost is said when something can be written again.
local function tell_lost(self)
  local lost = self.sink:lost() + (self.lost or 0)
  self.lost = lost
  if lost == 0 then return end
  local text = ("%d lines were lost: they could not be written"):format(lost)
  if put(self, STDERR, "master", host.pid(), text, true) then
    self.lost = 0
    self.sink:lost()
  end
end

function Log:line(worker, stream, text)
  if put(self, stream, worker.name, worker.pid or 0, text) then return tell_lost(self) end
end

function Log:own(text)
  put(self, STDERR, "master", host.pid(), text, true)
end

--- A line as it is.
function Log:plain(text)
  self.sink:put(STDERR, text .. "\n", true)
end

function Log:close()
  tell_lost(self)
  self.sink:close(LAST)
end

return Log
