-- clouds start: a script in several processes, which are watched, replaced by a reload, and stopped in order.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local daemon = require "clouds.master.daemon"
local keys = require "clouds.master.keys"
local library = require "clouds.master.library"
local Plan = require "clouds.master.plan"
local M = {}

M.command = {
  name = "start",
  usage = "start [options] SCRIPT [arguments]\n   or: clouds start [options] -c FILE\n"
    .. "   or: clouds start [options] --gateway -- GATEWAY-OPTIONS",
  summary = "Run a script in several processes, on all processors.",
  text = "A master accepts connections and gives each to the worker that has the fewest; a worker that ends is\n"
    .. "started again. SIGHUP starts new workers, and lets the old finish once all of the new are ready; when one of\n"
    .. "them fails, the old go on. SIGTERM or SIGINT stops in order, a second one at once.\n"
    .. "Exit codes: 0 stopped in order, 1 a worker failed to start, 2 wrong usage, 3 the address is in use,\n"
    .. "4 stopped, but a worker had to be killed.",
  options = {
    { long = "library", value = "FILE",
      help = "a script that runs in one more process, and has what\nthe workers share (require \"clouds.library\")" },
    { long = "config", short = "c", value = "FILE",
      help = "start what a cluster.lua describes (docs/HOST.md)" },
    { long = "listen", value = "ADDRESS", many = true,
      help = "where http.serve of the script listens: PORT,\n127.0.0.1:PORT, [::1]:PORT or unix:PATH\n"
      .. "(may be repeated)" },
    { long = "gateway",
      help = "the workers are gateways; behind a -- follow the options\nof clouds gateway" },
    { long = "daemon", help = "go into the background, and return when it serves" },
  },
  operands = { 0, math.huge },
  stop_at_operand = true,
}

for _, option in ipairs(keys.command_options()) do table.insert(M.command.options, option) end

-- Of the settings on the command line those for the keys of this list; prefix: of the options for them.
local function settings_of(options, list, prefix)
  local settings = {}
  for _, key in ipairs(list) do
    local name = (prefix or "") .. key[1]
    local value = options[name]
    if key.option == true and options["no_" .. name] then value = false end
    if key.option then settings[key[1]] = value end
  end
  return settings
end

-- Of gateways the words of the command line are options, and they listen as one does by itself.
local function as_gateways(options, operands)
  local gateway = require "clouds.cli.gateway"
  local given = args.parse(gateway.command, operands, 1)
  if given.help then args.fail("start", "clouds gateway --help says what follows the --") end
  if given.listen then args.fail("start", "--listen is for clouds start: expected it before the --") end
  options.listen = options.listen or { gateway.DEFAULT_ADDRESS }
  given.listen = options.listen
  if not given.config then gateway.settings(given) end -- a file is code, which only the workers run
  return { Plan.GATEWAY, unpack(operands) }
end

-- The plan of one script; what cannot be one is wrong usage.
local function plan_of(options, operands)
  local name = options.gateway and "gateway" or Plan.name_of(operands[1])
  local plan = Plan.new { name = name, url = require("clouds.options").default_url() }
  local settings = settings_of(options, keys.group)
  settings.name = options.gateway and name or name == library.NAME and "workers" or nil
  settings.args, settings.listen = { unpack(operands, 2) }, options.listen
  local of_master = settings_of(options, keys.master)
  of_master.log = settings_of(options, keys.log, keys.LOG_OPTION)
  local is_right, problem = plan:master(of_master)
  if is_right and options.library then is_right, problem = plan:library(options.library, { drain = options.drain }) end
  if is_right then is_right, problem = plan:register(nil, operands[1], settings) end
  if not is_right then args.fail("start", "%s", problem) end
  return plan:finish()
end

-- What is said on the command line of an application that a file describes.
local function check_file_options(options, operands)
  if operands[1] then args.fail("start", "unexpected argument '%s' behind -c FILE", operands[1]) end
  for _, pair in ipairs(options.order) do
    local name = pair[1]
    local is_setting = keys.find(keys.group, name) or keys.find(keys.group, (name:gsub("^no_", "")))
      or name == "name" or name == "library" or name == "gateway" or name:sub(1, #keys.LOG_OPTION) == keys.LOG_OPTION
    if is_setting then args.fail("start", "--%s is for a script; with -c FILE say it there", (name:gsub("_", "-"))) end
  end
end

local function serve(plan, options, argv, log, of)
  require("clouds.master.master").start(plan, log or require("clouds.master.log").new(), options, argv, of)
end

local function start_file(options, operands, argv)
  local file = require "clouds.master.file"
  check_file_options(options, operands)
  local path, wrong = file.path(options.config)
  if not path then args.fail("start", "-c: %s", wrong) end
  local log, url = require("clouds.master.log").new(), require("clouds.options").default_url()
  file.run(path, url, log, function(plan, problem, manager)
    if plan then return serve(plan, options, argv, log, { path = path, url = url, manager = manager }) end
    local function finish()
      log:plain("clouds start: " .. problem)
      log:close()
      host.finish(host.exit.USAGE)
    end
    if manager then manager:close(finish) else finish() end
  end)
end

local function check_file(file)
  if not file or host.is_file(file) then return end
  args.fail("start", "cannot read the script %s; expected: clouds %s", file, M.command.usage)
end

-- In the place of another program, which was the master in this process: by what that knew, and not by the options.
local function resume(text, argv)
  local state, problem = require("clouds.master.state").decode(text)
  if not state then args.fail("start", "cannot take over: %s", problem) end
  require("clouds.master.master").resume(state, argv)
end

function M.main(options, operands, argv)
  local script, known, wrong = operands[1], host.cluster.inheritance()
  if wrong then args.fail("start", "cannot take over: CLOUDS_UPGRADE: %s", wrong) end
  if known then return resume(known, argv) end
  if not script and not options.config and not options.gateway then
    args.fail("start", "nothing given; expected: clouds %s", M.command.usage)
  end
  common.set_default_url("start", options)
  if options.daemon and not daemon.is_one() then return host.finish(daemon.start(argv)) end
  if options.config then return start_file(options, operands, argv) end
  check_file(options.library)
  if options.gateway then operands = as_gateways(options, operands) else check_file(script) end
  serve(plan_of(options, operands), options, argv)
end

return M
