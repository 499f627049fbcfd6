-- What the admin endpoint tells of this process.
local host = require "clouds.host"
local common = require "clouds.cli.common"
local M = {}

local started = host.clock()

local own = setmetatable({}, { __mode = "k" })

-- A node of the endpoint's own, which is none of the program.
function M.hide(node) own[node] = true end

-- The nodes of the process, by their ids.
function M.nodes()
  local list = {}
  for _, node in pairs(require("clouds.node").nodes) do
    if not node.closed and not own[node] then list[#list + 1] = node end
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

-- What is told of each.
function M.describe_nodes()
  local list = {}
  for i, node in ipairs(M.nodes()) do list[i] = about_node(node) end
  return list
end

-- One node of each context.
function M.context_nodes()
  local list, seen = {}, {}
  for _, node in ipairs(M.nodes()) do
    if not seen[node.context] then list[#list + 1] = node end
    seen[node.context] = true
  end
  return list
end

-- Of all contexts together.
function M.counters()
  local sums = {}
  for _, node in ipairs(M.context_nodes()) do
    for name, value in pairs(node.context.core:counters()) do sums[name] = (sums[name] or 0) + value end
  end
  return sums
end

function M.uptime() return host.clock() - started end

-- The links of all contexts.
function M.links()
  local all, seen = {}, {}
  for _, node in ipairs(M.nodes()) do
    if not seen[node.context] then
      seen[node.context] = true
      for _, link in ipairs(node:links() or {}) do all[#all + 1] = link end
    end
  end
  return all
end

function M.status()
  local clouds, reasons = require "clouds", M.reasons()
  return {
    kind = "process",
    version = clouds.version,
    pid = host.pid(),
    uptime = math.floor(M.uptime() * 1000) / 1000,
    ready = not reasons[1],
    reasons = clouds.array(reasons),
    draining = common.is_ending(),
    nodes = clouds.array(M.describe_nodes()),
    links = clouds.array(M.links()),
    counters = M.counters(),
  }
end

return M
