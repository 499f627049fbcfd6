-- clouds stop
local application = require "clouds.cli.application"
local asking = require "clouds.cli.asking"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local MARGIN = 5
local PATIENCE = 1 -- for one look whether it is still there

local options = { { long = "drain", value = "SECONDS", kind = "number",
  help = "how long it lets accepted requests finish (default: what it was started with)" },
  { long = "now", help = "of an application: at once, accepted requests are lost" } }
local default = ("%d more than --drain, or than %g"):format(MARGIN, common.default_drain())
for _, option in ipairs(asking.waiting_options(default)) do options[#options + 1] = option end

M.command = {
  name = "stop",
  usage = "stop [options] [NAME | NODE]",
  summary = "Stop an application of 'clouds start', or ask a node to stop in order.",
  text = application.text .. "\nAny other word is the id of a node: its program closes it, and a program of\n"
    .. "'clouds run' ends. " .. asking.text .. "\nWaits until the application has ended, or the node has left.",
  options = options,
  operands = { 0, 1 },
}

-- It answers no more, or another one that has its id by now; over local:, where a node that drains takes no questions,
-- its link has ended, too.
local function has_left(node, answer)
  local found, err = node:ask(answer.id, "ping", nil, { timeout = PATIENCE })
  if found then return found.pid ~= answer.pid end
  if err.code ~= "CLOUDS_NO_AVAILABLE_SERVER" then return false end
  for _, link in ipairs(node:links() or {}) do
    if link.ours and link.peer == answer.id and link.state ~= "resting" then return false end
  end
  return true
end

local function stop_node(given, id)
  asking.main("stop", given, id, given.drain and { drain = given.drain }, {
    limit = (given.drain or common.default_drain()) + MARGIN,
    describe = function(answer)
      return ("%s %s"):format(output.plain(answer.id), given.no_wait and "is asked to stop" or "has stopped")
    end,
    is_done = has_left,
    late = function(answer_id, seconds)
      return ("%s is asked to stop, and has not left within %g s"):format(answer_id, seconds)
    end,
  })
end

local LONGEST = 3600 -- seconds: an application ends by its own limit

local function stop_application(given, name)
  given.timeout, given.follow = given.timeout or LONGEST, true
  local request = { ["do"] = "stop", now = given.now, drain = given.drain }
  application.main("stop", given, name, request, function(answer, found)
    return ("%s has stopped%s"):format(output.plain(found), answer.code == 0 and "" or ", but not in order")
  end)
end

-- Whether an application is meant is asked of its socket, which may be waited for.
function M.main(given, operands)
  common.spawn(function()
    local name = operands[1]
    if given.now or not name or application.runs(name) then return stop_application(given, name) end
    stop_node(given, name)
  end)
end

return M
