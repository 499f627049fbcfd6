-- What is asked of the master of an application, by the control socket or by its admin endpoint: a JSON object each,
-- docs/HOST.md has the list.
--
-- A connection is whoever asks: { open = 0, on_end = {}, send(self, message), push(self, message), cut(self) }. `push`
-- gives the bytes that are unsent then, or nil; `send`, for what is sent line by line, waits until they are few, and
-- gives whether there is anybody; `on_end` has functions for its end. `may`, if it is there, has what it may ask for.
local host = require "clouds.host"
local core = require "clouds.core"
local values = require "clouds.master.plan_values"
local log_format = require "clouds.master.log_format"
local report = require "clouds.master.report"
local upgrade = require "clouds.master.upgrade"
local M = {}

local UNREAD = 1e6 -- bytes that a client may leave unread
local AT_ONCE = 32 -- requests of one connection
local LONGEST_METHOD, MOST_PAUSED = 255, 1000

-- Nothing waits until it is read: who reads nothing is cut off.
local function say(app, connection, message)
  local unsent = connection:push(message)
  if not unsent or unsent <= UNREAD then return end
  connection:cut()
  app.cut_off = app.cut_off + 1
  app.log:own("a client of the control socket is cut off: it does not read what it asked for")
end

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
function requests.stop(app, request)
  local drain = request.drain
  if drain ~= nil and (type(drain) ~= "number" or drain < 0) then
    return nil, "WRONG_USE", "drain: expected a number of seconds"
  end
  local code = wait_for(function(done)
    if request.now then return app:kill(done) end
    app:stop(done, drain)
  end)
  return { code = code }
end

local function be_quiet(app, yes)
  local is_said, accepting = app:be_quiet(yes)
  if is_said then return { state = app.state, accepting = accepting } end
  return nil, "WRONG_STATE", ("%s is %s"):format(app.name, app.state)
end

function requests.quiet(app) return be_quiet(app, true) end

local function pause_method(app, request, yes)
  local method, count = request.method, 0
  if type(method) ~= "string" or method == "" or #method > LONGEST_METHOD then
    return nil, "WRONG_USE", "method: expected the name of a method"
  end
  for _ in pairs(app.paused) do count = count + 1 end
  if yes and count >= MOST_PAUSED then return nil, "LIMIT_REACHED", "too many methods are paused" end
  if not app:pause_method(method, yes) then return nil, "WRONG_STATE", ("%s is %s"):format(app.name, app.state) end
  return { state = app.state, method = method }
end

-- Of a method alone; to pause all of them is to be quiet.
function requests.pause(app, request) return pause_method(app, request, true) end

function requests.resume(app, request)
  if request.method ~= nil then return pause_method(app, request, false) end
  return be_quiet(app, false)
end

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

-- The answer comes from the other program, when its workers serve. A connection goes with it that has nothing to say.
function requests.upgrade(app, request, connection)
  local program = request.program
  if program ~= nil and (type(program) ~= "string" or program:sub(1, 1) ~= "/") then
    return nil, "WRONG_USE", "program: expected the absolute path of a program"
  end
  local client = connection.socket and { descriptor = connection.socket:fd(), id = request.id }
  local result = wait_for(function(done) upgrade.begin(app, { program = program, client = client }, done) end)
  return nil, result.code, result.problem
end

function requests.reopen(app)
  app.log:reopen()
  return { files = require("clouds").array(app.log:paths()) }
end

-- The lines that are meant: of a group, or of a worker, such as "web.1". Or nil, a code and a message.
local function lines_of(app, name)
  if name == nil then return {} end
  if name == "master" or name == "manager" or name == "admin" and not app:group(name) then return { group = name } end
  local of_worker = type(name) == "string" and not app:group(name) and name:match("^(.*)%.%d+$")
  local group, code, message = group_of(app, { group = of_worker or name })
  if group == false then return nil, code, message .. ", master, manager, admin" end
  local filter = { group = group.name, worker = of_worker and name or nil }
  local index = of_worker and tonumber(name:match("%d+$"))
  if index and not group.slots[index] and not app.log.kept:lines(filter, 1)[1] then
    local last = ("%s.%d"):format(group.name, #group.slots)
    return nil, "NO_GROUP", ("no worker '%s'; the last of %s is %s"):format(name, group.name, last)
  end
  return filter
end

local function send_line(app, request, connection, entry, missed)
  return connection:send({ id = request.id, event = "line", missed = missed ~= 0 and missed or nil,
    line = log_format.members(entry, app.name) })
end

-- Waits with each for who reads them.
local function send_lines_that_come(app, request, connection, follower)
  connection.on_end[#connection.on_end + 1] = function() follower:close() end
  say(app, connection, { id = request.id, ok = true })
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
    if not send_line(app, request, connection, entry) then return true end -- there is nobody any more
  end
  if not follower then return {} end
  send_lines_that_come(app, request, connection, follower)
  return true
end

-- Every event from now on is a line of its own, until the connection ends.
function requests.events(app, request, connection)
  local off = app:on_event(function(event, ...)
    say(app, connection, { id = request.id, event = event, arguments = require("clouds").array({ ... }) })
  end)
  connection.on_end[#connection.on_end + 1] = off
  return {}
end

---- answering ----

local function refuse(app, connection, id, code, message)
  say(app, connection, { id = id, error = { code = code, message = message } })
end

M.refuse = refuse

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function answer(connection, app, request)
  local fn = requests[request["do"]]
  local ok, result, code, message = pcall(fn, app, request, connection)
  connection.open = connection.open - 1
  if not ok then
    app.log:own(("the control request '%s' failed: %s"):format(request["do"], tostring(result)))
    return refuse(app, connection, request.id, "FAILED", tostring(result))
  end
  if not result then return refuse(app, connection, request.id, code, message) end
  if result == true then return end -- it has answered
  result.id, result.ok = request.id, true
  say(app, connection, result)
end

--- Does what a line asks for, a JSON object, and answers.
function M.take(app, connection, line)
  local json = require("clouds").json
  local request = json.decode(line)
  if type(request) ~= "table" or json.is_array(request) then
    return refuse(app, connection, nil, "WRONG_USE", 'expected a JSON object a line, as {"id":1,"do":"status"}')
  end
  local id, what = request.id, request["do"]
  if type(what) ~= "string" or not requests[what] then
    return refuse(app, connection, id, "WRONG_USE", ("do: expected one of %s"):format(names_of(requests)))
  end
  if connection.may and not connection.may[what] then
    return refuse(app, connection, id, "WRONG_USE", ("do: '%s' is not for the admin endpoint"):format(what))
  end
  if connection.open >= AT_ONCE then
    return refuse(app, connection, id, "LIMIT_REACHED", "too many requests at once")
  end
  connection.open = connection.open + 1
  require("clouds").spawn(answer, connection, app, request)
end

return M
