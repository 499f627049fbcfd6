-- The application of `clouds start`: its groups, and what is done with all of them together.
local host = require "clouds.host"
local loop = require "clouds.loop"
local Endpoint = require "clouds.master.endpoint"
local library = require "clouds.master.library"
local listeners = require "clouds.master.listeners"
local output = require "clouds.cli.output"
local Change = require "clouds.master.replan"
local Group = require "clouds.master.group"
local spawn = require "clouds.master.spawn"

local App = {}
App.__index = App

local LOOK = 0.02 -- seconds between two looks whether all connections have been given

--- Of a plan: { name =, url =, groups = list of settings }. log: where its lines go. on_end(code): it has stopped, and
-- who asked for that has been told. asked: what the command line says of its admin endpoint.
function App.new(plan, log, on_end, asked)
  local self = setmetatable({ name = plan.name, url = plan.url, plan = plan, log = log, state = "starting",
    begun = loop.now(), groups = {}, listeners = {}, hooks = {},
    leaving = {}, on_end = on_end, reloads = { ok = 0, failed = 0 }, paused = {},
    cut_off = 0 }, App)
  self.endpoint = Endpoint.new(self, asked)
  for i, settings in ipairs(plan.groups) do self.groups[i] = Group.new(self, settings) end
  return self
end

function App:group(name)
  for _, groups in ipairs { self.groups, self.change and self.change.groups } do
    for _, group in ipairs(groups) do
      if group.name == name then return group end
    end
  end
end

---- events ----

--- fn(event, ...) is called for each: docs/HOST.md has the list. Gives a function that ends that.
function App:on_event(fn)
  local hook = { fn = fn }
  self.hooks[hook] = true
  return function() self.hooks[hook] = nil end
end

function App:emit(event, ...)
  for hook in pairs(self.hooks) do hook.fn(event, ...) end
end

---- a generation of several groups ----

-- All of them or none. done(problem or nil) once.
local function renew(self, groups, done)
  local waiting, problem = #groups, nil
  if waiting == 0 then return done(nil) end
  local function ended(group, why)
    if problem then return end
    if why then
      problem = why
      for _, other in ipairs(groups) do
        if other ~= group then other:roll_back(why) end
      end
      return done(why)
    end
    waiting = waiting - 1
    if waiting > 0 then return end
    for _, each in ipairs(groups) do each:switch() end
    done(nil)
  end
  for _, group in ipairs(groups) do
    if problem then return end
    group:renew(function(why) ended(group, why) end)
  end
end

-- The library comes before the others, which may need it while they start.
local function renew_in_order(self, groups, done)
  local others, had_library = library.without(groups)
  if not had_library then return renew(self, others, done) end
  local group = self:group(library.NAME)
  local function renew_others(problem)
    if not problem and self.state == "stopping" then problem = "the application stops" end
    if problem or not others[1] then return done(problem) end
    renew(self, others, done)
  end
  if group.generation == 0 then return renew(self, { group }, renew_others) end
  if not library.is_alone(group) then return renew(self, groups, done) end
  library.replace(group, renew_others)
end

local function counts_text(groups, form)
  local list = {}
  for i, group in ipairs(groups) do list[i] = form:format(group.name, group:ready_count(), group.generation) end
  return table.concat(list, ", ")
end

---- start ----

-- Whether they are open; otherwise why not, and the code of the program.
local function open_listeners(self)
  local by_group, problem, is_wrong = listeners.open(self.plan.groups)
  if not by_group then
    return false, "cannot listen at " .. problem, is_wrong and host.exit.USAGE or host.exit.UNREACHABLE
  end
  self.listeners = by_group
  for _, text in ipairs(listeners.close_unused()) do self.log:own(text) end
  for _, group in ipairs(self.groups) do
    local list = by_group[group.name]
    if list then group.dispatch = listeners.dispatch(group.settings, list) end
    for _, listener in ipairs(list or {}) do
      if listener.address:match("(%d+)$") == "0" then
        self.log:plain(("clouds: listening at port %d"):format(listener.port))
      end
    end
  end
  return true
end

-- Who the workers are, and what they may use; or what is wrong with that.
local function prepare(self)
  for _, group in ipairs(self.groups) do
    local prepared, problem = spawn.prepare(group.settings)
    if not prepared then return ("group %s: %s"):format(group.name, problem) end
    group.spawn = prepared
  end
end

