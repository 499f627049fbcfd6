-- What a master knows of its application, for the program that takes its place: as a text, and back.
--
-- Times are those of the steady clock, which goes on, and descriptors are numbers, which stay. Who reads it checks
-- `format` first: another one is of a version that cannot be followed, or cannot follow.
local host = require "clouds.host"
local loop = require "clouds.loop"
local listeners = require "clouds.master.listeners"
local spawn = require "clouds.master.spawn"
local watch = require "clouds.master.watch"
local App = require "clouds.master.app"
local Group = require "clouds.master.group"
local Slot = require "clouds.master.slot"
local Worker = require "clouds.master.worker"
local cluster = host.cluster
local M = { FORMAT = 1 }

local function copied(names, from, to)
  for _, name in ipairs(names) do to[name] = from[name] end
  return to
end

---- the text ----

local HEX = "$hex" -- the member of an object that stands for bytes that are no text

-- A program may have such members, too: theirs get one more $ in front.
local function escaped(name)
  return type(name) == "string" and name:find("^%$+hex$") and "$" .. name or name
end

local function unescaped(name)
  return type(name) == "string" and name:find("^%$%$+hex$") and name:sub(2) or name
end

local function packed(value)
  if type(value) == "string" then
    if cluster.mended(value) == value then return value end
    return { [HEX] = value:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end) }
  elseif type(value) ~= "table" then
    return value
  end
  local copy = {}
  for name, each in pairs(value) do copy[escaped(name)] = packed(each) end
  return copy
end

