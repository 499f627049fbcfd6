-- What the admin endpoint of an application tells Prometheus: of all workers together what is counted, and of each that
-- serves how it is.
--
-- Of a place in a group, such as web.1, there are two processes while it is replaced: the one that is on its way out is
-- in the sums alone.
local metrics_of = require "clouds.cli.admin_metrics"
local about = require "clouds.cli.endpoint_about"
local common = require "clouds.cli.common"
local process = require "clouds.cli.metrics_process"
local Text = require "clouds.cli.metrics_text"
local M = { TYPE = Text.TYPE }

local STATES = { "starting", "ready", "retiring", "draining", "hung", "backoff", "given up", "ended" }

-- Of workers: name, help, and what its value is, nil: unknown.
local gauges = {
  { "busy_seconds", "Since the loop of a worker waited last; 0 while it waits.",
    function(row) return row.board.busy end },
  { "lag_seconds", "The longest that a worker was busy.", function(row) return row.board.lag end },
  { "connections", "Open connections.", function(row) return row.board.open end },
  { "requests_in_flight", "Requests, of HTTP and of callers, that it works at.",
    function(row) return row.board.in_flight end },
  { "lua_memory_bytes", "Of the Lua state.", function(row) return row.board.lua_bytes end },
  { "resident_memory_bytes", "Of the process.", function(row) return row.memory end },
  { "uptime_seconds", "Since it was started.", function(row) return row.uptime end },
}

-- The process that serves, or will, in each place, in their order.
local function current(workers)
  local list, at = {}, {}
  for _, row in ipairs(workers) do
    if row.board and row.state ~= "draining" and row.state ~= "hung" then
      local known = at[row.worker]
      if not known then
        list[#list + 1] = row
        at[row.worker] = #list
      elseif row.state ~= "starting" then
        list[known] = row
      end
    end
  end
  return list
end

local function add_workers(text, workers)
  local list, labels = current(workers), {}
  text:head("worker_info", "gauge", "The processes of the groups, by their places.")
  for i, row in ipairs(list) do
    labels[i] = text.labels("group", row.group, "worker", row.worker)
    text:put("worker_info", text.labels("group", row.group, "worker", row.worker, "generation", row.generation), 1)
  end
  for _, gauge in ipairs(gauges) do
    text:head("worker_" .. gauge[1], "gauge", gauge[2])
    for i, row in ipairs(list) do
      local value = gauge[3](row)
      if value then text:put("worker_" .. gauge[1], labels[i], value) end
    end
  end
end

local function count_states(group)
  local counts = {}
  for _, state in ipairs(STATES) do counts[state] = 0 end
  for _, row in ipairs(group.workers) do counts[row.state] = (counts[row.state] or 0) + 1 end
  return counts
end

-- A family with a sample for each group. value(group): nil: there is none.
local function add_groups(text, groups, name, kind, help, value)
  text:head(name, kind, help)
  for _, group in ipairs(groups) do
    local number = value(group)
    if number then text:put(name, text.labels("group", group.name), number) end
  end
end

local function sum_of(group, member)
  local sum = 0
  for _, row in ipairs(group.workers) do sum = sum + (row.board and row.board[member] or 0) end
  return sum
end

-- What processes of a group have done, those that have ended included.
local function ever(member)
  return function(group) return group.past[member] + sum_of(group, member) end
end

local function of_dispatch(member)
  return function(group) return group.connections and group.connections[member] end
end

local function add_connections(text, groups)
  add_groups(text, groups, "connections", "gauge", "Open connections.",
    function(group) return sum_of(group, "open") end)
  add_groups(text, groups, "connections_waiting", "gauge", "Connections that were accepted and have no worker yet.",
    of_dispatch("held"))
  add_groups(text, groups, "connections_accepted_total", "counter", "Connections that workers have taken.",
    ever("accepted"))
  add_groups(text, groups, "connections_handed_over_total", "counter",
    "Connections that the master has given to a worker, from the listener or from another worker.",
    of_dispatch("given"))
  add_groups(text, groups, "connections_given_again_total", "counter",
    "Of these, those that another worker had not taken.", of_dispatch("given_again"))
  add_groups(text, groups, "connections_gone_total", "counter", "Connections that no worker was there for.",
    of_dispatch("gone"))
  add_groups(text, groups, "connections_refused_total", "counter", "Connections that no descriptor was left for.",
    of_dispatch("without_descriptor"))
end

local function add_states(text, groups)
  text:head("workers", "gauge", "Processes of the groups, by state.")
  for _, group in ipairs(groups) do
    local counts = count_states(group)
    for _, state in ipairs(common.sorted_keys(counts)) do
      text:put("workers", text.labels("group", group.name, "state", state), counts[state])
    end
  end
  add_groups(text, groups, "workers_wanted", "gauge", "How many workers there should be.",
    function(group) return group.wanted end)
end

local function add_restarts(text, groups)
  text:head("worker_restarts_total", "counter", "Workers that were started in the place of another, by reason.")
  for _, group in ipairs(groups) do
    for _, reason in ipairs(common.sorted_keys(group.restarts)) do
      text:put("worker_restarts_total", text.labels("group", group.name, "reason", reason), group.restarts[reason])
    end
  end
end

local function add_groups_of(text, groups)
  add_states(text, groups)
  add_restarts(text, groups)
  add_groups(text, groups, "group_generation", "gauge", "One more with each reload.",
    function(group) return group.generation end)
  add_groups(text, groups, "worker_requests_total", "counter",
    "Requests, of HTTP and of callers, that workers have begun.", ever("requests"))
  add_groups(text, groups, "worker_errors_total", "counter",
    "Of these, those that were answered by an error: a status from 500 on, or the error of a call.", ever("errors"))
  add_connections(text, groups)
end

local function add_reloads(text, reloads)
  text:head("reloads_total", "counter", "Reloads, by result.")
  for _, result in ipairs { "ok", "failed" } do
    text:put("reloads_total", text.labels("result", result), reloads[result])
  end
end

--- Of what the master says of its application, and what the workers count.
function M.text(status, sums, reasons)
  local text = Text.new()
  metrics_of.add_build(text)
  text:add("ready", "gauge", "1 when /readyz says so.", reasons[1] and 0 or 1)
  text:add("uptime_seconds", "gauge", "Since the application was started.", status.uptime)
  text:add("log_lines_dropped_total", "counter", "Lines of the log that could not be written in time.",
    status.log.lost_lines)
  process.add(text, status.pid)
  add_reloads(text, status.reloads)
  add_groups_of(text, status.groups)
  add_workers(text, about.workers(status))
  text:counts(sums)
  return text:all()
end

return M
