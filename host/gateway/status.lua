-- Which status a failure is answered with, and what is said of it: {"error":{"code","message","outcome","retryable"}}.
--
-- A service's own error goes out as it is. Of the library's only what concerns the caller does: addresses and ids of
-- the cluster stay here.
local common = require "clouds.cli.common"
local exchange = require "clouds.http_request"
local M = {}

local by_code = {
  CLOUDS_INVALID_ARGUMENT = 400,
  CLOUDS_INVALID_JSON = 400,
  CLOUDS_BAD_ARGUMENT = 400,
  CLOUDS_NO_SUCH_METHOD = 404,
  CLOUDS_TOO_BIG = 413,
  CLOUDS_KEY_CONFLICT = 422,
}
local by_outcome = { NOT_DONE = 503, UNKNOWN = 504 }

local codes = { [401] = "CLOUDS_AUTH_FAILED", [403] = "CLOUDS_AUTH_FAILED", [404] = "CLOUDS_NO_SUCH_METHOD",
  [413] = "CLOUDS_TOO_BIG", [429] = "CLOUDS_OVERLOADED", [503] = "CLOUDS_OVERLOADED" }

local words = { NOT_DONE = "the method cannot be called now; it was not executed",
  UNKNOWN = "there is no answer; it may have been executed" }

local by_name = { CLOUDS_CANCELED = "the call was canceled; it may have been executed" }

local concerns_caller = { "method", "reason", "retry_after", "size", "limit" }

local function own_status(err)
  local status = rawget(err, "status")
  if type(status) == "number" and status >= 400 and status <= 599 and status % 1 == 0 then return status end
  return 500
end

--- The status for an error of a call.
function M.of(err)
  if by_code[err.code] then return by_code[err.code] end
  return by_outcome[err.outcome] or own_status(err)
end

--- An error of a call as a table for JSON. is_inside: all of it, for who may know the cluster.
function M.describe(err, is_inside)
  if is_inside or err.outcome == "APP_ERROR" then return common.error_table(err) end
  local told = { code = err.code, outcome = err.outcome, retryable = err.retryable,
    message = by_name[err.code] or words[err.outcome] }
  if by_code[err.code] then told.message = err.message end
  for _, name in ipairs(concerns_caller) do told[name] = rawget(err, name) end
  return told
end

--- What this side refuses, as a table for JSON; nothing was executed.
function M.refusal(status, message, retry_after)
  return { code = codes[status] or "CLOUDS_INVALID_ARGUMENT", message = message, outcome = "NOT_DONE",
    retryable = retry_after ~= nil, retry_after = retry_after }
end

--- The same for a method that is not allowed, and for one that nobody serves: who asks cannot tell which it is.
function M.unknown_method() return M.refusal(404, "there is no such method") end

--- The field Retry-After of an answer: whole seconds, at least one.
function M.retry_after(seconds) return ("%d"):format(math.max(1, math.ceil(tonumber(seconds) or 1))) end

--- Ends a request with a refusal.
function M.refuse(status, message, seconds)
  exchange.raise(status, message, seconds and { ["Retry-After"] = M.retry_after(seconds) })
end

--- The body of answers that are refused, as the option `errors` of a server takes it.
function M.body(status, message, headers)
  if status == 500 then return { error = { code = "CLOUDS_SERVICE_ERROR", message = message, outcome = "UNKNOWN" } } end
  return { error = M.refusal(status, message, headers and tonumber(headers["Retry-After"])) }
end

return M
