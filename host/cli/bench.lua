-- clouds bench: a closed loop of calls, with a histogram of their latencies.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local call = require "clouds.cli.call"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local echo = require "clouds.cli.echo"
local histogram = require "clouds.cli.histogram"
local M = {}

M.command = {
  name = "bench",
  usage = "bench [options] [JSON ...]",
  summary = "Measure calls per second and latency, with a number of calls always outstanding.",
  text = "Without --method it starts an echo service of its own in another process. The arguments of the calls are\n"
    .. "JSON (default: 1 2). The latency of some 50000 calls a second is measured.",
  options = {
    { long = "concurrency", short = "c", value = "COUNT", kind = "count", least = 1, most = 1000000,
      help = "calls outstanding (default 100)" },
    { long = "method", short = "m", value = "METHOD", help = "the method to call (default: the built-in echo)" },
    { long = "time", short = "t", value = "SECONDS", kind = "number", least = 0.01,
      help = "how long to measure (default 5)" },
    { long = "warmup", value = "SECONDS", kind = "number", help = "how long to run before that (default 0.5)" },
    { long = "timeout", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for one call (default 10)" },
    { long = "json", help = "print one JSON object; latencies in seconds" },
    { long = "serve", value = "METHOD", hidden = true, help = "" },
    { long = "parent", value = "PID", kind = "count", hidden = true, help = "" },
  },
  operands = { 0, math.huge },
}

-- Starts the echo service; the name of its method.
local function start_echo()
  local method = ("clouds.bench.echo.%d"):format(host.pid())
  local url = require("clouds.options").default_url()
  if url:match("^inproc:") then
    echo.start(method)
    return method
  end
  host.setenv("CLOUDS_URL", url)
  host.spawn_self({ "bench", "--serve", method, "--parent", tostring(host.pid()) }, function(status, signal)
    io.stderr:write(("clouds bench: the echo service ended (%s %d)\n"):format(
      signal ~= 0 and "signal" or "exit code", signal ~= 0 and signal or status))
    common.finish(common.ERROR)
  end)
  return method
end

-- Waits until the service answers one call; nil and the error when it does not.
local function first_call(client, method, list, own, seconds)
  local clouds, stop = require "clouds", host.clock() + seconds
  while true do
    local value, err = client:call(method, list, { deadline = math.max(0.001, stop - host.clock()) })
    if not (value == nil and clouds.is_error(err)) then return true end
    if not own or err.outcome ~= "NOT_DONE" or host.clock() >= stop then return nil, err end
    clouds.sleep(0.05)
  end
end

-- So many calls a second are timed, each of which stands for those since the one before: reading the clock twice for
-- every call would be a part of what is measured.
local TIMED = 50000
local TICK = 0.005

local function count_error(counts, err)
  local code = tostring(err.code)
  counts.errors = counts.errors + 1
  counts.by_code[code] = (counts.by_code[code] or 0) + 1
  counts.first_error = counts.first_error or err
end

-- Keeps `concurrency` calls outstanding for `seconds`; what was counted.
local function measure(client, method, list, concurrency, seconds)
  local clouds, clock = require "clouds", host.clock
  local counts = { errors = 0, by_code = {}, latency = histogram.new() }
  local latency, running, going, calls = counts.latency, concurrency, true, 0
  local every, untimed = 1, 0
  local ended

  local function slot()
    local sent, meant, issue
    local function completed(err)
      if err then
        count_error(counts, err)
      else
        calls = calls + 1
        if sent then latency:add(clock() - sent, meant) end
      end
      if going then return issue() end
      running = running - 1
      if running == 0 then ended = clock() end
    end
    function issue()
      untimed = untimed + 1
      if untimed >= every then
        untimed, meant, sent = 0, untimed, clock()
      else
        sent = nil
      end
      client:call(method, list, completed)
    end
    return issue
  end

  local started = clock()
  for _ = 1, concurrency do slot()() end
  while running > 0 do
    local before, calls_before = clock(), calls
    clouds.sleep(TICK)
    local now = clock()
    every = math.max(1, math.floor((calls - calls_before) / (now - before) / TIMED))
    going = now < started + seconds
  end
  counts.calls, counts.elapsed = calls, ended - started
  return counts
end

local function summary(counts, method, concurrency)
  local latency = counts.latency
  return {
    method = method,
    concurrency = concurrency,
    seconds = counts.elapsed,
    calls = counts.calls,
    errors = counts.errors,
    rate = counts.calls / counts.elapsed,
    mean = latency:mean(),
    p50 = latency:quantile(0.5),
    p99 = latency:quantile(0.99),
    ["p99.9"] = latency:quantile(0.999),
    max = latency.max,
  }
end

local function duration(seconds)
  if seconds < 1e-3 then return ("%.0f us"):format(seconds * 1e6) end
  if seconds < 1 then return ("%.2f ms"):format(seconds * 1e3) end
  return ("%.2f s"):format(seconds)
end

local function show(result, counts, as_json)
  if as_json then
    result.error_codes = counts.by_code
    return output.write(output.json(result), "\n")
  end
  local lines = {
    ("%s, %d outstanding, %.1f s"):format(result.method, result.concurrency, result.seconds),
    ("calls/s  %.0f"):format(result.rate),
    ("calls    %d"):format(result.calls),
    ("errors   %d"):format(result.errors),
    ("latency  mean %s, p50 %s, p99 %s, p99.9 %s, max %s"):format(duration(result.mean), duration(result.p50),
      duration(result.p99), duration(result["p99.9"]), duration(result.max)),
  }
  for code, count in pairs(counts.by_code) do lines[#lines + 1] = ("  %s: %d"):format(output.plain(code), count) end
  return output.write(table.concat(lines, "\n"), "\n")
end

local function run(options, operands)
  local concurrency = options.concurrency or 100
  local list = call.arguments("bench", operands, 1)
  if list.n == 0 then list = { 1, 2, n = 2 } end
  local timeout = options.timeout or 10
  local client = common.open("bench", "client", echo.settings { timeout = timeout })
  common.fail_fast(client)
  local method = options.method and call.text("bench", options.method) or start_echo()
  local ok, err = first_call(client, method, list, not options.method, timeout)
  if not ok then return common.fail(err, false, { method = method }) end
  if options.warmup ~= 0 then measure(client, method, list, concurrency, options.warmup or 0.5) end
  local counts = measure(client, method, list, concurrency, options.time or 5)
  local shown = show(summary(counts, method, concurrency), counts, options.json)
  host.kill_child()
  if not shown then return common.ERROR end
  return counts.calls == 0 and counts.first_error and common.exit_code(counts.first_error) or common.OK
end

function M.main(options, operands)
  if options.serve then
    if not options.parent then args.fail("bench", "--serve needs --parent") end
    common.set_default_url("bench", options)
    return echo.serve(options.serve, options.parent)
  end
  common.command("bench", options, function() return run(options, operands) end)
end

return M
