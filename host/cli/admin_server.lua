-- An admin endpoint as a server of HTTP: who may ask, what is understood, and how it is answered.
--
-- A route is { GET = fn, POST = fn, query = set of the parameters it takes }. fn(query, given) gives an answer, as
-- `json` and `refusal` make them: { status =, body =, type =, fields = names and values in turn }.
local access = require "clouds.cli.admin_access"
local counts = require "clouds.cli.counts"
local host = require "clouds.host"
local output = require "clouds.cli.output"
local files = require "clouds.cli.admin_page"
local routing = require "clouds.http_route"
local M = {}

local LIMITS = { body = 65536, connections = 64, keepalive = 30 }
local JSON = "application/json"
local MOST_PER_PAGE, PER_PAGE = 1000, 100

---- answers ----

local function encode(value) return require("clouds").json.encode(value) .. "\n" end

function M.json(status, value) return { status = status, body = encode(value), fields = {} } end

function M.text(status, text, kind) return { status = status, body = text, type = kind, fields = {} } end

function M.refusal(status, message, ...)
  return M.json(status, { error = { message = message:format(...) } })
end

local refusal = M.refusal

local function with_field(answer, name, value)
  table.insert(answer.fields, name)
  table.insert(answer.fields, value)
  return answer
end

-- What a handler of clouds.http returns.
local function results_of(answer)
  local fields = { ["Content-Type"] = answer.type or JSON, ["Cache-Control"] = "no-store" }
  fields["X-Content-Type-Options"] = "nosniff"
  for i = 1, #answer.fields, 2 do fields[answer.fields[i]] = answer.fields[i + 1] end
  return answer.status, answer.body, fields
end

---- parameters ----

--- A number of seconds from 0 to `most`, or nil when none is given; or nil and a refusal.
function M.seconds(query, name, most)
  local text = query[name]
  if not text then return nil end
  local seconds = text:match("^[%d.]+$") and tonumber(text)
  if seconds and seconds <= most then return seconds end
  return nil, refusal(400, "%s: expected a number of seconds from 0 to %d", name, most)
end

local function whole(query, name, otherwise, most)
  local text = query[name]
  if not text then return otherwise end
  local number = text:match("^%d+$") and tonumber(text)
  if number and number >= 1 and number <= most then return number end
  return nil, refusal(400, "%s: expected a whole number from 1 to %d", name, most)
end

--- The parameters of a route whose list is given by pages.
M.pages = { page = true, per_page = true }

--- A page of a list as an answer: under `name`, with what else it says (a table).
function M.page(query, name, list, more)
  local per_page, problem, page
  per_page, problem = whole(query, "per_page", PER_PAGE, MOST_PER_PAGE)
  if not per_page then return problem end
  page, problem = whole(query, "page", 1, 1e9)
  if not page then return problem end
  local part, first = {}, (page - 1) * per_page
  for i = first + 1, math.min(first + per_page, #list) do part[#part + 1] = list[i] end
  local said = { [name] = require("clouds").array(part), total = #list, page = page, per_page = per_page }
  for member, value in pairs(more or {}) do said[member] = value end
  return M.json(200, said)
end

--- The methods of some counts (counts.sum), by pages.
function M.methods(query, sums)
  return M.page(query, "methods", counts.list(sums), { bounds = require("clouds").array(counts.bounds) })
end

---- reading a request ----

local function check_method(route, method)
  if route[method == "HEAD" and "GET" or method] then return end
  local allowed = route.GET and "GET, HEAD" or "POST"
  return with_field(refusal(405, "expected %s", allowed), "Allow", allowed)
end

-- The refusal of a parameter that the route does not take.
local function check_query(route, query)
  for name in pairs(query) do
    if not (route.query and route.query[name]) then
      return refusal(400, "unknown parameter '%s'", output.plain(name))
    end
  end
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

--- The member of what was given that is the text of this name, nil without; or nil and a refusal. `what`: it is.
function M.only_text(given, name, what)
  for each in pairs(given) do
    if each ~= name then return nil, refusal(400, "unknown member '%s', expected %s", output.plain(each), name) end
  end
  local value = given[name]
  if value ~= nil and (type(value) ~= "string" or value == "") then
    return nil, refusal(400, "%s: expected the name of a %s", name, what)
  end
  return value
end

---- the dashboard ----

-- What its page has to know before it can ask for anything: whether with a token, whether it may call, and what for.
local function offers(routes, token)
  local paths = {}
  for path, route in pairs(routes) do
    if route.GET then paths[#paths + 1] = path:sub(2) end
  end
  table.sort(paths)
  return M.json(200, { token = token ~= nil, live = token ~= nil, paths = paths })
end

local function answer_page(routes, token, path)
  return path == files.OFFERS and offers(routes, token) or files.file(path)
end

-- What methods take, for who may call them.
local function describe()
  local found, problem = require("clouds.cli.admin_live").describe()
  if not found then return refusal(503, "%s", problem) end
  return M.json(200, { methods = require("clouds").array(found) })
end

local for_callers = { ["/describe"] = { GET = describe } }

---- all ----

local function answer_to(routes, token, request)
  local method, fields = request.method, request.headers
  local path = routing.path_of(request.target)
  local problem = access.source_problem(fields)
  if problem then return refusal(403, problem) end
  local file = answer_page(routes, token, path)
  if file then return check_method({ GET = true }, method) or file end
  if not access.has_token(fields, token) then
    return with_field(refusal(401, "expected the header Authorization: Bearer TOKEN"), "WWW-Authenticate", "Bearer")
  end
  local route = routes[path] or (token and for_callers[path])
  if not route then return refusal(404, "no such path") end
  local refused = check_method(route, method)
  if refused then return refused end
  local query, given = request.query
  refused = check_query(route, query)
  if refused then return refused end
  if method == "HEAD" then method = "GET" end
  if method == "GET" then return route.GET(query) end
  given, refused = read_body(fields, request:body())
  if not given then return refused end
  return route[method](query, given)
end

--- A server of HTTP for these routes. token() gives what asks need, nil: none.
function M.new(routes, token)
  local server = require("clouds.http").server(LIMITS, function(request)
    local ok, answer = xpcall(answer_to, host.traceback, routes, token(), request)
    if not ok and request:closed() then return end
    if not ok then
      io.stderr:write("clouds: error in the admin endpoint: ", output.plain_lines(answer), "\n")
      answer = refusal(500, "internal error")
    end
    return results_of(answer)
  end)
  server.limits.loopback, server.limits.holds, server.limits.uncounted = true, false, true
  server:get("/ws", require("clouds.cli.admin_live").handler(token))
  return server
end

return M
