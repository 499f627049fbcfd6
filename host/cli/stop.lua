-- clouds stop
local asking = require "clouds.cli.asking"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local MARGIN = 5
local PATIENCE = 1 -- for one look whether it is still there

local options = { { long = "drain", value = "SECONDS", kind = "number",
  help = "how long it lets accepted requests finish (default: what it was started with)" } }
local default = ("%d more than --drain, or than %g"):format(MARGIN, common.default_drain())
for _, option in ipairs(asking.waiting_options(default)) do options[#options + 1] = option end

M.command = {
  name = "stop",
  usage = "stop [options] NODE",
  summary = "Ask a node to stop in order: its program closes it, and a program of 'clouds run' ends.",
  text = asking.text .. "\nWaits until the node has left.",
  options = options,
  operands = { 1, 1 },
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

function M.main(given, operands)
  asking.main("stop", given, operands[1], given.drain and { drain = given.drain }, {
    limit = (given.drain or common.default_drain()) + MARGIN,
    describe = function(answer)
      return ("%s %s"):format(output.plain(answer.id), given.no_wait and "is asked to stop" or "has stopped")
    end,
    is_done = has_left,
    late = function(id, seconds) return ("%s is asked to stop, and has not left within %g s"):format(id, seconds) end,
  })
end

return M
