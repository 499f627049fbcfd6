-- The admin endpoint of `clouds run --admin ADDRESS`: what a supervisor asks of one process, by HTTP.
--
-- It is for this machine alone: a socket that only the owner may open, or a port of the loopback with a token. Other
-- pages of a browser reach neither: a foreign Host and any Origin are refused, and what changes something is a POST of
-- JSON, which no form can send.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local about = require "clouds.cli.admin_about"
local metrics_of = require "clouds.cli.admin_metrics"
local output = require "clouds.cli.output"
local private_file = require "clouds.cli.private_file"
local M = {}

local TOKEN_BYTES = 22 -- 128 bits in base64
local LONGEST_DRAIN = 86400
local LIMITS = { body = 65536, connections = 64, keepalive = 30 }
local JSON = "application/json"

---- answers ----

local function encode(value) return require("clouds").json.encode(value) .. "\n" end

local function refusal(status, message, ...)
  return { status = status, body = encode { error = { message = message:format(...) } }, fields = {} }
end

local function with_field(answer, name, value)
  table.insert(answer.fields, name)
  table.insert(answer.fields, value)
  return answer
end

local function json(status, value) return { status = status, body = encode(value), fields = {} } end

-- What a handler of clouds.http returns.
local function results_of(answer)
  local fields = { ["Content-Type"] = answer.type or JSON, ["Cache-Control"] = "no-store" }
  fields["X-Content-Type-Options"] = "nosniff"
  for i = 1, #answer.fields, 2 do fields[answer.fields[i]] = answer.fields[i + 1] end
  return answer.status, answer.body, fields
end

---- what can be asked for ----

local function healthz() return json(200, { healthy = true }) end

local function readyz()
  local reasons = about.reasons()
  return json(reasons[1] and 503 or 200, { ready = not reasons[1], reasons = require("clouds").array(reasons) })
end

local function status() return json(200, about.status()) end

local function metrics()
  return { status = 200, body = metrics_of.text(), type = "text/plain; version=0.0.4", fields = {} }
end

local function stop(query)
  local drain = query.drain
  if drain then
    local seconds = drain:match("^[%d.]+$") and tonumber(drain)
    if not seconds or seconds > LONGEST_DRAIN then
      return refusal(400, "drain: expected a number of seconds from 0 to %d", LONGEST_DRAIN)
    end
    drain = seconds
  end
  local begins = host.stop(drain)
  return json(202, { stopping = true, already = not begins and true or nil })
end

