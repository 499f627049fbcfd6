-- clouds logs
local host = require "clouds.host"
local args = require "clouds.cli.args"
local application = require "clouds.cli.application"
local common = require "clouds.cli.common"
local format = require "clouds.master.log_format"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 10
local STDOUT = 1

M.command = {
  name = "logs",
  usage = "logs [options] [NAME]",
  summary = "Show what the workers of an application have written last.",
  text = application.text .. "\nThe master has the last 1000 lines of each group (log.lines), wherever it writes them.",
  options = {
    { long = "follow", short = "f", help = "go on with what comes, until stopped or the application ends" },
    { long = "lines", short = "n", value = "COUNT", kind = "count", least = 0, help = "the last COUNT (default: all)" },
    { long = "group", short = "g", value = "GROUP",
      help = "of this group, or of one worker, as web.1;\nof the master itself: master" },
    { long = "json", help = "print a JSON object for each line" },
    { long = "reopen", help = "show nothing: let the master open its log files anew, after\nthey were put aside" },
    application.timeout(TIMEOUT),
  },
  operands = { 0, 1 },
  without_common = true,
}

local function missed_text(count)
  return ("clouds logs: %d lines are missing here: they came faster than they were taken\n"):format(count)
end

-- False when it cannot be written.
local function show(message, options, form)
  if message.event ~= "line" then return true end
  if message.missed and not options.json then io.stderr:write(missed_text(message.missed)) end
  if not options.json then return output.write(form(format.entry(message.line))) end
  message.line.missed = message.missed
  return output.write(format.json_of(message.line))
end

local function reopen(options, name)
  for _, pair in ipairs(options.order) do
    if pair[1] ~= "reopen" and pair[1] ~= "json" and pair[1] ~= "timeout" then
      args.fail("logs", "--%s is for lines, and --reopen shows none", pair[1])
    end
  end
  application.main("logs", options, name, { ["do"] = "reopen" }, function(answer, found)
    if not answer.files[1] then return ("%s writes no files"):format(output.plain(found)) end
    return ("%s opens %s"):format(output.plain(found), output.plain(table.concat(answer.files, ", ")))
  end)
end

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  if options.reopen then return reopen(options, operands[1]) end
  common.command("logs", options, function()
    local name = application.find("logs", operands[1])
    if not name then return common.UNREACHABLE end
    local form = host.is_terminal(STDOUT) and format.terminal or format.text
    local request = { ["do"] = "logs", group = options.group, lines = options.lines, follow = options.follow }
    local answer, code = application.ask("logs", name, request, options, function(message)
      return show(message, options, form)
    end)
    if not answer then return code end
    return output.failed and common.ERROR or common.OK
  end)
end

return M
