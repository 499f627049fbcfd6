-- What `clouds send` and `clouds publish` have in common: one value, for a node or at a topic.
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

M.timeout = common.timeout("longest wait for everything (default 10)")
M.strict = { long = "strict", help = "exit 3 when no one received it" }

-- The command is the name of the node's function, too. `nobody`: why no one received it, of the target.
function M.main(command, options, operands, nobody)
  common.command(command, options, function()
    local list = call.arguments(command, operands, 2, options.string)
    local target = call.text(command, operands[1])
    local base = common.open(command, "client", {})
    common.fail_fast(base, options.json)
    common.limit(options.timeout or 10, base)
    local value = list[1]
    if value == nil then value = require("clouds").null end
    local count, err = base[command](base, target, value, { confirm = true })
    if not count then return common.fail(err, options.json) end
    local receivers = count ~= true and count or require("clouds").null
    if options.json and not output.write(output.json({ receivers = receivers }), "\n") then return common.ERROR end
    if count ~= 0 then return common.OK end
    io.stderr:write(("clouds %s: no one received it: %s\n"):format(command, nobody:format(output.plain(target))))
    return options.strict and common.UNREACHABLE or common.OK
  end)
end

return M
