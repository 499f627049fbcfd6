-- What the admin endpoint of an application makes of what the master says of it (host/cluster/report.lua).
local M = {}

local function add(reasons, format, ...) reasons[#reasons + 1] = format:format(...) end

local states = { starting = "starting", quiet = "quiet", stopping = "draining" }

--- Why nothing should be sent there; an empty list: nothing speaks against it. disconnected: names of workers.
function M.reasons(status, disconnected)
  local reasons = {}
  if states[status.state] then add(reasons, states[status.state]) end
  for _, group in ipairs(status.groups) do
    local given_up = group.given_up or 0
    if given_up > 0 then
      add(reasons, "%s %d/%d, %d given up", group.name, group.ready, group.wanted, given_up)
    elseif group.ready == 0 then
      add(reasons, "%s 0/%d", group.name, group.wanted)
    end
  end
  for _, name in ipairs(disconnected) do add(reasons, "%s is not connected", name) end
  return reasons
end

--- Its workers, each with its group.
function M.workers(status)
  local list = {}
  for _, group in ipairs(status.groups) do
    for _, worker in ipairs(group.workers) do
      worker.group = group.name
      list[#list + 1] = worker
    end
  end
  return list
end

--- The status for GET /status.
function M.status(status, reasons)
  status.kind = "application"
  status.ready, status.reasons = not reasons[1], require("clouds").array(reasons)
  status.draining = status.state == "stopping"
  return status
end

return M
