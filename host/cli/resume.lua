-- clouds resume
local application = require "clouds.cli.application"
local asking = require "clouds.cli.asking"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 10

M.command = {
  name = "resume",
  usage = "resume [options] [NAME | NODE [METHOD]]",
  summary = "Let an application that is quiet, or a node that is paused, take calls again.",
  text = application.text .. "\nAny other word is the id of a node. " .. asking.text
    .. "\nWaits until that is seen in the cluster.",
  options = asking.waiting_options(),
  operands = { 0, 2 },
}

local function resume_application(options, name)
  options.timeout = options.timeout or TIMEOUT
  application.main("resume", options, name, { ["do"] = "resume" }, function(_, found)
    return ("%s takes calls again"):format(output.plain(found))
  end)
end

function M.main(options, operands)
  common.spawn(function()
    local name = operands[1]
    if not name or (not operands[2] and application.runs(name)) then return resume_application(options, name) end
    asking.pause("resume", "resumed", options, operands)
  end)
end

return M
