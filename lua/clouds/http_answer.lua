--- What comes of what a handler returns or raises: the answer.
local core = require("clouds.core")
local errors = require("clouds.error")
local exchange = require("clouds.http_request")
local routes = require("clouds.http_route")
local scheduler = require("clouds.scheduler")

local M = {}

local PLAIN, JSON = "text/plain; charset=utf-8", "application/json"

local lines = {
  [PLAIN] = "Content-Type: " .. PLAIN .. "\r\n",
  [JSON] = "Content-Type: " .. JSON .. "\r\n",
}

-- The bytes of a body, and its type.
local function encode(body)
  if body == nil then
    return "", nil
  elseif type(body) == "string" then
    return body, PLAIN
  elseif type(body) == "table" or body == core.null then
    local text, problem = core.encode(body)
    return text or error("the result cannot be sent: " .. errors.describe(problem), 0), JSON
  end
  error(("a handler returned a %s as the body; expected a text, or a table that is sent as JSON"):format(type(body)), 0)
end

local function send_file(request, response, status, body, headers)
  local fields = body.lines or exchange.fields(response, headers, nil, 0)
  request.box:send_file(status, fields, body.file, body.at, body.length)
  body.file:close()
end

local function send(request, response, status, body, headers)
  exchange.check_status(status, 0)
  if exchange.is_file(body) then
    return send_file(request, response, status, body, headers)
  end
  local text, kind = encode(body)
  if response.lines then -- of the handler, the type among them
    request.box:answer(status, text, response.lines, exchange.fields(response, headers, nil, 0))
  elseif response.fields or headers then
    request.box:answer(status, text, nil, exchange.fields(response, headers, kind, 0))
  else
    request.box:answer(status, text, kind and lines[kind])
  end
end

local function send_error(request, response, status, message, headers)
  local make = request.listener.app.errors
  local body = make and make(status, message, headers) or { error = { message = message } }
  send(request, response, status, body, headers)
end

-- What a call gave that the handler hands on: nil and an error of clouds. The details stay here.
local function status_of(err)
  if err.outcome == "NOT_DONE" and err.code ~= "CLOUDS_CANCELED" then
    return 503, "the service is not available"
  elseif err.outcome == "UNKNOWN" then
    return 504, "the service did not answer"
  end
  return 500, "internal error"
end

--- Where of clouds it was noticed is no news to who wrote the handler.
function M.report(request, err, traceback)
  err = type(err) == "string" and err:gsub("^%[clouds[%w_.]*%]:%d+: ", "") or err
  scheduler.report(err, traceback, ("handler of %s %s"):format(request.method, routes.path_of(request.target)))
end

-- A handler failed. Who has begun an answer can only break it off.
function M.fail(request, err, traceback)
  local response = request.response or exchange.no_response
  if request.gone and errors.is_error(err) and err.code == "CLOUDS_CANCELED" then
    return
  end
  local told = exchange.is_http_error(err)
  if not told or response.started then
    M.report(request, err, traceback)
  end
  if request.gone or request.ended then
    return
  elseif response.started then
    return request.box:abort()
  elseif told then
    local ok, problem = pcall(send_error, request, response, err.status, err.message, err.headers)
    if ok then
      return
    end
    M.report(request, problem)
  end
  local status, message = 500, "internal error"
  if errors.is_error(err) then
    status, message = status_of(err)
  end
  response.fields, response.lines = nil, nil
  send_error(request, response, status, message)
end

-- What a handler returned: nothing, a body, a status and more; or nil and an error.
function M.answer(request, response, first, second, third)
  if response.started then
    if first ~= nil then
      error("the handler returned something although it has begun an answer itself", 0)
    elseif not request.ended then
      return response:finish()
    end
  elseif request.gone then
    return
  elseif first == nil and second ~= nil then
    error(second, 0)
  elseif first == nil then
    return send(request, response, 204)
  elseif type(first) == "number" then
    return send(request, response, first, second, third)
  else
    return send(request, response, 200, first, second)
  end
end

return M
