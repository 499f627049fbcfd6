-- clouds quiet
local application = require "clouds.cli.application"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 10

M.command = {
  name = "quiet",
  usage = "quiet [options] [NAME]",
  summary = "Let an application take nothing new, until 'clouds resume'.",
  text = application.text .. "\nIts connections wait, callers choose other servers, and what is open is served.",
  options = { application.json, application.timeout(TIMEOUT) },
  operands = { 0, 1 },
  without_common = true,
}

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  application.main("quiet", options, operands[1], { ["do"] = "quiet" }, function(_, name)
    return ("%s is quiet"):format(output.plain(name))
  end)
end

return M
