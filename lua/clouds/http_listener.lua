--- Listeners of HTTP, the requests that come by them, and their end.
local answers = require("clouds.http_answer")
local core = require("clouds.core")
local exchange = require("clouds.http_request")
local nodes = require("clouds.node")
local routes = require("clouds.http_route")
local scheduler = require("clouds.scheduler")
local websocket = require("clouds.http_websocket")

local found, host = pcall(require, "clouds.host")
if not found then
  error("clouds.http is part of the program clouds: clouds run SCRIPT", 0)
end

local M = { host = host }

local Request = exchange.Request

local open = {} -- box -> request: those that are not answered yet, and were not at once
local newest -- the request that was begun last

local function serve(app, request, is_counted)
  newest = request
  local ok, err, traceback = scheduler.protected(app.handle, app, request, is_counted)
  if not ok then
    local sent, problem = pcall(answers.fail, request, err, traceback)
    if not sent then
      answers.report(request, problem)
      request.box:abort()
    end
  end
  request.ended = true
  if request.scope then
    open[request.box] = nil
  end
end

-- In a coroutine for each request. With its response and its parameters the request has no more members than there is
-- room for in a table of its size.
local function begin(app, listener)
  return function(box, method, target, is_counted)
    local request = { box = box, method = method, target = target, listener = listener, ended = false, scope = false }
    if listener.ports then
      request.port = listener.ports[box:listener()]
    end
    serve(app, setmetatable(request, Request), is_counted)
  end
end

-- The newest was not answered at once.
local function stays_open(box, scope)
  newest.scope = scope
  if not newest.ended then
    open[box] = newest
  end
end

---- listening ----

local listeners = {} -- all that are open and keep the program running: listener -> true

local function told(fn)
  return function(box, ...)
    if open[box] then
      fn(open[box], ...)
    end
  end
end

local function end_of(request, words)
  open[request.box] = nil
  if request.websocket then
    websocket.ended(request, words)
  else
    exchange.client_gone(request, words)
  end
end

local on_body, on_message = told(exchange.body_came), told(websocket.came)
local on_room = told(function(request)
  if request.websocket then
    websocket.room_came(request.websocket)
  else
    exchange.room_came(request)
  end
end)
local on_gone = told(function(request)
  end_of(request, "the client is gone")
end)

local function ended(listener)
  local waiting = listener.waiting or {}
  listeners[listener], listener.app.listeners[listener] = nil, nil
  listener.waiting = nil
  for _, fn in ipairs(waiting) do
    fn()
  end
end

local function functions_of(app, listener)
  return {
    request = begin(app, listener),
    open = stays_open,
    body = on_body,
    room = on_room,
    gone = on_gone,
    message = on_message,
    drained = function()
      ended(listener)
    end,
  }
end

local function add(listener, box)
  listener.box, listener.port = box, listener.port or box:port()
  listeners[listener], listener.app.listeners[listener] = listener.app.limits.holds or nil, true
  return listener
end

-- In a worker: what its listeners are told apart by. Of one it is known without asking.
local function add_ports(listener)
  local ports = require("clouds.worker_link").listeners()
  local number, port = next(ports)
  if number and next(ports, number) then
    listener.ports = ports
  else
    listener.port = port
  end
end

--- A listener of a server at an address; or nil, why not, and whether the address is wrong.
function M.open(app, address)
  local listener = { app = app, address = address }
  if address == "worker:" then
    add_ports(listener)
  end
  local box, why, is_wrong = host.http_listen(address, app.limits, functions_of(app, listener))
  if not box then
    return nil, why, is_wrong
  end
  return add(listener, box)
end

-- What serves connections that are brought to it. Those of the master are apart from all others, for they have its
-- numbers, and other workers can go on with them.
local function adopting(app, is_from_master)
  local name = is_from_master and "adopts_of_master" or "adopts"
  if not app[name] then
    local listener = { app = app, address = "socket", ports = {}, numbers = {}, count = 0 }
    app[name] = add(listener, host.http_open(app.limits, functions_of(app, listener), is_from_master))
  end
  return app[name]
end

--- A connection that the program has accepted, by its descriptor: a copy of it is served. port: what its requests say.
--- number: of the listener of the master that it came by, if that is so. Whether it is taken: the server may stop.
function M.adopt(app, descriptor, port, number)
  local listener = adopting(app, number ~= nil)
  local own = number or listener.numbers[port]
  if not own then
    own = listener.count + 1
    listener.count, listener.numbers[port] = own, own
  end
  listener.ports[own] = port
  return listener.box:adopt(descriptor, own)
end

---- the end ----

-- Ends what is still open of these; the names of the requests that get no answer, and how many each.
local function cut(list)
  local names = {}
  for box, request in pairs(open) do
    if list[request.listener] then
      local name = request.method .. " " .. routes.path_of(request.target)
      names[name] = (names[name] or 0) + 1
      end_of(request, "the server stops")
      box:abort()
    end
  end
  for listener in pairs(list) do
    if listener.app.listeners[listener] then
      listener.box:close()
      ended(listener)
    end
  end
  return names
end

local function tell_websockets(list, seconds)
  local sockets = {}
  for _, request in pairs(open) do
    if request.websocket and list[request.listener] then
      sockets[#sockets + 1] = request.websocket
    end
  end
  for _, socket in ipairs(sockets) do
    websocket.drains(socket, seconds)
  end
end

local IDLE = 2 -- seconds for who keeps a connection and may be about to use it

-- Stops listening, and waits until what was asked for is answered, for so many seconds at most. has_successor: another
-- process goes on with connections that wait for a request.
local function drain(list, seconds, has_successor)
  local count, handle, mine = 0, core.slot(), {}
  local function one_less()
    count = count - 1
    if count == 0 then
      core.wake(handle)
    end
  end
  for listener in pairs(list) do
    mine[listener] = true
    count = count + 1
    listener.waiting = listener.waiting or {}
    table.insert(listener.waiting, one_less)
    listener.box:stop(math.min(IDLE, seconds), seconds / 2, has_successor and listener.app.handover)
  end
  if count == 0 then
    core.drop(handle)
    return {}
  end
  tell_websockets(mine, seconds / 2)
  local timer = scheduler.loop.timer(seconds, function()
    core.wake(handle)
  end)
  core.wait(handle)
  timer:stop()
  return cut(mine)
end

--- Of these listeners, or of all: see App:close.
function M.close(list, seconds)
  return drain(list, seconds or nodes.DRAIN)
end

-- With the nodes of the program: those serve nobody any more, but can be called with until the handlers are done.
nodes.before_shutdown(function(seconds)
  if not next(listeners) then
    return
  end
  for _, node in pairs(nodes.nodes) do
    for name in pairs(node.closing and {} or node.served) do
      scheduler.spawn(node.unregister, node, name)
    end
  end
  nodes.left_behind = drain(listeners, seconds or nodes.DRAIN, host.has_successor)
end)

return M
