-- clouds upgrade
local host = require "clouds.host"
local application = require "clouds.cli.application"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 180

M.command = {
  name = "upgrade",
  usage = "upgrade [options] [NAME]",
  summary = "Put a new program in the place of the master of an application, without losing a connection.",
  text = application.text .. "\nThe program that the application was started by is run anew, as it is now, in the\n"
    .. "same process; it goes on with the workers that are there, and replaces them by a reload.\n"
    .. "One that is missing, or cannot take over, changes nothing, and it is said why. Exit codes:\n"
    .. "0 the new program and its workers serve, 1 it cannot, or its workers failed and the old\n"
    .. "serve on, 3 no such application, 4 no answer in time.",
  options = {
    { long = "program", short = "p", value = "FILE", help = "this one instead" },
    application.json, application.timeout(TIMEOUT),
  },
  operands = { 0, 1 },
  without_common = true,
}

local function absolute(program)
  if not program or program:sub(1, 1) == "/" then return program end
  return host.real_path(".") .. "/" .. program
end

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  local program = absolute(options.program)
  if program and not host.is_file(program) then args.fail("upgrade", "--program: there is no file %s", program) end
  local request = { ["do"] = "upgrade", program = program }
  application.main("upgrade", options, operands[1], request, function(answer, name)
    local list = {}
    for _, group in ipairs(common.sorted_keys(answer.generations)) do
      list[#list + 1] = ("%s generation %d"):format(group, answer.generations[group])
    end
    return output.plain(("%s is run by %s, clouds %s: %s"):format(name, answer.program, answer.version,
      table.concat(list, ", ")))
  end)
end

return M
