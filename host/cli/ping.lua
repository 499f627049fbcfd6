-- clouds ping
local asking = require "clouds.cli.asking"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "ping",
  usage = "ping [options] NODE",
  summary = "Ask a node whether it is there.",
  text = asking.text,
  options = asking.options,
  operands = { 1, 1 },
}

function M.main(options, operands)
  asking.main("ping", options, operands[1], nil, { describe = function(answer, seconds)
    local state = answer.paused and answer.state .. ", paused" or answer.state
    local line = "%s: %s, %.3f ms, process %s, version %s"
    return line:format(output.plain(answer.id), output.plain(state), seconds * 1e3, output.plain(answer.pid),
      output.plain(answer.version))
  end })
end

return M
