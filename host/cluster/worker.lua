-- One process of a group, from its start to its end.
local host = require "clouds.host"
local loop = require "clouds.loop"
local program = require "clouds.master.program"
local library = require "clouds.master.library"
local listeners = require "clouds.master.listeners"
local messages = require "clouds.master.worker_messages"
local spawn = require "clouds.master.spawn"
local watch = require "clouds.master.watch"
local cluster = host.cluster

local Worker = {}
Worker.__index = Worker

local SIGKILL = 9
local HUNG_LEAST, HUNG_MOST = 1, 10 -- seconds until a worker that hangs is killed
local LOOK = 0.05 -- seconds between two looks whether it can be
local SAY_AGAIN = 60 -- seconds until the same is said of a worker again
local KILL_AFTER = 4 -- seconds beyond the drain: the worker ends itself before

-- Its listeners, as CLOUDS_LISTEN has them: by their numbers the ports, or the addresses of unix sockets.
local function listen_text(group)
  local ports = {}
  for _, listener in ipairs(group:listeners()) do ports[tostring(listener.number)] = listeners.port_of(listener) end
  return next(ports) and require("clouds").json.encode(ports) or ""
end

local function environment_of(worker)
  local group = worker.group
  local mine = {
    CLOUDS_APP = group.app.name, CLOUDS_GROUP = group.name, CLOUDS_WORKER = tostring(worker.index),
    CLOUDS_WORKERS = tostring(group.count), CLOUDS_GENERATION = tostring(worker.generation), CLOUDS_CHANNEL = "3",
    CLOUDS_LISTEN = listen_text(group), CLOUDS_LISTEN_AT = group:addresses(), CLOUDS_URL = group.app.url,
    CLOUDS_DISPATCH = group:setting("dispatch"),
    CLOUDS_WATCHDOG = watch.interrupts(group) and ("%.14g"):format(group:setting("hang_timeout")),
    CLOUDS_DRAIN = ("%.14g"):format(group.drain),
    CLOUDS_LOG_FORMAT = group.app.plan.log.format == "json" and "json" or nil,
  }
  library.add_environment(group.app, mine)
  return spawn.environment(group.spawn, mine)
end

function Worker:stop_timer()
  if self.timer then self.timer:stop() end
  self.timer = nil
end

function Worker:after(seconds, fn)
  self:stop_timer()
  self.due = loop.now() + seconds
  self.timer = loop.timer(seconds, fn)
end

local function on_message(self, kind, text)
  local handler = messages[kind]
  if handler then return handler(self, text) end
  if self.told_unknown then return end
  self.told_unknown = true
  self.group.app.log:own(("worker %s sent a message of an unknown type, %q"):format(self.name, kind))
end

-- The last that it says of itself; a traceback, what Node writes behind one, and where there is help say less than the
-- line before.
local function note_words(self, text)
  local says_less = text:match("^[%s}]") or text == "" or text == "stack traceback:" or text:match("^Node%.js v%d")
    or text:match("^clouds .*%-%-help says more$")
  if self.state == "hung" or says_less then return end
  self.last_words = text:gsub("^clouds: ", "")
end

local function on_exit(self, code, signal)
  local before = self.state
  self:stop_timer()
  self.state, self.exit = "gone", spawn.end_text(code, signal)
  if self.last_words then self.exit = self.exit .. ": " .. self.last_words end
  self.group.app:emit("exit", self.group.name, self.index, self.pid, code, signal, self.exit)
  self.group:has_ended(self, before, code)
end

local function new(group, index, generation)
  return setmetatable({ group = group, index = index, generation = generation, state = "starting",
    name = ("%s.%d"):format(group.name, index), begun = loop.now(), said = {} }, Worker)
end

-- Adds what is called when something happens to its process.
local function with_hooks(self, process)
  function process.on_message(kind, text) on_message(self, kind, text) end
  function process.on_exit(code, signal) on_exit(self, code, signal) end
  function process.on_line(stream, text, is_cut)
    if stream == 2 then note_words(self, text) end
    self.group.app.log:line(self, stream, text, is_cut)
  end
  return process
end

-- It has so long to be ready.
local function await_ready(self, seconds)
  self:after(seconds, function()
    self.last_words = ("not ready within %g s"):format(self.group.settings.ready_timeout)
    self:kill()
  end)
end

