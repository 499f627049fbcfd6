-- What who has the token of the admin endpoint may do beside looking: call methods and subscribe to topics, by the
-- WebSocket of a gateway, and ask what methods take.
--
-- It goes through a node of the endpoint's own, at the cluster of the script's first node, or at that of the
-- application.
local host = require "clouds.host"
local about = require "clouds.cli.admin_about"
local common = require "clouds.cli.common"
local exchange = require "clouds.http_request"
local gateway = require "clouds.gateway"
local methods_of = require "clouds.cli.methods"
local source = require "clouds.gateway.source"
local websocket_route = require "clouds.gateway.websocket_route"
local M = {}

local LIMIT = 5 -- seconds for what methods take
local NAME = "admin" -- as whom handlers see who calls

local client

-- The node; or nil and why there is none.
local function node()
  if common.is_ending() then return nil, "the process stops" end
  if client and not client.closed then return client end
  local first = about.nodes()[1]
  local ok, made = pcall(require("clouds").client, first and first.context.options)
  if not ok then return nil, tostring(made) end
  client = made
  about.hide(client)
  return client
end

-- The gateway for who has this token.
local function parts(token)
  local caller, problem = node()
  if not caller then exchange.raise(503, problem) end
  return gateway.parts {
    allow = { ">", "subscribe:>" },
    authorize = function(_, given) return given and host.equal(given, token) and NAME or nil end,
    client = caller,
    is_inside = true,
    tell_server = true,
  }
end

local serving -- { token =, gateway =, handle = }

--- The token is another, or there is none any more: who came by the one of before is let go.
function M.let_go()
  if not serving then return end
  serving.gateway.is_over = true
  serving.gateway.live:check_again()
  serving = nil
end

--- The handler of GET /ws for who has the token that token() gives; where that gives none it is no path.
function M.handler(token)
  local names = source.names({}, {})
  return function(request, response)
    source.check_host(names, request)
    local now = token()
    if not now then exchange.raise(404, "no such path") end
    if serving and (serving.token ~= now or client.closed) then M.let_go() end
    if not serving then
      local made = parts(now)
      serving = { token = now, gateway = made, handle = websocket_route.handler(made) }
    end
    return serving.handle(request, response)
  end
end

--- What the methods of the cluster take: a list as of clouds.cli.methods; or nil and why not. Waits.
function M.describe()
  local asking, problem = node()
  if not asking then return nil, problem end
  local found, err = methods_of.ask(asking, {}, LIMIT)
  return found, not found and err.message or nil
end

return M
