-- POST /call/METHOD: a call by HTTP.
local calls = require "clouds.gateway.calls"
local host = require "clouds.host"
local json = require "clouds.gateway.json"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"
local M = {}

local JSON = "application/json"
-- What all answers have, as it is sent.
local LINES = host.http_lines { "Content-Type", JSON, "Cache-Control", "no-store" }

-- No form of a page can send this type, and none can be left out but with an empty body.
local function read_body(request)
  local kind = request.headers["content-type"]
  local is_json = kind == JSON or kind and kind:lower():match("^[^;%s]*") == JSON
  local body = (is_json or not kind) and request:body()
  if is_json or body == "" then return body end
  status.refuse(415, "expected Content-Type: application/json (curl --json '[1,2]')")
end

local function seconds_of(text)
  if text == nil then return nil end
  return text:find("^%d*%.?%d+$") and tonumber(text) or text
end

-- The draft of Idempotency-Key has the key in quotes.
local function key_of(text) return text and (text:match('^"(.*)"$') or text) end

local NOTHING = {}

-- What the header fields say of the call; most say nothing.
local function said_of_call(headers)
  local timeout, key, trace = headers["clouds-timeout"], headers["idempotency-key"], headers.traceparent
  if not (timeout or key or trace) then return NOTHING end
  return { timeout = seconds_of(timeout), key = key_of(key), traceparent = trace, tracestate = headers.tracestate }
end

local function answer(options, ok, result, failed_status)
  local server, fields = calls.server_of(options), nil
  if server then fields = { ["Clouds-Server"] = server } end
  if ok then return 200, (type(result) == "string" and result or json.encode(result)) .. "\n", fields end
  if failed_status == 429 or failed_status == 503 then
    fields = fields or {}
    fields["Retry-After"] = status.retry_after(result.retry_after)
  end
  return failed_status, json.encode({ error = result }) .. "\n", fields
end

--- The handler.
function M.handler(gateway)
  return function(request, response)
    local headers = request.headers
    source.check_origin(gateway.origins, request)
    local who = who_asks.require(gateway, request)
    local body = read_body(request)
    local args = json.is_list(body) and body or json.arguments(body)
    local id = calls.new_id()
    local options, problem = calls.options(gateway, who, said_of_call(headers), id)
    if not options then status.refuse(400, problem) end
    response.lines = LINES
    response:header("Clouds-Request", id)
    return calls.make(gateway, who, request.params.method, args, options, answer, options)
  end
end

return M
