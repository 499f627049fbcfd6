-- clouds run: scripts, code and modules on the host's loop, until nothing is left to wait for or a signal comes.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local node = require "clouds.cli.node"
local M = {}

M.command = {
  name = "run",
  usage = "run [options] SCRIPT [arguments]\n   or: clouds run -e CODE | -l MODULE | -i | -",
  summary = "Run a Lua script. It ends when nothing is left to wait for; one with services runs until stopped.",
  text = "SIGINT or SIGTERM stops in order: unregister, finish what was accepted, exit 0; a second signal\n"
    .. "stops at once. A number that the script returns is the exit status. SCRIPT - is standard input.\n"
    .. "In the script: arg[0] is its name, arg[1] ... and ... the arguments; require \"clouds\" and require \"luv\".",
  options = {
    { long = "execute", short = "e", value = "CODE", many = true, help = "run CODE (before SCRIPT; may be repeated)" },
    { long = "library", short = "l", value = "MODULE", many = true,
      help = "require MODULE (before SCRIPT; may be repeated)" },
    { long = "interactive", short = "i", help = "then read and run lines, while services go on" },
    { long = "drain", value = "SECONDS", kind = "number",
      help = "how long a stop lets accepted requests finish (default 8)" },
  },
  operands = { 0, math.huge },
  stop_at_operand = true,
}

local main_ended, status = false, 0

local function report(problem)
  io.stdout:flush()
  io.stderr:write("clouds: ", tostring(problem), "\n")
end

local function compile_script(name)
  local chunk, problem = loadfile(name ~= "-" and name or nil, "t")
  if chunk then return chunk end
  report(problem)
end

-- The pieces to run, in the order of the command line; nil when one cannot be compiled.
local function pieces(options, operands)
  local list = {}
  for _, pair in ipairs(options.order) do
    if pair[1] == "execute" then
      local chunk, problem = load(pair[2], "=(command line)", "t")
      if not chunk then return report(problem) end
      list[#list + 1] = chunk
    elseif pair[1] == "library" then
      list[#list + 1] = assert(load(("require(%q)"):format(pair[2]), "=(command line)", "t"))
    end
  end
  if operands[1] then
    local chunk = compile_script(operands[1])
    if not chunk then return end
    list[#list + 1] = chunk
  end
  return list
end

-- arg[0] is the script (or the program), arg[1] ... its arguments, arg[-1] ... what stood before it.
local function set_arg(argv, first)
  local shift, result = first or 0, {}
  for i = 0, #argv do result[i - shift] = argv[i] end
  _G.arg = result
end

local function exit_status(value)
  if type(value) == "number" then return math.floor(value) % 256 end
  return 0
end

local function run_pieces(list, operands)
  local value
  for _, chunk in ipairs(list) do value = chunk(unpack(operands, 2, math.max(1, #operands))) end
  return value
end

local function start_console()
  require("clouds.cli.repl").start(function() node.finish(status) end)
end

-- Runs in a coroutine: it may wait.
local function main_chunk(list, operands, interactive)
  local ok, value = xpcall(run_pieces, require("clouds.error").explain, list, operands)
  main_ended = true
  if not ok then report(value) end
  status = ok and exit_status(value) or 1
  if interactive then return start_console() end
  if not ok then return node.finish(status) end
  host.set_status(status)
end

-- The loop ran dry. A main chunk that waits for nothing that could come is a mistake worth telling.
local function at_end()
  if not main_ended then
    report("the script still waits, but nothing is left that could wake it")
    status = 1
  end
  node.finish(status)
end

function M.main(options, operands, argv, first_operand)
  if not operands[1] and not options.execute and not options.library and not options.interactive then
    args.fail("run", "expected a script, -e, -l or -i")
  end
  node.settle_url("run", options)
  io.stdout:setvbuf("line")
  set_arg(argv, first_operand)
  local list = pieces(options, operands)
  if not list then return host.finish(1) end
  node.stop_on_signal(options.drain or 8)
  host.at_end(at_end)
  node.spawn(main_chunk, list, operands, options.interactive)
end

return M
