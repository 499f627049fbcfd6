-- clouds send
local deliver = require "clouds.cli.deliver"
local M = {}

M.command = {
  name = "send",
  usage = "send [options] NODE JSON",
  summary = "Send a message to a node: fire and forget.",
  text = "Says so when no one received it, and exits 0 all the same; 3 with --strict.",
  options = {
    { long = "string", short = "s", help = "take the message as plain text instead of JSON" },
    deliver.timeout,
    deliver.strict,
  },
  operands = { 2, 2 },
}

function M.main(options, operands)
  deliver.main("send", options, operands, "there is no node '%s'")
end

return M
