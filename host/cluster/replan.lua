-- From one plan of an application to the next: which groups are new, which go, and where each listens.
--
-- A change is prepared beside what serves: what is to listen is bound, and each group knows what its new workers shall
-- be. Then the application starts the workers (app.lua), and either all of it counts, or nothing has changed.
--
-- A listener keeps its number as long as its group has it, since workers of two generations know it by that. One that
-- goes from a group to another is the same socket for both, so that what waits there is not lost.
local cluster = require("clouds.host").cluster
local library = require "clouds.master.library"
local listeners = require "clouds.master.listeners"
local Group = require "clouds.master.group"
local spawn = require "clouds.master.spawn"

local Change = {}
Change.__index = Change

local function by_address(list)
  local map = {}
  for _, listener in ipairs(list or {}) do map[listener.address] = listener end
  return map
end

-- Of any group that listens there now.
local function find_listener(app, address)
  for _, list in pairs(app.listeners) do
    local found = by_address(list)[address]
    if found then return found end
  end
end

local function highest_number(list)
  local highest = 0
  for _, listener in ipairs(list or {}) do highest = math.max(highest, listener.number) end
  return highest
end

-- A listener at an address where the group has none: one of another group's, or a new one. Or nil and why not.
local function open(app, address, settings, number)
  local other = find_listener(app, address)
  if other then
    local copy = cluster.copy_listener(other.descriptor)
    return { address = address, descriptor = copy, port = other.port, number = number }
  end
  local listener, problem = listeners.open_one(address, settings, number)
  if listener then return listener end
  return nil, ("%scannot listen at %s"):format(settings.where and settings.where .. ": " or "", problem)
end

-- Where a group shall listen: { list =, added =, removed = }; or nil and why it cannot.
local function listen(self, name, settings)
  local old = self.app.listeners[name]
  local had, where, number = by_address(old), { list = {}, added = {}, removed = {} }, highest_number(old)
  for _, address in ipairs(settings.listen) do
    local listener = had[address]
    had[address] = nil
    if not listener then
      local problem
      number = number + 1
      listener, problem = open(self.app, address, settings, number)
      if not listener then
        listeners.close(where.added)
        return nil, problem
      end
      table.insert(where.added, listener)
    end
    table.insert(where.list, listener)
  end
  for address, listener in pairs(had) do
    local is_named = address:sub(1, #listeners.NAMED) == listeners.NAMED -- by systemd, and no plan says so
    table.insert(is_named and where.list or where.removed, listener)
  end
  return where
end

-- One group of the new plan; or nil and why it cannot be.
local function prepare(self, settings)
  local group = self.app:group(settings.name)
  if group and settings.reload == false then
    table.insert(self.order, group)
    return true
  end
  local prepared, where, problem
  prepared, problem = spawn.prepare(settings)
  if not prepared then return nil, ("%s: group %s: %s"):format(settings.where, settings.name, problem) end
  where, problem = listen(self, settings.name, settings)
  if not where then return nil, problem end
  local part = { group = group or Group.new(self.app, settings), is_new = not group, where = where }
  if group then group:try(settings, prepared) else part.group.spawn = prepared end
  part.group.next_listeners = where.list
  if where.list[1] and not part.group.dispatch then part.group.dispatch = listeners.dispatch(settings) end
  table.insert(self.parts, part)
  table.insert(self.order, part.group)
  table.insert(self.groups, part.group)
  return true
end

--- What has to be done for `plan` to take the place of that of the application: its `groups` are to be renewed, then it
--- is committed or rolled back. Or nil and why it cannot be done; then nothing has changed.
function Change.prepare(app, plan)
  if plan.name ~= app.name then
    return nil, ('a reload cannot change the name of the application, "%s", to "%s"'):format(app.name, plan.name)
  end
  local wrong = library.problem(plan)
  if wrong then return nil, wrong end
  local self = setmetatable({ app = app, plan = plan, parts = {}, order = {}, groups = {}, url = app.url }, Change)
  app.url = plan.url
  for _, settings in ipairs(plan.groups) do
    local is_ready, problem = prepare(self, settings)
    if not is_ready then
      self:roll_back()
      return nil, problem
    end
  end
  local problem
  self.files, problem = app.log:prepare(plan)
  if self.files then self.endpoint, problem = app.endpoint:prepare(plan) end
  if self.endpoint then return self end
  self:roll_back()
  return nil, problem
end

local function is_in(list, group)
  for _, each in ipairs(list) do
    if each == group then return true end
  end
end

--- All new workers serve: what is added listens, then what is removed does so no longer, and the groups that are gone
--- from the plan end.
function Change:commit()
  local app, before = self.app, self.app.groups
  app.groups, app.plan = self.order, self.plan
  self.files.commit()
  self.endpoint.commit()
  for _, part in ipairs(self.parts) do
    local group, where = part.group, part.where
    group.undo, group.next_listeners = nil, nil
    if group.dispatch then listeners.change(group.dispatch, group.settings) end
    for _, listener in ipairs(where.added) do group.dispatch:listen(listener.descriptor, listener.number) end
  end
  for _, part in ipairs(self.parts) do
    for _, listener in ipairs(part.where.removed) do part.group.dispatch:unlisten(listener.number) end
    app.listeners[part.group.name] = part.where.list
  end
  for _, group in ipairs(before) do
    if not is_in(self.order, group) then app:remove(group) end
  end
end

--- The application stops meanwhile.
function Change:abort()
  for _, group in ipairs(self.groups) do group:roll_back("the application stops") end
end

--- It is not done.
function Change:roll_back()
  self.app.url = self.url
  if self.files then self.files.abort() end
  if self.endpoint then self.endpoint.abort() end
  for _, part in ipairs(self.parts) do
    local group = part.group
    listeners.close(part.where.added)
    group.next_listeners = nil
    group:take_back()
    if part.is_new then
      group:stop(function()
        if group.dispatch then group.dispatch:close() end
      end)
    end
  end
end

return Change
