-- What the admin endpoint tells of this process.
local host = require "clouds.host"
local common = require "clouds.cli.common"
local M = {}

local started = host.clock()

-- The nodes of the process, by their ids.
function M.nodes()
  local list = {}
  for _, node in pairs(require("clouds.node").nodes) do
    if not node.closed then list[#list + 1] = node end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

local function is_paused(node)
  if node.paused then return true end
  for _, method in pairs(node.served) do
    if not method.paused then return false end
  end
  return next(node.served) ~= nil
end

-- Why no calls should be sent here; an empty list: nothing speaks against it.
function M.reasons()
  local reasons, downs = {}, {}
  if common.is_ending() then reasons[1] = "draining" end
  for _, node in ipairs(M.nodes()) do
    local down = node.context.reason
    if down and not downs[node.context] then
      downs[node.context] = true
      reasons[#reasons + 1] = "not connected: " .. down.message
    elseif not down and not node.is_ready then
      reasons[#reasons + 1] = node.id .. " does not listen"
    end
    if is_paused(node) then reasons[#reasons + 1] = node.id .. " is paused" end
  end
  return reasons
end

local function about_node(node)
  local core, methods = require "clouds.core", {}
  local open = core.open_requests(node.number)
  for name, method in pairs(node.served) do
    methods[name] = { paused = node.paused or method.paused, open_requests = open[name] or 0 }
  end
  return {
    id = node.id,
    type = node.options.type,
    ready = node.is_ready == true,
    closing = node.closing == true,
    paused = node.paused,
    methods = methods,
  }
end

-- Of all contexts together.
local function counters()
  local sums, seen = {}, {}
  for _, node in ipairs(M.nodes()) do
    if not seen[node.context] then
      seen[node.context] = true
      for name, value in pairs(node.context.core:counters()) do sums[name] = (sums[name] or 0) + value end
    end
  end
  return sums
end

function M.status()
  local clouds, nodes = require "clouds", {}
  for i, node in ipairs(M.nodes()) do nodes[i] = about_node(node) end
  return {
    version = clouds.version,
    pid = host.pid(),
    uptime = math.floor((host.clock() - started) * 1000) / 1000,
    ready = not M.reasons()[1],
    draining = common.is_ending(),
    nodes = clouds.array(nodes),
    counters = counters(),
  }
end

---- the text that Prometheus reads ----

local function add(lines, name, kind, help, value, labels)
  lines[#lines + 1] = ("# HELP clouds_%s %s\n# TYPE clouds_%s %s\n"):format(name, help, name, kind)
  lines[#lines + 1] = ("clouds_%s%s %.17g\n"):format(name, labels or "", value)
end

local function is_up()
  for _, node in ipairs(M.nodes()) do
    if node.context.reason then return 0 end
  end
  return 1
end

function M.metrics()
  local versions, lines, names = host.versions(), {}, {}
  add(lines, "build_info", "gauge", "Versions.", 1,
    ('{version="%s",luajit="%s"}'):format(versions.clouds, versions.luajit))
  add(lines, "bus_up", "gauge", "1 when every cluster of this process is connected.", is_up())
  add(lines, "ready", "gauge", "1 when /readyz says so.", M.reasons()[1] and 0 or 1)
  add(lines, "uptime_seconds", "gauge", "Since the program was started.", host.clock() - started)
  add(lines, "lua_memory_bytes", "gauge", "Of the Lua state.", collectgarbage("count") * 1024)
  local sums = counters()
  for name in pairs(sums) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    add(lines, name .. "_total", "counter", ("The counter %s of the library."):format(name), sums[name])
  end
  return table.concat(lines)
end

return M
