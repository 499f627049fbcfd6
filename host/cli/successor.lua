-- clouds successor: says whether this program could take the place of the master that asks: with what that knows, which
-- comes by the channel, and by the words that it was started with.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local M = {}

M.command = {
  name = "successor",
  usage = "successor WORD...",
  summary = "Say whether this program could go on as the master that asks, which is for clouds upgrade alone.",
  options = {},
  operands = { 1, math.huge },
  stop_at_operand = true,
  without_common = true,
}

local cluster = host.cluster

local function refuse(problem)
  cluster.tell("F", tostring(problem))
  common.finish(common.ERROR)
end

local function agree()
  cluster.tell("Y", host.versions().clouds)
  common.finish(common.OK)
end

-- What is wrong with the words of the master; nil: nothing.
local function problem_of_words(words)
  local found
  local ok, problem = pcall(require "clouds.cli.main", words, function(module) found = module.command.name end)
  if not ok then return args.is_usage(problem) and problem.text or problem end
  if found ~= "start" then return ("'%s' starts no master"):format(table.concat(words, " ")) end
end

-- Of the groups as they are, which will be so until the reload.
local function problem_of_groups(state)
  for _, group in ipairs(state.groups) do
    local prepared, problem = require("clouds.master.spawn").prepare(group.settings)
    if not prepared then return ("group %s: %s"):format(group.name, problem) end
    local script = not state.file and not group.settings.command and group.settings.script
    if script and script ~= require("clouds.master.program").GATEWAY then
      local chunk, wrong = loadfile(script, "t")
      if not chunk then return wrong end
    end
  end
end

-- Of the token of the admin endpoint, which the reload reads again; nil: nothing.
local function problem_of_token(state, plan)
  local path = state.endpoint.asked.admin_token_file or plan.admin_token_file
  if not path then return nil end
  local token, problem = require("clouds.cli.admin_access").read_token(path)
  if not token then return "the admin endpoint: " .. problem end
end

-- The plan of the file as it is now, which the reload will follow.
local function check_file(state)
  local log = {}
  function log:line(_, stream, text) (stream == 2 and io.stderr or io.stdout):write(text, "\n") end
  function log:own(text) io.stderr:write(text, "\n") end
  require("clouds.master.file").run(state.file.path, state.file.url, log, function(plan, problem, manager)
    if plan and plan.name ~= state.name then problem = ("the name is %s now, not %s"):format(plan.name, state.name) end
    problem = problem or require("clouds.master.library").problem(plan) or problem_of_token(state, plan)
    local function done()
      if problem then return refuse(problem) end
      agree()
    end
    if manager then manager:close(done) else done() end
  end)
end

local function check(text, words)
  local state, problem = require("clouds.master.state").decode(text)
  problem = problem or problem_of_words(words) or problem_of_groups(state)
  if problem then return refuse(problem) end
  if state.file then return check_file(state) end
  problem = problem_of_token(state, state.plan)
  if problem then return refuse(problem) end
  agree()
end

function M.main(_, operands)
  local pieces = {}
  local function on_message(kind, text)
    table.insert(pieces, text)
    if kind == "P" then require("clouds").spawn(check, table.concat(pieces), operands) end
  end
  if os.getenv "CLOUDS_CHANNEL" ~= "3" or not cluster.follow(on_message, function() common.finish(common.OK) end) then
    args.fail("successor", "it is started by a master of clouds start, for clouds upgrade")
  end
  host.setenv("CLOUDS_CHANNEL", "")
  common.stop_on_signal(0)
end

return M
