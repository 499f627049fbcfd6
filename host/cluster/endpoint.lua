-- The admin endpoint of an application: a process of its own (host/cli/endpoint.lua) serves it, so that the master,
-- which accepts the connections, reads no HTTP, and writes no long texts.
--
-- What workers count by name it reads by itself, from memory that they share (clouds_worker.h). What those have counted
-- that have ended is kept here, so that sums never fall.
--
-- The process has no more rights than the workers. It knows nothing by itself: what it is asked for it asks the master,
-- over its channel, as clients of the control socket do. When it ends it is started again; connections wait meanwhile.
local host = require "clouds.host"
local access = require "clouds.cli.admin_access"
local listeners = require "clouds.master.listeners"
local loop = require "clouds.loop"
local requests = require "clouds.master.control_requests"
local spawn = require "clouds.master.spawn"

local Endpoint = {}
Endpoint.__index = Endpoint

local AGAIN = 1 -- seconds until one that has ended is started again
local CLOSE_TIME = 3 -- seconds until it ends by force: it answers before, and lets connections go that are idle
local PIECE = 60000 -- bytes of a message
local SIGTERM, SIGKILL = 15, 9

-- As those of a group: connections wait for it, and then are told that nobody is there.
local SETTINGS = { name = "admin", hold = 10, max_connections = 256, backlog = 128 }

--- asked: { admin =, admin_token_file = } of the command line, which go before the plan.
function Endpoint.new(app, asked)
  return setmetatable({ app = app, log = app.log, asked = asked, number = 0, counting = {} }, Endpoint)
end

---- the process ----

-- One process, and a connection for what it asks (control_requests.lua). `closed`, if it is there, is called in the
-- place of starting another.
local Run = {}
Run.__index = Run

function Run:send(message)
  local text = require("clouds").json.encode(message)
  for at = 1, #text, PIECE do
    local is_last = at + PIECE > #text
    if not self.process:send(is_last and "A" or "a", text:sub(at, at + PIECE - 1)) then return false end
  end
  return true
end

function Run:push(message)
  self:send(message)
end

function Run:cut() end

local function on_exit(self, run, code, signal)
  for _, fn in ipairs(run.on_end) do fn() end
  if run.closed then return run.closed() end
  self.run = nil
  local why = spawn.end_text(code, signal)
  self.log:own(("the admin endpoint ended: %s"):format(run.last_words and why .. ": " .. run.last_words or why))
  self:start_in(AGAIN)
end

-- Workers are asked about themselves, and answer to the endpoint (relay), which is told how many have been asked. Those
-- in other languages have no answer.
local function describe(self, run, asked)
  local count = 0
  for _, group in ipairs(self.app.groups) do
    for worker in pairs(group.settings.command and {} or group.workers) do
      if worker.process:send("Y", asked) then count = count + 1 end
    end
  end
  run.process:send("n", ("%s %d"):format(asked, count))
end

-- "R": it takes connections; "n": what workers say of themselves; "c": a request.
local function on_message(self, run, kind, text)
  if kind == "R" and not run.closed then run.process:take(self.dispatch, true) end
  if kind == "n" then describe(self, run, text) end
  if kind == "c" then requests.take(self.app, run, text) end
end

---- what workers count ----

-- "w" and its counts: a worker is there; "x": it has ended.
local function tell_of(self, worker)
  if not self.run then return end
  self.run.process:send("w", ("%d %s %s"):format(worker.pid, worker.group.name, worker.name), worker.counts)
end

--- Where a worker counts that is about to be started; nil: nobody wants to know.
function Endpoint:counts_for_worker()
  return self.is_wanted and host.cluster.counts() or nil
end

function Endpoint:has_started(worker)
  if not worker.counts then return end
  self.counting[worker] = true
  tell_of(self, worker)
end

--- What a worker says of itself goes on as it is.
function Endpoint:relay(worker, kind, text)
  if self.run then self.run.process:send(kind, ("%d %s\n%s"):format(worker.pid, worker.name, text)) end
end

--- One that another program has started: its process knows of it.
function Endpoint:has_resumed(worker)
  if worker.counts then self.counting[worker] = true end
end

function Endpoint:has_ended(worker)
  if not worker.counts then return end
  self.past:merge(worker.counts)
  worker.counts:close()
  self.counting[worker] = nil
  if self.run then self.run.process:send("x", tostring(worker.pid)) end
end

---- the process, again ----

-- Adds what is called when something happens to the process of a run.
local function with_hooks(self, run, process)
  function process.on_message(kind, text) on_message(self, run, kind, text) end
  function process.on_exit(code, signal) on_exit(self, run, code, signal) end
  function process.on_line(stream, text, is_cut)
    if stream == 2 then run.last_words = text end
    self.log:line(run, stream, text, is_cut)
  end
  return process
end

-- What it asks for, and no more: it reads what others send, and the master may be root.
local MAY = { version = true, status = true, stop = true, reload = true, quiet = true, pause = true, resume = true }

local function new_run()
  return setmetatable({ open = 0, on_end = {}, name = "admin", pid = 0, may = MAY }, Run)
end

