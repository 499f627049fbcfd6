-- clouds pause
local asking = require "clouds.cli.asking"
local M = {}

M.command = {
  name = "pause",
  usage = "pause [options] NODE [METHOD]",
  summary = "Let a node take no calls for a method, or for all of its methods.",
  text = asking.text .. "\nWaits until that is seen in the cluster.",
  options = asking.waiting_options(),
  operands = { 1, 2 },
}

function M.main(options, operands)
  asking.pause("pause", "paused", options, operands)
end

return M
