-- What processes count by name (host/cluster_counts.c), as tables: of methods, contexts and routes. A worker may have
-- written anything, so names are made such that they can be shown.
--
-- A tally of a method has counts of outcomes, `open`, `seconds` and `took`, how many by the bounds.
local cluster = require("clouds.host").cluster
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local layout = cluster.counts_layout
local METHOD, CONTEXT, ROUTE, STATUS, LOOP = 1, 2, 3, 4, 5 -- enum clouds_counts_kind
local OUTCOMES = { "ok", "app_error", "not_done", "unknown" }
local MOST_METHODS, OTHER = 500, "other"

--- In seconds, of all that is timed.
M.bounds = layout.bounds

---- rows ----

local function took_of(row, at)
  local took = {}
  for i = 0, #layout.bounds do took[i + 1] = row[at + i] end
  return took
end

-- nil: there was none.
local function tally_of(row, at)
  local where = layout.tally
  if row[at + where.is_used] == 0 then return nil end
  local tally = { open = row[at + where.open], seconds = row[at + where.micros] / 1e6,
    took = took_of(row, at + where.took) }
  for i, outcome in ipairs(OUTCOMES) do tally[outcome] = row[at + where.ended + i - 1] end
  return tally
end

local function requests_of(row)
  local tally = tally_of(row, layout.requests)
  if not tally then return nil end
  tally.waiting = row[layout.waiting]
  if row[layout.limit] > 0 then tally.limit = row[layout.limit] end
  if row[layout.has_waits] > 0 then
    tally.queue = { seconds = row[layout.wait_micros] / 1e6, took = took_of(row, layout.wait_took) }
  end
  for i, reason in ipairs(layout.refusals) do
    local count = row[layout.refused + i - 1]
    if count > 0 then
      tally.refused = tally.refused or {}
      tally.refused[reason] = count
    end
  end
  return tally
end

---- few methods ----

local names, name_count = {}, 0 -- of methods that are told of by their own, as long as this process lives

-- Under which name a method is told of. Each process has so many of its own, and not all the same.
local function name_of(method)
  if names[method] then return method end
  if name_count >= MOST_METHODS or method == OTHER then return OTHER end
  names[method], name_count = true, name_count + 1
  return method
end

-- Numbers are added, in tables as well.
local function add(sum, tally)
  for name, value in pairs(tally) do
    if type(value) == "table" then
      sum[name] = sum[name] or {}
      add(sum[name], value)
    else
      sum[name] = (sum[name] or 0) + value
    end
  end
  return sum
end

local function put(methods, method, tally)
  if not tally then return end
  local name = name_of(method)
  methods[name] = methods[name] and add(methods[name], tally) or tally
end

---- all ----

local readers = {}

readers[METHOD] = function(counts, row)
  local method = output.plain(row.name)
  counts.has_methods = true
  put(counts.calls, method, tally_of(row, layout.calls))
  put(counts.requests, method, requests_of(row))
end

readers[CONTEXT] = function(counts, row)
  local at = 0
  for name in row.name:gmatch("%S+") do
    at = at + 1
    if name:find("^[%l_]+$") then counts.contexts[name] = (counts.contexts[name] or 0) + (row[at] or 0) end
  end
end

readers[ROUTE] = function(counts, row)
  counts.routes[output.plain(row.name)] = { took = took_of(row, layout.route_took),
    seconds = row[layout.route_micros] / 1e6, open = row[layout.route_open],
    websockets = row[layout.route_websockets] }
end

readers[LOOP] = function(counts, row)
  counts.loop = { took = took_of(row, layout.loop_took), seconds = row[layout.loop_micros] / 1e6 }
end

readers[STATUS] = function(counts, row)
  local code, route = row.name:match("^(%d+) (.*)$")
  if not code then return end
  table.insert(counts.statuses, { code = code, route = output.plain(route), count = row[1] })
end

-- How many values a row must have.
local least = { [METHOD] = layout.method_values, [CONTEXT] = 0, [ROUTE] = layout.route_values,
  [LOOP] = layout.loop_values, [STATUS] = 1 }

--- What is counted in these (a list of counts), and was before by who has ended (`past`, or nil): { calls =, requests =
--- tallies by method, has_methods = whether they are counted, contexts = sums of "open", "up", "nodes" and counters,
--- routes = by name, statuses = list, loop = how long turns took, or nil }.
function M.sum(past, list)
  local counts = { calls = {}, requests = {}, contexts = {}, routes = {}, statuses = {} }
  local rows = cluster.sum_counts(past, list)
  table.sort(rows, function(a, b) return a.name < b.name end)
  for _, row in ipairs(rows) do
    local read = readers[row.kind]
    if read and #row >= least[row.kind] then read(counts, row) end
  end
  return counts
end

local own

--- From now on this process counts; nil and why not: it cannot.
function M.begin()
  local problem
  own, problem = cluster.own_counts()
  return own, problem
end

--- Of this process.
function M.own() return M.sum(nil, { own }) end

--- Methods as a list of { method =, calls =, requests = } in the order of the names.
function M.list(counts)
  local by_method, list = {}, {}
  for _, kind in ipairs { "calls", "requests" } do
    for name, tally in pairs(counts[kind]) do
      by_method[name] = by_method[name] or { method = name }
      by_method[name][kind] = tally
    end
  end
  for _, name in ipairs(common.sorted_keys(by_method)) do list[#list + 1] = by_method[name] end
  return list
end

return M
