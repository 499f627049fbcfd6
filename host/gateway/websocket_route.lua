-- GET /ws: the upgrade to WebSocket, for who may ask. Browsers cannot say who they are before; they do it in their
-- first message.
local session = require "clouds.gateway.session"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local websocket = require "clouds.http_websocket"
local who_asks = require "clouds.gateway.who"
local M = {}

local PROTOCOLS = { session.PROTOCOL }

-- Who asks; nil: that is still to be said.
local function who_upgrades(gateway, request)
  local token = who_asks.token_of(request)
  if token then return who_asks.require(gateway, request) end
  local who = who_asks.identify(gateway, request, nil)
  who_asks.take((who or who_asks.stranger(gateway, request)).account)
  return who
end

--- The handler.
function M.handler(gateway)
  local upgrade = websocket.handler(function(ws, request)
    session.new(gateway, ws, request, request.who):serve()
  end, { protocols = PROTOCOLS, origins = { "*" } }, 2)
  return function(request, response)
    source.check_origin(gateway.origins, request)
    request.who = who_upgrades(gateway, request)
    if request.headers.upgrade and not websocket.pick_protocol(request, PROTOCOLS) then
      status.refuse(400, "expected Sec-WebSocket-Protocol: " .. session.PROTOCOL)
    end
    return upgrade(request, response)
  end
end

return M
