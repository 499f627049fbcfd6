-- clouds reload
local application = require "clouds.cli.application"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 120

M.command = {
  name = "reload",
  usage = "reload [options] [NAME]",
  summary = "Replace the workers of an application by new ones, without losing a request.",
  text = application.text .. "\nWaits until the new workers serve. When one of them fails, what served before\n"
    .. "goes on, and it is said why. Exit codes: 0 the new serve, 1 they failed, 3 no such application,\n"
    .. "4 no answer in time.",
  options = {
    { long = "group", short = "g", value = "GROUP", help = "of this group alone" },
    application.json, application.timeout(TIMEOUT),
  },
  operands = { 0, 1 },
  without_common = true,
}

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  application.main("reload", options, operands[1], { ["do"] = "reload", group = options.group }, function(answer, name)
    local list = {}
    for _, group in ipairs(common.sorted_keys(answer.generations)) do
      list[#list + 1] = ("%s generation %d"):format(output.plain(group), answer.generations[group])
    end
    return ("%s is reloaded: %s"):format(output.plain(name), table.concat(list, ", "))
  end)
end

return M
