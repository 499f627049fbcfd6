-- POST /call/METHOD: a call by HTTP.
local calls = require "clouds.gateway.calls"
local errors = require "clouds.error"
local json = require "clouds.gateway.json"
local source = require "clouds.gateway.source"
local status = require "clouds.gateway.status"
local who_asks = require "clouds.gateway.who"
local M = {}

local JSON = "application/json"

-- No form of a page can send this type, and none can be left out but with an empty body.
local function read_body(request)
  local kind = request.headers["content-type"]
  local is_json = kind and kind:lower():match("^[^;%s]*") == JSON
  local body = (is_json or not kind) and request:body()
  if is_json or body == "" then return body end
  status.refuse(415, "expected Content-Type: application/json (curl --json '[1,2]')")
end

-- A list is the arguments, any other value the only one, nothing is none.
local function arguments_of(body)
  local array, is_array = require("clouds").array, require("clouds").json.is_array
  if not body:find("%S") then return array({}) end
  local value, problem = json.decode(body)
  if problem then status.refuse(400, "the body is no JSON: " .. errors.describe(problem)) end
  return is_array(value) and value or array({ value }, 1)
end

local function seconds_of(text)
  if text == nil then return nil end
  return text:find("^%d*%.?%d+$") and tonumber(text) or text
end

-- The draft of Idempotency-Key has the key in quotes.
local function key_of(text) return text and (text:match('^"(.*)"$') or text) end

local function answer(failed_status, body, id)
  local fields = { ["Content-Type"] = JSON, ["Clouds-Request"] = id, ["Cache-Control"] = "no-store" }
  if failed_status == 429 or failed_status == 503 then
    fields["Retry-After"] = status.retry_after(body.error.retry_after)
  end
  return failed_status or 200, json.encode(body) .. "\n", fields
end

--- The handler.
function M.handler(gateway)
  return function(request)
    local headers = request.headers
    source.check_origin(gateway.origins, request)
    local who = who_asks.require(gateway, request)
    local args = arguments_of(read_body(request))
    local id = calls.new_id()
    local options, problem = calls.options(gateway, who, {
      timeout = seconds_of(headers["clouds-timeout"]), key = key_of(headers["idempotency-key"]),
      traceparent = headers.traceparent, tracestate = headers.tracestate }, id)
    if not options then status.refuse(400, problem) end
    return calls.make(gateway, who, request.params.method, args, options, function(ok, result, failed)
      return answer(failed, ok and result or { error = result }, id)
    end)
  end
end

return M
