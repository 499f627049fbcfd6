-- clouds stop
local asking = require "clouds.cli.asking"
local output = require "clouds.cli.output"
local M = {}

local options = { { long = "drain", value = "SECONDS", kind = "number",
  help = "how long it lets accepted requests finish (default: what it was started with)" } }
for _, option in ipairs(asking.options) do options[#options + 1] = option end

M.command = {
  name = "stop",
  usage = "stop [options] NODE",
  summary = "Ask a node to stop in order: its program closes it, and a program of 'clouds run' ends.",
  text = asking.text .. "\nDoes not wait for the end.",
  options = options,
  operands = { 1, 1 },
}

function M.main(given, operands)
  asking.main("stop", given, operands[1], given.drain and { drain = given.drain }, function(answer)
    return ("%s is asked to stop"):format(output.plain(answer.id))
  end)
end

return M
