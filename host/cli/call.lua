-- clouds call
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local bytes = require "clouds.cli.bytes"
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
    common.timeout("longest wait for one attempt (default 60)"),
    { long = "deadline", short = "d", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for everything" },
    { long = "retry", short = "r", value = "COUNT", kind = "count", most = common.MAX_RETRIES,
      help = "further attempts after a timeout, or, when no server is there,\n"
        .. "when one comes up, or after waiting as long" },
    { long = "server", value = "ID", help = "ask this node and no other" },
    { long = "once", value = "KEY",
      help = "idempotency key: who repeats the call with it within a minute\n"
        .. "gets the same answer, and it is not executed again" },
    { long = "tell-server", help = "say on standard error which server it was" },
  },
  operands = { 1, math.huge },
}

-- A word of the command line that is to be sent as text.
function M.text(command, word)
  if require("clouds").json.encode(word) then return word end
  args.fail(command, "'%s' is not UTF-8; bytes can be sent as a text that encodes them, such as base64",
    (word:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)))
end

-- The node to ask, or nil where none is named. An empty text would be taken for that.
function M.server(command, word)
  if word == "" then args.fail(command, "--server: expected the id of a node, and not an empty text") end
  return word and M.text(command, word)
end

local function from_json(command, word)
  local value, problem = require("clouds").json.decode(word)
  if not problem then return bytes.read(value) end
  args.fail(command, "argument '%s' is not JSON (%s); text needs quotes: '\"%s\"', or use --string",
    word, tostring(type(problem) == "table" and problem.message or problem), word)
end

-- The arguments as Lua values with their number; raises wrong usage for one that is no JSON.
function M.arguments(command, words, first, as_text)
  local list = { n = math.max(0, #words - first + 1) }
  for i = first, #words do
    if as_text then
      list[i - first + 1] = M.text(command, words[i])
    else
      list[i - first + 1] = from_json(command, words[i])
    end
  end
  return list
end

local function print_results(count, results, as_json)
  local clouds = require "clouds"
  if as_json then return output.write(output.json(clouds.array(results, count)), "\n") end
  local lines = {}
  for i = 1, count do
    local value = results[i]
    lines[i] = output.json(value == nil and clouds.null or value) .. "\n"
  end
  return output.write(table.concat(lines))
end

local function finish(as_json, call, count, first, err, ...)
  if first == nil and require("clouds").is_error(err) then return common.fail(err, as_json, call) end
  return print_results(count, { first, err, ... }, as_json) and common.OK or common.ERROR
end

local function count_and_finish(as_json, call, ...)
  return finish(as_json, call, select("#", ...), ...)
end

-- Which server a call had, if it had one and that is asked for; then as before.
local function tell_server(about, ...)
  if about and about.server then io.stderr:write(("server: %s\n"):format(output.plain(about.server))) end
  return ...
end

-- client:call or client:notify, by the name of the command, with what the command line says. `ends` gets its results.
function M.run(command, options, operands, ends)
  common.command(command, options, function()
    local list = M.arguments(command, operands, 2, options.string)
    if options.once == "" then args.fail(command, "--once: expected a key, and not an empty text") end
    local call = { method = M.text(command, operands[1]), server = M.server(command, options.server) }
    local client = common.open(command, "client", {})
    common.fail_fast(client, options.json)
    local about = options.tell_server and {} or nil
    return ends(options.json, call, tell_server(about, client[command](client, call.method, list, {
      timeout = options.timeout,
      deadline = options.deadline,
      retry = options.retry,
      server = call.server,
      once = options.once and M.text(command, options.once),
      about = about,
    })))
  end)
end

function M.main(options, operands)
  M.run("call", options, operands, count_and_finish)
end

return M
