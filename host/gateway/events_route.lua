-- GET /events?subscribe=PATTERN: what is published there, as Server-Sent Events.
--
-- Each has its number within node and topic as its id. What was published while a client was away it does not get; one
-- that comes back with Last-Event-ID is told so by an event "gap".
local accounts = require "clouds.gateway.accounts"
local clouds = require "clouds"
local core = require "clouds.core"
local outbox = require "clouds.gateway.outbox"
local routes = require "clouds.http_route"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"

local Stream = {}
Stream.__index = Stream

local M = {}

local ALIVE = 15 -- seconds between comments that keep proxies from ending it
local HEAD = { ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-store", ["X-Accel-Buffering"] = "no" }

local function patterns_of(request)
  local list = {}
  for pair in (request.target:match("?(.*)$") or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if name ~= "subscribe" then status.refuse(400, "expected ?subscribe=PATTERN, and no other parameters") end
    list[#list + 1] = routes.decode((value:gsub("+", " "))) or status.refuse(400, "subscribe: it is not encoded well")
  end
  if not list[1] then status.refuse(400, "expected ?subscribe=PATTERN, a topic or a pattern") end
  return list
end

---- a member of the hub ----

function Stream:receive(topic, value, missed, sequence)
  if not self.is_open then
    self.early = self.early + missed + 1
    return
  end
  self.outbox:offer(self, ('id: %d\ndata: {"topic":%s,"value":%s}\n\n'):format(sequence, topic, value), missed)
end

function Stream:gap(missed) return ('event: gap\ndata: {"missed":%d}\n\n'):format(missed) end

function Stream:ended() self:close() end

--- Ends it; its client connects again when it likes.
function Stream:close()
  if self.outbox.is_closed then return end
  self.outbox:close()
  self.response:finish()
  core.cancel(self.request.scope, "the stream ends")
end

Stream.stop = Stream.close

function Stream:check_again()
  self.who = who_asks.again(self.gateway, self.who)
  if not self.who then self:close() end
end

---- the handler ----

local function new_stream(gateway, request, response, who)
  local stream = setmetatable({ gateway = gateway, request = request, response = response, who = who, early = 0 },
    Stream)
  stream.outbox = outbox.new(gateway, response, function() stream:close() end)
  return stream
end

local function join_all(stream, list, joined)
  for _, pattern in ipairs(list) do
    if not accounts.begin(stream.who.account, "subscriptions") then
      return 429, status.refusal(429, "too many subscriptions", 1)
    end
    joined[#joined + 1] = pattern
    local ok, problem = stream.gateway.hub:join(pattern, stream)
    if not ok then return status.of(problem), status.describe(problem) end
  end
end

local function serve(stream, request, list, joined)
  local failed, described = join_all(stream, list, joined)
  if failed then return failed, { error = described } end
  local response, is_back = stream.response, request.headers["last-event-id"] ~= nil
  response:start(200, HEAD)
  response:post(is_back and 'event: gap\ndata: {"missed":null}\n\n' or ": here\n\n")
  stream.is_open = true
  if stream.early > 0 then response:post(stream:gap(stream.early)) end
  while clouds.sleep(ALIVE) and not stream.outbox.is_closed do
    if response:unsent() == 0 then response:post(": here\n\n") end
  end
end

--- The handler.
function M.handler(gateway)
  return function(request, response)
    source.check_origin(gateway.origins, request)
    local who, list, joined = who_asks.require(gateway, request), patterns_of(request), {}
    for _, pattern in ipairs(list) do
      if not who_asks.may(gateway, who, "subscribe", pattern) then status.refuse(403, "not allowed: subscribe") end
    end
    local stream = new_stream(gateway, request, response, who)
    local account = who.account
    gateway.live:add(stream)
    local ok, code, body = pcall(serve, stream, request, list, joined)
    gateway.live:remove(stream)
    stream.outbox:close()
    for _, pattern in ipairs(joined) do
      gateway.hub:leave(pattern, stream)
      accounts.finish(account, "subscriptions")
    end
    if not ok then error(code, 0) end
    return code, body
  end
end

return M
