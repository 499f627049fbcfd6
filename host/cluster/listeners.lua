-- Where the groups of an application listen.
local cluster = require("clouds.host").cluster
local M = {}

local BACKLOG, HOLD, CONNECTIONS = 1024, 2, 10000
local OTHER_DESCRIPTORS = 64 -- of a worker, that are no connections
local GONE = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

--- How long a connection that nobody takes waits until it is told so, in seconds.
function M.hold_of(settings)
  return settings.hold or HOLD
end

-- The listeners of one group: a list of { address =, descriptor =, port = }; or nil, why not, and whether the address
-- is wrong or cannot be had.
local function open_one(settings)
  local list = {}
  for i, address in ipairs(settings.listen) do
    local descriptor, port, is_wrong = cluster.listen(address, settings.backlog or BACKLOG)
    if not descriptor then
      M.close(list)
      return nil, port, is_wrong
    end
    list[i] = { address = address, descriptor = descriptor, port = port }
  end
  return list
end

--- Those of all groups that listen: by the name of the group. Or nil, why not, and whether an address is wrong; then
-- none is open.
function M.open(groups)
  local by_group = {}
  for _, settings in ipairs(groups) do
    if settings.listen and settings.listen[1] then
      local list, problem, is_wrong = open_one(settings)
      if not list then
        for _, opened in pairs(by_group) do M.close(opened) end
        return nil, problem, is_wrong
      end
      by_group[settings.name] = list
    end
  end
  return by_group
end

function M.close(list)
  for _, listener in ipairs(list) do cluster.close_listener(listener.descriptor) end
end

--- What gives the connections of these listeners to the workers of a group; it owns the listeners then.
function M.dispatch(settings, list)
  local most = math.max(1, cluster.descriptors() - OTHER_DESCRIPTORS)
  local dispatch = cluster.dispatch(M.hold_of(settings), settings.gone or GONE,
    math.min(settings.max_connections or CONNECTIONS, most))
  for number, listener in ipairs(list) do dispatch:listen(listener.descriptor, number) end
  return dispatch
end

return M
