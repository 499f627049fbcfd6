-- clouds call
local args = require "clouds.cli.args"
local node = require "clouds.cli.node"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "call",
  usage = "call [options] METHOD [JSON ...]",
  summary = "Call a method and print what it returns, one value a line, as JSON.",
  text = "Each argument is JSON: 3, true, '\"text\"', '{\"a\":[1,null]}'. With -s each is plain text.\n"
    .. "Exit codes: 1 the service answered with an error, 3 nothing was executed (no server, not connected),\n"
    .. "4 timeout or connection lost: it may have been executed.",
  options = {
    { long = "string", short = "s", help = "take the arguments as plain text instead of JSON" },
    { long = "json", help = "print one JSON array; an error as {\"error\":{...}}" },
    { long = "timeout", short = "t", value = "SECONDS", kind = "number",
      help = "longest wait for one attempt (default 60)" },
    { long = "deadline", short = "d", value = "SECONDS", kind = "number", help = "longest wait for everything" },
    { long = "retry", short = "r", value = "COUNT", kind = "count",
      help = "further attempts after a timeout, or, when no server is there,\n"
        .. "when one comes up, or after waiting as long" },
    { long = "server", value = "ID", help = "ask this node and no other" },
  },
  operands = { 1, math.huge },
}

-- The arguments as Lua values with their number; raises wrong usage for one that is no JSON.
function M.arguments(command, words, first, as_text)
  local json, list = require("clouds").json, { n = math.max(0, #words - first + 1) }
  for i = first, #words do
    local value, problem = words[i], nil
    if not as_text then value, problem = json.decode(words[i]) end
    if problem then
      args.fail(command, "argument '%s' is not JSON (%s); text needs quotes: '\"%s\"', or use --string",
        words[i], tostring(type(problem) == "table" and problem.message or problem), words[i])
    end
    list[i - first + 1] = value
  end
  return list
end

local function print_results(count, results, as_json)
  local clouds = require "clouds"
  if as_json then return output.write(clouds.json.encode(clouds.array(results, count)), "\n") end
  local lines = {}
  for i = 1, count do
    local value = results[i]
    lines[i] = clouds.json.encode(value == nil and clouds.null or value) .. "\n"
  end
  output.write(table.concat(lines))
end

local function finish(as_json, method, count, first, err, ...)
  if first == nil and require("clouds").is_error(err) then return node.fail(err, as_json, method) end
  print_results(count, { first, err, ... }, as_json)
  return node.OK
end

local function count_and_finish(as_json, method, ...)
  return finish(as_json, method, select("#", ...), ...)
end

function M.main(options, operands)
  node.command("call", options, function()
    local list = M.arguments("call", operands, 2, options.string)
    local client = node.open("call", "client", {})
    node.fail_fast(client, options.json)
    return count_and_finish(options.json, operands[1], client:call(operands[1], list, {
      timeout = options.timeout,
      deadline = options.deadline,
      retry = options.retry,
      server = options.server,
    }))
  end)
end

return M
