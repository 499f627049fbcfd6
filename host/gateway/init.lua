--- A gateway: the methods and topics that are allowed, for who reaches neither the cluster nor its network, by HTTP and
--- WebSocket. See docs/GATEWAY.md.
local access = require "clouds.gateway.access"
local accounts = require "clouds.gateway.accounts"
local call_route = require "clouds.gateway.call_route"
local client_module = require "clouds.gateway.client_module"
local events_route = require "clouds.gateway.events_route"
local http = require "clouds.http"
local hub = require "clouds.gateway.hub"
local live = require "clouds.gateway.live"
local openapi_route = require "clouds.gateway.openapi_route"
local settings_of = require "clouds.gateway.settings"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local tokens = require "clouds.gateway.tokens"
local websocket_route = require "clouds.gateway.websocket_route"

local M = {}

local DEFAULTS = { rate = 100, in_flight = 64, subscriptions = 100, body = 1e6, message = 1e6, connections = 10000,
  unsent = 1e6, stall = 10, auth_timeout = 5 }

local function set_of(list)
  local set = {}
  for _, each in ipairs(list or {}) do set[each:lower()] = true end
  return set
end

--- What the parts of a gateway share. Beside settings: `client`, the node that calls; `is_inside`, whether those who
--- ask may know all of the cluster.
function M.parts(settings)
  local function value(name) return settings[name] or DEFAULTS[name] end
  local gateway = {
    access = access.read(settings.allow or {}),
    accounts = accounts.new(),
    auth_timeout = value "auth_timeout",
    authorize = settings.authorize,
    client = settings.client or require("clouds").client(),
    is_inside = settings.is_inside,
    known = { names = {}, count = 0 },
    limits = { rate = value "rate", burst = settings.burst or 2 * value "rate", in_flight = value "in_flight",
      subscriptions = value "subscriptions" },
    open = settings.open,
    origins = set_of(settings.origins),
    stall = value "stall",
    tell_server = settings.tell_server,
    timeout = settings.timeout,
    unsent = value "unsent",
  }
  if settings.token_file then
    local problem
    gateway.tokens, problem = tokens.open(settings.token_file)
    if not gateway.tokens then error("the token file: " .. problem, 0) end
  end
  gateway.hub, gateway.live = hub.new(gateway.client), live.new(gateway.tokens)
  return gateway
end

local function add_checks(app, gateway, names)
  app:before(function(request, response)
    source.check_host(names, request)
    if source.answer_cors(gateway.origins, request, response) then return 204 end
  end)
end

local function check(settings)
  local problem = settings_of.problem(settings) or settings_of.problem_of_addresses(settings)
  if problem then error("clouds.gateway: " .. problem, 3) end
end

--- The server of a gateway, a clouds.http.server that does not listen yet.
function M.server(settings)
  check(settings)
  local gateway = M.parts(settings)
  local options = { response_buffer = gateway.unsent, forwarded = settings.forwarded, errors = status.body,
    headers = { ["X-Content-Type-Options"] = "nosniff" } }
  for _, name in ipairs { "body", "message", "connections" } do options[name] = settings[name] or DEFAULTS[name] end
  local app = http.server(options)
  add_checks(app, gateway, source.names(settings.hosts or {}, settings_of.addresses(settings)))
  app:post("/call/*method", call_route.handler(gateway))
  app:get("/ws", websocket_route.handler(gateway))
  app:get("/events", events_route.handler(gateway))
  app:get("/openapi.json", openapi_route.handler(gateway))
  app:get("/clouds.js", client_module.handler)
  if settings.static then app:static("/", settings.static) end
  return app
end

--- Serves at the addresses of the setting `listen`, without it at those of --listen. Gives the server.
function M.serve(settings)
  check(settings)
  return http.serve(M.server(settings), unpack(settings.listen or {}))
end

return M
