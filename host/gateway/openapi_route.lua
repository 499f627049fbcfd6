-- GET /openapi.json: the methods that who asks may call, with what they take and give, as OpenAPI 3.1.
--
-- What the servers say of their methods is asked for once for everybody who asks within some seconds, so that nobody
-- can have them asked again and again.
local access = require "clouds.gateway.access"
local clouds = require "clouds"
local core = require "clouds.core"
local loop = require "clouds.loop"
local methods_of = require "clouds.cli.methods"
local openapi = require "clouds.cli.openapi"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"
local M = {}

local FIELDS = { ["Content-Type"] = "application/json", ["Cache-Control"] = "no-store" }

local FRESH = 5 -- seconds
local LIMIT = 5 -- seconds that servers have to say it

local function ask(gateway)
  return methods_of.ask(gateway.client, {}, LIMIT, function(name)
    return access.allows("call", name, gateway.access)
  end)
end

-- The methods that anybody may call; or nil and an error. Apart from who asks first, whose end is not that of others.
local function described(gateway)
  local entry = gateway.described
  if not entry or loop.now() - entry.at > FRESH then
    entry = { at = loop.now() }
    gateway.described = entry
    core.run_apart(function() entry.asking = clouds.spawn(ask, gateway) end)
  end
  return entry.asking:wait()
end

--- The handler.
function M.handler(gateway)
  return function(request)
    source.check_origin(gateway.origins, request)
    local who, allowed = who_asks.require(gateway, request), {}
    local methods, problem = described(gateway)
    if not methods then return status.of(problem), { error = status.describe(problem) } end
    for _, method in ipairs(methods) do
      if who_asks.may(gateway, who, "call", method.name) then allowed[#allowed + 1] = method end
    end
    local needs_token = not gateway.open and (gateway.tokens or gateway.authorize) and true or false
    return 200, openapi.text(allowed, needs_token), FIELDS
  end
end

return M
