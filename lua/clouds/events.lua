--- Events of nodes and contexts, from the core to listeners and hooks.
local core = require("clouds.core")
local channels = require("clouds.channels")
local errors = require("clouds.error")
local node = require("clouds.node")
local scheduler = require("clouds.scheduler")

local M = {}

--- Reports a failure that no caller waits for.
function M.failed(self, err, what)
  if self.listeners:has("error") then
    return self.listeners:emit("error", err, what)
  end
  scheduler.report(err, nil, what)
end

local on_event = { published = channels.published, unsubscribed = channels.unsubscribed }

function on_event.ready(self, problem)
  if problem == true then
    self.is_ready = true
    self.listeners:emit("ready")
  else
    self.failure = problem
  end
  node.ready_known(self)
end

function on_event.message(self, ...)
  self.listeners:emit_message("message", ...)
end

on_event["unknown message"] = function(self, ...)
  self.listeners:emit_message("unknown message", ...)
end

-- What was not answered is told by name as well: its handlers still run.
function on_event.exit(self, unanswered)
  self.left_open = unanswered > 0 and core.open_requests(self.number) or {}
  node.ended(self)
  self.listeners:emit("exit", unanswered, self.left_open)
end

local peer_states = { [0] = "well", "avoided", "open", "probing", "paused", "draining", "gone" }

function on_event.peer(self, id, state, method)
  self.listeners:emit("peer", id, peer_states[state] or tostring(state), method ~= "" and method or nil)
end

-- Another node has paused or resumed this one.
function on_event.paused(self, from, name, paused)
  node.note_pause(self, name, paused)
  self.listeners:emit("paused", from, name, paused)
end

-- Another node asks this one to stop.
function on_event.stop(self, from, drain)
  if self.listeners:has("stop") then
    return self.listeners:emit("stop", from, drain)
  end
  return node.stop_asked(self, drain)
end

function on_event.find_server(self, id, method, known)
  local hook = self.hooks.find_server
  local ok, server = true, nil
  if hook then
    ok, server = pcall(hook, method, known)
  end
  local context = self.context.core
  context:choose(id, ok and type(server) == "string" and server or "")
  if not ok then
    error(server, 0)
  end
end

for _, name in ipairs({ "save_servers", "remove_server", "clear_servers" }) do
  on_event[name] = function(self, ...)
    if self.hooks[name] then
      self.hooks[name](...)
    end
  end
end

-- Reports what a program without listeners would not get: a wrong password, a server that is not there. Once, until
-- the reason is another, or there was a connection.
local function report_down(context, err)
  local words = errors.describe(err)
  if context.down ~= words then
    context.down = words
    scheduler.report(err, nil, "connection")
  end
end

local function bus_changed(number, name, err)
  local context = scheduler.context_by_number(number)
  if not context then
    return
  end
  local concerned, heard = {}, false
  for _, each in pairs(node.nodes) do
    if each.context == context and not each.closed then
      concerned[#concerned + 1] = each
      heard = heard or each.listeners:has(name)
    end
  end
  context.reason = name == "down" and err or nil
  context.lost = context.reason and err.message
  if name == "up" then
    context.down = nil
  elseif concerned[1] and not heard then
    report_down(context, err)
  end
  for _, each in ipairs(concerned) do
    each.listeners:emit(name, err)
  end
end

--- The hook that the core calls, in a coroutine.
function M.event(name, number, ...)
  if name == "log" then
    return scheduler.log(number, ...)
  elseif name == "context closed" then
    return scheduler.context_over(number)
  elseif name == "up" or name == "down" then
    return bus_changed(number, name, (...))
  end
  local target = node.nodes[number]
  if not target then
    return
  end
  local fn = on_event[name]
  if fn then
    return fn(target, ...)
  end
  return target.listeners:emit(name, ...)
end

return M
