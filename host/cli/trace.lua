-- clouds trace
local call = require "clouds.cli.call"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local tree = require "clouds.cli.trace_tree"
local M = {}

local WAIT, STEP = 1, 0.005
local SETTLE = 0.05 -- what a node sends by another connection than the rest is in no order with that

M.command = {
  name = "trace",
  usage = "trace [options] METHOD [JSON ...]",
  summary = "Call a method and show which calls came of it, how long each took, and how it ended.",
  text = "Arguments and exit codes are those of clouds call. Every native node that takes part sends what it did,\n"
    .. "also where nothing is exported; those with trace=off, of npm clouds and of versions before 0.3 do not.",
  options = {
    { long = "string", short = "s", help = "take the arguments as plain text instead of JSON" },
    { long = "json", help = "print an object in one line: trace, results or error,\n"
      .. "the server, and the spans as OpenTelemetry writes them" },
    common.timeout("longest wait for one attempt (default 60)"),
    { long = "deadline", short = "d", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for the call" },
    { long = "retry", short = "r", value = "COUNT", kind = "count", most = common.MAX_RETRIES,
      help = "further attempts, as of clouds call" },
    { long = "server", value = "ID", help = "ask this node and no other" },
    { long = "wait", short = "w", value = "SECONDS", kind = "number", least = 0,
      help = "how long to wait for what is missing when the call is over\n(default 1)" },
  },
  operands = { 1, math.huge },
}

local function pack(...)
  return { n = select("#", ...), ... }
end

-- The spans that come, also those that tell what becomes of a notification later.
local function collect(client)
  local spans = tree.new()
  client:on("message", function(_, value)
    if type(value) == "table" and type(value["$span"]) == "table" then spans:add(value["$span"]) end
  end)
  return spans
end

local function wait_until(seconds, condition)
  local clouds = require "clouds"
  for _ = 1, math.ceil(seconds / STEP) do
    if condition() then return end
    clouds.sleep(STEP)
  end
end

-- The span of the call itself is on its way here in any case.
local function wait_for(spans, seconds)
  wait_until(WAIT, function() return spans:id() ~= nil end)
  wait_until(seconds, function() return spans:is_complete() end)
  for _ = 1, math.ceil(seconds / SETTLE) do
    local before = spans:count()
    require("clouds").sleep(SETTLE)
    if spans:count() == before then return end
  end
end

local function show_json(spans, results, err, server)
  local clouds = require "clouds"
  return output.write(output.json {
    trace = spans:id(),
    results = not err and clouds.array(results, results.n) or nil,
    error = err and common.error_table(err) or nil,
    server = server,
    spans = clouds.array(spans:list()),
  }, "\n")
end

function M.main(options, operands)
  common.command("trace", options, function()
    local list = call.arguments("trace", operands, 2, options.string)
    local method = call.text("trace", operands[1])
    local server = call.server("trace", options.server)
    local client = common.open("trace", "client", {})
    common.fail_fast(client, options.json)
    local spans = collect(client)
    local about = {}
    local results = pack(client:call(method, list, { timeout = options.timeout, deadline = options.deadline,
      retry = options.retry, server = server, meta = { ["trace-to"] = client.id }, about = about }))
    local err = results[1] == nil and require("clouds").is_error(results[2]) and results[2] or nil
    wait_for(spans, options.wait or WAIT)
    local written
    if options.json then
      written = show_json(spans, results, err, about.server)
    else
      written = output.write(spans:text())
    end
    if not written then return common.ERROR end
    return err and common.fail(err, false, { method = method, server = server }) or common.OK
  end)
end

return M
