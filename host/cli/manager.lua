-- clouds manager: runs a cluster.lua below the master of `clouds start` and tells it what was said there; then it gives
-- the events of the application to the functions of the file, as long as the master lives.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local M = {}

local PIECE = 60000 -- bytes of a message to the master

M.command = {
  name = "manager",
  usage = "manager FILE",
  summary = "Run a cluster.lua below the master of clouds start, which starts this itself.",
  options = {},
  operands = { 1, 1 },
}

local cluster = host.cluster

local function fail(problem)
  cluster.tell("F", (tostring(problem):sub(1, PIECE)))
end

local function tell_plan(text)
  for at = 1, #text, PIECE do
    local is_last = at + PIECE > #text
    cluster.tell(is_last and "P" or "p", text:sub(at, at + PIECE - 1))
  end
end

-- What the master would only find out when it starts the workers.
local function check_scripts(plan)
  for _, group in ipairs(plan.groups) do
    if not group.command and group.script:match("%.lua$") then
      local chunk, problem = loadfile(group.script, "t")
      if not chunk then return ("%s: the script is no Lua: %s"):format(group.where, problem) end
    end
  end
end

local function evaluate(file, plan, record)
  local chunk, problem = loadfile(file, "t")
  if not chunk then return fail(problem) end
  local ok, raised = xpcall(chunk, function(raised)
    return raised == record.problem and raised or require("clouds.error").explain(raised)
  end)
  if not ok then return fail(raised) end
  local made
  made, problem = plan:finish()
  if made then problem = check_scripts(made) end
  if problem then return fail(problem) end
  local text
  text, problem = require("clouds").json.encode(record.said)
  if not text then return fail(("%s: %s"):format(file, tostring(problem))) end
  tell_plan(text)
end

local function on_message(kind, text)
  if kind ~= "V" then return end
  local json = require("clouds").json
  local event = json.decode(text)
  for i = 1, event.count do
    if event.values[i] == json.null then event.values[i] = nil end
  end
  require("clouds.loop").timer(0, function() cluster.tell("v") end) -- in the next turn, if there is one
  require("clouds.cluster").emit(event.event, unpack(event.values, 1, event.count))
end

-- Who the application is: the file runs as root no longer than root has to read it.
local function become(settings)
  if not (settings.user or settings.group) or not cluster.is_root() then return true end
  local spawn = require "clouds.master.spawn"
  local prepared, problem = spawn.prepare { user = settings.user, group = settings.group }
  if not prepared then return nil, problem end
  local is_right, why = cluster.become(prepared)
  if not is_right then return nil, why end
  for name, value in pairs(prepared.account and spawn.account_variables(prepared.account) or {}) do
    host.setenv(name, value or nil)
  end
  return true
end

function M.main(options, operands)
  local file = operands[1]
  if os.getenv "CLOUDS_CHANNEL" ~= "3" or not cluster.follow(on_message, function() common.finish(common.OK) end) then
    args.fail("manager", "it is started by clouds start -c FILE, and by clouds check FILE")
  end
  host.setenv("CLOUDS_CHANNEL", "")
  io.stdout:setvbuf("line")
  common.set_default_url("manager", options)
  common.stop_on_signal(0)
  require("clouds.cli.run").add_folder_of(file)
  local plan = require("clouds.master.plan").of_file(file)
  local record = require("clouds.cluster").record(plan, function(command)
    cluster.tell("c", require("clouds").json.encode(command))
  end, become)
  common.spawn(evaluate, file, plan, record)
end

return M
