-- What the workers of a group are to the operating system: their user and groups, what they may use, where they run.
local host = require "clouds.host"
local cluster = host.cluster
local values = require "clouds.master.plan_values"
local M = {}

-- What is said to the master, by systemd above all: a worker that took it for its own would speak in its name.
local of_the_master = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
  "CLOUDS_DAEMON" }

-- The ids that the names stand for; or nil and what is wrong.
local function ids_of(settings)
  local ids = {}
  if settings.user then
    local user = cluster.user(settings.user)
    if not user then return nil, ("there is no user '%s'"):format(settings.user) end
    if not user.group and not settings.group then
      return nil, ("the system does not know the user %s: expected a group beside it"):format(settings.user)
    end
    ids.user, ids.group, ids.groups, ids.account = user.id, user.group, user.groups, user
  end
  if settings.group then
    ids.group = cluster.group(settings.group)
    if not ids.group then return nil, ("there is no group '%s'"):format(settings.group) end
  end
  if settings.groups then
    ids.groups = {}
    for i, name in ipairs(settings.groups) do
      ids.groups[i] = cluster.group(name)
      if not ids.groups[i] then return nil, ("there is no group '%s'"):format(name) end
    end
  end
  return ids
end

--- What cluster.start takes of the settings user, group, groups, umask, nice, limits and cwd of a group, for all of its
-- workers; or nil and what is wrong. Names are looked up here: a worker, which may run where they are not known, is
-- given numbers.
function M.prepare(settings)
  local names_somebody = settings.user or settings.group or settings.groups
  if names_somebody and not cluster.is_root() then
    return nil, ("only root can start workers as another user or group (%s)"):format(settings.user or settings.group
      or table.concat(settings.groups, ", "))
  end
  if settings.groups and not settings.user and not settings.group then
    return nil, "groups: expected a user or a group beside them"
  end
  local ids, problem = ids_of(settings)
  if not ids then return nil, problem end
  local umask = settings.umask and values.umask_of(settings.umask)
  if settings.umask and not umask then
    return nil, ("umask: expected octal digits as 027, got '%s'"):format(settings.umask)
  end
  return { user = ids.user, group = ids.group, groups = ids.groups, umask = umask, nice = settings.nice,
    limits = settings.limits, folder = settings.cwd, account = ids.account, env = settings.env or {},
    affinity = settings.affinity }
end

--- The processor that a worker stays on; nil: any.
function M.processor_of(prepared, index)
  return prepared.affinity and cluster.processor(index) or nil
end

-- What says who somebody is, when that is not who the master is; false: not said.
function M.account_variables(account)
  return { USER = account.name or false, LOGNAME = account.name or false, HOME = account.home or "/",
    XDG_RUNTIME_DIR = false }
end

--- The environment of a worker as a list of NAME=value: what the master has, and before it what belongs to the user,
-- the settings, and at last `mine`.
function M.environment(prepared, mine)
  local set, list = {}, {}
  for _, name in ipairs(of_the_master) do set[name] = false end
  for _, variables in ipairs { prepared.account and M.account_variables(prepared.account) or {}, prepared.env, mine } do
    for name, value in pairs(variables) do set[name] = value end
  end
  for name, value in pairs(set) do
    if value then list[#list + 1] = name .. "=" .. value end
  end
  for _, pair in ipairs(cluster.environment()) do
    if set[pair:match("^[^=]*")] == nil then list[#list + 1] = pair end
  end
  return list
end

--- How a process has ended, as "exit 1" or "SIGSEGV".
function M.end_text(code, signal)
  if not code and not signal then return "nobody knows how" end
  if code then return ("exit %d"):format(code) end
  return cluster.signal_name(signal) or ("signal %d"):format(signal)
end

return M
