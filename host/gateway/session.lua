-- A WebSocket of a client, protocol clouds.v1: messages are JSON objects, and each has one answer.
--
-- {"id":1,"call":"m","args":[..]} is answered by {"id":1,"results":[..]} or {"id":1,"error":{..}}, and so on: the verbs
-- are in session_verbs.lua. What has no "id" is answered only when it fails.
local clouds = require "clouds"
local core = require "clouds.core"
local errors = require "clouds.error"
local json = require "clouds.gateway.json"
local loop = require "clouds.loop"
local outbox = require "clouds.gateway.outbox"
local scheduler = require "clouds.scheduler"
local status = require "clouds.gateway.status"
local verbs = require "clouds.gateway.session_verbs"
local who_asks = require "clouds.gateway.who"

local Session = {}
Session.__index = Session

local M = { PROTOCOL = "clouds.v1" }

local NO_TOKEN = 'expected {"auth":TOKEN}'
local LONGEST_TOKEN = 4096
local LONGEST_ID = 64

-- What a WebSocket is closed with; from 4000 on the numbers are ours.
local POLICY, UNSUPPORTED, TRY_LATER, UNAUTHORIZED = 1008, 1003, 1013, 4401

--- The session of a WebSocket; who asks is nil when that is still to be said.
function M.new(gateway, ws, request, who)
  local self = setmetatable({ gateway = gateway, ws = ws, request = request, who = who, open = {} }, Session)
  self.outbox = outbox.new(gateway, ws, function() self:close(TRY_LATER, "you do not take what you are sent") end)
  return self
end

function Session:close(code, reason)
  self.outbox:close()
  self.ws:close(code, reason)
end

--- Answers the message with this id; without one only failures are worth a message.
function Session:answer(id, answer)
  if id == nil and not answer.error then return end
  answer.id = id
  self.outbox:send(json.encode(answer))
end

function Session:refuse(id, code, message, retry_after)
  self:answer(id, { error = status.refusal(code, message, retry_after) })
end

---- who asks ----

-- Takes a token: whether it is somebody's.
local function sign_in(self, token)
  local who = type(token) == "string" and #token <= LONGEST_TOKEN
    and who_asks.identify(self.gateway, self.request, token)
  if not who then
    self:close(UNAUTHORIZED, "this token is not known")
    return false
  end
  self.who = who
  self.outbox:send(json.encode { auth = who.name or clouds.null })
  return true
end

-- Whoever has not said who he is when the time is over is let go.
local function expect_token(self)
  self.auth_timer = loop.timer(self.gateway.auth_timeout, function() self:close(UNAUTHORIZED, NO_TOKEN) end)
end

local function stop_timer(self)
  if self.auth_timer then self.auth_timer:stop() end
  self.auth_timer = nil
end

--- The token file says something else: whoever is not in it any more is let go.
function Session:check_again()
  if not self.who then return end
  self.who = who_asks.again(self.gateway, self.who)
  if not self.who then self:close(UNAUTHORIZED, "this token was taken back") end
end

---- messages ----

local function is_id(id)
  return type(id) == "number" or (type(id) == "string" and #id <= LONGEST_ID)
end

-- The verb of a message; or nil and what is wrong with it.
local function verb_of(message)
  local name
  for each in pairs(verbs) do
    if message[each] ~= nil then
      if name then return nil, ("expected one of '%s' and '%s'"):format(name, each) end
      name = each
    end
  end
  if not name then return nil, "expected one of call, cancel, subscribe, unsubscribe, publish, send" end
  for member in pairs(message) do
    if member ~= "id" and member ~= name and not verbs[name].takes[member] then
      return nil, ("'%s' does not take '%s'"):format(name, tostring(member))
    end
  end
  return verbs[name], name
end

local function handle(self, message)
  local id = message.id
  if id ~= nil and not is_id(id) then
    return self:refuse(nil, 400, ("id: expected a number, or a text of up to %d bytes"):format(LONGEST_ID))
  end
  local verb, name = verb_of(message)
  if not verb then return self:refuse(id, 400, name) end
  if verb.needs_id and id == nil then return self:refuse(nil, 400, ("'%s' needs an id"):format(name)) end
  verb.run(self, id, message[name], message)
end

-- The object that a message is; nil when it is none, and then this is the end.
local function read(self, text, kind)
  if kind ~= "text" then return self:close(UNSUPPORTED, "expected texts") end
  if not self.who and #text > 2 * LONGEST_TOKEN then return self:close(UNAUTHORIZED, NO_TOKEN) end
  local message = json.decode(text)
  if type(message) == "table" and not clouds.json.is_array(message) then return message end
  self:close(POLICY, "expected JSON objects")
end

local function receive_all(self)
  local is_first = true
  for text, kind in self.ws:messages() do
    local message = not self.outbox.is_closed and read(self, text, kind)
    if not message then return end
    if is_first and message.auth ~= nil then
      stop_timer(self)
      if not sign_in(self, message.auth) then return end
    elseif not self.who then
      return self:close(UNAUTHORIZED, NO_TOKEN)
    else
      handle(self, message)
    end
    is_first = false
  end
end

---- what goes on beside ----

--- Runs fn(...) so that it can be canceled; it is what is open under this id.
function Session:run(id, fn, ...)
  local entry = {}
  if id ~= nil then self.open[id] = entry end
  local function body(...)
    local ok, problem, traceback = scheduler.protected(fn, ...)
    if self.open[id] == entry then self.open[id] = nil end
    if ok then return end
    scheduler.report(problem, traceback, "message of a WebSocket")
    self:refuse(id, 500, "internal error")
  end
  entry.scope = core.run_apart(body, ...)
  if not entry.scope then error("too much runs inside of each other", 0) end
end

function Session:end_all()
  self.outbox:close()
  for id, entry in pairs(self.open) do
    self.open[id] = nil
    if entry.scope then core.cancel(entry.scope, "the client is gone") end
    if entry.leave then entry.leave() end
  end
end

--- All of a session, from the first message to the last.
function Session:serve()
  self.gateway.live:add(self)
  if not self.who then expect_token(self) end
  local ok, problem, traceback = scheduler.protected(receive_all, self)
  stop_timer(self)
  self.gateway.live:remove(self)
  self:end_all()
  if not ok and not (self.ws:closed() and errors.is_error(problem)) then
    scheduler.report(problem, traceback, "WebSocket")
    self.ws:close(1011)
  end
end

return M
