-- What can be said of an application and of its groups: every key, with its type, its default and its meaning. The plan
-- is checked by it; the options of `clouds start` are made of it, and the tables in docs/HOST.md (tools/host_keys.py).
--
-- A key is { name, kind, default =, least =, most =, choices =, shown =, help =, option = }. `kind` is how its
-- value is read (plan_values.lua); `shown` the default as documentation says it, where it is no plain value; `option`
-- makes it an option of `clouds start`, with that word for its value; true: an option --no-..., which `without`
-- explains.
local M = {}

M.master = {
  { "name", "name", shown = "the name of the file", option = "NAME", help = "of the application" },
  { "base", "text", shown = "the folder of the file",
    help = "what relative paths begin at, and where workers run; a symbolic link in it "
    .. "is followed anew by each reload" },
  { "pidfile", "text", option = "FILE",
    help = "where the process id of the master is written; who finds it held exits with 3" },
  { "user", "text", shown = "that of the master", option = "NAME",
    help = "who the workers are, if their group does not say; needs root" },
  { "group", "text", shown = "that of the user", option = "NAME", help = "their group in the operating system" },
  { "ready_timeout", "number", default = 30, least = 0.01, help = "seconds until a worker has to be ready" },
  { "reload_timeout", "number", default = 120, least = 0.01,
    help = "seconds that a reload may take: then it has failed, and what served before goes on" },
  { "log", "settings", shown = "see below", help = "what becomes of the lines of the workers: a table" },
  { "admin", "text", option = "ADDRESS", help = "where supervisors ask for its state, and browsers see it, by HTTP: "
    .. "`unix:PATH` or `127.0.0.1:PORT`; see [the admin endpoint](#the-admin-endpoint)" },
  { "admin_token_file", "text", option = "FILE", help = "a file whose first line is the token that is asked for there; "
    .. "a port must have one" },
  { "url", "text", shown = "`--url`", help = "of the cluster, for the scripts" },
}

-- Of `log` of cluster.master; as options --log-...
M.log = {
  { "file", "text", option = "FILE", help = "where the lines go, instead of to the output of the master" },
  { "format", "choice", default = "text", choices = { "text", "json" }, option = "FORM", help = "of the lines" },
  { "max_size", "count", default = 100e6, least = 0, option = "BYTES",
    help = "a file that would become larger is put aside, as FILE.1, FILE.2 ...; 0: never" },
  { "keep", "count", default = 5, least = 0, most = 10000, option = "COUNT", help = "so many of these stay" },
  { "lines", "count", default = 1000, least = 0, most = 100000, help = "of each group, that `clouds logs` can show" },
  { "capture", "boolean", default = true,
    help = "false: workers write to the output of the master themselves, and wait for it" },
}

M.group = {
  { "name", "name", shown = "the name of the script", help = "of the group, in the log and for commands" },
  { "listen", "listen", shown = "none", help = "where it listens: a port, `\"127.0.0.1:8080\"`, `\"[::1]:8080\"`, "
    .. "`\"unix:PATH?mode=0660\"`, or a list of them; the first argument of `register`" },
  { "workers", "workers", shown = "one for each processor", option = "COUNT",
    help = "how many processes: a number, a text as `\"50%\"` of the processors, or a table by the environment's "
    .. "CLOUDS_ENV, as `{ production = 8, default = 1 }`" },
  { "args", "texts", shown = "none", help = "the arguments of the script, a list" },
  { "command", "texts", shown = "`clouds run`; `python3` for `.py`, `node` for `.js`, `.mjs`, `.cjs`",
    help = "what runs the script, or is a worker without one: a program and its first arguments, a list" },
  { "env", "texts_by_name", shown = "none", help = "environment beside that of the master" },
  { "cwd", "text", shown = "`base`", help = "the folder that the workers run in" },
  { "user", "text", shown = "that of the master", help = "who the workers are; needs root" },
  { "group", "text", shown = "that of the user", help = "their group in the operating system" },
  { "groups", "texts", shown = "those of the user", help = "their further groups" },
  { "umask", "umask", shown = "that of the master", help = "octal digits" },
  { "log_file", "text", shown = "that of the master", help = "where the lines of its workers go" },
  { "dispatch", "choice", default = "least", choices = { "least", "shared" }, option = "WAY",
    help = "how connections find a worker; `least`: a connection goes to the worker with the fewest; "
      .. "`shared`: to whoever accepts it first" },
  { "backlog", "count", default = 1024, least = 1, most = 65535, help = "connections that wait to be accepted" },
  { "hold", "number", default = 2, least = 0, most = 3600,
    help = "seconds that connections wait while no worker is ready" },
  { "gone", "text", shown = "an HTTP 503", help = "what they are sent then" },
  { "max_connections", "count", default = 10000, least = 1, help = "of a worker; past it, it is given none" },
  { "drain", "number", default = 8, least = 0, most = 86400, option = "SECONDS",
    help = "how long a stop lets accepted requests finish" },
  { "ready_timeout", "number", shown = "that of the master", least = 0.01,
    help = "seconds until a worker has to be ready" },
  { "max_requests", "count", default = 0, least = 0, option = "COUNT",
    help = "a worker that has begun so many is replaced; 0: none" },
  { "jitter", "number", default = 0.1, least = 0, most = 1,
    help = "the part by which `max_requests` of a worker is more or less" },
  { "max_age", "number", default = 0, least = 0, option = "SECONDS",
    help = "a worker that has served so long is replaced; 0: none" },
  { "max_memory", "count", default = 0, least = 0, option = "BYTES",
    help = "a worker that takes more for 5 s is replaced; 0: none" },
  { "max_memory_hard", "count", shown = "twice `max_memory`", least = 0,
    help = "one that takes more is killed" },
  { "max_restarts", "count", default = 5, least = 0, option = "COUNT",
    help = "failures of each worker in the window until they are given up" },
  { "restart_window", "number", default = 60, least = 0.01, option = "SECONDS",
    help = "seconds that failures are counted in" },
  { "giveup_pause", "number", default = 60, least = 0, option = "SECONDS",
    help = "seconds until one that was given up is tried again; 0: at a reload" },
  { "restart", "boolean", default = true, option = true, without = "a worker that ends is not started again",
    help = "whether a worker that ends is started again" },
  { "hang_timeout", "number", default = 30, least = 0, option = "SECONDS",
    help = "a worker that is busy for so long writes where, and is killed; 0: never" },
  { "watchdog", "choice", default = "kill", choices = { "kill", "interrupt" }, option = "WAY",
    help = "what becomes of a worker that hangs; `interrupt`: what runs gets an error first, and the worker is "
      .. "replaced in order; loops that are compiled are slower with it" },
  { "nice", "count", default = 0, least = -20, most = 19, help = "added to the priority of the master" },
  { "affinity", "boolean", default = false, help = "worker i runs on processor i" },
  { "limits", "limits", shown = "those of the master", help = "`{ nofile =, core =, as = }`" },
  { "reload", "boolean", default = true, help = "false: a reload leaves this group alone" },
}

