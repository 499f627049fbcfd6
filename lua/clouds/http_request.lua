--- A request as a handler sees it, and how its answer begins, goes on and ends.
--
-- What is not looked at is not made: the header fields, the query and the like are read from the connection when they
-- are first asked for, which works until the request is answered.
local core = require("clouds.core")
local errors = require("clouds.error")
local routes = require("clouds.http_route")
local new_table = require("table.new")
local scheduler = require("clouds.scheduler")

local M = {}

---- errors that are answers ----

local HttpError = {}
HttpError.__index = HttpError
HttpError.__name = "clouds.http.error"

function HttpError:__tostring()
  return ("%d: %s"):format(self.status, self.message)
end

--- Ends a handler with this answer, from wherever it has come to.
function M.raise(status, message, headers)
  if type(status) ~= "number" or status < 400 or status > 599 or status % 1 ~= 0 then
    error("expected a status from 400 to 599", 2)
  elseif message ~= nil and type(message) ~= "string" then
    error("expected a text as the message", 2)
  end
  error(setmetatable({ status = status, message = message or "", headers = headers }, HttpError), 0)
end

function M.is_http_error(value)
  return getmetatable(value) == HttpError
end

---- the request ----

local Request = {}
M.Request = Request

local lazy = {}

local function of_connection(self, name)
  local value = self.box[name](self.box)
  if value == nil then
    error("the request is answered: what it says has to be read before", 4)
  end
  return value
end

function lazy:headers()
  return of_connection(self, "fields")
end

function lazy:version()
  return of_connection(self, "version")
end

function lazy:query()
  return routes.query(self.target:match("?(.*)$") or "")
end

function lazy:path()
  local path = routes.path_of(self.target)
  return routes.decode(path) or path
end

function lazy:params()
  return {}
end

function lazy:port()
  return self.listener.port ~= 0 and self.listener.port or self.listener.address
end

-- Who asked: behind a proxy that is trusted, the last of those it names that is none itself.
function lazy:remote()
  local peer, trusted = of_connection(self, "peer"), self.listener.app.forwarded
  local named = trusted[peer] and self.headers["x-forwarded-for"]
  if not named then
    return peer
  end
  local last = peer
  for address in named:gmatch("[^,%s]+") do
    last = (not trusted[address] or last == peer) and address or last
  end
  return last
end

function lazy:scheme()
  local named = self.listener.app.forwarded[of_connection(self, "peer")] and self.headers["x-forwarded-proto"]
  return named == "https" and "https" or "http"
end

function Request.__index(self, name)
  local method = Request[name]
  if method then
    return method
  end
  local make = lazy[name]
  local value = make and make(self)
  if make then
    rawset(self, name, value)
  end
  return value
end

Request.__name = "clouds.http.request"

--- What the program may still look at when the request is over.
local function keep_facts(self)
  if self.box:version() then
    return self.headers, self.remote, self.version, self.scheme
  end
end

local function wait_for(self, name)
  core.check_wait()
  self[name] = core.slot(true)
  local ok, err = core.wait(self[name])
  self[name] = nil
  return ok, err
end

local function wake(self, name)
  local slot = self[name]
  if slot then
    core.wake(slot, true)
  end
end

--- The next piece of the body, as it comes; nil at its end; or nil and an error.
function Request:read()
  if self.ended or self.gone then
    return nil, errors.new(core.ECANCELED, self.gone or "the request is answered")
  elseif self.reader then
    error("the body is being read already", 2)
  end
  while true do
    local piece, why = self.box:read()
    if piece then
      self.has_read = true
      return piece
    elseif piece == nil then
      self.gone = self.gone or why
      return nil, why and errors.new(core.ECANCELED, why) or nil
    end
    local ok, err = wait_for(self, "reader")
    if not ok then
      return nil, err
    end
  end
end

