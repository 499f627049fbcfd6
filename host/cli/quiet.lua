-- clouds quiet
local application = require "clouds.cli.application"
local common = require "clouds.cli.common"
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

-- Who accepts by itself is not kept from it, so this has not been done.
local function code_of(answer)
  if not answer.accepting then return nil end
  local names = output.plain(table.concat(answer.accepting, ", "))
  io.stderr:write(("clouds quiet: who accepts by itself goes on: %s\n"):format(names))
  return common.ERROR
end

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  application.main("quiet", options, operands[1], { ["do"] = "quiet" }, function(_, name)
    return ("%s is quiet"):format(output.plain(name))
  end, code_of)
end

return M
