--- What a cluster.lua says: which scripts run, in how many processes, and where they listen.
--
-- It is run by `clouds start -c FILE` and `clouds check FILE` in a process of its own, the manager. What is said here
-- is checked at once, so that an error has the line that said it, and recorded; the master makes its plan of the
-- record.
local suggest = require "clouds.suggest"

local M = {}
local App = {}
App.__index = App

M.events = { "ready", "fork", "worker_ready", "exit", "giveup", "retire", "hang", "drain", "signal",
  "reloading", "reload", "upgrade", "stop", "error", "missed" }

local other_names = { restartgiveup = "giveup" } -- of node-cluster

local recorder -- { plan =, said =, tell =, problem = } of the manager; nil: this is none
local the_app

--- For the manager: what is said goes to `plan` (clouds.master.plan), and commands to tell(command). What it gives has
--- the calls in `said`, and in `problem` the last error that was raised about one. become(settings) makes the process
--- who the settings of the application say; nil and why it cannot.
function M.record(plan, tell, become)
  recorder = { plan = plan, said = {}, tell = tell, become = become }
  return recorder
end

-- The line of the file that called.
local function caller()
  local info = debug.getinfo(3, "Sl")
  return ("%s:%d"):format(info.source:gsub("^[@=]", ""), info.currentline)
end

local function check(is_right, problem)
  if not is_right then
    recorder.problem = problem
    error(problem, 0)
  end
end

local function say(call, where)
  check(recorder.plan:say(call, where))
  call.where = where
  table.insert(recorder.said, call)
end

--- The application. settings: see docs/HOST.md. Raises what is wrong with them, with the line.
function M.master(settings)
  if settings == M then
    error("expected cluster.master { ... }, with a dot", 2)
  end
  if not recorder then
    error("cluster.master is for a file that `clouds start -c FILE` or `clouds check FILE` runs", 2)
  end
  local where = caller()
  say({ say = "master", settings = settings or {} }, where)
  local is_right, problem = recorder.become(settings or {})
  check(is_right, ("%s: %s"):format(where, problem))
  the_app = setmetatable({ handlers = {} }, App)
  return the_app
end

local function check_self(self)
  if getmetatable(self) ~= App then
    error("expected a colon: app:register(...)", 3)
  end
end

--- A group of workers that run `script`, or what the setting `command` says. listen: a port, an address, a list of
--- them, or the name of a group that listens nowhere.
function App:register(listen, script, settings)
  check_self(self)
  if listen == nil then
    error("app:register: expected where to listen, or a name, as its first argument", 2)
  end
  say({ say = "register", listen = listen, script = script, settings = settings or {} }, caller())
  return self
end

--- The process beside the workers that holds what they share.
function App:library(script, settings)
  check_self(self)
  say({ say = "library", script = script, settings = settings or {} }, caller())
  return self
end

local function add(self, event, fn)
  event = other_names[event] or event
  for _, known in ipairs(M.events) do
    if event == known then
      if type(fn) ~= "function" then
        error(("app:on: expected a function for '%s', got a %s"):format(event, type(fn)), 3)
      end
      self.handlers[event] = self.handlers[event] or {}
      table.insert(self.handlers[event], fn)
      return
    end
  end
  error(("app:on: unknown event '%s'; %s"):format(tostring(event), suggest.hint(event, M.events)), 3)
end

--- fn is called with each event of this name, in a coroutine that may wait; or app:on { event = fn, ... }.
function App:on(event, fn)
  check_self(self)
  if type(event) ~= "table" then
    add(self, event, fn)
    return self
  end
  for name, each in pairs(event) do
    add(self, name, each)
  end
  return self
end

--- Says that all has been said, as node-cluster has it. The end of the file does, too.
function App:dispatch()
  check_self(self)
  return self
end

--- Asks the master to reload one group, or everything; the event reload tells how it went.
function App:reload(group)
  check_self(self)
  recorder.tell({ ["do"] = "reload", group = group })
end

--- Asks the master to stop the application in order.
function App:stop()
  check_self(self)
  recorder.tell({ ["do"] = "stop" })
end

--- Asks the master for `count` workers in a group.
function App:scale(group, count)
  check_self(self)
  if type(count) ~= "number" or count < 1 or count % 1 ~= 0 then
    error("app:scale: expected the name of a group, and how many workers", 2)
  end
  recorder.tell({ ["do"] = "scale", group = group, count = count })
end

--- For the manager: an event has come.
function M.emit(event, ...)
  for _, fn in ipairs(the_app and the_app.handlers[event] or {}) do
    require("clouds").spawn(fn, ...)
  end
end

return M
