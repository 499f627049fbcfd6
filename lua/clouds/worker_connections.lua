--- Who takes the connections of a worker, and how much is under way as its script counts it.
local inner = require("clouds.socket_inner")
local link = require("clouds.worker_link")
local nodes = require("clouds.node")
local scheduler = require("clouds.scheduler")
local sockets = require("clouds.socket")

local M = {}

local host = link.host

---- what is under way ----

local remain = nil -- nil: the script does not count
local of_handler = {} -- coroutine of a handler of a connection -> what it has not released
local waiting -- function that ends the wait for the last release

function inner.is_released()
  return remain == 0
end

local function set(count)
  remain = math.max(0, count)
  if host.is_worker then
    host.cluster.remain(remain)
  end
  inner.check_end()
  if remain > 0 then
    return
  end
  if waiting then
    waiting()
  end
end

local function note(change)
  local co = coroutine.running()
  if of_handler[co] then
    of_handler[co] = math.max(0, of_handler[co] + change)
  end
end

function M.transact()
  note(1)
  set((remain or 0) + 1)
end

function M.release(count)
  if count then
    return set(count)
  end
  note(-1)
  set((remain or 0) - 1)
end

-- The end of the worker waits for what is under way.
nodes.before_shutdown(function(drain)
  if (remain or 0) == 0 then
    return
  end
  local core = require("clouds.core")
  local slot = core.slot()
  waiting = function()
    core.wake(slot)
  end
  local timer = scheduler.loop.timer(drain or nodes.DRAIN, waiting)
  core.wait(slot)
  timer:stop()
  waiting = nil
end)

---- who takes them ----

local taken_by -- nil: nobody yet; false: they are closed
local listens = false

-- What a handler has not released is, when it ends.
local function call(fn, socket, port)
  local co = coroutine.running()
  of_handler[co] = 0
  local ok, err, traceback = scheduler.protected(fn, socket, port)
  local left = of_handler[co]
  of_handler[co] = nil
  if left > 0 then
    set((remain or 0) - left)
  end
  if not ok then
    scheduler.report(err, traceback, "handler of a connection")
  end
end

local function serve(socket, port)
  socket.port = port
  if type(taken_by) == "function" then
    call(taken_by, socket, port)
  elseif taken_by then
    taken_by:serve(socket, port)
  end
end

-- In a worker: a server is given them as they come.
local function take_of_master(taker)
  local ports = link.listeners()
  if type(taker) == "table" then
    host.cluster.free_connections()
    local opened, why = require("clouds.http_listener").open(taker, "worker:")
    assert(opened, why)
  elseif taker then
    inner.receive(function(socket)
      serve(socket, ports[socket.number])
    end)
  else
    inner.receive(nil)
  end
end

-- Without a master.
local function listen(level)
  for i, address in ipairs(host.listen_at) do
    local port = link.port_of(address)
    local listener, why = sockets.listen(address, function(socket)
      serve(socket, port)
    end)
    if not listener then
      error("cannot listen at " .. tostring(why), level + 1)
    elseif port == 0 then
      port = listener.port
      link.has_port(i, port)
      io.stderr:write(("clouds: listening at port %d\n"):format(port))
    end
  end
end

local function check(taker, level)
  local is_server = type(taker) == "table" and type(taker.serve) == "function"
  if taker ~= nil and type(taker) ~= "function" and not is_server then
    error(("expected a function, a server of clouds.http, or nothing, got a %s"):format(type(taker)), level + 1)
  elseif taker ~= nil and not host.listen_at then
    error("nowhere to listen: start it with --listen 8080", level + 1)
  end
end

--- fn(socket, port), a server of HTTP, or nil takes them from now on. Raises what is none of these, and when there are
--- none to take.
function M.take(taker, level)
  check(taker, level + 1)
  if not host.listen_at or (taken_by ~= nil and taker == taken_by) then
    return
  end
  taken_by, host.is_served = taker or false, true
  if host.is_worker then
    take_of_master(taker)
  elseif not listens then
    listens = true
    listen(level + 1)
  end
end

return M