-- The nodes that offer the method, or all that offer any.
local function servers_of(method)
  local list = {}
  for _, node in ipairs(about.nodes()) do
    local serves = next(node.served)
    if method then serves = node.served[method] end
    if serves and not node.closing and not node.closed then
      list[#list + 1] = node
    end
  end
  return list
end

local function set_paused(action)
  return function(_, given)
    for name in pairs(given) do
      if name ~= "method" then return refusal(400, "unknown member '%s', expected method", name) end
    end
    local method = given.method
    if method ~= nil and (type(method) ~= "string" or method == "") then
      return refusal(400, "method: expected the name of a method")
    end
    local list, ids = servers_of(method), {}
    if method and not list[1] then return refusal(404, "nothing here serves '%s'", method) end
    for _, node in ipairs(list) do
      if method and node.paused and action == "resume" then
        return refusal(409, "%s is paused as a whole; resume it without a method", node.id)
      end
    end
    for i, node in ipairs(list) do
      local ok, problem = node[action](node, method)
      if not ok then return refusal(503, "%s: %s", node.id, problem.message) end
      ids[i] = node.id
    end
    return json(200, { [action .. "d"] = require("clouds").array(ids) })
  end
end

local routes = {
  ["/healthz"] = { GET = healthz },
  ["/readyz"] = { GET = readyz },
  ["/status"] = { GET = status },
  ["/metrics"] = { GET = metrics },
  ["/stop"] = { POST = stop, query = { drain = true } },
  ["/pause"] = { POST = set_paused("pause") },
  ["/resume"] = { POST = set_paused("resume") },
}

---- who may ask ----

local own_names = { ["localhost"] = true, ["127.0.0.1"] = true, ["[::1]"] = true }

local function check_source(fields)
  local name = (fields.host or ""):lower():gsub(":%d*$", "")
  if not own_names[name] and name ~= "" then return refusal(403, "expected the Host localhost") end
  if fields.origin then return refusal(403, "not for the pages of a browser") end
end

local function check_token(fields, token)
  local given = (fields.authorization or ""):match("^[Bb]earer +(.*)$") or ""
  if not token or host.equal(given, token) then return end
  return with_field(refusal(401, "expected the header Authorization: Bearer TOKEN"), "WWW-Authenticate", "Bearer")
end

local function check_method(route, method)
  if route[method == "HEAD" and "GET" or method] then return end
  local allowed = route.GET and "GET, HEAD" or "POST"
  return with_field(refusal(405, "expected %s", allowed), "Allow", allowed)
end

---- reading a request ----

local function decode_percent(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- The parameters behind `?`; or nil and a refusal.
local function read_query(route, text)
  local query = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name = decode_percent(name)
    if not (route.query and route.query[name]) then
      return nil, refusal(400, "unknown parameter '%s'", require("clouds.cli.output").plain(name))
    end
    query[name] = decode_percent(value)
  end
  return query
end

-- What a POST gives: a JSON object, or nothing; or nil and a refusal.
local function read_body(fields, body)
  local kind = (fields["content-type"] or ""):lower():match("^([^; ]*)")
  if kind ~= JSON then return nil, refusal(415, "expected Content-Type: application/json (curl --json '{}')") end
  if body:match("^%s*$") then return {} end
  local json_of = require("clouds").json
  local ok, value = pcall(json_of.decode, body)
  if not ok or type(value) ~= "table" or json_of.is_array(value) then
    return nil, refusal(400, "expected a JSON object, or nothing, as the body")
  end
  return value
end

local function answer_to(token, request)
  local method, fields = request.method, request.headers
  local path, text = request.target:match("^([^?]*)%??(.*)$")
  local refused = check_source(fields) or check_token(fields, token)
  if refused then return refused end
  local route = routes[path]
  if not route then return refusal(404, "no such path") end
  refused = check_method(route, method)
  if refused then return refused end
  local query, given, problem
  query, problem = read_query(route, text)
  if not query then return problem end
  if method == "HEAD" then method = "GET" end
  if method == "GET" then return route.GET(query) end
  given, problem = read_body(fields, request:body())
  if not given then return problem end
  return route[method](query, given)
end

---- opening ----

--- The options that ask for it.
M.options = {
  { long = "admin", value = "ADDRESS",
    help = "answer GET /healthz /readyz /status /metrics and POST /stop\n"
    .. "/pause /resume by HTTP at unix:PATH or 127.0.0.1:PORT" },
  { long = "admin-token-file", value = "FILE",
    help = "the token that is asked for there, in the first line of\nFILE; a port must have one" },
}

local function read_token(command, path)
  local text, problem = private_file.read(path)
  if not text then args.fail(command, "--admin-token-file: %s", problem) end
  local line = text:match("^[^\n]*"):gsub("%s+$", "")
  if #line < TOKEN_BYTES or line:find("[^%w%p]") then
    args.fail(command, "--admin-token-file: expected %d or more letters and digits in the first line of %s, as from "
      .. "openssl rand -hex 32", TOKEN_BYTES, path)
  end
  return line
end

local function serve(token)
  return function(request)
    local ok, answer = xpcall(answer_to, host.traceback, token, request)
    if not ok and request:closed() then return end
    if not ok then
      io.stderr:write("clouds: error in the admin endpoint: ", output.plain_lines(answer), "\n")
      answer = refusal(500, "internal error")
    end
    return results_of(answer)
  end
end

-- Opens the endpoint if one is asked for; false, and said why, when it cannot be.
function M.open(command, options)
  local address, token_file = options.admin, options.admin_token_file
  if not address then
    if token_file then args.fail(command, "--admin-token-file is for --admin, which is not given") end
    return true
  end
  if not address:match("^unix:") and not token_file then
    args.fail(command, "--admin %s: a port is open to every user of this machine; expected --admin-token-file FILE "
      .. "too, or unix:PATH", address)
  end
  local server = require("clouds.http").server(LIMITS, serve(token_file and read_token(command, token_file)))
  server.limits.loopback, server.limits.holds = true, false
  local listener, problem, is_wrong = require("clouds.http_listener").open(server, address)
  if listener then
    require("clouds").defaults.stats = true -- for GET /metrics
    if listener.port ~= 0 and address:match(":0$") then
      io.stderr:write(("clouds: admin endpoint at port %d\n"):format(listener.port))
    end
    return true
  end
  if is_wrong then args.fail(command, "--admin %s", problem) end
  io.stderr:write(("clouds %s: --admin %s\n"):format(command, output.plain(problem)))
  return false
end

return M
