-- What `clouds ping`, `pause`, `resume` and `stop` have in common: a question to one node, and what it answers.
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

M.options = {
  { long = "json",
    help = "print what it answers, {\"id\":,\"version\":,\"pid\":,\"state\":,\"paused\":}, or\n{\"error\":{...}}" },
  { long = "timeout", short = "t", value = "SECONDS", kind = "number", least = 0.001,
    help = "longest wait for everything (default 10)" },
}

M.text = "The library there answers, not its program, where its option admin allows it: \"local\", the default, over\n"
  .. "local: only, \"on\" also over Redis and etcd. A node of npm clouds 0.1 takes no questions."

-- `describe(answer, seconds)` gives the line that is printed.
function M.main(command, options, id, args, describe)
  common.command(command, options, function()
    local node = common.open(command, "client", {})
    common.fail_fast(node, options.json)
    common.limit(options.timeout or 10, node)
    local now = require("clouds.loop").now
    local ok, err = node:ready()
    if not ok then return common.fail(err, options.json) end
    local begun = now()
    local answer, problem = node:ask(call.text(command, id), command, args)
    if not answer then return common.fail(problem, options.json) end
    local line = options.json and output.json(answer) or describe(answer, now() - begun)
    return output.write(line, "\n") and common.OK or common.ERROR
  end)
end

-- The line of `clouds pause` and `clouds resume`.
function M.pause(command, done, options, operands)
  local id, method = operands[1], operands[2]
  M.main(command, options, id, method and { method = call.text(command, method) }, function(answer)
    local what = output.plain(answer.id)
    if method then what = ("%s of %s"):format(output.plain(method), what) end
    return ("%s is %s"):format(what, done)
  end)
end

return M
