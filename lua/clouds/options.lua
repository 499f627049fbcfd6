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
  local near = suggest(name, names)
  local hint = near and ("did you mean '%s'?"):format(near) or "docs/CONFIGURATION.md lists them"
  error(("unknown option '%s'; %s"):format(name, hint), level + 1)
end

--- Those of the context and those of the node. Functions among them are hooks.
function M.split(kind, options, level)
  local of_context, of_node = {}, { type = kind }
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
  of_context.url = of_context.url or M.default_url()
  return of_context, of_node
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

---- of an operation ----

--- The option `timeout` of a function that waits; raises for others.
function M.timeout(options, level)
  if options == nil then
    return nil
  end
  if type(options) ~= "table" then
    error("expected a table of options: { timeout = seconds }", level + 1)
  end
  for name in pairs(options) do
    if name ~= "timeout" then
      error(("unknown option '%s': expected timeout"):format(tostring(name)), level + 1)
    end
  end
  if options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
  return options.timeout
end

--- The options of send; raises for others.
function M.send(options, level)
  if options ~= nil and type(options) ~= "table" then
    error("expected a table of options", level + 1)
  end
  for name in pairs(options or {}) do
    if name ~= "confirm" and name ~= "timeout" then
      error(("unknown option '%s': expected confirm or timeout"):format(tostring(name)), level + 1)
    end
  end
  if options and options.timeout ~= nil then
    scheduler.check_seconds(options.timeout, level + 1)
  end
  return options or {}
end

return M
