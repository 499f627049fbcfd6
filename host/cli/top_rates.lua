-- What `clouds top` counts: a look at all servers, and what lies between two of them.
local asking = require "clouds.cli.asking"
local common = require "clouds.cli.common"
local M = {}

local BAD = { "app_error", "not_done", "unknown" }

---- a look ----

local function new_tally(bounds)
  local tally = { ok = 0, bad = 0, open = 0, waiting = 0, took = {} }
  for i = 1, #bounds + 1 do tally.took[i] = 0 end
  return tally
end

local function add_requests(tally, requests)
  tally.ok = tally.ok + requests.ok
  for _, outcome in ipairs(BAD) do tally.bad = tally.bad + requests[outcome] end
  tally.open, tally.waiting = tally.open + requests.open, tally.waiting + requests.waiting
  for i, n in ipairs(requests.took) do tally.took[i] = tally.took[i] + n end
end

-- By method, of all contexts; nodes that share one say the same.
local function tallies_of(answers)
  local methods, seen, bounds = {}, {}, nil
  for _, answer in pairs(answers) do
    if answer.bounds and not seen[answer.context] then
      seen[answer.context], bounds = true, answer.bounds
      for name, found in pairs(answer.methods) do
        if found.requests then
          methods[name] = methods[name] or new_tally(bounds)
          add_requests(methods[name], found.requests)
        end
      end
    end
  end
  return methods, bounds
end

-- All that is known now: { at =, servers = by method, methods = tallies, bounds =, nodes = by id }; or nil, err.
function M.look(node, seconds)
  local status, problem = node:status({ timeout = seconds })
  if not status then return nil, problem end
  local ids, answers = common.sorted_keys(status.servers), {}
  require("clouds").wait_all({
    function() answers.stats = asking.all(node, ids, "stats", seconds) end,
    function() answers.status = asking.all(node, ids, "status", seconds) end,
  })
  local methods, bounds = tallies_of(answers.stats)
  return { at = require("clouds.loop").now(), servers = status.methods, methods = methods,
    bounds = bounds, nodes = answers.status, stats = answers.stats }
end

---- between two looks ----

-- The time that `share` of those took that ended meanwhile, taken evenly within a bucket; nil: none did.
local function quantile(took, bounds, share)
  local all, seen = 0, 0
  for _, n in ipairs(took) do all = all + n end
  if all == 0 then return nil end
  local rank = share * all
  for i, n in ipairs(took) do
    if seen + n >= rank then
      local from, to = bounds[i - 1] or 0, bounds[i] or bounds[#bounds]
      return from + (to - from) * (rank - seen) / n
    end
    seen = seen + n
  end
end

local function method_row(name, before, now, seconds, bounds)
  local row = { method = name, counted = now ~= nil }
  if not now then return row end
  before = before or new_tally(bounds)
  local took = {}
  for i, n in ipairs(now.took) do took[i] = math.max(n - before.took[i], 0) end
  row.errors = math.max(now.bad - before.bad, 0) / seconds
  row.rate = math.max(now.ok - before.ok, 0) / seconds + row.errors
  row.p50, row.p99 = quantile(took, bounds, 0.5), quantile(took, bounds, 0.99)
  row.open, row.waiting = now.open, now.waiting
  return row
end

local function node_row(id, before, now, stats, seconds)
  if require("clouds").is_error(now) then return { id = id, error = now.code } end
  local counters = now.counters
  local was = before and before.counters or counters
  return { id = id, state = now.paused and now.state .. ", paused" or now.state, pid = now.pid, version = now.version,
    rate = math.max(counters.requests - was.requests, 0) / seconds, open = now.requests, calls = now.calls,
    counts = not require("clouds").is_error(stats) }
end

-- What happened between two looks: { seconds =, methods = rows, nodes = rows }, in the order of the names.
function M.between(before, now)
  local seconds, methods, nodes = math.max(now.at - before.at, 0.001), {}, {}
  for _, name in ipairs(common.sorted_keys(now.servers)) do
    local row = method_row(name, before.methods[name], now.methods[name], seconds, now.bounds)
    row.servers = #now.servers[name]
    methods[#methods + 1] = row
  end
  for _, id in ipairs(common.sorted_keys(now.nodes)) do
    nodes[#nodes + 1] = node_row(id, before.nodes[id], now.nodes[id], now.stats[id], seconds)
  end
  return { seconds = seconds, methods = methods, nodes = nodes }
end

return M