--- done(problem or nil, code) when it serves, or does not. With a code nothing has been started; without one everything
-- that was is being ended.
function App:start(done)
  local wrong = library.problem(self.plan) or prepare(self)
  if wrong then return done(wrong, host.exit.USAGE) end
  local is_open, why, code = open_listeners(self)
  if not is_open then return done(why, code) end
  renew_in_order(self, self.groups, function(problem)
    if self.state == "stopping" then return end
    if problem then
      done(problem)
      self.code = host.exit.ERROR
      return self:stop()
    end
    self.state = "ready"
    local counts, seconds = counts_text(self.groups, "%s %d"), loop.now() - self.begun
    self.log:own(("%s ready: %s (%d ms)"):format(self.name, counts, seconds * 1000))
    self:emit("ready")
    done(nil)
    self:reload_again()
  end)
end

---- reload ----

-- Who waits for a reload: of everything, or of these groups.
local function wait_for_reload(self, name, done)
  local again = self.again or { dones = {}, names = {} }
  self.again = again
  if name then again.names[name] = true else again.everything = true end
  table.insert(again.dones, done)
end

--- Workers of a new generation take the place of the old, of one group or of all; done(problem or nil). One at a time:
-- what is asked for meanwhile is one more, after it.
function App:reload(name, done)
  if self.state == "stopping" then return done("the application stops") end
  wait_for_reload(self, name, done)
  if self.state == "starting" or self.is_reloading then return end
  self:reload_again()
end

