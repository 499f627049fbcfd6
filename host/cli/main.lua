-- The command line: picks the command, loads only that one, and reports wrong usage.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local commands = require "clouds.cli.commands"
local suggest = require "clouds.suggest"
local output = require "clouds.cli.output"

local general = {
  name = "",
  usage = "[--url URL] COMMAND [arguments]\n   or: clouds [--url URL] SCRIPT [arguments]",
  summary = "Services and calls over processes and machines, by name.",
  options = { { long = "version", short = "V", help = "show versions, as the command version does" } },
  operands = { 0, math.huge },
  stop_at_operand = true,
}

local function general_help()
  local lines = { args.help(general), "\ncommands\n" }
  for _, row in ipairs(commands.shown()) do lines[#lines + 1] = ("  %-10s %s\n"):format(row[1], row[2]) end
  lines[#lines + 1] = "\n'clouds SCRIPT', for a first line #!/usr/bin/env clouds, is 'clouds run SCRIPT'.\n"
    .. "'clouds -e', '-l' and '-i' are as 'clouds run' with that option.\n"
    .. "'clouds COMMAND --help' says more.\n\nexit codes\n" .. commands.exit_text
  return table.concat(lines)
end

local function check_command(name)
  if commands.is_known(name) then return end
  local near = suggest.nearest(name, commands.names())
  local hint = near and ("did you mean %s?"):format(near) or "expected one of " .. table.concat(commands.names(), ", ")
  args.fail(nil, "unknown command '%s', and no file of that name; %s", name, hint)
end

-- The word names a script, if it is no command: a path, a name as scripts have, or a file that is there.
local function is_script(word)
  return word:find("/", 1, true) ~= nil or word:match("%.lua$") ~= nil or host.is_file(word)
end

local function show_help(name)
  if not name then return io.stdout:write(general_help()) end
  check_command(name)
  if name == "help" then return io.stdout:write("usage: clouds help [COMMAND]\n\nShow help for a command.\n") end
  io.stdout:write(args.help(require("clouds.cli." .. name).command))
end

local function inherit(global, options)
  for _, option in ipairs(args.common) do
    local name = option.long:gsub("-", "_")
    if options[name] == nil then options[name] = global[name] end
  end
end

-- What the words come to: fn(module, options, operands, argv, index of the first operand) of the command.
local act = function(module, ...) return module.main(...) end

-- `as_program`: the script was started by its own name, so whatever follows is meant as its arguments.
local function run_command(name, argv, first, global, as_program)
  if name == "help" then
    local word = argv[first]
    if word == "--help" or word == "-h" then word = "help" end
    return show_help(word)
  end
  local module = require("clouds.cli." .. name)
  local options, operands, first_operand = args.parse(module.command, argv, first)
  if options.help or global.help then return show_help(name) end
  inherit(global, options)
  options.ended = options.ended or as_program
  act(module, options, operands, argv, first_operand)
end

local run_options = { ["-e"] = true, ["-l"] = true, ["-i"] = true }

local function dispatch(argv)
  if run_options[argv[1]] then return run_command("run", argv, 1, {}) end
  local global, operands, at = args.parse(general, argv, 1)
  if global.version then return require("clouds.cli.version").main({}, {}) end
  if not at then
    if global.help then return show_help() end
    io.stderr:write(general_help())
    return host.finish(host.exit.USAGE)
  end
  local name = operands[1]
  if not commands.is_known(name) and is_script(name) then return run_command("run", argv, at, global, true) end
  check_command(name)
  run_command(name, argv, at + 1, global)
end

--- instead: what is done in the place of the command, as `act`; then what is wrong with the words is raised.
return function(argv, instead)
  if instead then
    act = instead
    return dispatch(argv)
  end
  local ok, problem = xpcall(dispatch, function(problem)
    return args.is_usage(problem) and problem or host.traceback(problem)
  end, argv)
  if ok then return end
  if not args.is_usage(problem) then error(problem, 0) end
  local command = problem.command and problem.command ~= "" and " " .. problem.command or ""
  local text = output.plain_lines(problem.text)
  io.stderr:write(("clouds%s: %s\nclouds%s --help says more\n"):format(command, text, command))
  host.finish(host.exit.USAGE)
end
