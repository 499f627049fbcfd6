-- clouds send
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "send",
  usage = "send [options] NODE JSON",
  summary = "Send a message to a node: fire and forget.",
  text = "Says so when no one received it, and exits 0 all the same; 3 with --strict.",
  options = {
    { long = "string", short = "s", help = "take the message as plain text instead of JSON" },
    { long = "timeout", short = "t", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for everything (default 10)" },
    { long = "strict", help = "exit 3 when no one received it" },
  },
  operands = { 2, 2 },
}

function M.main(options, operands)
  common.command("send", options, function()
    local list = call.arguments("send", operands, 2, options.string)
    local receiver = call.text("send", operands[1])
    local base = common.open("send", "client", {})
    common.fail_fast(base)
    common.limit(options.timeout or 10, base)
    local value = list[1]
    if value == nil then value = require("clouds").null end
    local count, err = base:send(receiver, value, { confirm = true })
    if not count then return common.fail(err) end
    if count ~= 0 then return common.OK end
    io.stderr:write(("clouds send: no one received it: there is no node '%s'\n"):format(output.plain(receiver)))
    return options.strict and common.UNREACHABLE or common.OK
  end)
end

return M
