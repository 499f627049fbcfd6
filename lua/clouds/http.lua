--- HTTP: a server on the loop of the program `clouds`. See docs/HTTP.md.
--
-- A request runs in a pooled coroutine from the moment its head is there. What that waits for ends when its client
-- goes. The sockets, the grammar and the limits are the host's (host/http).
local answers = require("clouds.http_answer")
local core = require("clouds.core")
local exchange = require("clouds.http_request")
local files = require("clouds.http_static")
local listener = require("clouds.http_listener")
local routes = require("clouds.http_route")
local scheduler = require("clouds.scheduler")
local sockets = require("clouds.socket_inner")
local suggest = require("clouds.suggest")
local websocket = require("clouds.http_websocket")

local M = { raise = exchange.raise }

local App = {}
App.__index = App
App.__name = "clouds.http.server"

---- options ----

-- name -> { what the host calls it, least }; without a name for the host it is ours.
local known = {
  header = { "head", 256 },
  target = { "target", 16 },
  body = { "body", 0 },
  connections = { "connections", 1 },
  header_timeout = { "head_time", 0.001 },
  body_timeout = { "body_time", 0.001 },
  body_rate = { "body_rate", 1 },
  keepalive = { "idle_time", 0.001 },
  write_stall = { "write_time", 0.001 },
  response_buffer = { nil, 0 },
  message = { nil, 1 },
  ping = { nil, 0.001 },
  server = {},
  headers = {},
  forwarded = {},
  errors = {},
  handover = {},
  half_close = {},
}

-- Of those that are no number: what they are, and how that is said.
local kinds = {
  server = { "string", "a text" },
  headers = { "table", "a table of header fields" },
  errors = { "function", "a function" },
  handover = { "boolean", "true or false" },
  half_close = { "boolean", "true or false" },
}

