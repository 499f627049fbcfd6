-- Clients that stay, by WebSocket or as event streams: each has check_again(), and may have stop().
local nodes = require "clouds.node"

local Live = {}
Live.__index = Live

local M = {}

--- For a gateway with these tokens, or nil.
function M.new(tokens)
  local self = setmetatable({ tokens = tokens, clients = {}, count = 0 }, Live)
  nodes.before_shutdown(function()
    for client in pairs(self.clients) do
      if client.stop then client:stop() end
    end
  end)
  return self
end

--- Lets those go who may not stay any more.
function Live:check_again()
  local clients = {} -- a copy: whoever is let go leaves meanwhile
  for client in pairs(self.clients) do clients[#clients + 1] = client end
  for _, client in ipairs(clients) do client:check_again() end
end

--- While there are any, the token file is watched, so that who is not in it any more does not stay.
function Live:add(client)
  self.clients[client], self.count = true, self.count + 1
  if not self.tokens then return end
  self.tokens:watch(function() return self.count > 0 end, function() self:check_again() end)
end

function Live:remove(client)
  self.clients[client], self.count = nil, self.count - 1
end

return M
