-- The control socket of an application: one JSON object a line, docs/HOST.md has the protocol. It lies in a folder that
-- only the user of the master can enter.
local host = require "clouds.host"
local core = require "clouds.core"
local inner = require "clouds.socket_inner"
local values = require "clouds.master.plan_values"
local log_format = require "clouds.master.log_format"
local report = require "clouds.master.report"
local M = {}

local LONGEST = 65536 -- bytes of a line
local UNREAD = 1e6 -- bytes of events that a client may leave unread
local AT_ONCE = 32 -- requests of one connection
local MODE = 384 -- 0600

local json

---- requests, by what they do ----

-- fn(app, request, connection) -> what is answered; true: it has been; or nil, a code and a message.
-- It runs in a coroutine.
local requests = {}

-- Waits for what begin(done) calls done with.
local function wait_for(begin)
  local slot, result
  begin(function(value)
    result = { value }
    if slot then core.wake(slot, true) end
  end)
  if not result then
    slot = core.slot(true)
    core.wait(slot)
  end
  return result[1]
end

-- The group that is meant, or nil, which is all; false when there is none of that name.
local function group_of(app, request)
  local name = request.group
  if name == nil then return nil end
  local group = type(name) == "string" and app:group(name)
  if group then return group end
  local names = {}
  for i, each in ipairs(app.groups) do names[i] = each.name end
  return false, "NO_GROUP", ("no group '%s'; there is %s"):format(tostring(name), table.concat(names, ", "))
end

function requests.version()
  return { version = host.versions().clouds, pid = host.pid() }
end

function requests.status(app)
  return { status = report.of(app) }
end

function requests.plan(app)
  return { plan = app.plan }
end

function requests.reload(app, request)
  local group, code, message = group_of(app, request)
  if group == false then return nil, code, message end
  local problem = wait_for(function(done) app:reload(group and group.name, done) end)
  if problem then return nil, "RELOAD_FAILED", problem end
  local generations = {}
  for _, each in ipairs(app.groups) do generations[each.name] = each.generation end
  return { generations = generations }
end

-- The answer comes before the end: the socket goes with the master.
function requests.stop(app, request, connection)
  local drain = request.drain
  if drain ~= nil and (type(drain) ~= "number" or drain < 0) then
    return nil, "WRONG_USE", "drain: expected a number of seconds"
  end
  local code = wait_for(function(done)
    if request.now then return app:kill(done) end
    app:stop(done, drain)
  end)
  connection.answers_code = code
  return { code = code }
end

local function be_quiet(app, yes)
  if app:be_quiet(yes) then return { state = app.state } end
  return nil, "WRONG_STATE", ("%s is %s"):format(app.name, app.state)
end

function requests.quiet(app) return be_quiet(app, true) end
function requests.resume(app) return be_quiet(app, false) end

-- workers: a number, or a text with how many more or fewer, "+1".
function requests.scale(app, request)
  local group, code, message = group_of(app, request)
  if group == false then return nil, code, message end
  group = group or (not app.groups[2] and app.groups[1])
  if not group then return nil, "WRONG_USE", "group: expected one, there are several" end
  local count = request.workers
  if type(count) == "string" and count:match("^[+-]%d+$") then count = group.count + tonumber(count) end
  if not values.is_worker_count(count) then
    return nil, "WRONG_USE", ("workers: expected a whole number from 1 to %d, or how many more or fewer as \"+1\"")
      :format(values.MOST_WORKERS)
  end
  app:scale(group, count)
  return { group = group.name, workers = count }
end

function requests.reopen(app)
  app.log:reopen()
  return { files = require("clouds").array(app.log:paths()) }
end

-- The lines that are meant: of a group, or of a worker, such as "web.1". Or nil, a code and a message.
local function lines_of(app, name)
  if name == nil then return {} end
  if name == "master" or name == "manager" then return { group = name } end
  local of_worker = type(name) == "string" and not app:group(name) and name:match("^(.*)%.%d+$")
  local group, code, message = group_of(app, { group = of_worker or name })
  if group == false then return nil, code, message .. ", master, manager" end
  return { group = group.name, worker = of_worker and name or nil }
end

local function send_line(app, request, connection, entry, missed)
  return connection:send({ id = request.id, event = "line", missed = missed ~= 0 and missed or nil,
    line = log_format.members(entry, app.name) })
end

