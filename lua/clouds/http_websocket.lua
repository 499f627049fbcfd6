--- WebSocket: the upgrade of a request, and what a handler does with the connection.
local core = require("clouds.core")
local errors = require("clouds.error")
local exchange = require("clouds.http_request")
local scheduler = require("clouds.scheduler")

local M = {}

local MOST_WAITING = 64 -- messages that nobody has taken yet; then nothing is read
local RECKLESS = 16 -- times the buffer of the server: the most that is kept for a client by who cannot wait

---- the upgrade ----

local function has_word(list, word)
  for one in (list or ""):gmatch("[^,%s]+") do
    if one:lower() == word then
      return true
    end
  end
  return false
end

local function check_upgrade(request)
  local headers = request.headers
  if not (has_word(headers.upgrade, "websocket") and has_word(headers.connection, "upgrade")) then
    exchange.raise(426, "this is for WebSocket", { Upgrade = "websocket" })
  elseif headers["sec-websocket-version"] ~= "13" then
    exchange.raise(426, "expected version 13 of WebSocket", { Upgrade = "websocket", ["Sec-WebSocket-Version"] = "13" })
  elseif request.version ~= "1.1" or not (headers["sec-websocket-key"] or ""):find("^[%w+/]+==$") then
    exchange.raise(400, "expected HTTP/1.1 and a Sec-WebSocket-Key of 16 bytes")
  end
end

-- A browser says which page asks: one of another host may not, unless it is named.
local function check_origin(request, allowed)
  local origin = request.headers.origin
  if not origin then
    return
  elseif not allowed then
    if origin:lower():match("^%w+://(.*)$") ~= (request.headers.host or ""):lower() then
      exchange.raise(403, "not for the pages of " .. origin:gsub("[^%w:/.%-]", "?"))
    end
    return
  end
  for _, one in ipairs(allowed) do
    if one == "*" or one:lower() == origin:lower() then
      return
    end
  end
  exchange.raise(403, "not for the pages of " .. origin:gsub("[^%w:/.%-]", "?"))
end

--- The first protocol that a request names of those which are known; nil: none.
function M.pick_protocol(request, known)
  for named in (request.headers["sec-websocket-protocol"] or ""):gmatch("[^,%s]+") do
    for _, one in ipairs(known or {}) do
      if one == named then
        return named
      end
    end
  end
end

---- the connection ----

local Socket = {}
Socket.__index = Socket
Socket.__name = "clouds.http.websocket"
M.Socket = Socket

local function wake_all(self, name)
  local list = self[name]
  self[name] = nil
  for _, slot in ipairs(list or {}) do
    core.wake(slot, true)
  end
end

local function wait_in(self, name)
  core.check_wait()
  local slot = core.slot(true)
  self[name] = self[name] or {}
  table.insert(self[name], slot)
  return core.wait(slot)
end

local function over(self)
  return nil, errors.new(core.ECLOSED, "the connection is closed")
end

--- The next message, and whether it is "text" or "binary"; nil when there will be none: `code` and `reason` say why.
function Socket:receive()
  while self.first > self.last do
    if self.code then
      return nil
    end
    local ok, err = wait_in(self, "readers")
    if not ok and not self.code then
      return nil, err
    end
  end
  local message = self.queue[self.first]
  self.queue[self.first] = nil
  self.first = self.first + 1
  self.bytes = self.bytes - #message.text
  if self.paused and self.first > self.last then
    self.paused = false
    self.request.box:pause(false)
  end
  return message.text, message.kind
end

--- For a loop over all messages.
function Socket:messages()
  return function()
    return self:receive()
  end
end

-- Waits until the client has taken what it was sent; or says why it cannot be sent more.
local function make_room(self)
  local box, limit = self.request.box, self.request.listener.app.response_buffer
  while not self.code and box:unsent() > limit do
    if not core.may_wait() then
      if box:unsent() > limit * RECKLESS then
        return nil, errors.new(core.ELIMIT, "the client does not take what it is sent")
      end
      return true
    end
    box:want_room()
    local ok, err = wait_in(self, "writers")
    if not ok then
      return nil, err
    end
  end
  return true
end

local function put(self, text, kind)
  if not self.code and self.request.box:ws_send(text, kind == "binary") then
    return true
  end
  return over(self)
end

local function check_message(text, kind)
  if type(text) ~= "string" then
    error("expected a text", 3)
  elseif kind ~= nil and kind ~= "text" and kind ~= "binary" then
    error("expected 'text' or 'binary'", 3)
  end
end

--- Bytes that the client has not taken yet.
function Socket:unsent()
  return self.code and 0 or self.request.box:unsent()
