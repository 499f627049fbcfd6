-- clouds scale
local application = require "clouds.cli.application"
local args = require "clouds.cli.args"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 10

M.command = {
  name = "scale",
  usage = "scale [options] [NAME] COUNT",
  summary = "Change how many workers an application has.",
  text = application.text .. "\nCOUNT is a number, or how many more or fewer: +1, -1. Those that are too many\n"
    .. "finish what they have accepted.",
  options = {
    { long = "group", short = "g", value = "GROUP", help = "of this group; may be left out when there is one" },
    application.json, application.timeout(TIMEOUT),
  },
  operands = { 1, 2 },
  without_common = true,
}

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  local name, count = operands[1], operands[2]
  if not count then name, count = nil, operands[1] end
  if not count:match("^[+-]?%d+$") then
    args.fail("scale", "COUNT: expected a number, or how many more or fewer as +1, got '%s'", count)
  end
  local workers = count:match("^%d+$") and tonumber(count) or count
  application.main("scale", options, name, { ["do"] = "scale", group = options.group, workers = workers },
    function(answer)
      return ("%s is to have %d workers"):format(output.plain(answer.group), answer.workers)
    end)
end

return M
