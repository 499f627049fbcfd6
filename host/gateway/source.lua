-- Where a request comes from: the Host that it names, and the page of a browser that sends it.
--
-- A page of another site can send requests to any address that its browser reaches, also to this machine. Its browser
-- says so by Origin; and where a name was made to lead here, by the Host (DNS rebinding).
local memo = require "clouds.memo"
local status = require "clouds.gateway.status"
local M = {}

local LOCAL_NAMES = { "localhost", "127.0.0.1", "[::1]" }
local MAX_AGE = "600" -- seconds for which a browser may keep the answer to a preflight

local CORS_HEADERS = "Authorization, Content-Type, Clouds-Timeout, Idempotency-Key, Last-Event-ID, traceparent, "
  .. "tracestate"
local CORS_EXPOSED = "Clouds-Request, Clouds-Server, Retry-After"

--- The names that a Host may have: a set. `listen`: the addresses.
function M.names(hosts, listen)
  local names = {}
  for _, name in ipairs(LOCAL_NAMES) do names[name] = true end
  for _, name in ipairs(hosts) do names[name:lower()] = true end
  for _, address in ipairs(listen) do
    local name = address:match("^(.+):%d+$")
    if name and not address:find("^unix:") then names[name:lower()] = true end
  end
  return names
end

M.local_names = M.names({}, {})

--- What a Host names, without its port.
M.name_of_host = memo(1000, function(host) return (host:lower():gsub(":%d*$", "")) end)

--- Refuses a Host that is not among the names. Only HTTP/1.0, which no browser sends, may come without one.
function M.check_host(names, request)
  local host = request.headers.host
  if not host or names["*"] then return end
  if not names[M.name_of_host(host)] then
    status.refuse(403, "this Host is not served here: expected --host NAME for it")
  end
end

-- Whether the page is one of this server, or of an origin that is allowed. nil: no browser's page asks.
local function is_welcome(origins, headers)
  local origin = headers.origin
  if not origin then return nil end
  origin = origin:lower()
  if origins[origin] then return true end
  return origin:match("^https?://(.+)$") == (headers.host or ""):lower()
end

--- Whether header fields are not those of a page of another site.
function M.is_own(headers) return is_welcome({}, headers) ~= false end

--- Refuses a page of another site.
function M.check_origin(origins, request)
  if is_welcome(origins, request.headers) == false then status.refuse(403, "not for the pages of other sites") end
end

local function is_preflight(request)
  return request.method == "OPTIONS" and request.headers["access-control-request-method"] ~= nil
end

--- Says to the browser of an allowed page that it may have the answer; whether that is all it asked for.
function M.answer_cors(origins, request, response)
  local origin = request.headers.origin
  if not next(origins) then return false end
  response:header("Vary", "Origin")
  if not (origin and origins[origin:lower()]) then return false end
  response:header("Access-Control-Allow-Origin", origin)
  response:header("Access-Control-Expose-Headers", CORS_EXPOSED)
  if not is_preflight(request) then return false end
  response:header("Access-Control-Allow-Methods", "GET, HEAD, POST")
  response:header("Access-Control-Allow-Headers", CORS_HEADERS)
  response:header("Access-Control-Max-Age", MAX_AGE)
  return true
end

return M
