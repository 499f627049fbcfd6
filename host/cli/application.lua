-- What the commands for an application of `clouds start` have in common: which one is meant, and a question to its
-- master.
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local control = require "clouds.master.control"
local M = {}

M.text = "NAME is that of an application that this user has started on this machine; it may be left out when one runs."

-- How a command ends whose request was refused; any other code: 1.
local exit_of = { WRONG_USE = common.USAGE, NO_GROUP = common.USAGE }

M.json = { long = "json", help = "print what the master answers, one line" }

function M.timeout(seconds)
  return common.timeout(("longest wait for the answer (default %g)"):format(seconds))
end

local function connect(name)
  local path, problem = control.path(name)
  if not path then error(problem, 0) end
  return require("clouds.socket").connect("unix:" .. path, { timeout = 5 })
end

--- Whether an application of that name runs.
function M.runs(name)
  if name:find("/", 1, true) then return false end
  local socket = connect(name)
  if socket then socket:close() end
  return socket ~= nil
end

--- The names of those that run.
function M.names()
  local names, problem = control.names()
  if not names then error(problem, 0) end
  local list = {}
  for _, name in ipairs(names) do
    if M.runs(name) then list[#list + 1] = name end
  end
  return list
end

--- The one that is meant, or nil after this was said: it does not run, or it is not clear which.
function M.find(command, name)
  local names = M.names()
  if name then
    for _, each in ipairs(names) do
      if each == name then return name end
    end
  elseif #names == 1 then
    return names[1]
  elseif names[1] then
    args.fail(command, "expected NAME, as there are several: %s", table.concat(names, ", "))
  end
  local others = names[1] and "; there is " .. table.concat(names, ", ") or ""
  local which = name and (" '%s'"):format(output.plain(name)) or ""
  io.stderr:write(("clouds %s: no application%s runs here%s\n"):format(command, which, others))
  return nil
end

local function next_message(socket)
  local line, err = socket:read("line", 16e6)
  if not line then return nil, err end
  return require("clouds").json.decode(line)
end

-- The line that answers request 1, past the events before it, each of which goes to on_event.
local function read_answer(socket, on_event)
  while true do
    local message, err = next_message(socket)
    if not message then return nil, err end
    if not message.event then return message end
    if on_event then on_event(message) end
  end
end

local function follow(socket, on_event)
  socket:timeout(nil)
  repeat local message = next_message(socket)
  until not message or (on_event and on_event(message) == false)
end

--- Asks the master: its answer; or nil and the exit code, after this was said. on_event(message): for those that come
-- before the answer, and with options.follow for those behind it, until it ends or on_event gives false.
function M.ask(command, name, request, options, on_event)
  local socket, err = connect(name)
  if not socket then
    io.stderr:write(("clouds %s: %s\n"):format(command, err.message))
    return nil, common.UNREACHABLE
  end
  request.id = 1
  socket:timeout(options.timeout)
  socket:write(require("clouds").json.encode(request), "\n")
  local answer, problem = read_answer(socket, on_event)
  if answer and answer.ok and options.follow then follow(socket, on_event) end
  socket:close()
  if not answer then
    local why = problem == "end" and "it has ended" or problem.message
    io.stderr:write(("clouds %s: no answer from %s: %s\n"):format(command, name, why))
    return nil, common.UNKNOWN
  end
  if not answer.error then return answer end
  if options.json then output.write(output.json(answer), "\n") end
  io.stderr:write(("clouds %s: %s\n"):format(command, output.plain(answer.error.message)))
  return nil, exit_of[answer.error.code] or common.ERROR
end

--- The whole of a command that asks one thing: describe(answer, name) gives the line that is printed. options.follow:
-- it waits for the end of the application, too. code_of(answer), if it is there, gives another exit code than 0,
-- or nil.
function M.main(command, options, name, request, describe, code_of)
  common.command(command, options, function()
    local found = M.find(command, name)
    if not found then return common.UNREACHABLE end
    local answer, code = M.ask(command, found, request, options)
    if not answer then return code end
    answer.id = nil
    local line = options.json and output.json(answer) or describe(answer, found)
    local exit = code_of and code_of(answer) or answer.code or common.OK
    return output.write(line, "\n") and exit or common.ERROR
  end)
end

return M
