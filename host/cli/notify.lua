-- clouds notify
local call = require "clouds.cli.call"
local common = require "clouds.cli.common"
local M = {}

-- What means the same as for a call.
local function options_of_call(...)
  local found = {}
  for _, name in ipairs { ... } do
    for _, option in ipairs(call.command.options) do
      if option.long == name then found[#found + 1] = option end
    end
  end
  return found
end

M.command = {
  name = "notify",
  usage = "notify [options] METHOD [JSON ...]",
  summary = "Let one server of a method do something: wait until it has the call, and for no answer.",
  text = "Each argument is JSON, as for clouds call. What the method returns, or that it fails, is not told.\n"
    .. "Exit codes: 3 no server has it, 4 timeout or connection lost: one may have it.",
  options = options_of_call("string", "timeout", "deadline", "retry", "server", "tell-server"),
  operands = { 1, math.huge },
}
table.insert(M.command.options, 2, { long = "json", help = "print an error as {\"error\":{...}}" })
table.insert(M.command.options, { long = "once", value = "KEY",
  help = "idempotency key: what is asked for with it again within a minute\nis not executed again" })

local function ends(as_json, called, done, err)
  if done then return common.OK end
  return common.fail(err, as_json, called)
end

function M.main(options, operands)
  call.run("notify", options, operands, ends)
end

return M
