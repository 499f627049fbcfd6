-- What the admin endpoint tells of this process to Prometheus: its text format 0.0.4.
local host = require "clouds.host"
local about = require "clouds.cli.admin_about"
local common = require "clouds.cli.common"
local M = {}

-- The counters of which there are samples by method.
local by_method = { calls = true, requests = true }
local OUTCOMES = { "ok", "app_error", "not_done", "unknown" }

local function put_head(lines, name, kind, help)
  lines[#lines + 1] = ("# HELP clouds_%s %s\n# TYPE clouds_%s %s\n"):format(name, help, name, kind)
end

local function put(lines, name, labels, value)
  lines[#lines + 1] = ("clouds_%s%s %.17g\n"):format(name, labels, value)
end

local function add(lines, name, kind, help, value, labels)
  put_head(lines, name, kind, help)
  put(lines, name, labels or "", value)
end

local function is_up()
  for _, node in ipairs(about.nodes()) do
    if node.context.reason then return 0 end
  end
  return 1
end

---- by method ----

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function escape(text) return (text:gsub('[\\"\n]', escapes)) end

-- Numbers are added, in tables as well: buckets, reasons.
local function add_tally(sum, tally)
  for name, value in pairs(tally) do
    if type(value) == "table" then
      sum[name] = sum[name] or {}
      add_tally(sum[name], value)
    else
      sum[name] = (sum[name] or 0) + value
    end
  end
end

local latest = setmetatable({}, { __mode = "k" }) -- context -> what it told last, for when its nodes are closing

-- Of all contexts together, by "calls" and "requests" and then by method, what there was; and the bounds. nil: nothing
-- is counted. Waits.
local function tallies()
  local sums, bounds = { calls = {}, requests = {} }, nil
  for _, node in ipairs(about.context_nodes()) do
    local stats = node:stats() or latest[node.context]
    latest[node.context] = stats
    bounds = bounds or stats and stats.bounds
    for name, found in pairs(stats and stats.methods or {}) do
      for kind, sum in pairs(sums) do
        if found[kind] then
          sum[name] = sum[name] or {}
          add_tally(sum[name], found[kind])
        end
      end
    end
  end
  return bounds and sums, bounds
end

local function add_histogram(lines, name, label, tally, bounds)
  local count = 0
  for i, n in ipairs(tally.took) do
    count = count + n
    put(lines, name .. "_bucket", ('{method="%s",le="%s"}'):format(label, bounds[i] or "+Inf"), count)
  end
  put(lines, name .. "_sum", ('{method="%s"}'):format(label), tally.seconds)
  put(lines, name .. "_count", ('{method="%s"}'):format(label), count)
end

local function add_gauge(lines, name, help, methods, member)
  put_head(lines, name, "gauge", help)
  for _, method in ipairs(common.sorted_keys(methods)) do
    local value = methods[method][member]
    if value then put(lines, name, ('{method="%s"}'):format(escape(method)), value) end
  end
end

-- `one`: "call" or "request".
local function add_methods(lines, one, methods, bounds)
  local names, many = common.sorted_keys(methods), one .. "s"
  put_head(lines, many .. "_total", "counter", ("The %s that ended, by method and outcome."):format(many))
  for _, method in ipairs(names) do
    for _, outcome in ipairs(OUTCOMES) do
      local labels = ('{method="%s",outcome="%s"}'):format(escape(method), outcome)
      put(lines, many .. "_total", labels, methods[method][outcome])
    end
  end
  add_gauge(lines, many .. "_in_flight", ("The %s that have not ended."):format(many), methods, "open")
  put_head(lines, one .. "_duration_seconds", "histogram", ("How long the %s took that began and ended."):format(many))
  for _, method in ipairs(names) do
    add_histogram(lines, one .. "_duration_seconds", escape(method), methods[method], bounds)
  end
end

local function add_refused(lines, methods)
  put_head(lines, "refused_total", "counter", "The requests that were refused, by method and reason.")
  for _, method in ipairs(common.sorted_keys(methods)) do
    local refused = methods[method].refused or {}
    for _, reason in ipairs(common.sorted_keys(refused)) do
      put(lines, "refused_total", ('{method="%s",reason="%s"}'):format(escape(method), reason), refused[reason])
    end
  end
end

local function add_waits(lines, methods, bounds)
  put_head(lines, "queue_seconds", "histogram",
    "How long the requests had waited that began, of methods with limits.")
  for _, method in ipairs(common.sorted_keys(methods)) do
    local queue = methods[method].queue
    if queue then add_histogram(lines, "queue_seconds", escape(method), queue, bounds) end
  end
end

---- all ----

local function add_counters(lines, is_by_method)
  local sums = about.counters()
  for _, name in ipairs(common.sorted_keys(sums)) do
    if not (is_by_method and by_method[name]) then
      add(lines, name .. "_total", "counter", ("The counter %s of the library."):format(name), sums[name])
    end
  end
end

-- In a coroutine: waits.
function M.text()
  local versions, lines = host.versions(), {}
  add(lines, "build_info", "gauge", "Versions.", 1,
    ('{version="%s",luajit="%s"}'):format(versions.clouds, versions.luajit))
  add(lines, "bus_up", "gauge", "1 when every cluster of this process is connected.", is_up())
  add(lines, "ready", "gauge", "1 when /readyz says so.", about.reasons()[1] and 0 or 1)
  add(lines, "uptime_seconds", "gauge", "Since the program was started.", about.uptime())
  add(lines, "lua_memory_bytes", "gauge", "Of the Lua state.", collectgarbage("count") * 1024)
  local sums, bounds = tallies()
  add_counters(lines, sums)
  if sums then
    add_methods(lines, "call", sums.calls, bounds)
    add_methods(lines, "request", sums.requests, bounds)
    add_gauge(lines, "requests_waiting", "The requests that wait for their turn.", sums.requests, "waiting")
    add_gauge(lines, "requests_limit", "How many requests may run at a time.", sums.requests, "limit")
    add_refused(lines, sums.requests)
    add_waits(lines, sums.requests, bounds)
  end
  return table.concat(lines)
end

return M
