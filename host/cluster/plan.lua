-- The plan of an application: what was said of it and of its groups, checked key by key (keys.lua), with every default.
--
-- It is a table { name =, url =, base =, file =, groups = list }. Of each group it has all keys, with `script` (an
-- absolute path when there is a base), `command` (nil: it is Lua), `arguments` (the key args) and `where`, the line
-- that registered it.
local host = require "clouds.host"
local access = require "clouds.cli.admin_access"
local keys = require "clouds.master.keys"
local program = require "clouds.master.program"
local library = require "clouds.master.library"
local values = require "clouds.master.plan_values"
local suggest = require "clouds.suggest"

local Plan = { GATEWAY = program.GATEWAY }
Plan.__index = Plan

--- of: { file =, folder =, url = } of a cluster.lua, which `base` and `name` come from; or { name =, url = } of a
--- script of the command line, whose paths stay as they are.
function Plan.new(of)
  return setmetatable({ is_command = not of.file, folder = of.folder, groups = {}, listeners = {},
    settings = { name = of.name or Plan.name_of(of.file), base = of.folder, url = of.url }, file = of.file }, Plan)
end

--- "web" of "/srv/web.lua", "/srv/web.py".
function Plan.name_of(path)
  local name = program.without_suffix(path:match("([^/]*)$")):gsub("[^%w_.-]", "-")
  return name:match("^[%w_]") and name:sub(1, values.LONGEST_NAME) or "app"
end

--- The plan that a cluster.lua begins with.
function Plan.of_file(file, url)
  return Plan.new { file = file, folder = host.folder_of(file), url = url }
end

--- The finished plan of what a manager has recorded (clouds.cluster); or nil and what is wrong.
function Plan.of_said(file, said, url)
  if type(said) ~= "table" then return nil, file .. ": the manager says nothing that makes sense" end
  local plan = Plan.of_file(file, url)
  for _, call in ipairs(said) do
    if type(call) ~= "table" then return nil, file .. ": the manager says nothing that makes sense" end
    local is_right, problem = plan:say(call, tostring(call.where))
    if not is_right then return nil, problem end
  end
  return plan:finish()
end

local function at(where, format, ...)
  local text = format:format(...)
  return nil, where and where .. ": " .. text or text
end

local function names_of(list)
  local names = {}
  for i, key in ipairs(list) do names[i] = key[1] end
  return names
end

local function unknown(where, name, list, what)
  local shown = type(name) == "string" and "'" .. name .. "'" or values.shown(name)
  return at(where, "unknown key %s of %s; %s", shown, what, suggest.hint(name, names_of(list)))
end

-- In the order of the names, so that of several mistakes always the same is told.
local function sorted(settings)
  local names = {}
  for name in pairs(settings) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

-- The settings as the plan has them; or nil and what is wrong. prefix: of their options.
local function read(self, settings, list, what, where, prefix)
  local result = {}
  if type(settings) ~= "table" then
    return at(where, "expected a table of the keys of %s, got %s", what, values.shown(settings))
  end
  for _, name in ipairs(sorted(settings)) do
    local key = keys.find(list, name)
    local full = (prefix or "") .. tostring(name)
    local shown = self.is_command and "--" .. full:gsub("[._]", "-") or ("'%s'"):format(full)
    if not key then return unknown(where, name, list, what) end
    local value, expected, part
    if key[2] == "settings" then
      value, expected = read(self, settings[name], keys[name], ("'%s'"):format(name), where, name .. ".")
      if not value then return nil, expected end
    else
      value, expected, part = values.read(key, settings[name])
    end
    if value == nil then
      return at(where, "%s: expected %s, got %s", shown, expected, values.shown(part or settings[name]))
    end
    result[name] = value
  end
  return result
end

local function absolute(path, base)
  if not path or not base or path:sub(1, 1) == "/" then return path end
  return base .. "/" .. path
end

-- Relative paths of sockets begin where all do.
local function absolute_address(address, base)
  local path = address:match("^unix:(.*)$")
  return path and "unix:" .. absolute(path, base) or address
end

-- What is wrong with the admin endpoint; nil: nothing, and its paths are absolute.
local function read_admin(given, base)
  given.admin_token_file = absolute(given.admin_token_file, base)
  if given.admin then given.admin = absolute_address(given.admin, base) end
  if given.admin then return access.problem(given.admin, given.admin_token_file, "admin_token_file") end
  return given.admin_token_file and "expected an address beside the file of its token" or nil
end

--- What is said of the application as a whole, before its groups: true; or nil and what is wrong.
function Plan:master(settings, where)
  if self.has_master then
    return at(where, "cluster.master is called a second time; the first was at %s", self.has_master)
  end
  local given, problem = read(self, settings, keys.master, "cluster.master", where)
  if not given then return nil, problem end
  if given.base then
    local base = absolute(given.base, self.folder)
    given.base = host.real_path(base)
    if not given.base then return at(where, "'base': there is no folder %s", base) end
  end
  given.pidfile = absolute(given.pidfile, given.base or self.folder)
  problem = read_admin(given, given.base or self.folder)
  if problem then return at(where, "%s: %s", self.is_command and "--admin" or "'admin'", problem) end
  if given.log then given.log.file = absolute(given.log.file, given.base or self.folder) end
  for name, value in pairs(given) do self.settings[name] = value end
  self.has_master = where or "the command line"
  return true
