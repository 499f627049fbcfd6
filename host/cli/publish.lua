-- clouds publish
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "publish",
  usage = "publish [options] TOPIC JSON",
  summary = "Publish a value at a topic: everybody who has subscribed to it gets it.",
  text = "Says so when no one has subscribed, and exits 0 all the same; 3 with --strict.",
  options = {
    { long = "string", short = "s", help = "take the value as plain text instead of JSON" },
    { long = "json", help = "print {\"receivers\":number}, or {\"error\":{...}}" },
    { long = "timeout", short = "t", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for everything (default 10)" },
    { long = "strict", help = "exit 3 when no one received it" },
  },
  operands = { 2, 2 },
}

function M.main(options, operands)
  common.command("publish", options, function()
    local list = call.arguments("publish", operands, 2, options.string)
    local topic = call.text("publish", operands[1])
    local base = common.open("publish", "client", {})
    common.fail_fast(base, options.json)
    common.limit(options.timeout or 10, base)
    local value = list[1]
    if value == nil then value = require("clouds").null end
    local count, err = base:publish(topic, value, { confirm = true })
    if not count then return common.fail(err, options.json) end
    local receivers = count ~= true and count or require("clouds").null
    if options.json and not output.write(output.json({ receivers = receivers }), "\n") then return common.ERROR end
    if count ~= 0 then return common.OK end
    io.stderr:write(("clouds publish: no one received it: nobody has subscribed to '%s'\n"):format(output.plain(topic)))
    return options.strict and common.UNREACHABLE or common.OK
  end)
end

return M
