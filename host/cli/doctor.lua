-- clouds doctor
local host = require "clouds.host"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local LEAST_FILES = 1024

M.command = {
  name = "doctor",
  usage = "doctor [options]",
  summary = "Look for what is wrong with the cluster or with this machine.",
  text = "A method of its own, 'clouds.doctor.' and the process number, is registered, called and taken back.\n"
    .. "At a Redis it looks for the version, the role, eviction, output buffers, the clock and the user, as far\n"
    .. "as this user may ask.\n"
    .. "Exit code 1: something is wrong; 3: the cluster cannot be reached. Warnings alone are 0.",
  options = {
    { long = "json", help = "print {\"worst\":,\"checks\":[{\"state\":,\"what\":,\"found\":,\"advice\":}]}" },
    common.timeout("longest wait for each step (default 10)"),
  },
  operands = { 0, 0 },
}

local severity = { ok = 0, unknown = 0, warning = 1, wrong = 2 }

---- this machine ----

local function check_files(report)
  local file = io.open("/proc/self/limits")
  local soft = file and file:read("*a"):match("Max open files%s+(%w+)")
  if file then file:close() end
  if not soft then return report("unknown", "descriptors", "not known: no /proc here") end
  if soft == "unlimited" or tonumber(soft) >= LEAST_FILES then
    return report("ok", "descriptors", soft .. " for a process")
  end
  report("warning", "descriptors", soft .. " for a process",
    ("each link takes one; expected %d or more (ulimit -n)"):format(LEAST_FILES))
end

local function check_folder(report)
  local folder, problem = host.runtime_folder("doctor")
  if not folder then return report("wrong", "runtime folder", tostring(problem)) end
  local shown = folder:match("^(.*)/doctor$")
  local path = folder .. "/" .. host.pid()
  local file, words = io.open(path, "w")
  if file then
    words = select(2, file:write("clouds doctor\n"))
    words = select(2, file:close()) or words
    os.remove(path)
  end
  os.remove(folder)
  if words then
    return report("wrong", "runtime folder", shown, ("nothing can be written there: %s"):format(words))
  end
  report("ok", "runtime folder", shown)
end

---- the cluster ----

local function seconds_since(before) return ("%.1f ms"):format((host.clock() - before) * 1000) end

-- Serves a method, calls it, and takes it back, as any two programs do. Its exit code when it is not well.
local function check_call(report, limit)
  local method, before = "clouds.doctor." .. host.pid(), host.clock()
  local server = common.open("doctor", "server", {})
  local reason
  server:on("down", function(err) -- there is no need to wait for the next attempt
    reason = reason or err
    server:close(0)
  end)
  local ok, problem = server:ready({ timeout = limit })
  if not ok then
    problem = reason or problem
    report("wrong", "connection", problem.message)
    return common.exit_code(problem)
  end
  report("ok", "connection", "within " .. seconds_since(before))
  before = host.clock()
  ok, problem = server:register(method, function(value) return value end, { timeout = limit })
  if not ok then
    report("wrong", "registration", problem.message)
    return common.ERROR
  end
  report("ok", "registration", "within " .. seconds_since(before))
  before = host.clock()
  local answer, err = server:call(method, { "well" }, { deadline = limit })
  server:unregister(method, { timeout = limit })
  if answer ~= "well" then
    report("wrong", "call", err and err.message or "the answer is another one")
    return common.ERROR
  end
  report("ok", "call", "answered within " .. seconds_since(before))
end

---- the command ----

local function show(checks, worst, as_json)
  if as_json then
    return output.write(output.json({ worst = worst, checks = require("clouds").array(checks) }), "\n")
  end
  local rows = {}
  for i, check in ipairs(checks) do
    rows[i] = { check.state, check.what, check.advice and ("%s: %s"):format(check.found, check.advice) or check.found }
  end
  return output.write(columns.text(rows))
end

function M.main(options)
  common.command("doctor", options, function()
    local checks, worst, limit = {}, "ok", options.timeout or 10
    local function report(state, what, found, advice)
      checks[#checks + 1] = { state = state, what = what, found = found, advice = advice }
      if severity[state] > severity[worst] then worst = state end
    end
    local url = require("clouds.options").default_url()
    report("ok", "program", ("version %s, library %s"):format(require("clouds").version, host.versions().clouds))
    check_files(report)
    check_folder(report)
    if url:match("^redis") then require("clouds.cli.doctor_redis").check(url, limit, report) end
    local code = check_call(report, limit)
    if not show(checks, worst, options.json) then return common.ERROR end
    return code or (worst == "wrong" and common.ERROR or common.OK)
  end)
end

return M