M.library = {
  { "args", "texts", shown = "none", help = "the arguments of the script, a list" },
  { "env", "texts_by_name", shown = "none", help = "environment beside that of the master" },
  { "drain", "number", default = 8, least = 0, most = 86400, help = "how long a stop lets accepted requests finish" },
  { "ready_timeout", "number", shown = "that of the master", least = 0.01, help = "seconds until it has to be ready" },
  { "log_file", "text", shown = "that of the master", help = "where its lines go" },
  { "overlap", "boolean", default = false, help = "true: a reload starts the new one while the old one serves" },
  { "reload", "boolean", default = true, help = "false: a reload leaves it alone" },
}

--- The key of this name in a list of them; nil: there is none.
function M.find(keys, name)
  for _, key in ipairs(keys) do
    if key[1] == name then return key end
  end
end

--- The value of this setting of a group, or its default.
function M.value(settings, name)
  local value = settings[name]
  if value == nil then return M.find(M.group, name).default end
  return value
end

--- Adds the defaults of what these settings do not say; gives them.
function M.with_defaults(settings, keys)
  for _, key in ipairs(keys) do
    if settings[key[1]] == nil then settings[key[1]] = key.default end
  end
  return settings
end

M.LOG_OPTION = "log_" -- before the names of the keys of `log`

--- The options of `clouds start` for the keys of the master and of a group, as clouds.cli.args takes them.
function M.command_options()
  local options = {}
  for _, keys in ipairs { M.master, M.log, M.group } do
    for _, key in ipairs(keys) do
      if key.option then
        local is_count = key[2] == "count" or key[2] == "number"
        local default = type(key.default) == "string" and key.default
          or key.default ~= nil and ("%.14g"):format(tonumber(key.default) or 0) or key.shown
        local help = key.help:gsub("[:;].*", ""):gsub("`", "")
        local name = keys == M.log and M.LOG_OPTION .. key[1] or key[1]
        options[#options + 1] = key.option == true and { long = "no-" .. name, help = key.without }
          or { long = name:gsub("_", "-"), value = key.option, kind = is_count and key[2] or nil, least = key.least,
            short = key[1] == "workers" and "w" or nil,
            help = default and ("%s\n(default: %s)"):format(help, default) or help }
      end
    end
  end
  return options
end

local function default_of(key)
  if key.shown then return key.shown end
  if key.default == nil then return "none" end
  return type(key.default) == "string" and ("`%q`"):format(key.default) or ("`%s`"):format(tostring(key.default))
end

local function range_of(key)
  if key.choices then return ": `\"" .. table.concat(key.choices, '"`, `"') .. '"`' end
  if key.least and key.most then return (", %g to %g"):format(key.least, key.most) end
  return key.least and (", %g or more"):format(key.least) or ""
end

local kinds = { count = "whole number", name = "text", umask = "text", texts = "list of texts",
  texts_by_name = "texts by name", choice = "one of", listen = "text, number, list",
  workers = "number, text, table", settings = "table", limits = "table" }

--- The keys as tables of Markdown, for docs/HOST.md.
function M.markdown()
  local lines = {}
  local function put(title, keys)
    lines[#lines + 1] = ("| key of %s | type | default | meaning |\n|---|---|---|---|"):format(title)
    for _, key in ipairs(keys) do
      local type_text = (kinds[key[2]] or key[2]) .. range_of(key)
      lines[#lines + 1] = ("| `%s` | %s | %s | %s |"):format(key[1], type_text, default_of(key), key.help)
    end
    lines[#lines + 1] = ""
  end
  put("`cluster.master`", M.master)
  put("`log` of `cluster.master`", M.log)
  put("`app:register`", M.group)
  put("`app:library`", M.library)
  return table.concat(lines, "\n")
end

return M
