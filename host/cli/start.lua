-- clouds start: a script in several processes, which are watched, replaced by a reload, and stopped in order.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local library = require "clouds.master.library"
local M = {}

local READY_TIMEOUT = 30 -- seconds
local LONGEST_NAME = 64
local MARGIN = 8 -- seconds beyond the drain that a stop may take: to give what waits, and to kill who does not end

M.command = {
  name = "start",
  usage = "start [options] SCRIPT [arguments]",
  summary = "Run a script in several processes, on all processors.",
  text = "A master accepts connections and gives each to the worker that has the fewest; a worker that ends is\n"
    .. "started again. SIGHUP starts new workers, and lets the old finish once all of the new are ready; when one of\n"
    .. "them fails, the old go on. SIGTERM or SIGINT stops in order, a second one at once.\n"
    .. "Exit codes: 0 stopped in order, 1 a worker failed to start, 2 wrong usage, 3 the address is in use,\n"
    .. "4 stopped, but a worker had to be killed.",
  options = {
    { long = "listen", value = "ADDRESS", many = true,
      help = "where http.serve of the script listens: PORT,\n127.0.0.1:PORT, [::1]:PORT or unix:PATH\n"
      .. "(may be repeated)" },
    { long = "workers", short = "w", value = "COUNT", kind = "count", least = 1,
      help = "how many processes (default: one for each processor)" },
    { long = "library", value = "FILE",
      help = "a script that runs in one more process, and has what\nthe workers share (require \"clouds.library\")" },
    { long = "name", value = "NAME", help = "of the application (default: of the script)" },
    { long = "drain", value = "SECONDS", kind = "number",
      help = "how long a stop lets accepted requests finish (default 8)" },
    { long = "max-requests", value = "COUNT", kind = "count",
      help = "a worker that has begun so many is replaced (default 0: none)" },
    { long = "max-age", value = "SECONDS", kind = "number", help = "one that has served so long is (default 0: none)" },
    { long = "max-memory", value = "BYTES", kind = "count",
      help = "one that takes more for 5 s is; one that takes twice as\nmuch is killed (default 0: none)" },
    { long = "max-restarts", value = "COUNT", kind = "count",
      help = "failures of each worker in the window until they are\ngiven up (default 5)" },
    { long = "restart-window", value = "SECONDS", kind = "number", help = "what failures are counted in (default 60)" },
    { long = "giveup-pause", value = "SECONDS", kind = "number",
      help = "until one that was given up is tried again\n(default 60; 0: at a reload)" },
    { long = "hang-timeout", value = "SECONDS", kind = "number",
      help = "a worker that is busy for so long writes where, and is\nkilled (default 30; 0: never)" },
    { long = "no-restart", help = "a worker that ends is not started again" },
    { long = "user", value = "NAME", help = "who the workers are; needs root (default: as the master)" },
    { long = "group", value = "NAME", help = "their group in the operating system\n(default: that of the user)" },
  },
  operands = { 1, math.huge },
  stop_at_operand = true,
}

local function name_of(script)
  local name = script:match("([^/]+)$"):gsub("%.lua$", ""):gsub("[^%w_.-]", "-")
  return name:match("^[%w_]") and name:sub(1, LONGEST_NAME) or "app"
end

-- Options that are settings of the group as they are.
local function add_settings(group, options)
  for _, name in ipairs { "max_requests", "max_age", "max_memory", "max_restarts", "restart_window",
    "giveup_pause", "hang_timeout" } do group[name] = options[name] end
  if options.no_restart then group.restart = false end
  return group
end

-- It names files, too.
local function check_name(name)
  if #name <= LONGEST_NAME and name:match("^[%w_][%w_.-]*$") then return name end
  args.fail("start", "--name: expected 1 to %d letters, digits, '_', '.' or '-', got '%s'",
    LONGEST_NAME, name)
end

-- The plan of one script.
local function plan_of(options, operands)
  local name = name_of(operands[1])
  local group = { name = name, listen = options.listen, script = operands[1], arguments = { unpack(operands, 2) },
    workers = options.workers or host.cluster.processors(), drain = options.drain or common.default_drain(),
    ready_timeout = READY_TIMEOUT, user = options.user, group = options.group }
  local plan = { name = check_name(options.name or name), url = require("clouds.options").default_url(),
    groups = { add_settings(group, options) } }
  if options.library then
    if name == library.NAME then group.name = "workers" end
    local shared = library.settings(options.library, group.drain, READY_TIMEOUT)
    shared.user, shared.group = options.user, options.group
    table.insert(plan.groups, 1, shared)
  end
  return plan
end

function M.main(options, operands)
  for _, script in ipairs { operands[1], options.library } do
    if not host.is_file(script) then args.fail("start", "cannot read the script %s; expected: clouds %s", script,
      M.command.usage) end
  end
  common.set_default_url("start", options)
  local log, control = require("clouds.master.log").new(), nil
  local function finish(code)
    if control then control.close() end
    log:close()
    host.finish(code)
  end
  local app = require("clouds.master.app").new(plan_of(options, operands), log, finish)
  require("clouds.master.systemd").follow(app)
  local failure, runs
  control, failure, runs = require("clouds.master.control").open(app)
  if not control then
    log:plain("clouds start: " .. failure)
    return finish(runs and host.exit.UNREACHABLE or host.exit.ERROR)
  end
  host.on_stop(function() app:stop() end, app:longest_stop(), MARGIN)
  host.cluster.on_reload(function() app:reload(nil, function() end) end)
  app:start(function(problem, code)
    if not problem then return end
    if not code then return log:own(("%s does not start: %s"):format(app.name, problem)) end
    log:plain("clouds start: " .. problem)
    finish(code)
  end)
end

return M