end

--- Waits until no more than `response_buffer` of the server are unsent: true; or nil and an error.
function Socket:wait_room()
  local ok, err = make_room(self)
  if not ok or not self.code then
    return ok, err
  end
  return over(self)
end

--- Sends a message: a text, or with "binary" any bytes. Waits while the client has much to take. true; or nil and an
-- error when the connection is closed.
function Socket:send(text, kind)
  check_message(text, kind)
  local ok, err = make_room(self)
  if not ok then
    return nil, err
  end
  return put(self, text, kind)
end

--- The same without waiting, however much the client has to take.
function Socket:post(text, kind)
  check_message(text, kind)
  return put(self, text, kind)
end

local never_sent = { [1004] = true, [1005] = true, [1006] = true }

local function is_code(code)
  if type(code) ~= "number" or code % 1 ~= 0 or never_sent[code] then
    return false
  end
  return (code >= 1000 and code <= 1014) or (code >= 3000 and code <= 4999)
end

--- Closes it: nothing can be sent any more. The client is told a code (1000) and a reason of up to 123 bytes.
function Socket:close(code, reason)
  if code ~= nil and not is_code(code) then
    error("expected a code that may be sent: 1000 to 1003, 1007 to 1014, or 3000 to 4999", 2)
  elseif reason ~= nil and (type(reason) ~= "string" or #reason > 123) then
    error("expected a reason of up to 123 bytes", 2)
  elseif self.code then
    return over(self)
  elseif self.request.box:ws_close(code or 1000, reason or "") then
    return true
  end
  return over(self)
end

--- Has it ended?
function Socket:closed()
  return self.code ~= nil
end

--- Calls fn(seconds), in a coroutine, when the program or the server begins to stop, which closes the connection within
--- so many seconds. More than one is called, too.
function Socket:on_drain(fn)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  self.drainers = self.drainers or {}
  table.insert(self.drainers, fn)
end

---- what the connection tells ----

function M.came(request, text, is_binary)
  local self = request.websocket
  self.last = self.last + 1
  self.queue[self.last] = { text = text, kind = is_binary and "binary" or "text" }
  self.bytes = self.bytes + #text
  if not self.paused and (self.last - self.first >= MOST_WAITING or self.bytes > request.listener.app.message) then
    self.paused = true
    request.box:pause(true)
  end
  wake_all(self, "readers")
end

function M.room_came(self)
  wake_all(self, "writers")
end

--- It will be closed within so many seconds.
function M.drains(self, seconds)
  for _, fn in ipairs(self.drainers or {}) do
    scheduler.spawn(fn, seconds)
  end
end

--- It has ended. Without a word from the client it is as with any request: what is done for it ends.
function M.ended(request, words)
  local self = request.websocket
  self.code, self.reason = request.box:ws_status()
  request.gone = words
  for _, fn in ipairs(request.closers or {}) do
    scheduler.spawn(fn)
  end
  wake_all(self, "readers")
  wake_all(self, "writers")
  if self.code == 1006 then
    core.cancel(request.scope, words)
  end
end

---- the handler ----

local known = { origins = true, protocols = true }

local function check(options, level)
  for name, value in pairs(options) do
    if not known[name] then
      error(("unknown option '%s'; expected origins or protocols"):format(tostring(name)), level + 1)
    elseif type(value) ~= "table" then
      error(("'%s': expected a list"):format(name), level + 1)
    end
  end
end

--- A handler that upgrades, and runs fn(websocket, request); when that returns it is closed.
function M.handler(fn, options, level)
  check(options, level + 1)
  return function(request, response)
    check_upgrade(request)
    check_origin(request, options.origins)
    local protocol = M.pick_protocol(request, options.protocols)
    local self = { request = request, protocol = protocol, queue = {}, first = 1, last = 0, bytes = 0 }
    setmetatable(self, Socket)
    exchange.keep_facts(request)
    local upgraded = request.box:upgrade(protocol, request.listener.app.message, request.listener.app.ping)
    if upgraded == false then
      exchange.raise(400, "expected a Sec-WebSocket-Key of 16 bytes")
    elseif not upgraded then
      return
    end
    request.websocket, response.started = self, true
    local ok, err, traceback = scheduler.protected(fn, self, request)
    local ended = self.code ~= nil
    if not ended then
      self:close(ok and 1000 or 1011)
    end
    request.ended = true
    if not ok and not (ended and errors.is_error(err) and err.code == "CLOUDS_CANCELED") then
      scheduler.report(err, traceback, ("handler of WebSocket %s"):format(request.path))
    end
  end
end

return M