--- A new worker; or nil and why there is none.
function Worker.start(group, index, generation)
  local self, prepared = new(group, index, generation), group.spawn
  local name, words = program.words_of(group)
  self.counts = group.app.endpoint:counts_for_worker()
  local process, problem = cluster.start(with_hooks(self, {
    program = name, arguments = words, environment = environment_of(self),
    user = prepared.user, group = prepared.group, groups = prepared.groups, umask = prepared.umask,
    nice = prepared.nice, limits = prepared.limits, folder = prepared.folder, cpu = spawn.processor_of(prepared, index),
    captures = group.app.plan.log.capture, counts = self.counts,
  }))
  if not process then return nil, problem end
  self.process, self.pid = process, process:pid()
  group.app.endpoint:has_started(self)
  self.most_age = watch.about(group, "max_age")
  process:most_requests(math.ceil(watch.about(group, "max_requests")))
  group.app:emit("fork", group.name, index, self.pid, generation)
  await_ready(self, group.settings.ready_timeout)
  return self
end

--- Says something of it in the log, of each kind (`what`) once in a while.
function Worker:say(what, format, ...)
  local now = loop.now()
  if self.said[what] and now - self.said[what] < SAY_AGAIN then return end
  self.said[what] = now
  self.group.app.log:own(("worker %s "):format(self.name) .. format:format(...))
end

--- It says that it is ready.
function Worker:is_ready()
  if self.state ~= "starting" then return end
  self:stop_timer()
  self.state, self.ready_at = "ready", loop.now()
  self.group:is_ready(self)
end

--- Whether it is given connections.
function Worker:take(yes)
  if self.group.dispatch then self.process:take(self.group.dispatch, yes and not self.takes_none) end
end

--- It is asked for nothing new by callers, of a method or (nil) of all; or begins again.
function Worker:be_quiet(yes, method)
  self.process:send(yes and "Q" or "U", method)
end

--- It finishes what it has accepted, and ends; by force when that takes longer than it may. reason: "reload", "retire"
-- or "scale", others serve on and get its idle connections; or "stop", which may follow these.
function Worker:drain(reason)
  if self.state == "hung" or self.state == "gone" then return end
  if self.state == "draining" and reason ~= "stop" then return end
  if self.state ~= "draining" then self:is_draining(reason) end
  self.process:send("D", ("%.14g %s"):format(self.group.drain, reason))
end

local function await_end(self, seconds)
  self:after(seconds, function()
    self.group.app.log:own(("worker %s did not end within %g s: killed"):format(self.name, self.group.drain))
    self:kill()
  end)
end

--- It gets no connections any more, and has so long to end. reason: as of drain, or "signal".
function Worker:is_draining(reason)
  self.state = "draining"
  self:take(false)
  self.group.app:emit("drain", self.group.name, self.index, self.pid, reason)
  await_end(self, self.group.drain + KILL_AFTER)
end

--- Its channel has ended, as with its process. One that goes on could be told nothing any more, not to stop either.
function Worker:is_cut_off()
  if self.state == "draining" or self.state == "hung" or self.state == "gone" then return end
  self:after(KILL_AFTER, function()
    self.last_words = "it closed its channel and went on"
    self:kill()
  end)
end

-- Until it has written where it is, and another is in its place: both take their time on a busy machine.
local function await_words(self, seconds)
  self:after(seconds, function()
    local is_waited_for = self.process:tells_where() or self.group:is_replacing(self)
    if not is_waited_for or loop.now() - self.hung_at >= HUNG_MOST then return self:kill() end
    await_words(self, LOOK)
  end)
end

--- It hangs: it writes where, and is killed.
function Worker:end_hung(text)
  self.state, self.last_words, self.hung_at = "hung", "it hung, " .. text, loop.now()
  self:take(false)
  self.process:tell_where()
  await_words(self, HUNG_LEAST)
end

local awaits = { starting = await_ready, draining = await_end, hung = await_words }

--- A worker that another program has started, whose place this one takes. known: what that knew of it; process: what
-- cluster.adopt takes.
function Worker.resume(group, known, process)
  local self = new(group, known.index, known.generation)
  for name, value in pairs(known) do self[name] = value end
  self.process = cluster.adopt(with_hooks(self, process))
  self.pid = self.process:pid()
  group.app.endpoint:has_resumed(self)
  local await = awaits[self.state]
  if await and self.due then await(self, math.max(0, self.due - loop.now())) end
  return self
end

--- Whether its loop still turns is asked of one whose board does not tell.
function Worker:ask()
  if not self.group.settings.command or self.asked_at or not self.process:send("I") then return end
  self.asked_at = loop.now()
end

--- Seconds since it was asked, while it has not answered.
function Worker:unanswered()
  return self.asked_at and loop.now() - self.asked_at or 0
end

--- Its row for `clouds ps`. `board`: what it says of itself.
function Worker:describe()
  return { worker = self.name, index = self.index, pid = self.pid, generation = self.generation, state = self.state,
    uptime = loop.now() - self.begun, memory = self.process:memory(), board = self.process:board(),
    variables = self.variables, variables_at = self.variables_at, messages_lost = self.messages_lost,
    accepts = self.accepts }
end

function Worker:kill()
  self.was_killed = true
  self.process:kill(SIGKILL)
end

return Worker
