-- One call for somebody outside: what it may be, what goes along with it, and what comes of it.
local accounts = require "clouds.gateway.accounts"
local core = require "clouds.core"
local digest = require "clouds.gateway.digest"
local errors = require "clouds.error"
local json = require "clouds.gateway.json"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"
local M = {}

local LONGEST_METHOD = 255
local LONGEST_KEY = 128
local LONGEST_STATE = 512
local LONGEST_TIME = 86400
local MOST_KNOWN = 10000

local prefix = digest.random(6):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
local count = 0

--- An id for a request, which no other has.
function M.new_id()
  count = count + 1
  return ("%s-%x"):format(prefix, count)
end

-- W3C Trace Context, level 1: version, trace, parent, flags.
local TRACEPARENT = ("^%s%%-%s%%-%s%%-%s$"):format(("%x"):rep(2), ("%x"):rep(32), ("%x"):rep(16), ("%x"):rep(2))

local function trace_of(meta, given)
  local parent, state = given.traceparent, given.tracestate
  if type(parent) ~= "string" or not parent:find(TRACEPARENT) then return end
  meta.traceparent = parent:lower()
  if type(state) == "string" and #state <= LONGEST_STATE and not state:find("[^\32-\126]") then
    meta.tracestate = state
  end
end

--- The id of the server of a call with these options, when it has ended; nil: there was none, or it is not to be told.
function M.server_of(options) return options.about and options.about.server end

--- The options of a call; or nil and what is wrong. given: { timeout =, key =, traceparent =, tracestate = }. A key is
-- one of who asks: others with the same key do not get the answer.
function M.options(gateway, who, given, id)
  local timeout, key = given.timeout, given.key
  if timeout ~= nil and not (type(timeout) == "number" and timeout > 0 and timeout <= LONGEST_TIME) then
    return nil, ("the timeout: expected a number of seconds above 0, up to %d"):format(LONGEST_TIME)
  elseif key ~= nil and not (type(key) == "string" and key ~= "" and #key <= LONGEST_KEY) then
    return nil, ("the idempotency key: expected a text of up to %d bytes"):format(LONGEST_KEY)
  end
  timeout = timeout or gateway.timeout
  local meta = { request = id, caller = who.name }
  trace_of(meta, given)
  return { timeout = timeout, deadline = timeout, once = key and (who.name or "") .. ":" .. key, meta = meta,
    about = gateway.tell_server and {} or nil }
end

-- Methods that were there once: when they are not, that is for now. So many at most.
local function note_known(gateway, method)
  local known = gateway.known
  if known.names[method] then return end
  if known.count >= MOST_KNOWN then known.names, known.count = {}, 0 end
  known.names[method], known.count = true, known.count + 1
end

local function finish(gateway, method, n, first, err, ...)
  if not (first == nil and errors.is_error(err)) then
    note_known(gateway, method)
    return true, core.array({ first, err, ... }, n)
  elseif gateway.is_inside then
    return false, status.describe(err, true), status.of(err)
  elseif err.code == "CLOUDS_NO_SUCH_METHOD" or (err.code == "CLOUDS_NO_AVAILABLE_SERVER"
    and not gateway.known.names[method]) then
    return false, status.unknown_method(), 404
  elseif err.code ~= "CLOUDS_NO_AVAILABLE_SERVER" and not (err.code == "CLOUDS_TOO_BIG"
    and err.outcome == "NOT_DONE") then -- such a call nobody has seen
    note_known(gateway, method)
  end
  return false, status.describe(err), status.of(err)
end

local function count_and_finish(gateway, method, ...)
  return finish(gateway, method, select("#", ...), ...)
end

-- Arguments and results as JSON, of which nothing is made here: that would be a good part of what a call costs.
-- nil: not this text. It is no JSON, or only what is made of it is; or the call has a key, and texts are compared.
local function call_json(gateway, method, text, options)
  if options.once then return nil end
  local rarer = options.about and options or nil
  local result, problem =
    gateway.client.core:call_json(method, text, options.timeout or 0, options.deadline or 0, options.meta, rarer)
  if result == false then return nil end
  if problem then return finish(gateway, method, 2, nil, problem) end
  note_known(gateway, method)
  return true, result
end

local function call(gateway, who, method, args, options)
  local is_text = not method:find "[\128-\255]" or core.encode(method)
  if #method > LONGEST_METHOD or not is_text or not who_asks.may(gateway, who, "call", method) then
    return false, status.unknown_method(), 404
  elseif type(args) == "string" then
    local ok, result, failed_status = call_json(gateway, method, args, options)
    if ok ~= nil then return ok, result, failed_status end
    args = json.arguments(args)
  end
  return count_and_finish(gateway, method, gateway.client:call(method, args, options))
end

local function call_and_answer(gateway, who, method, args, options, answer, about)
  return answer(about, call(gateway, who, method, args, options))
end

-- What a call and its answer came to; an error of either goes on.
local function done(account, ok, ...)
  accounts.finish(account, "in_flight")
  if not ok then error((...), 0) end
  return ...
end

--- Calls, waits, and gives what answer(about, ...) returns, which may wait, too: the call is over when that has ended.
-- args: a list, or one as JSON. Further arguments of answer: true and the results, a list or one as JSON; or false, an
-- error as a table for JSON, and its status.
function M.make(gateway, who, method, args, options, answer, about)
  local account = who.account
  if not accounts.begin(account, "in_flight") then
    return answer(about, false, status.refusal(429, "too many calls at a time", 1), 429)
  end
  return done(account, pcall(call_and_answer, gateway, who, method, args, options, answer, about))
end

return M