local function unpacked(value)
  if type(value) ~= "table" then return value end
  if type(value[HEX]) == "string" then
    return (value[HEX]:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
  end
  local made = {}
  for name, each in pairs(value) do made[unescaped(name)] = unpacked(each) end
  return made
end

function M.encode(state)
  return assert(require("clouds").json.encode(packed(state)))
end

--- Or nil and why it is none that this program can go on with.
function M.decode(text)
  local state = require("clouds").json.decode(text)
  if type(state) ~= "table" or type(state.format) ~= "number" then return nil, "it is not the state of a master" end
  if state.format ~= M.FORMAT then
    return nil, ("its format is %d, and that of clouds %s is %d"):format(state.format, host.versions().clouds, M.FORMAT)
  end
  return unpacked(state)
end

---- workers ----

local of_worker = { "state", "begun", "ready_at", "due", "hung_at", "most_age", "retires_for", "takes_none",
  "was_killed", "last_words", "exit", "interrupted_at", "asked_at", "variables", "variables_at", "messages_lost",
  "told_unknown", "accepts", "index", "generation" }

local function worker_state(worker)
  return copied(of_worker, worker, { process = worker.process:state(),
    counts = worker.counts and worker.counts:descriptor() })
end

local function resume_worker(group, saved)
  local counts = saved.counts and cluster.resume_counts(saved.counts)
  local worker = Worker.resume(group, copied(of_worker, saved, { counts = counts }), saved.process)
  listeners.resume_target(group.dispatch, worker.process, saved.process.target)
  group.workers[worker] = true
  return worker
end

---- slots ----

local of_slot = { "index", "delay", "restarts", "recycles", "given_up", "is_final", "last_exit" }

local function slot_state(slot)
  return copied(of_slot, slot, { worker = slot.worker and slot.worker.pid, coming = slot.coming and slot.coming.pid,
    starts_at = slot.timer and slot.starts_at })
end

local function resume_slot(group, saved, by_pid)
  local slot = copied(of_slot, saved, Slot.new(group, saved.index))
  slot.worker, slot.coming = by_pid[saved.worker], by_pid[saved.coming]
  if saved.starts_at then slot:start_in(math.max(0, saved.starts_at - loop.now())) end
  return slot
end

---- groups ----

local of_group = { "name", "settings", "count", "drain", "generation", "is_quiet", "restarts", "past" }

local function list_of(set, state_of)
  local list = {}
  for each in pairs(set) do list[#list + 1] = state_of(each) end
  return list
end

local function group_state(group, its_listeners)
  local state = copied(of_group, group, { workers = list_of(group.workers, worker_state), slots = {}, failures = {},
    listeners = its_listeners, token = group.token:state(function(worker) return worker.pid end) })
  for _, slot in pairs(group.slots) do table.insert(state.slots, slot_state(slot)) end
  for i, failure in ipairs(group.failures) do state.failures[i] = { at = failure.at, index = failure.slot.index } end
  if group.dispatch then state.dispatch = listeners.state(group.dispatch) end
  return state
end

local function resume_group(app, saved)
  local group, by_pid = copied(of_group, saved, Group.new(app, saved.settings)), {}
  group.spawn = assert(spawn.prepare(group.settings))
  if saved.dispatch then
    group.dispatch = listeners.resume(group.settings, saved.listeners, saved.dispatch, group.is_quiet)
  end
  for _, each in ipairs(saved.workers) do
    local worker = resume_worker(group, each)
    by_pid[worker.pid] = worker
  end
  for _, each in ipairs(saved.slots) do group.slots[each.index] = resume_slot(group, each, by_pid) end
  for i, failure in ipairs(saved.failures) do
    group.failures[i] = { at = failure.at, slot = group.slots[failure.index] or {} }
  end
  group.token:resume(saved.token, by_pid)
  watch.begin(group)
  if saved.dispatch then listeners.give_held(group.dispatch, saved.dispatch) end
  return group
end

---- the application ----

local of_app = { "name", "url", "plan", "state", "begun", "cut_off", "reloads", "paused", "had_to_kill" }

--- What there is to know of it. A second value: the descriptors that are named in it.
function M.of(app)
  local state = copied(of_app, app, { format = M.FORMAT, groups = {}, leaving = {}, control = app.control:state(),
    pidfile = app.pidfile and app.pidfile:state(), file = app.file and app.file:state(), log = app.log:state(),
    endpoint = app.endpoint:state() })
  for i, group in ipairs(app.groups) do state.groups[i] = group_state(group, app.listeners[group.name]) end
  for group in pairs(app.leaving) do table.insert(state.leaving, group_state(group, nil)) end
  return state, M.descriptors(state)
end

local function add_each(list, connections)
  for _, each in ipairs(connections or {}) do list[#list + 1] = each.descriptor end
end

local function add_process(list, process)
  if not process then return end
  list[#list + 1], list[#list + 2] = process.channel, process.board
  add_each(list, process.streams)
  add_each(list, process.target and process.target.copies)
  for _, message in ipairs(process.waiting) do
    for _, descriptor in ipairs(message.descriptors) do list[#list + 1] = descriptor end
  end
end

--- Those that are named in it.
function M.descriptors(state)
  local list = { state.control.descriptor, state.control.lock }
  if state.pidfile then list[#list + 1] = state.pidfile.descriptor end
  if state.client then list[#list + 1] = state.client.descriptor end
  add_process(list, state.file and state.file.manager.process)
  add_process(list, state.endpoint.process)
  list[#list + 1] = state.endpoint.past
  add_each(list, { state.endpoint.listener })
  add_each(list, state.endpoint.dispatch and state.endpoint.dispatch.held)
  for _, groups in ipairs { state.groups, state.leaving } do
    for _, group in ipairs(groups) do
      add_each(list, group.listeners)
      add_each(list, group.dispatch and group.dispatch.held)
      for _, worker in ipairs(group.workers) do
        add_process(list, worker.process)
        list[#list + 1] = worker.counts
      end
    end
  end
  return list
end

--- The application, as it was. Raises where that cannot be.
function M.resume(state, log, on_end)
  local app = copied(of_app, state, App.new(state.plan, log, on_end, state.endpoint.asked))
  assert(cluster.inherit(M.descriptors(state)))
  app.groups = {}
  for i, saved in ipairs(state.groups) do
    app.listeners[saved.name] = saved.listeners
    app.groups[i] = resume_group(app, saved)
  end
  app.endpoint:resume(state.endpoint)
  for _, saved in ipairs(state.leaving) do app:let_go(resume_group(app, saved)) end
  return app
end

return M
