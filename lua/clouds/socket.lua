--- Sockets over TCP and unix, for coroutines: what reads waits for input, what writes for who reads. docs/SOCKET.md.
local core = require("clouds.core")
local errors = require("clouds.error")
local inner = require("clouds.socket_inner")
local nodes = require("clouds.node")
local scheduler = require("clouds.scheduler")
local luv_handle = require("clouds.socket_luv")

local found, host = pcall(require, "clouds.host")
if not found then
  error("clouds.socket is part of the program clouds: clouds run SCRIPT", 0)
end

local M = {}

local UNSENT = 65536 -- bytes that may be unsent before a write waits
local LONGEST = 1e6 -- bytes of a line, and of all, unless told
local CR = 13

local Socket = {}
Socket.__index = Socket
Socket.__name = "clouds.socket"

local of_box = setmetatable({}, { __mode = "kv" }) -- what C tells of -> the socket

---- waiting ----

local function wake(self, name)
  local slot = self[name]
  if slot then
    core.wake(slot, true)
  end
end

-- Until `name` is woken, or the time of the socket is over: true; or nil and an error.
local function wait_for(self, name)
  core.check_wait()
  local slot, timer = core.slot(true), nil
  self[name] = slot
  if self.seconds then
    timer = scheduler.loop.timer(self.seconds, function()
      core.wake(slot, nil, errors.new(core.ETIMEOUT, ("nothing within %g s"):format(self.seconds)))
    end)
  end
  local ok, err = core.wait(slot)
  self[name] = nil
  if timer then
    timer:stop()
  end
  return ok, err
end

local function failure(why)
  return errors.new(core.ECLOSED, why)
end

---- what C tells ----

local events = {}

function events.connected(box, why)
  local self = of_box[box]
  if self then
    self.problem = why
    wake(self, "reader")
  end
end