local function unknown(name, level)
  local names = {}
  for one in pairs(known) do
    names[#names + 1] = one
  end
  table.sort(names)
  error(("unknown option '%s'; %s"):format(tostring(name), suggest.hint(tostring(name), names)), level + 1)
end

local function read_numbers(options, level)
  local limits = { holds = true }
  for name, value in pairs(options) do
    local row = known[name] or unknown(name, level + 1)
    if row[2] then
      if type(value) ~= "number" or value ~= value or value < row[2] or value > 1e15 then
        error(("'%s': expected a number of %g or more"):format(name, row[2]), level + 1)
      end
      limits[row[1] or false] = value
    end
  end
  limits[false] = nil
  return limits
end

local function check_kinds(options, level)
  for name, kind in pairs(kinds) do
    if options[name] ~= nil and type(options[name]) ~= kind[1] then
      error(("'%s': expected %s"):format(name, kind[2]), level + 1)
    end
  end
end

-- The header fields of all answers, as they are sent; nil: none.
local function read_headers(options, level)
  local ok, lines = pcall(function()
    local list = exchange.list(options.headers or {})
    list[#list + 1], list[#list + 2] = options.server and "Server", options.server
    return list[1] and listener.host.http_lines(list)
  end)
  if not ok then
    error("'headers': " .. tostring(lines):gsub("^%[clouds[%w_.]*%]:%d+: ", ""), level + 1)
  end
  return lines
end

local function read_trusted(list, level)
  local set = {}
  if list ~= nil and type(list) ~= "table" then
    error("'forwarded': expected a list of addresses of proxies", level + 1)
  end
  for _, address in ipairs(list or {}) do
    set[address] = true
  end
  return set
end

-- A handler of one argument makes the answer of what it returns.
local function takes_response(fn)
  local about = debug.getinfo(fn, "u")
  return about.isvararg or about.nparams > 1
end

--- A server: options, and a function for what has no route; both may be left out.
function M.server(options, fn)
  if type(options) == "function" and fn == nil then
    options, fn = {}, options
  end
  options = options or {}
  if type(options) ~= "table" then
    error("expected a table of options", 2)
  elseif fn ~= nil and type(fn) ~= "function" then
    error("expected a function as the handler", 2)
  end
  check_kinds(options, 2)
  local limits = read_numbers(options, 2)
  limits.half_close, limits.lines = options.half_close, read_headers(options, 2)
  return setmetatable({
    limits = limits,
    response_buffer = options.response_buffer or 65536,
    message = options.message or 1e6,
    ping = options.ping or 30,
    errors = options.errors,
    handover = options.handover ~= false,
    forwarded = read_trusted(options.forwarded, 2),
    router = routes.new(),
    fallback = fn and { fn = fn, names = {}, pattern = "*", responds = takes_response(fn) },
    first = {},
    around = {},
    listeners = {},
  }, App)
end

---- routes ----

local of_route = { body = true }

local function check_route(options, level)
  for name, value in pairs(options or {}) do
    if not of_route[name] then
      error(("unknown option '%s'; expected body"):format(tostring(name)), level + 1)
    elseif type(value) ~= "number" or value ~= value or value < 0 then
      error(("'%s': expected a number of bytes"):format(name), level + 1)
    end
  end
  return options or {}
end

local function add(self, method, pattern, fn, options, level)
  if type(method) ~= "string" or not method:find("^[%u%-*]+$") then
    error("expected a method in capital letters, or * for all", level)
  elseif type(fn) ~= "function" then
    error("expected a function as the handler", level)
  end
  options = check_route(options, level)
  self.router:add(method, pattern, { fn = fn, body = options.body, responds = takes_response(fn) }, level)
  return self
end

--- A handler for a method ("*": all of them) and a pattern: words, :name for a part, *name for the rest.
function App:route(method, pattern, fn, options)
  return add(self, method, pattern, fn, options, 2)
end

for _, method in ipairs({ "get", "post", "put", "patch", "delete", "head", "options" }) do
  App[method] = function(self, pattern, fn, options)
    return add(self, method:upper(), pattern, fn, options, 2)
  end
end

--- The files of a folder, below a path. Options: index, max_age, dotfiles, types.
function App:static(prefix, folder, options)
  if type(prefix) ~= "string" or not prefix:find("^/[%w%-._~/]*$") then
    error("expected a path that begins with /, of letters, digits and -._~", 2)
  elseif type(folder) ~= "string" then
    error("expected the path of a folder", 2)
  elseif options ~= nil and type(options) ~= "table" then
    error("expected a table of options", 2)
  end
  local below = prefix:gsub("/*$", "") .. "/"
  self.router:add("GET", below .. "*path", { fn = files.handler(below, folder, options or {}, 2) }, 2)
  if below ~= "/" then
    self.router:add("GET", below:sub(1, -2), { fn = files.moved }, 2)
  end
  return self
end

--- WebSocket at a path: fn(websocket, request) runs for each connection, which is closed when it returns. Options:
-- origins, protocols.
function App:websocket(pattern, fn, options)
  if type(fn) ~= "function" then
    error("expected a function as the handler", 2)
  elseif options ~= nil and type(options) ~= "table" then
    error("expected a table of options", 2)
  end
  self.router:add("GET", pattern, { fn = websocket.handler(fn, options or {}, 2), responds = true }, 2)
  return self
end

--- A function before all handlers: fn(request, response). What it returns is the answer; nothing: the handler makes it.
-- Cheaper than one around them. Those that are added first go first.
function App:before(fn)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  table.insert(self.first, fn)
  return self
end

--- A function around all handlers: fn(request, response, next). What it returns is the answer, often what next()
-- returns. Those that are added first are outermost.
function App:use(fn)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  table.insert(self.around, fn)
  return self
end

---- from a request to its handler ----

local function not_found(request)
  exchange.raise(404, "there is nothing at this path")
end

local function not_encoded()
  exchange.raise(400, "the path is not encoded as it should be")
end

local function other_methods(methods)
  return function(request)
    local allow = { Allow = routes.allowed(methods) }
    if request.method == "OPTIONS" then
      return 204, nil, allow
    end
    exchange.raise(405, "expected " .. allow.Allow, allow)
  end
end

-- The route of a request, whose params are set.
local function route_of(app, request)
  local methods, values = app.router:find(routes.path_of(request.target))
  local route = methods and routes.handler(methods, request.method)
  if not route then
    return app.fallback or { fn = methods and other_methods(methods) or methods == false and not_encoded or not_found }
  end
  if values and values[1] then
    local params = {}
    for i, name in ipairs(route.names) do
      params[name] = values[i]
    end
    request.params = params
  end
  return route
end

-- What is around the handler, from `at` on, and the handler. The function for what is left holds two values alone: each
-- would be memory of its own.
local function call_around(response, at)
  local request = response.request
  local around = request.listener.app.around[at]
  if not around then
    return response.handler(request, response)
  end
  return around(request, response, function()
    return call_around(response, at + 1)
  end)
end

-- What the functions before the handler return, from `at` on; nothing: the handler is to be called.
local function call_first(list, at, request, response)
  local fn = list[at]
  if not fn then
    return
  end
  local first, second, third = fn(request, response)
  if first == nil and second == nil then
    return call_first(list, at + 1, request, response)
  end
  return first, second, third
end

function App.handle(app, request, is_counted)
  local route, first, around = route_of(app, request), app.first, app.around[1]
  if is_counted and route.pattern then
    request.box:route(route.pattern)
  end
  if route.body then
    request.box:limit(route.body)
  end
  if not (first[1] or around or route.responds) then
    return answers.answer(request, exchange.no_response, route.fn(request))
  end
  local response = exchange.respond(request)
  if first[1] then
    local status, body, headers = call_first(first, 1, request, response)
    if status ~= nil or body ~= nil then
      return answers.answer(request, response, status, body, headers)
    end
  end
  if around then
    response.handler = route.fn
    return answers.answer(request, response, call_around(response, 1))
  end
  return answers.answer(request, response, route.fn(request, response))
end

---- listening ----

--- Listens at PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH: the port, 0 for a socket; or nil and why not.
function App:listen(address)
  if type(address) == "number" then
    address = tostring(address)
  elseif type(address) ~= "string" then
    error("expected an address to listen at, as 8080, 127.0.0.1:8080 or unix:PATH", 2)
  end
  local opened, why, is_wrong = listener.open(self, address)
  if is_wrong then
    error(why, 2)
  end
  return opened and opened.port, why
end

--- Serves a socket (clouds.socket) that was accepted, and of which nothing has been read or written; the socket ends
--- thereby. port: what `request.port` says of it. Whether it is served: a server that stops takes none.
function App:serve(socket, port)
  if not sockets.is_socket(socket) then
    error("expected a socket that was accepted", 2)
  elseif not sockets.is_fresh(socket) then
    error("the socket was read or written already, or is closed", 2)
  end
  return sockets.pass(socket, function(descriptor, number)
    return listener.adopt(self, descriptor, port or socket.port or number or "socket", number)
  end)
end

--- Stops listening. Waits until what was asked for is answered, and ends what is not within `seconds`.
function App:close(seconds)
  if seconds ~= nil then
    scheduler.check_seconds(seconds, 2)
  end
  core.check_wait()
  listener.close(self.listeners, seconds)
  return true
end

local function app_of(what, level)
  if type(what) == "function" then
    return M.server(nil, what)
  elseif getmetatable(what) ~= App then
    error("expected a server (http.server) or a function as the handler", level + 1)
  end
  return what
end

--- Serves at these addresses, without any at those that --listen names. Raises when it cannot listen. Gives the server.
function M.serve(what, ...)
  local app = app_of(what, 2)
  local addresses = select("#", ...) > 0 and { ... } or listener.host.listen_at
  if not addresses then
    error("nowhere to listen: start it with clouds run --listen 8080, or name an address", 2)
  end
  listener.host.is_served = true
  for _, address in ipairs(addresses) do
    local port, why = app:listen(address)
    if not port then
      error("cannot listen at " .. why, 2)
    elseif port ~= 0 and tostring(address):match("(%d+)$") == "0" then
      io.stderr:write(("clouds: listening at port %d\n"):format(port))
    end
  end
  return app
end

return M
