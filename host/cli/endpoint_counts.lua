-- What the workers of an application count, as the admin endpoint reads it in their memory.
local cluster = require("clouds.host").cluster
local counts = require "clouds.cli.counts"
local M = {}

local past = nil -- of those that have ended
local workers = {} -- pid, a text -> { counts =, group =, worker = }

--- The master tells of a worker, or of the past, and gives the descriptor of its counts.
function M.take(text, descriptor)
  local mapped = descriptor and cluster.map_counts(descriptor)
  if not mapped then return end
  if text == "past" then
    past = mapped
    return
  end
  local pid, group, worker = text:match("^(%d+) (%S+) (%S+)$")
  workers[pid] = { counts = mapped, group = group, worker = worker }
end

--- It has ended.
function M.forget(pid)
  if workers[pid] then workers[pid].counts:close() end
  workers[pid] = nil
end

--- The names of all workers, by their process ids as texts.
function M.names()
  local names = {}
  for pid, worker in pairs(workers) do names[pid] = worker.worker end
  return names
end

--- Of all together, as counts.sum gives it.
function M.sum()
  local list = {}
  for _, worker in pairs(workers) do list[#list + 1] = worker.counts end
  return counts.sum(past, list)
end

--- The names of the workers that are not connected to a cluster that they use.
function M.disconnected()
  local names = {}
  for _, worker in pairs(workers) do
    local contexts = counts.sum(nil, { worker.counts }).contexts
    if (contexts.open or 0) > (contexts.up or 0) then names[#names + 1] = worker.worker end
  end
  table.sort(names)
  return names
end

return M
