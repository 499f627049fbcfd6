-- The process that runs a cluster.lua (host/cli/manager.lua): what that says becomes the plan; it hears of the events.
--
-- It is the code of a user: it may take for ever, end, or say what makes no sense. Nothing of that touches the workers.
-- Who does not say a plan in time has none; later, who ends or does not come back to its loop is started again, for the
-- events alone: the plan stays until the next reload.
local host = require "clouds.host"
local loop = require "clouds.loop"
local output = require "clouds.cli.output"
local Plan = require "clouds.master.plan"
local spawn = require "clouds.master.spawn"

local Manager = {}
Manager.__index = Manager

local PLAN_TIME = 5 -- seconds until it has to have said everything
local MOST_BUSY = 10 -- seconds that it may keep its loop from its turn
local LOOK = 1 -- seconds between two looks at that
local CLOSE_TIME = 1 -- seconds until it ends by force
local AGAIN, AGAIN_FAILED = 1, 5 -- seconds until one that has ended is started again, and one that fails
local SIGTERM, SIGKILL = 15, 9
local TEXT = 4000 -- bytes of a text in an event
local MOST_SAID = 16 * 1024 * 1024 -- bytes

-- The variables of the master, and what makes it a manager.
local function environment_of(url)
  return spawn.environment({ env = {} }, { CLOUDS_CHANNEL = "3", CLOUDS_URL = url })
end

local function finish_plan(self, plan, problem)
  local on_plan = self.on_plan
  self.on_plan = nil
  if self.timer then self.timer:stop() end
  self.timer = nil
  if on_plan then on_plan(plan, problem) end
end

local handlers = {}

-- One more piece of what was said.
function handlers.p(self, text)
  self.size = self.size + #text
  if self.size > MOST_SAID then return self:kill("it says more than a plan can be") end
  table.insert(self.pieces, text)
end

function handlers.P(self, text)
  handlers.p(self, text)
  local said = require("clouds").json.decode(table.concat(self.pieces))
  self.pieces, self.size, self.hears = {}, 0, true
  if not self.on_plan then return self:tell_missed() end
  local plan, problem = Plan.of_said(self.file, said, self.url)
  finish_plan(self, plan, problem)
end

-- It cannot be made.
function handlers.F(self, text)
  if self.on_plan then return finish_plan(self, nil, text) end
  self.delay = AGAIN_FAILED
  self:kill(text)
end

function handlers.c(self, text)
  local command = require("clouds").json.decode(text)
  if self.on_command and type(command) == "table" then self.on_command(command) end
end

-- It has come back from an event.
function handlers.v(self)
  self.unanswered = self.unanswered - 1
  self.asked_at = self.unanswered > 0 and loop.now() or nil
end

local function on_exit(self, code, signal)
  self.process, self.hears = nil, false
  local why = self.killed_for or spawn.end_text(code, signal)
  if self.last_words and not self.killed_for then why = why .. ": " .. self.last_words end
  if self.on_plan then return finish_plan(self, nil, ("%s: no plan: %s"):format(self.file, why)) end
  if self.is_closed then return self.on_end and self.on_end() end
  self.log:own(("the manager ended: %s"):format(why))
  self.timer = loop.timer(self.delay or AGAIN, function()
    self.timer = nil
    self:start()
  end)
end

-- Whether it comes back to its loop, as it says itself, or from the oldest event.
local function look(self)
  self.watch = loop.timer(LOOK, function()
    local late = self.asked_at and loop.now() - self.asked_at or 0
    if self.process and not self.on_plan and math.max(late, self.process:board().busy) > MOST_BUSY then
      self:kill(("it did not come back to its loop within %d s"):format(MOST_BUSY))
    end
    look(self)
  end)
end

-- Adds what is called when something happens to its process.
local function with_hooks(self, process)
  function process.on_message(kind, text)
    if handlers[kind] then handlers[kind](self, text) end
  end
  function process.on_line(stream, text, is_cut)
    if stream == 2 then self.last_words = text end
    self.log:line(self, stream, text, is_cut)
  end
  function process.on_exit(code, signal) on_exit(self, code, signal) end
  return process
end

function Manager:start()
  self.pieces, self.size, self.killed_for, self.last_words, self.delay = {}, 0, nil, nil, nil
  self.unanswered, self.asked_at = 0, nil
  local process, problem = host.cluster.start(with_hooks(self, {
    arguments = { "clouds", "manager", self.file }, environment = environment_of(self.url), folder = self.folder }))
  if not process then
    self.killed_for = problem
    return on_exit(self)
  end
  self.process, self.pid = process, process:pid()
end

local function new(of)
  return setmetatable({ name = "manager", file = of.file, url = of.url, log = of.log, on_plan = of.on_plan,
    on_command = of.on_command, folder = host.folder_of(of.file), missed = 0 }, Manager)
end

--- of: { file = an absolute path, url =, log =, on_plan = fn(plan, problem), on_command = fn(command) }. on_plan is
--- called once: with the plan (clouds.master.plan), or nil and why there is none.
function Manager.new(of)
  local self = new(of)
  self.timer = loop.timer(PLAN_TIME, function()
    self.timer = nil
    self:kill(("it did not say all within %d s"):format(PLAN_TIME))
  end)
  loop.timer(0, function()
    if self.is_closed then return end
    self:start()
    look(self)
  end)
  return self
end

local kept = { "missed", "pieces", "size", "killed_for", "last_words", "delay", "unanswered", "asked_at", "hears" }

--- For resume, when it has said its plan.
function Manager:state()
  local state = { process = self.process and self.process:state() }
  for _, name in ipairs(kept) do state[name] = self[name] end
  return state
end

--- One that another program has started, whose place this one takes; one that had ended is started again. of: as of
--- new, without on_plan.
function Manager.resume(of, state)
  local self = new(of)
  for _, name in ipairs(kept) do self[name] = state[name] end
  if state.process then
    self.process = host.cluster.adopt(with_hooks(self, state.process))
    self.pid = self.process:pid()
  else
    self:start()
  end
  look(self)
  return self
end

local function plain(value)
  if type(value) == "string" then return output.plain(value:sub(1, TEXT)) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, each in pairs(value) do copy[name] = plain(each) end
  return copy
end

--- An event for the functions of the file; one that it cannot hear now is counted.
function Manager:tell(event, ...)
  local null, values, count = require("clouds").json.null, {}, select("#", ...)
  for i = 1, count do
    local value = select(i, ...)
    values[i] = value == nil and null or plain(value)
  end
  local text = require("clouds").json.encode({ event = event, values = values, count = count })
  if not (self.hears and text and self.process:send("V", text)) then
    self.missed = self.missed + 1
    return
  end
  self.unanswered, self.asked_at = self.unanswered + 1, self.asked_at or loop.now()
end

function Manager:tell_missed()
  local count = self.missed
  self.missed = 0
  if count > 0 then self:tell("missed", count) end
end

function Manager:kill(why)
  self.killed_for = self.killed_for or why
  if self.process then self.process:kill(SIGKILL) end
end

--- It hears of nothing more, and ends: in order, or by force. done(), if any, is called then.
function Manager:close(done)
  self.is_closed = true
  if self.timer then self.timer:stop() end
  if self.watch then self.watch:stop() end
  if not self.process then return done and done() end
  local timer = loop.timer(CLOSE_TIME, function() self:kill() end)
  self.on_end = function()
    timer:stop()
    if done then done() end
  end
  self.process:kill(SIGTERM)
end

return Manager