end

-- A file that workers can run.
local function check_script(self, script, where)
  if type(script) ~= "string" or script == "" then
    return at(where, "expected the file of a script, got %s", values.shown(script))
  end
  if script == Plan.GATEWAY then return script end
  local path = absolute(script, self.settings.base)
  if not host.is_file(path) then return at(where, "there is no script %s", path) end
  return path
end

local function add_listeners(self, group, where)
  local new = {}
  for i, address in ipairs(group.listen) do
    address = absolute_address(address, self.settings.base)
    local plain = address:gsub("%?mode=.*$", "")
    local other = self.listeners[plain] or new[plain]
    local is_any_port = plain:match("^0$") or plain:match(":0$")
    if other and not is_any_port then return at(where, "a group listens at %s already, at %s", plain, other) end
    new[plain], group.listen[i] = where or "the command line", address
  end
  for plain, line in pairs(new) do self.listeners[plain] = line end
  return true
end

local function add_group(self, group, where)
  for _, other in ipairs(self.groups) do
    if other.name == group.name then
      return at(where, 'there is a group "%s" already, of %s; give one of them another name: { name = "..." }',
        group.name, other.where or "the command line")
    end
  end
  local is_added, problem = add_listeners(self, group, where)
  if not is_added then return nil, problem end
  group.where, group.log_file = where, absolute(group.log_file, self.settings.base)
  table.insert(self.groups, group.name == library.NAME and 1 or #self.groups + 1, group) -- it is to be ready first
  return true
end

-- The first argument of `register`: a name without a port, or where it listens.
local function is_name(listen)
  return type(listen) == "string" and listen:match("^[%a_][%w_-]*$") ~= nil
end

-- What runs it, and what that is named after; or nil and what is wrong.
local function add_program(self, group, script, where)
  local problem
  if group.command and not group.command[1] then return at(where, "'command': expected a program") end
  if script ~= nil or not group.command then
    group.script, problem = check_script(self, script, where)
    if not group.script then return nil, problem end
  end
  local command = group.command or program.of_script(group.script)
  if command and command[1]:find("/", 1, true) then command[1] = absolute(command[1], self.settings.base) end
  group.command = command
  return group.script or command[1]
end

--- A group of workers. listen: where, nil or a name: nowhere. script: nil where a command is one without. True; or nil
--- and what is wrong.
function Plan:register(listen, script, settings, where)
  local path, problem, group
  group, problem = read(self, settings or {}, keys.group, "a group", where)
  if not group then return nil, problem end
  path, problem = add_program(self, group, script, where)
  if not path then return nil, problem end
  if is_name(listen) then group.name, listen = group.name or listen, nil end
  if listen ~= nil and group.listen then return at(where, "'listen' is said twice, by the first argument, too") end
  if listen ~= nil then
    local list, expected, part = values.read(keys.find(keys.group, "listen"), listen)
    if not list then return at(where, "cannot listen at %s: expected %s", values.shown(part or listen), expected) end
    group.listen = list
  end
  group.name, group.listen = group.name or Plan.name_of(path), group.listen or {}
  if group.name == library.NAME then return at(where, 'the name "%s" is that of app:library', library.NAME) end
  group.arguments, group.args = group.args or {}, nil
  group.workers = group.workers or host.cluster.processors()
  group.cwd = group.cwd and absolute(group.cwd, self.settings.base) or self.settings.base
  keys.with_defaults(group, keys.group)
  return add_group(self, group, where)
end

--- The process beside the workers that holds what they share. True; or nil and what is wrong.
function Plan:library(script, settings, where)
  local path, problem, group
  path, problem = check_script(self, script, where)
  if not path then return nil, problem end
  if program.of_script(path) then return at(where, "the library is a script in Lua, and %s is none", path) end
  group, problem = read(self, settings or {}, keys.library, "the library", where)
  if not group then return nil, problem end
  group.name, group.listen, group.script, group.workers = library.NAME, {}, path, 1
  group.arguments, group.args, group.cwd = group.args or {}, nil, self.settings.base
  keys.with_defaults(group, keys.library)
  return add_group(self, group, where)
end

--- One of the three above: { say = "master", "register" or "library", listen =, script =, settings = }.
function Plan:say(call, where)
  if call.say == "master" then return self:master(call.settings, where) end
  if call.say == "library" then return self:library(call.script, call.settings, where) end
  return self:register(call.listen, call.script, call.settings, where)
end

--- The plan, when all has been said; or nil and what is missing.
function Plan:finish()
  if not self.groups[1] then
    return nil, ("%s: it registers nothing; expected app:register(...)"):format(self.file or "the command line")
  end
  local settings = keys.with_defaults(self.settings, keys.master)
  for _, group in ipairs(self.groups) do
    group.ready_timeout = group.ready_timeout or settings.ready_timeout
    if not group.user and not group.group then group.user, group.group = settings.user, settings.group end
  end
  settings.log = keys.with_defaults(settings.log or {}, keys.log)
  settings.groups, settings.file = self.groups, self.file
  return settings
end

return Plan
