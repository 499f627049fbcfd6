-- clouds publish
local deliver = require "clouds.cli.deliver"
local M = {}

M.command = {
  name = "publish",
  usage = "publish [options] TOPIC JSON",
  summary = "Publish a value at a topic: everybody who has subscribed to it gets it.",
  text = "Says so when no one has subscribed, and exits 0 all the same; 3 with --strict.",
  options = {
    { long = "string", short = "s", help = "take the value as plain text instead of JSON" },
    { long = "json", help = "print {\"receivers\":number}, or {\"error\":{...}}" },
    deliver.timeout,
    deliver.strict,
  },
  operands = { 2, 2 },
}

function M.main(options, operands)
  deliver.main("publish", options, operands, "nobody has subscribed to '%s'")
end

return M
