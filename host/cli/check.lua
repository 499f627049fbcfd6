-- clouds check: what a cluster.lua comes to, without starting it.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local keys = require "clouds.master.keys"
local program = require "clouds.master.program"
local values = require "clouds.master.plan_values"
local M = {}

M.command = {
  name = "check",
  usage = "check FILE [--json]",
  summary = "Check a cluster.lua, and show what it comes to.",
  text = "The file is run as clouds start -c FILE runs it, its scripts are compiled, and nothing is started.\n"
    .. "Exit codes: 0 it can be started, 2 it cannot, with the line that says why.",
  options = {
    { long = "json", help = "the whole plan as JSON" },
  },
  operands = { 1, 1 },
}

-- What was said of a group beyond its name, script, workers and listeners.
local function rest_of(group)
  local words = {}
  for _, key in ipairs(keys.group) do
    local name, value = key[1], group[key[1]]
    local is_plain = type(value) ~= "table" and name ~= "name" and name ~= "workers" and name ~= "cwd"
    if value ~= nil and is_plain and value ~= key.default and not (name == "ready_timeout" and value == 30) then
      words[#words + 1] = ("%s=%s"):format(name, values.shown(value))
    end
  end
  return table.concat(words, " ")
end

local function show(plan)
  output.write(("%s: %d group%s, in %s\n"):format(plan.name, #plan.groups, #plan.groups > 1 and "s" or "", plan.base))
  for _, group in ipairs(plan.groups) do
    local where = group.listen[1] and "at " .. table.concat(group.listen, ", ") or "listens nowhere"
    local line = ("%s: %d worker%s of %s, %s  %s"):format(group.name, group.workers, group.workers > 1 and "s" or "",
      table.concat(program.append_to({}, group), " "), where, rest_of(group))
    output.write("  ", output.plain(line:match("^(.-)%s*$")), "\n")
  end
end

-- Lists that are empty are lists in JSON, too.
local function with_arrays(plan)
  local array = require("clouds").json.array
  for _, group in ipairs(plan.groups) do
    group.listen, group.arguments = array(group.listen), array(group.arguments)
  end
  return plan
end

-- What the file prints is no part of the plan.
local log = {}

function log:line(_, _, text) io.stderr:write(output.plain(text), "\n") end

function log:own(text) io.stderr:write(output.plain_lines(text), "\n") end

function M.main(options, operands)
  local file = require "clouds.master.file"
  common.set_default_url("check", options)
  local path, wrong = file.path(operands[1])
  if not path then args.fail("check", "%s", wrong) end
  file.run(path, require("clouds.options").default_url(), log, function(plan, problem, manager)
    local function finish()
      if not plan then
        io.stderr:write(("clouds check: %s\n"):format(output.plain_lines(problem)))
        return host.finish(host.exit.USAGE)
      end
      if options.json then output.write(output.json(with_arrays(plan)), "\n") else show(plan) end
      host.finish(output.failed and host.exit.ERROR or host.exit.OK)
    end
    if manager then manager:close(finish) else finish() end
  end)
end

return M