-- Nothing is read that nobody waits for: so a socket that is only kept does not keep the program running.
function events.data(box, text)
  local self = of_box[box]
  if not self then
    return
  elseif text then
    self.more[#self.more + 1] = text
    self.size = self.size + #text
  else
    self.at_end = true
  end
  wake(self, "reader")
  if self.box and not self.reader then
    self.box:read(false)
  end
end

function events.failed(box, why)
  local self = of_box[box]
  if self then
    self.problem = why
    wake(self, "reader")
    wake(self, "writer")
  end
end

function events.room(box)
  local self = of_box[box]
  if self then
    wake(self, "writer")
  end
end

local kept = host.stream_events(events)

local function new(box)
  local self = setmetatable({ box = box, text = "", at = 1, more = {}, size = 0 }, Socket)
  of_box[box] = self
  return self
end

---- reading ----

-- All that is there and was not taken, from `self.at` on.
local function joined(self)
  if self.more[1] then
    self.text = self.text:sub(self.at) .. table.concat(self.more)
    self.at, self.more = 1, {}
  end
  return self.text
end

-- The first n bytes of it.
local function take(self, n)
  local text = joined(self)
  local from = self.at
  self.at, self.size, self.used = from + n, self.size - n, true
  local taken = text:sub(from, self.at - 1)
  if self.size == 0 then
    self.text, self.at = "", 1
  end
  return taken
end

-- How many bytes make what is asked for; nil: more have to come.
local wanted = {}

function wanted.some(self)
  return self.size > 0 and self.size or nil
end

function wanted.bytes(self, n)
  return self.size >= n and n or nil
end

-- Each piece is looked through once, when it has come: `next_piece` is the first that was not, behind `passed` bytes.
function wanted.line(self)
  if self.next_piece == 0 then
    local at = self.text:find("\n", self.at, true)
    if at then
      return at - self.at + 1
    end
    self.next_piece, self.passed = 1, #self.text - self.at + 1
  end
  for i = self.next_piece, #self.more do
    local at = self.more[i]:find("\n", 1, true)
    if at then
      return self.passed + at
    end
    self.next_piece, self.passed = i + 1, self.passed + #self.more[i]
  end
end

function wanted.all()
  return nil
end

-- Is a line that has `count` bytes with its end, or what there is of it or of all, longer than it may be? How it came
-- makes no difference: so a byte more may be the beginning of the end of a line.
local function is_too_long(self, how, count, longest)
  local length = count and count - 1 or self.size
  if length <= longest then
    return false
  elseif how == "all" or length > longest + 1 or (self.at_end and not count) then
    return true
  end
  local text = joined(self)
  self.next_piece = 1
  return text:byte(self.at + length - 1) ~= CR
end

local function read(self, how, n, longest)
  self.next_piece = 0
  while true do
    local count = wanted[how](self, n)
    local too_long = longest and is_too_long(self, how, count, longest)
    if count and not too_long then
      return take(self, count)
    elseif self.problem or not self.box then
      return nil, failure(self.problem or "the socket is closed")
    elseif too_long then
      return nil, errors.new(core.ELIMIT, ("more than %d bytes came"):format(longest))
    elseif self.at_end then
      local rest = how ~= "bytes" and self.size > 0 and take(self, self.size) or nil
      return rest or nil, not rest and "end" or nil
    end
    local reads, why = self.box:read(true)
    if not reads then
      return nil, failure(why)
    end
    local ok, err = wait_for(self, "reader")
    if not ok then
      if self.box then
        self.box:read(false)
      end
      return nil, err
    end
  end
end

--- What has come; n: so many bytes; "line": a line, without its end; "all": what comes until the end. nil and "end" at
-- the end of the input; nil and an error. `longest` is the most that a line, or all, may have (1000000 bytes).
function Socket:read(how, longest)
  longest = longest or LONGEST
  if self.reader then
    error("the socket is being read already", 2)
  elseif type(longest) ~= "number" then
    error("expected a number of bytes", 2)
  elseif how == nil or (type(how) == "number" and how >= 0 and how % 1 == 0) then
    return read(self, how and "bytes" or "some", how)
  elseif how ~= "line" and how ~= "all" then
    error("expected a number of bytes, 'line' or 'all'", 2)
  end
  local text, err = read(self, how, nil, longest)
  if how == "all" and err == "end" then
    return ""
  elseif text then
    return how == "all" and text or (text:gsub("\r?\n$", ""))
  end
  return nil, err
end

--- For a loop over all lines.
function Socket:lines(longest)
  return function()
    return (self:read("line", longest))
  end
end

---- writing ----

--- Writes texts. Waits while the other end has more than 64 kB to take. true; or nil and an error.
function Socket:write(...)
  for i = 1, select("#", ...) do
    local text = select(i, ...)
    if type(text) ~= "string" and type(text) ~= "number" then
      error(("expected texts, argument %d is a %s"):format(i, type(text)), 2)
    end
  end
  if self.problem or not self.box then
    return nil, failure(self.problem or "the socket is closed")
  end
  self.used = true
  local unsent, why = self.box:write(table.concat({ ... }))
  if not unsent then
    self.problem = why
    return nil, failure(why)
  end
  if unsent > UNSENT and core.may_wait() and not self.writer then
    local ok, err = wait_for(self, "writer")
    if not ok or self.problem then
      return nil, err or failure(self.problem)
    end
  end
  return true
end

---- the rest ----

local accepted = {} -- sockets of listeners that are open -> true
local on_accepted_end

--- Ends it; what was written still goes out. Whoever waits for it gets an error.
function Socket:close()
  if not self.box then
    return true
  end
  local box = self.box
  self.box = nil
  of_box[box] = nil
  self.problem = self.problem or "the socket is closed"
  box:close()
  wake(self, "reader")
  wake(self, "writer")
  if accepted[self] then
    accepted[self] = nil
    on_accepted_end()
  end
  return true
end

--- Nothing more will be written; what comes can still be read.
function Socket:shutdown()
  if not self.box then
    return nil, failure("the socket is closed")
  end
  local ok, why = self.box:shutdown()
  return ok, not ok and failure(why) or nil
end

--- How long each read and write waits; nil: as long as it takes. Gives the socket back.
function Socket:timeout(seconds)
  if seconds ~= nil then
    scheduler.check_seconds(seconds, 2)
  end
  self.seconds = seconds
  return self
end

--- The connection as a handle of luv, which is the caller's to close, and the bytes that had come and were not read.
--- The socket is closed thereby, after what it has written has gone out. Or nil and an error.
function Socket:luv()
  if self.reader or self.writer then
    error("the socket is being used", 2)
  end
  local handle, err = luv_handle(self, wait_for)
  if not handle then
    return nil, err
  end
  local rest = take(self, self.size)
  self:close()
  return handle, rest
end

--- The address and the port of the other end; "unix" for a unix socket.
function Socket:peer()
  if self.box then
    return self.box:peer()
  end
end

--- The number of its descriptor, which stays the socket's.
function Socket:fd()
  return self.box and self.box:fd()
end

---- connecting ----

--- Connects to HOST:PORT, [ADDRESS]:PORT or unix:PATH: a socket; or nil and an error. Options: timeout (10 seconds).
function M.connect(address, options)
  if type(address) ~= "string" then
    error("expected an address, as localhost:7000 or unix:PATH", 2)
  end
  local seconds = 10
  for name, value in pairs(options or {}) do
    if name ~= "timeout" then
      error(("unknown option '%s'; expected timeout"):format(tostring(name)), 2)
    end
    scheduler.check_seconds(value, 2)
    seconds = value
  end
  core.check_wait()
  local box, why = host.stream_connect(address, kept)
  if not box then
    return nil, failure(("cannot connect to %s: %s"):format(address, why))
  end
  local self = new(box)
  self.seconds = seconds
  local ok, err = wait_for(self, "reader")
  self.seconds = nil
  if ok and not self.problem then
    return self
  end
  local problem = self.problem
  self:close()
  return nil, err or failure(("cannot connect to %s: %s"):format(address, problem))
end

---- for other modules ----

--- Writes without waiting for who reads: how many bytes are unsent then; or nil, it is lost.
function inner.push(socket, text)
  return socket.box and (socket.box:write(text)) or nil
end

--- A connection that is open, by its descriptor.
function inner.adopt(descriptor)
  return new(host.stream_adopt(descriptor, kept))
end

function inner.is_socket(value)
  return getmetatable(value) == Socket
end

--- Whether nothing was read or written.
function inner.is_fresh(socket)
  return socket.box ~= nil and socket.size == 0 and not (socket.reader or socket.at_end or socket.used)
end

--- Gives its descriptor, and the number of the listener of the master that it came by, to fn, which makes a copy; the
--- socket ends. What fn gives.
function inner.pass(socket, fn)
  local is_taken = fn(socket.box:fd(), socket.number)
  socket:close()
  return is_taken
end

---- listening ----

local listeners = {} -- those that are open

local Listener = {}
Listener.__index = Listener
Listener.__name = "clouds.socket.listener"

--- Takes no connection any more; those that are there go on.
function Listener:close()
  listeners[self] = nil
  self.box:close()
  return true
end

local function serve(fn, socket)
  local ok, err, traceback = scheduler.protected(fn, socket)
  if not ok then
    scheduler.report(err, traceback, "handler of a socket")
  end
  socket:close()
end

local function accept(stream, fn, number)
  local socket = new(stream)
  socket.number = number
  accepted[socket] = true
  if not core.run(serve, fn, socket) then
    scheduler.defer(serve, fn, socket)
  end
end

--- In a worker of `clouds start`: fn(socket) for each connection that the master gives; nil: they are closed.
function inner.receive(fn)
  host.cluster.take_sockets(kept, fn and function(stream, number)
    accept(stream, fn, number)
  end)
end

--- Listens at PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH. fn(socket) runs in a coroutine for each connection,
-- which is closed when it returns. A listener, whose `port` is the port; or nil and why not.
function M.listen(address, fn)
  if type(address) == "number" then
    address = tostring(address)
  end
  if type(address) ~= "string" then
    error("expected an address to listen at, as 7000, 127.0.0.1:7000 or unix:PATH", 2)
  elseif type(fn) ~= "function" then
    error("expected a function", 2)
  end
  local box, port, is_wrong = host.stream_listen(address, kept, function(stream)
    accept(stream, fn)
  end)
  if is_wrong then
    error(port, 2)
  elseif not box then
    return nil, port
  end
  local self = setmetatable({ box = box, port = port, address = address }, Listener)
  listeners[self] = true
  return self
end

---- the end ----

local draining -- a slot

-- A worker may say that nothing is under way although sockets are open.
local function is_done()
  return not next(accepted) or inner.is_released()
end

function on_accepted_end()
  if draining and is_done() then
    core.wake(draining)
  end
end

inner.check_end = on_accepted_end

-- Handlers of connections that were accepted have the time of the stop; then these are closed.
nodes.before_shutdown(function(seconds)
  for listener in pairs(listeners) do
    listener:close()
  end
  host.cluster.take_no_sockets()
  if not is_done() then
    draining = core.slot()
    local timer = scheduler.loop.timer(seconds or nodes.DRAIN, function()
      core.wake(draining)
    end)
    core.wait(draining)
    draining = nil
    timer:stop()
  end
  for socket in pairs(accepted) do
    socket:close()
  end
end)

return M
