--- The options of nodes and of operations: checked, and sorted by what they are for.
local core = require("clouds.core")
local scheduler = require("clouds.scheduler")
local suggest = require("clouds.suggest")

local M = { defaults = {} }

local scopes, default_of = core.options()

---- hooks: what a program may decide instead of the library ----

M.hook_names = {
  find_server = "find_server",
  ["find server"] = "find_server",
  find_one_server = "find_server",
  save_servers = "save_servers",
  ["save server list"] = "save_servers",
  save_server_list = "save_servers",
  remove_server = "remove_server",
  ["remove server"] = "remove_server",
  clear_servers = "clear_servers",
  ["clear server list"] = "clear_servers",
  clear_server_list = "clear_servers",
}

---- of a node ----

--- The address of nodes that name none. An empty variable counts as unset.
function M.default_url()
  local from_environment = os.getenv("CLOUDS_URL")
  return M.defaults.url or (from_environment ~= "" and from_environment) or "local:"
end

local function unknown(name, names, otherwise, level)
  error(("unknown option '%s'; %s"):format(tostring(name), suggest.hint(tostring(name), names, otherwise)), level + 1)
end

local function check_name(name, known, level)
  if type(name) ~= "string" then
    error('options have names: { url = "local:", timeout = 2 }', level + 1)
  end
  if known[name] then
    return
  end
  local names = { "retry" }
  for option in pairs(known) do
    names[#names + 1] = option
  end
  unknown(name, names, "docs/CONFIGURATION.md lists them", level + 1)
end

-- Who a program is at the default address, besides what stands in it.
local GO_WITH_URL = { "sentinel_user", "sentinel_password" }

--- Those of the context and those of the node. Functions among them are hooks.
function M.split(kind, options, level)
  -- A handler hears that its caller has given up, unless the program wants otherwise.
  local of_context, of_node = {}, { type = kind, cancel_events = true }
  for name, value in pairs(options) do
    if name == "retry" then -- as in bind, and in npm clouds 0.1; the library has retries
      name = "retries"
    end
    local hook = type(value) == "function" and M.hook_names[name]
    if not hook then
      check_name(name, scopes, level + 1)
    end
    if hook then
      of_node[hook] = true
    elseif scopes[name] == "context" then
      of_context[name] = value
    else
      of_node[name] = value
    end
  end
  if not of_context.url then
    of_context.url = M.default_url()
    for _, name in ipairs(GO_WITH_URL) do
      if of_context[name] == nil then
        of_context[name] = M.defaults[name]
      end
    end
  end
  if of_context.stats == nil then
    of_context.stats = M.defaults.stats
  end
  return of_context, of_node
end

--- Of a node that lives. Whether they can change is for the library to say.
function M.live(options, level)
  if type(options) ~= "table" then
    error("expected a table of options", level + 1)
  end
  local values = {}
  for name, value in pairs(options) do
    if name == "retry" then
      name = "retries"
    end
    check_name(name, scopes, level + 1)
    if M.hook_names[name] then
      error(("option '%s' is a function: expected node:set('%s', fn)"):format(name, name), level + 1)
    end
    values[name] = value
  end
  return values
end

--- The longest wait of operations without a limit of their own, in seconds.
function M.operation_timeout(options)
  return tonumber(options.operation_timeout) or tonumber(default_of.operation_timeout)
end

--- What waits for poll and what listeners are at work with have the same limits.
function M.message_limits(options)
  local function limit(name)
    return tonumber(options[name]) or tonumber(default_of[name])
  end
  return { items = limit("max_events"), bytes = limit("max_event_bytes") }
end

---- of a function ----

-- The list of names that a function takes -> the same as a set.
local sets = setmetatable({}, { __mode = "k" })

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do
    set[name] = true
  end
  sets[names] = set
  return set
end

--- Raises unless all options of a function are in its list.
function M.check_names(options, names, level)
  if type(options) ~= "table" then
    error(names[2] and "expected a table of options" or "expected a table of options: { timeout = seconds }", level + 1)
  end
  local known = sets[names] or set_of(names)
  for name in pairs(options) do
    if not known[name] then
      unknown(name, names, "expected " .. table.concat(names, ", "), level + 1)
    end
  end
end

local OF_WAIT, OF_SEND = { "timeout" }, { "confirm", "timeout" }

--- The option `timeout` of a function that waits; raises for others.
function M.timeout(options, level)
  if options == nil then
    return nil
  end
  M.check_names(options, OF_WAIT, level + 1)
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
  return options.timeout
end

--- The options of send; raises for others.
function M.send(options, level)
  if options == nil then
    return {}
  end
  M.check_names(options, OF_SEND, level + 1)
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
  return options
end

return M
