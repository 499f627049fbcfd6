-- Who asks: the identity of a request, its account, and what it may do.
local access = require "clouds.gateway.access"
local accounts = require "clouds.gateway.accounts"
local exchange = require "clouds.http_request"
local status = require "clouds.gateway.status"
local M = {}

--- The token of a request: Authorization: Bearer TOKEN.
function M.token_of(request)
  local field = request.headers.authorization
  return field and field:match("^[Bb]earer +(%S+) *$")
end

local function limits_of(gateway, own)
  if not own then return gateway.limits end
  local limits = {}
  for name, value in pairs(gateway.limits) do limits[name] = own[name] or value end
  if own.rate and not own.burst then limits.burst = 2 * own.rate end
  return limits
end

local function with_account(gateway, who, key)
  who.account = gateway.accounts:of(key, limits_of(gateway, who.limits))
  return who
end

--- Everybody at the address of the request, whoever that is.
function M.stranger(gateway, request)
  return with_account(gateway, {}, accounts.key_of_address(request.remote))
end

local function of_token(gateway, identity)
  return with_account(gateway, { name = identity.name, access = identity.access, limits = identity.limits,
    digest = identity.digest }, "name " .. identity.name)
end

-- What the program decides: a name and a list of what that may do, or nil.
local function of_program(gateway, request, token)
  local name, list = gateway.authorize(request, token)
  if name == nil then return nil end
  if type(name) ~= "string" then error("authorize: expected the name of who asks as a text, or nil", 0) end
  local allowed, problem
  if list ~= nil then
    allowed, problem = access.read(list)
    if not allowed then error("authorize: " .. problem, 0) end
  end
  return with_account(gateway, { name = name, access = allowed }, "name " .. name)
end

--- Who asks with this token, or without one: { name =, access =, account =, digest = }; nil: nobody who may.
function M.identify(gateway, request, token)
  if gateway.authorize then
    local who = of_program(gateway, request, token)
    return who or (gateway.open and M.stranger(gateway, request)) or nil
  elseif not gateway.tokens then
    return M.stranger(gateway, request)
  elseif not token then
    return gateway.open and M.stranger(gateway, request) or nil
  end
  local identity = gateway.tokens:find(token)
  return identity and of_token(gateway, identity) or nil
end

--- The same who with what the token file says now; nil: the token is not there any more, or nobody may stay.
function M.again(gateway, who)
  if gateway.is_over then return nil end
  if not who.digest then return who end
  local identity = gateway.tokens:again(who.digest)
  return identity and of_token(gateway, identity)
end

--- Takes one request of an account; refuses it when there is none left.
function M.take(account)
  local ok, seconds = accounts.take(account)
  if not ok then status.refuse(429, "too many requests", seconds) end
end

--- Who sends this request; what nobody may send is refused. Failures to say who one is count for the address.
function M.require(gateway, request)
  local who = M.identify(gateway, request, M.token_of(request))
  if who then
    M.take(who.account)
    return who
  end
  M.take(M.stranger(gateway, request).account)
  exchange.raise(401, "expected the header Authorization: Bearer TOKEN", { ["WWW-Authenticate"] = "Bearer" })
end

--- Whether who asks may do it: "call", "subscribe", "publish" or "send", and to what.
function M.may(gateway, who, verb, name) return access.allows(verb, name, gateway.access, who.access) end

return M
