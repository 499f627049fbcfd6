-- clouds run: scripts, code and modules on the host's loop, until nothing is left to wait for or a signal comes.
local host = require "clouds.host"
local access = require "clouds.cli.admin_access"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local library_bus = require "clouds.library_bus"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "run",
  usage = "run [options] SCRIPT [arguments]\n   or: clouds run -e CODE | -l MODULE | -i | -",
  summary = "Run a Lua script. It ends when nothing is left to wait for; one with services runs until stopped.",
  text = "One script is run; what follows it are its arguments, also when these are files.\n"
    .. "SIGINT, SIGTERM or SIGHUP stops in order: unregister, finish what was accepted, exit 0; a second signal\n"
    .. "stops at once. A number that the script returns is the exit status. SCRIPT - is standard input.\n"
    .. "In the script: arg[0] is its name, arg[1] ... and ... the arguments; require \"clouds\" and require \"luv\".\n"
    .. "require also finds NAME.lua and NAME/init.lua beside the script.",
  options = {
    { long = "execute", short = "e", value = "CODE", many = true, help = "run CODE (before SCRIPT; may be repeated)" },
    { long = "library", short = "l", value = "MODULE", many = true,
      help = "require MODULE (before SCRIPT; may be repeated)" },
    { long = "interactive", short = "i", help = "then read and run lines, while services go on" },
    { long = "listen", value = "ADDRESS", many = true,
      help = "where http.serve of the script listens: PORT,\n127.0.0.1:PORT, [::1]:PORT or unix:PATH\n"
      .. "(may be repeated)" },
    { long = "drain", value = "SECONDS", kind = "number",
      help = "how long a stop lets accepted requests finish (default 8)" },
    access.options[1], access.options[2],
  },
  operands = { 0, math.huge },
  stop_at_operand = true,
}

local main_ended, status = false, 0

local function report(problem)
  io.stdout:flush()
  io.stderr:write("clouds: ", output.plain_lines(tostring(problem)), "\n")
end

-- A script that cannot be read is wrong usage, one that is no Lua is an error of its own.
local function check_readable(name)
  local file, problem = io.open(name, "r")
  if not file then args.fail("run", "cannot read the script %s; expected: clouds run SCRIPT", problem) end
  local _, trouble = file:read(0)
  file:close()
  if trouble then args.fail("run", "cannot read the script %s: %s; expected a file", name, trouble) end
end

local function compile_script(name)
  if name ~= "-" then check_readable(name) end
  local chunk, problem = loadfile(name ~= "-" and name or nil, "t")
  if chunk then return chunk end
  report(problem)
end

-- Who lists scripts expects all of them to run.
local function warn_of_scripts(options, operands)
  if options.ended or not operands[1]:match("%.lua$") then return end
  for i = 2, #operands do
    if operands[i]:match("%.lua$") and host.is_file(operands[i]) then
      return report(("%s is an argument of %s and is not run itself; -l MODULE runs more in one process\n"
        .. "(if it is meant so: clouds run -- %s %s)"):format(operands[i], operands[1], operands[1], operands[i]))
    end
  end
end

-- Modules beside the script are found wherever it is started from, before those of the current folder. A folder that
-- package.path cannot express is left out.
function M.add_folder_of(script)
  local folder = host.folder_of(script)
  if not folder or folder:find("[?;]") then return end
  folder = folder:gsub("/?$", "/", 1)
  package.path = ("%s?.lua;%s?/init.lua;%s"):format(folder, folder, package.path)
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

-- os.exit ends the process at once, but not with 0 when output was lost.
local function exit_with_output()
  local exit = os.exit
  rawset(os, "exit", function(code, close)
    if code == nil or code == true then code = 0 elseif code == false then code = 1 end
    return exit(host.output_status(code), close)
  end)
end