--- All of the body, as often as it is asked for. Raises when it does not come, or is too long.
function Request:body()
  if self.whole then
    return self.whole
  elseif self.has_read then
    error("the body is being read in pieces", 2)
  end
  local first, pieces = nil, nil -- a short body comes as one piece
  while true do
    local piece, err = self:read()
    if err then
      error(err, 0)
    elseif not piece then
      break
    elseif not first then
      first = piece
    else
      pieces = pieces or { first }
      pieces[#pieces + 1] = piece
    end
  end
  self.whole = pieces and table.concat(pieces) or first or ""
  return self.whole
end

--- The value that the body is. Raises what is answered with 400 or 415 when it is no JSON.
function Request:json()
  local kind = (self.headers["content-type"] or ""):lower():match("^[^;%s]*")
  if kind ~= "application/json" and not kind:find("+json$") then
    M.raise(415, "expected Content-Type: application/json")
  end
  local value, problem = core.decode(self:body())
  if problem then
    M.raise(400, "the body is no JSON: " .. errors.describe(problem))
  end
  return value
end

--- Has the client gone, or its answer been given?
function Request:closed()
  return (self.gone or self.ended) and true or false
end

--- Calls fn, in a coroutine of its own, when the client goes before it has its answer; at once when it has gone.
function Request:on_close(fn)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  elseif self.gone then
    scheduler.spawn(fn)
  elseif not self.ended then
    self.closers = self.closers or {}
    table.insert(self.closers, fn)
  end
  return self
end

---- what the connection tells ----

function M.body_came(self)
  wake(self, "reader")
end

function M.room_came(self)
  wake(self, "writer")
end

--- Nobody waits for the answer any more. What is done for it ends.
function M.client_gone(self, words)
  keep_facts(self)
  self.gone = words
  for _, fn in ipairs(self.closers or {}) do
    scheduler.spawn(fn)
  end
  core.cancel(self.scope, words)
  wake(self, "writer") -- one that is not of the handler
end

---- the answer ----

local Response = {}
Response.__index = Response
Response.__name = "clouds.http.response"

--- The answer to a request before anything of it is known. Most handlers make it of what they return: they have none.
function M.respond(request)
  request.response = setmetatable({ request = request }, Response)
  return request.response
end

M.no_response = setmetatable({}, Response)
M.Response = Response

local function check_status(status, level)
  if type(status) ~= "number" or status < 200 or status > 599 or status % 1 ~= 0 then
    error(("expected a status from 200 to 599, got %s"):format(tostring(status)), level + 1)
  end
end

-- With room for as many fields as most answers have.
local function new_list()
  return new_table(8, 0)
end

local function add_field(fields, name, value, level)
  if type(name) ~= "string" then
    error("expected header fields by name: { [\"Content-Type\"] = \"text/html\" }", level + 1)
  elseif type(value) == "table" then
    for _, one in ipairs(value) do
      add_field(fields, name, one, level + 1)
    end
    return
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error(("the header field '%s': expected a text, a number or a list of them"):format(name), level + 1)
  end
  local count = #fields
  fields[count + 1] = name
  fields[count + 2] = type(value) == "string" and value or tostring(value)
end

local function has_field(fields, wanted)
  for i = 1, #fields, 2 do
    if #fields[i] == #wanted and fields[i]:lower() == wanted then
      return true
    end
  end
end

--- Header fields as the host takes them: name, value, name, value ...
function M.list(headers)
  local list = {}
  for name, value in pairs(headers) do
    add_field(list, name, value, 2)
  end
  return list
end

--- The fields of an answer: those that were set before, and `headers`. `kind` is its type when none is said.
function M.fields(response, headers, kind, level)
  local fields = response.fields
  if not fields and not headers then
    return kind and { "Content-Type", kind } or nil
  end
  fields = fields or new_list()
  if headers ~= nil then
    if type(headers) ~= "table" then
      error("expected a table of header fields", level + 1)
    end
    for name, value in pairs(headers) do
      add_field(fields, name, value, level + 1)
    end
  end
  if kind and not has_field(fields, "content-type") then
    fields[#fields + 1] = "Content-Type"
    fields[#fields + 1] = kind
  end
  return fields
end

--- A header field of the answer, whatever that will be.
function Response:header(name, value)
  if self.started then
    error("the answer has begun: its header fields are sent", 2)
  end
  self.fields = self.fields or new_list()
  add_field(self.fields, name, value, 2)
  return self
end

-- The length that is said of a body, and the fields without it.
local function take_length(headers)
  local length, rest = nil, nil
  for name, value in pairs(headers or {}) do
    if type(name) == "string" and name:lower() == "content-length" then
      length = tonumber(value)
      if not length or length < 0 or length % 1 ~= 0 then
        error("Content-Length: expected a number of bytes", 3)
      end
    else
      rest = rest or {}
      rest[name] = value
    end
  end
  return length, rest
end

local function over(self)
  return nil, errors.new(core.ECANCELED, self.request.gone or "the request is answered")
end

--- Begins an answer whose body is written in pieces. With a Content-Length it is that long, else as long as it gets.
function Response:start(status, headers)
  if self.started then
    error("the answer has begun already", 2)
  end
  status = status or 200
  check_status(status, 2)
  local length, rest = take_length(headers)
  local fields = M.fields(self, rest, nil, 2)
  if self.request.gone or self.request.ended then
    return over(self)
  end
  local ok = self.request.box:start(status, fields, length)
  self.started = true
  if not ok then
    self.request.gone = self.request.gone or "the client is gone"
    return over(self)
  end
  return true
end

-- Bytes that are unsent then; or nil and an error.
local function put(self, text)
  local request = self.request
  if type(text) ~= "string" then
    error("expected a text", 3)
  elseif not self.started then
    local ok, err = self:start(200)
    if not ok then
      return nil, err
    end
  end
  if request.gone or request.ended then
    return over(self)
  end
  local ok, unsent = request.box:write(text)
  if not ok then
    request.gone = request.gone or "the client is gone"
    return over(self)
  end
  return unsent
end

--- One more piece of the body, without waiting, however much the client has to take: true; or nil and an error when it
-- has gone.
function Response:post(text)
  local unsent, err = put(self, text)
  if not unsent then
    return nil, err
  end
  return true
end

-- Until the client has taken much of what is unsent: true, or nil and an error.
local function wait_for_room(request)
  request.box:want_room()
  return wait_for(request, "writer")
end

--- The same. Waits while the client has not taken much of what was written before.
function Response:write(text)
  local request = self.request
  local unsent, err = put(self, text)
  if not unsent then
    return nil, err
  elseif unsent > request.listener.app.response_buffer and core.may_wait() and not request.writer then
    return wait_for_room(request)
  end
  return true
end

--- Bytes that the client has not taken yet.
function Response:unsent()
  return self.request.box:unsent()
end

--- Waits until no more than `response_buffer` of the server are unsent: true; or nil and an error.
function Response:wait_room()
  local request = self.request
  while not (request.gone or request.ended) and request.box:unsent() > request.listener.app.response_buffer do
    local ok, err = wait_for_room(request)
    if not ok then
      return nil, err
    end
  end
  if request.gone or request.ended then
    return over(self)
  end
  return true
end

--- The end of the body, with one more piece if you like.
function Response:finish(text)
  if text ~= nil then
    local ok, err = self:write(text)
    if not ok then
      return nil, err
    end
  elseif not self.started then
    local ok, err = self:start(200)
    if not ok then
      return nil, err
    end
  end
  local request = self.request
  if request.gone or request.ended then
    return over(self)
  end
  keep_facts(request)
  request.ended = true
  wake(request, "writer")
  if not request.box:finish() then
    request.gone = "the client is gone"
    return over(self)
  end
  return true
end

local FileBody = {}

--- A body: so many bytes of an open file, from `at` on. lines: all header fields as they are sent, if nobody adds any.
function M.file_body(file, at, length, lines)
  return setmetatable({ file = file, at = at, length = length, lines = lines }, FileBody)
end

function M.is_file(body)
  return getmetatable(body) == FileBody
end

M.check_status = check_status
M.keep_facts = keep_facts

return M
