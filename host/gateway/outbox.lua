-- What goes to one client that may take it slowly: of what is published it misses some then, and is told how many. One
-- that takes nothing for long is let go.
--
-- A port is the way to the client, a WebSocket or a response: port:unsent() gives bytes that it has not taken,
-- port:post(text) sends without waiting, port:wait_room() waits until it has taken most.
local clouds = require "clouds"
local loop = require "clouds.loop"

local Outbox = {}
Outbox.__index = Outbox

local M = {}

--- The outbox of a port; stalled() is to end who takes nothing.
function M.new(gateway, port, stalled)
  return setmetatable({ port = port, stalled = stalled, limit = gateway.unsent, stall = gateway.stall, behind = {} },
    Outbox)
end

-- Those that have missed something hear of it as soon as there is room.
local function catch_up(self)
  local behind = self.behind
  self.behind = {}
  for source, missed in pairs(behind) do self.port:post(source:gap(missed)) end
end

local function wait_for_room(self)
  if self.is_full then return end
  self.is_full = true
  local timer = loop.timer(self.stall, function()
    if not self.is_closed then self.stalled() end
  end)
  clouds.spawn(function()
    local ok = self.port:wait_room()
    timer:stop()
    self.is_full = false
    if ok and not self.is_closed then catch_up(self) end
  end)
end

--- Sends the text of something that was published, unless too much waits already. source:gap(n) is the text that says
--- how many of its texts are missing.
function Outbox:offer(source, text, missed)
  if self.is_closed then return end
  local is_full = self.is_full or self.port:unsent() > self.limit
  missed = missed + (self.behind[source] or 0) + (is_full and 1 or 0)
  self.behind[source] = is_full and missed or nil
  if is_full then return wait_for_room(self) end
  if missed > 0 then self.port:post(source:gap(missed)) end
  self.port:post(text)
end

--- Sends what has to arrive, and waits for that as long as the client takes anything: whether it could.
function Outbox:send(text)
  if self.port:unsent() > self.limit then
    wait_for_room(self)
    self.port:wait_room()
  end
  if self.is_closed then return false end
  self.port:post(text)
  return true
end

--- What a source of this client has missed is of no interest any more.
function Outbox:forget(source) self.behind[source] = nil end

function Outbox:close() self.is_closed = true end

return M