local function run_pieces(list, operands)
  local value
  for _, chunk in ipairs(list) do value = chunk(unpack(operands, 2, math.max(1, #operands))) end
  return value
end

local function start_console()
  require("clouds.cli.repl").start(function() common.finish(status) end)
end

-- The addresses of --listen are for http.serve.
local function check_listen(command, options)
  for _, address in ipairs(options.listen or {}) do
    local ok, problem = host.http_address(address)
    if not ok then args.fail(command, "--listen %s: %s", address, problem) end
  end
  host.listen_at = options.listen
end

local function report_unserved()
  if not host.listen_at or host.is_served then return end
  local where = host.is_worker and "the address of --listen" or table.concat(host.listen_at, ", ")
  report(("nothing listens at %s: the script has not called http.serve (require \"clouds.http\") "
    .. "or worker.ready (require \"clouds.worker\")"):format(where))
  return true
end

local function report_no_library()
  local library = package.loaded["clouds.library"]
  local is_library = host.is_worker and os.getenv("CLOUDS_GROUP") == library_bus.GROUP
  if not is_library or (library and library.is_serving) then return end
  report("the script has not called library.serve (require \"clouds.library\"): there is nothing to share")
  return true
end

-- Runs in a coroutine: it may wait.
local function main_chunk(list, operands, interactive)
  local ok, value = xpcall(run_pieces, require("clouds.error").explain, list, operands)
  main_ended = true
  if not ok then report(value) end
  status = ok and exit_status(value) or 1
  if interactive then return start_console() end
  if not ok then return common.finish(status) end
  if report_unserved() or report_no_library() then status = status ~= 0 and status or 1 end
  if host.is_worker and status ~= 0 then return common.finish(status) end
  require("clouds.worker_link").say_ready()
  host.set_status(status)
end

-- The loop ran dry. A main chunk that waits for nothing that could come is a mistake worth telling.
local function at_end()
  if not main_ended then
    report("the script still waits, but nothing is left that could wake it")
    status = 1
  end
  local problem = require("clouds.node").registration_failure()
  if problem then
    report("nothing is served: " .. require("clouds.error").describe(problem))
    status = status ~= 0 and status or 1
  end
  common.finish(status)
end

-- The kernel sends SIGTERM when the master ends, which is to be the first signal and not the second.
local SIGNAL_TIME = 1

-- Callers choose others, or this one again; for one method (nil: for all).
local function be_quiet(yes, method)
  for _, node in pairs(require("clouds.node").nodes) do
    local serves = next(node.served) ~= nil
    if method then serves = node.served[method] ~= nil end
    if serves and not node.closing and not node.closed then
      if yes then node:pause(method) else node:resume(method) end
    end
  end
end

local PIECE = 60000 -- bytes of a message to the master

-- For the admin endpoint of the application: the nodes of this process, and its links. asked: what the question has.
local function describe(asked)
  local about, array = require "clouds.cli.admin_about", require("clouds").array
  local text = require("clouds").json.encode({ nodes = array(about.describe_nodes()), links = array(about.links()) })
  for at = 1, #text, PIECE do
    host.cluster.tell(at + PIECE > #text and "Y" or "y", asked .. "\n" .. text:sub(at, at + PIECE - 1))
  end
end

-- Under `clouds start` this is a worker: the master gives it connections, and says when to stop; the end of the master
-- is such a word, too. Programs that it starts itself are none.
local function follow_master()
  if os.getenv("CLOUDS_CHANNEL") ~= "3" then return end
  local function on_message(kind, text)
    if kind == "D" then
      local seconds, reason = text:match("^(%S+) ?(.*)$")
      host.has_successor, host.stop_reason = reason ~= "stop", host.stop_reason or reason
      if not host.stop(tonumber(seconds)) and reason == "stop" then host.cluster.keep_connections() end
    end
    if kind == "Y" then return common.spawn(describe, text) end
    if kind == "Q" or kind == "U" then return be_quiet(kind == "Q", text ~= "" and text or nil) end
    require("clouds.worker_link").deliver(kind, text)
  end
  local function on_end()
    require("clouds.loop").timer(SIGNAL_TIME, function()
      host.stop_reason = host.stop_reason or "stop"
      host.stop()
    end)
  end
  host.is_worker = host.cluster.follow(on_message, on_end)
  host.setenv("CLOUDS_CHANNEL", "")
  if host.is_worker and (os.getenv("CLOUDS_LISTEN") or "") ~= "" then host.listen_at = { "worker:" } end
  host.master_listens_at = host.is_worker and os.getenv("CLOUDS_LISTEN_AT") or nil
end

-- The admin endpoint; what it needs is loaded where one is asked for. False, and said why, when it cannot be.
local function open_admin(command, options)
  if not options.admin and not options.admin_token_file then return true end
  return require("clouds.cli.admin").open(command, options)
end

--- Runs the pieces that make() gives, with these arguments, as a command that goes on until it is stopped.
function M.start(command, options, operands, argv, make, first_operand)
  check_listen(command, options)
  follow_master()
  io.stdout:setvbuf("line")
  set_arg(argv, first_operand)
  exit_with_output()
  local list = make()
  if not list then return host.finish(host.exit.ERROR) end
  common.stop_on_signal(options.drain or common.default_drain(), function()
    host.stop_reason = host.stop_reason or (host.is_worker and "signal" or "stop")
    if host.is_worker then host.cluster.tell("S") end
  end)
  require("clouds.node").stop_asked = function(_, drain) host.stop(drain) end
  if not open_admin(command, options) then return host.finish(host.exit.ERROR) end
  host.tell_where()
  local limit = host.is_worker and tonumber(os.getenv "CLOUDS_WATCHDOG" or "")
  if limit then host.interrupt_after(limit) end
  host.at_end(at_end)
  common.spawn(main_chunk, list, operands, options.interactive)
end

function M.main(options, operands, argv, first_operand)
  if not operands[1] and not options.execute and not options.library and not options.interactive then
    args.fail("run", "expected a script, -e, -l or -i")
  end
  common.set_default_url("run", options)
  M.start("run", options, operands, argv, function()
    if operands[1] and operands[1] ~= "-" then
      M.add_folder_of(operands[1])
      warn_of_scripts(options, operands)
    end
    return pieces(options, operands)
  end, first_operand)
end

return M