local function start(self)
  local run, prepared = new_run(), self.prepared
  local process, problem = host.cluster.start(with_hooks(self, run, {
    arguments = { "clouds", "endpoint" },
    environment = spawn.environment(prepared, { CLOUDS_CHANNEL = "3", CLOUDS_LISTEN = "", CLOUDS_URL = self.app.url }),
    user = prepared.user, group = prepared.group, groups = prepared.groups, folder = "/",
  }))
  if not process then
    self.log:own(("the admin endpoint cannot be started: %s"):format(problem))
    return self:start_in(AGAIN)
  end
  self.run, run.process, run.pid = run, process, process:pid()
  process:send("t", self.token or "")
  process:send("w", "past", self.past)
  for worker in pairs(self.counting) do tell_of(self, worker) end
end

function Endpoint:start_in(seconds)
  self.timer = loop.timer(seconds, function()
    self.timer = nil
    start(self)
  end)
end

---- where it listens ----

local function remove_socket(listener)
  local path = listener.address:match("^unix:([^?]*)")
  if path then os.remove(path) end
end

local function unlisten(self)
  if not self.listener then return end
  self.dispatch:unlisten(self.listener.number)
  remove_socket(self.listener)
  self.listener = nil
end

-- It ends in order, or by force; then done().
local function let_go(run, done)
  local timer = loop.timer(CLOSE_TIME, function() run.process:kill(SIGKILL) end)
  run.closed = function()
    timer:stop()
    done()
  end
  run.process:kill(SIGTERM)
end

-- None is asked for any more: done(), if any, when the process has ended.
local function close(self, done)
  local run, dispatch = self.run, self.dispatch
  unlisten(self)
  if self.timer then self.timer:stop() end
  self.run, self.dispatch, self.timer = nil, nil, nil
  local function over()
    if dispatch then dispatch:close() end
    if done then done() end
  end
  if run then let_go(run, over) else over() end
end

local function listen(self, listener, address)
  if self.dispatch then
    unlisten(self)
    self.dispatch:listen(listener.descriptor, listener.number)
  else
    self.dispatch = listeners.dispatch(SETTINGS, { listener })
  end
  self.listener = listener
  if address:match(":0$") then self.log:plain(("clouds: admin endpoint at port %d"):format(listener.port)) end
end

-- Of who runs it, and the token.
local function read(plan, address, token_file)
  if not address then
    if token_file then return nil, "expected an address (--admin) beside the file of its token" end
    return {}
  end
  local wrong = access.problem(address, token_file)
  if wrong then return nil, wrong end
  local prepared, token, problem
  prepared, problem = spawn.prepare { user = plan.user, group = plan.group }
  if not prepared then return nil, problem end
  if not token_file then return { prepared = prepared } end
  token, problem = access.read_token(token_file)
  if not token then return nil, problem end
  return { prepared = prepared, token = token }
end

--- What has to be done that it is as the plan says: { commit = fn, abort = fn }, one of which is to be called. Or nil,
--- why it cannot be, and whether what was said is wrong.
function Endpoint:prepare(plan)
  local address = self.asked.admin or plan.admin
  local found, problem = read(plan, address, self.asked.admin_token_file or plan.admin_token_file)
  if not found then return nil, "the admin endpoint: " .. problem, true end
  local listener, is_wrong
  if address and not (self.listener and self.listener.address == address) then
    listener, problem, is_wrong = listeners.open_one(address, SETTINGS, self.number + 1)
    if not listener then return nil, "the admin endpoint: cannot listen at " .. problem, is_wrong end
    self.number = listener.number
  end
  local was_wanted = self.is_wanted
  self.is_wanted, self.past = address ~= nil, self.past or address and assert(host.cluster.counts(true))
  return {
    commit = function()
      if not address then return close(self) end
      self.prepared, self.token = found.prepared, found.token
      if listener then listen(self, listener, address) end
      if self.run then self.run.process:send("t", self.token or "") elseif not self.timer then start(self) end
    end,
    abort = function()
      self.is_wanted = was_wanted
      if not listener then return end
      listeners.close({ listener })
      remove_socket(listener)
    end,
  }
end

---- another program ----

--- For resume.
function Endpoint:state()
  return { asked = { admin = self.asked.admin, admin_token_file = self.asked.admin_token_file },
    number = self.number, prepared = self.prepared, token = self.token, listener = self.listener,
    is_wanted = self.is_wanted, past = self.past and self.past:descriptor(),
    process = self.run and self.run.process:state(), dispatch = self.dispatch and listeners.state(self.dispatch) }
end

--- Goes on with that of the program before this one.
function Endpoint:resume(state)
  self.number, self.prepared, self.token, self.listener = state.number, state.prepared, state.token, state.listener
  self.is_wanted, self.past = state.is_wanted, state.past and host.cluster.resume_counts(state.past, true)
  if not state.listener then return end
  self.dispatch = listeners.resume(SETTINGS, { state.listener }, state.dispatch)
  if not state.process then return start(self) end
  local run = new_run()
  run.process = host.cluster.adopt(with_hooks(self, run, state.process))
  self.run, run.pid = run, run.process:pid()
  listeners.resume_target(self.dispatch, run.process, state.process.target)
  listeners.give_held(self.dispatch, state.dispatch)
end

--- Another process takes its place, of the program as it is now.
function Endpoint:renew()
  local run = self.run
  if not run then return end
  self.run = nil
  run.process:take(self.dispatch, false)
  let_go(run, function() end)
  start(self)
end

---- the end ----

--- The application has ended; done() when the process has.
function Endpoint:close(done)
  close(self, done)
end

return Endpoint