-- Waits with each for who reads them.
local function send_lines_that_come(app, request, connection, follower)
  connection.on_end[#connection.on_end + 1] = function() follower:close() end
  connection:send({ id = request.id, ok = true })
  while true do
    local entry, missed = follower:next()
    if not entry or not send_line(app, request, connection, entry, missed) then break end
  end
  follower:close()
end

-- The last lines, each of its own; then the answer, and when it is to follow, what comes.
function requests.logs(app, request, connection)
  local filter, code, message = lines_of(app, request.group)
  if not filter then return nil, code, message end
  local count = request.lines
  if count ~= nil and (type(count) ~= "number" or count < 0 or count % 1 ~= 0) then
    return nil, "WRONG_USE", "lines: expected a whole number of 0 or more"
  end
  local follower = request.follow and app.log.kept:follow(filter)
  for _, entry in ipairs(app.log.kept:lines(filter, count or math.huge)) do
    send_line(app, request, connection, entry)
  end
  if not follower then return {} end
  send_lines_that_come(app, request, connection, follower)
  return true
end

-- Every event from now on is a line of its own, until the connection ends. Nothing waits until it is read: who reads
-- none is cut off.
function requests.events(app, request, connection)
  local off = app:on_event(function(event, ...)
    local unsent = connection:push({ id = request.id, event = event, arguments = require("clouds").array({ ... }) })
    if unsent and unsent > UNREAD then
      connection.socket:close()
      app.log:own("a client of the control socket is cut off: it does not read its events")
    end
  end)
  connection.on_end[#connection.on_end + 1] = off
  return {}
end

---- connections ----

local Connection = {}
Connection.__index = Connection

function Connection:send(message)
  return self.socket:write(json.encode(message), "\n")
end

-- The same without waiting: the bytes that are unsent then; or nil.
function Connection:push(message)
  return inner.push(self.socket, json.encode(message) .. "\n")
end

local function refuse(self, id, code, message)
  self:send({ id = id, error = { code = code, message = message } })
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function answer(self, app, request)
  local fn = requests[request["do"]]
  local ok, result, code, message = pcall(fn, app, request, self)
  self.open = self.open - 1
  if not ok then
    app.log:own(("the control request '%s' failed: %s"):format(request["do"], tostring(result)))
    return refuse(self, request.id, "FAILED", tostring(result))
  end
  if not result then return refuse(self, request.id, code, message) end
  if result == true then return end -- it has answered
  result.id, result.ok = request.id, true
  self:send(result)
end

local function take_line(self, app, line)
  local request = json.decode(line)
  if type(request) ~= "table" or json.is_array(request) then
    return refuse(self, nil, "WRONG_USE", 'expected a JSON object a line, as {"id":1,"do":"status"}')
  end
  local id, what = request.id, request["do"]
  if type(what) ~= "string" or not requests[what] then
    return refuse(self, id, "WRONG_USE", ("do: expected one of %s"):format(names_of(requests)))
  end
  if self.open >= AT_ONCE then return refuse(self, id, "LIMIT_REACHED", "too many requests at once") end
  self.open = self.open + 1
  require("clouds").spawn(answer, self, app, request)
end

local function serve(app, socket)
  local self = setmetatable({ socket = socket, open = 0, on_end = {} }, Connection)
  while true do
    local line, err = socket:read("line", LONGEST)
    if not line then
      if err ~= "end" and type(err) == "table" and err.code == "CLOUDS_LIMIT_REACHED" then
        refuse(self, nil, "WRONG_USE", ("a line has at most %d bytes"):format(LONGEST))
      end
      break
    end
    if line ~= "" then take_line(self, app, line) end
  end
  for _, fn in ipairs(self.on_end) do fn() end
end

---- the socket ----

--- Where the control socket of this user's application of that name lies; or nil and why not.
function M.path(name)
  local folder, problem = host.runtime_folder("apps")
  if not folder then return nil, problem end
  return ("%s/%s.ctl"):format(folder, name)
end

--- The names of the applications whose control sockets are there; or nil and why not. Some may have been killed.
function M.names()
  local folder, problem = host.runtime_folder("apps")
  if not folder then return nil, problem end
  local list = {}
  for _, file in ipairs(host.cluster.files(folder)) do list[#list + 1] = file:match("^(.+)%.ctl$") end
  table.sort(list)
  return list
end

--- Holds the name of the application, and opens its socket; or nil, why not, and whether it runs already.
function M.open(app)
  json = require("clouds").json
  local path, problem = M.path(app.name)
  if not path then return nil, problem end
  local lock_path = path:gsub("%.ctl$", ".lock")
  local lock, why, holder = host.cluster.lock(lock_path, MODE)
  if not lock then
    if holder then return nil, ("%s runs already, as process %d"):format(app.name, holder), true end
    return nil, ("cannot hold %s: %s"):format(lock_path, why)
  end
  os.remove(path) -- of one that was killed: the lock was free
  local listener, failed = require("clouds.socket").listen(("unix:%s?mode=0600"):format(path), function(socket)
    serve(app, socket)
  end)
  if not listener then
    host.cluster.unlock(lock_path, lock)
    return nil, ("cannot listen at %s: %s"):format(path, failed)
  end
  return { close = function()
    listener:close()
    os.remove(path)
    host.cluster.unlock(lock_path, lock)
  end }
end

return M