local function groups_to_renew(self, again)
  local groups = {}
  for _, group in ipairs(self.groups) do
    local is_meant = again.names[group.name] or again.everything and group.settings.reload ~= false
    if is_meant then groups[#groups + 1] = group end
  end
  return groups
end

-- done(problem, groups) after a reload of everything by a new plan.
local function reload_plan(self, done)
  self.planner(function(plan, problem, keep)
    local change
    if self.state == "stopping" then problem = "the application stops" end
    problem = problem or self.late
    if not problem then change, problem = Change.prepare(self, plan) end
    if problem then
      keep(false)
      return done(problem)
    end
    self.change = change
    renew_in_order(self, change.groups, function(why)
      self.change = nil
      if why then change:roll_back() else change:commit() end
      keep(not why)
      done(why, change.groups)
    end)
  end)
end

-- done(problem, groups) after a reload by the plan that there is. Of everything: the token of the admin endpoint is
-- read again, too.
local function reload_groups(self, again, done)
  local groups, endpoint, problem = groups_to_renew(self, again), nil, nil
  if again.everything then endpoint, problem = self.endpoint:prepare(self.plan) end
  if problem then return done(problem, groups) end
  renew_in_order(self, groups, function(why)
    if endpoint then endpoint[why and "abort" or "commit"]() end
    done(why, groups)
  end)
end

-- It has taken too long: what it waits for has failed. With that the next one may have begun.
local function end_late(self)
  self.late = ("it took more than %g s"):format(self.plan.reload_timeout)
  for _, group in ipairs(self.change and self.change.groups or self.groups) do
    if group:is_renewing() then return group:roll_back(self.late) end
  end
  library.give_up(self, self.late)
end

--- The next one that somebody waits for.
function App:reload_again()
  local again = self.again
  if not again or self.state == "stopping" then return end
  self.again, self.is_reloading = nil, true
  self:emit "reloading"
  local timer = loop.timer(self.plan.reload_timeout, function() end_late(self) end)
  local function ended(problem, groups)
    timer:stop()
    self.is_reloading, self.late = false, nil
    local result = problem and "failed" or "ok"
    self.reloads[result] = self.reloads[result] + 1
    if problem then
      self.log:own(("reload failed, what served before goes on: %s"):format(problem))
    else
      self.log:own(("%s reloaded: %s"):format(self.name,
        counts_text(groups, "%s %d, generation %d")))
    end
    self:emit("reload", problem)
    for _, done in ipairs(again.dones) do done(problem) end
    self:reload_again()
  end
  if again.everything and self.planner then return reload_plan(self, ended) end
  reload_groups(self, again, ended)
end

---- quiet ----

-- The names of those that cannot be kept from accepting, in order; nil: there are none.
local function names_of_accepting(self)
  local names = {}
  for _, group in ipairs(self.groups) do
    for worker in pairs(group.workers) do
      if worker.accepts then names[#names + 1] = worker.name end
    end
  end
  table.sort(names)
  return names[1] and names
end

--- Takes no connections and no requests of callers any more, and serves what is open; or begins again. Whether it may
-- be said now, and the names of workers that go on accepting all the same, if there are any.
function App:be_quiet(yes)
  if self.state ~= "ready" and self.state ~= "quiet" then return false end
  self.state = yes and "quiet" or "ready"
  if not yes then self.paused = {} end
  for _, group in ipairs((library.without(self.groups))) do group:be_quiet(yes) end
  local names = yes and names_of_accepting(self) or nil
  local but = names and (", but for %s: who accepts by itself goes on"):format(table.concat(names, ", ")) or ""
  self.log:own(("%s is %s%s"):format(self.name, self.state, but))
  return true, names
end

--- Callers choose others for a method, of workers that are started later, too; or these again, which be_quiet(false)
--- does for all methods.
function App:pause_method(method, yes)
  if self.state ~= "ready" and self.state ~= "quiet" then return false end
  self.paused[method] = yes or nil
  for _, group in ipairs((library.without(self.groups))) do group:pause_method(method, yes) end
  self.log:own(("method %s is %s"):format(output.plain(method), yes and "paused" or "resumed"))
  return true
end

---- scale ----

--- A group is to have so many workers, until the next plan.
function App:scale(group, count)
  self.log:own(("group %s: %d workers, from %d"):format(group.name, count, group.count))
  group:scale(count)
end

---- the end ----

-- Connections that were made before the stop are served: the workers drain when the last of them has been given.
local function when_given(group, until_, fn)
  local waits = group.dispatch and group.dispatch:counts().held > 0 and not group.is_killed
  if waits and loop.now() < until_ then
    return loop.timer(LOOK, function() when_given(group, until_, fn) end)
  end
  fn()
end

local function stop_group(group, done)
  when_given(group, loop.now() + math.min(group.drain, listeners.hold_of(group.settings)), function()
    group:stop(function()
      if group.dispatch then group.dispatch:close() end
      group.dispatch = nil
      done()
    end)
  end)
end

-- In the order against that of the start.
local function stop_groups(self, index, done)
  if index == 0 then return done() end
  stop_group(self.groups[index], function() stop_groups(self, index - 1, done) end)
end

-- The connections that were made before are still given to workers.
local function close_listeners(self, group)
  for _, listener in ipairs(self.listeners[group.name] or {}) do
    if group.dispatch then group.dispatch:unlisten(listener.number) end
  end
  self.listeners[group.name] = nil
end

--- A group that is in the plan no longer ends in order.
function App:remove(group)
  self.log:own(("group %s is in the plan no longer: it ends"):format(group.name))
  close_listeners(self, group)
  self:let_go(group)
end

--- It ends in order, and nothing of it is known any more then.
function App:let_go(group)
  self.leaving[group] = true
  stop_group(group, function()
    self.leaving[group] = nil
    if self.on_left then self.on_left() end
  end)
end

-- fn() when no group is on its way out any more.
local function when_left(self, fn)
  if not next(self.leaving) then return fn() end
  self.on_left = function()
    if not next(self.leaving) then fn() end
  end
end

--- Ends everything in order; done(code), if any, for everybody who asked. drain: seconds, instead of those of each
-- group.
function App:stop(done, drain)
  self.stop_dones = self.stop_dones or {}
  if done then table.insert(self.stop_dones, done) end
  if self.state == "stopping" then return end
  local before = self.state
  self.state = "stopping"
  for _, group in ipairs(self.groups) do group.drain = drain or group.drain end
  if before ~= "starting" then self.log:own(("%s stops"):format(self.name)) end
  self:emit("stop")
  for _, waiting in ipairs(self.again and self.again.dones or {}) do waiting("the application stops") end
  for _, group in ipairs(self.groups) do
    close_listeners(self, group)
  end
  if self.change then
    self.change:abort()
  elseif self.is_reloading then
    for _, group in ipairs(self.groups) do group:roll_back("the application stops") end
  end
  stop_groups(self, #self.groups, function() when_left(self, function()
    local code = self.code or (self.had_to_kill and host.exit.UNKNOWN or host.exit.OK)
    for _, waiting in ipairs(self.stop_dones) do waiting(code) end
    loop.timer(LOOK, function() self.on_end(code) end)
  end) end)
end

--- Ends everything at once, also when it stops already; done(code), if any.
function App:kill(done)
  self:stop(done, 0)
  self.log:own(("%s is ended at once"):format(self.name))
  self.had_to_kill = true
  for _, group in ipairs(self.groups) do group:kill() end
  for group in pairs(self.leaving) do group:kill() end
end

--- How long a stop in order may take, in seconds.
function App:longest_stop()
  local seconds = 0
  for _, group in ipairs(self.groups) do seconds = seconds + group.drain end
  return seconds
end

return App
