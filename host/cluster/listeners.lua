-- Where the groups of an application listen.
local cluster = require("clouds.host").cluster
local keys = require "clouds.master.keys"
local M = { NAMED = "systemd:" } -- begins the address of a listener that systemd has named

local OTHER_DESCRIPTORS = 64 -- of a worker, that are no connections
local GONE = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

--- How long a connection that nobody takes waits until it is told so, in seconds.
function M.hold_of(settings)
  return keys.value(settings, "hold")
end

-- Those that systemd has opened for this process and nobody has taken; nil: it was not asked.
local waiting

local function is_for(socket, settings)
  return socket.name == settings.name or socket.name == settings.name .. ".socket"
end

-- The first that fits, which is not there for others any more.
local function take(fits)
  waiting = waiting or cluster.inherited()
  for i, socket in ipairs(waiting) do
    if socket.listens and fits(socket) then return table.remove(waiting, i) end
  end
end

-- Opened by systemd at this address, or else by us.
local function open_at(address, backlog)
  local socket = take(function(socket) return cluster.is_at(socket.descriptor, address) end)
  if socket then return socket.descriptor, socket.port end
  return cluster.listen(address, backlog)
end

-- What systemd has named after the group, wherever it listens.
local function add_named(settings, list)
  local function fits(socket) return is_for(socket, settings) end
  for socket in function() return take(fits) end do
    list[#list + 1] = { address = M.NAMED .. socket.name, descriptor = socket.descriptor, port = socket.port,
      number = #list + 1 }
  end
  return list
end

--- What its connections are told apart by in a script: the port, or the address of a unix socket.
function M.port_of(listener)
  if listener.port ~= 0 then return listener.port end
  return (listener.address:gsub("%?mode=%d+$", ""))
end

--- A listener of a group, { address =, descriptor =, port =, number = }, by whose number its workers know it; or nil,
--- why not, and whether the address is wrong or cannot be had.
function M.open_one(address, settings, number)
  local descriptor, port, is_wrong = open_at(address, keys.value(settings, "backlog"))
  if not descriptor then return nil, port, is_wrong end
  return { address = address, descriptor = descriptor, port = port, number = number }
end

-- Those of one group: a list; or nil, why not, and whether an address is wrong.
local function open_group(settings)
  local list = {}
  for number, address in ipairs(settings.listen or {}) do
    local listener, problem, is_wrong = M.open_one(address, settings, number)
    if not listener then
      M.close(list)
      return nil, problem, is_wrong
    end
    list[number] = listener
  end
  return add_named(settings, list)
end

--- Those of all groups that listen: by the name of the group. Or nil, why not, and whether an address is wrong; then
-- none is open.
function M.open(groups)
  local by_group = {}
  for _, settings in ipairs(groups) do
    local list, problem, is_wrong = open_group(settings)
    if not list then
      for _, opened in pairs(by_group) do M.close(opened) end
      return nil, problem, is_wrong
    end
    if list[1] then by_group[settings.name] = list end
  end
  return by_group
end

--- Closes what systemd has opened and no group listens at; a list of what to say of each.
function M.close_unused()
  local words = {}
  for i, socket in ipairs(waiting or {}) do
    cluster.close_listener(socket.descriptor)
    local what = socket.listens and "no group listens at it, or has its name" or "it is no stream socket that listens"
    words[i] = ("the socket '%s' of systemd is not used: %s"):format(socket.name, what)
  end
  waiting = {}
  return words
end

function M.close(list)
  for _, listener in ipairs(list) do cluster.close_listener(listener.descriptor) end
end

local function options_of(settings)
  local most = math.max(1, cluster.descriptors() - OTHER_DESCRIPTORS)
  local most_connections = math.min(keys.value(settings, "max_connections"), most)
  return M.hold_of(settings), settings.gone or GONE, most_connections, settings.dispatch == "shared"
end

--- What gives the connections of these listeners (nil: of none as yet) to the workers of a group; it owns them then.
function M.dispatch(settings, list)
  local dispatch = cluster.dispatch(options_of(settings))
  for _, listener in ipairs(list or {}) do dispatch:listen(listener.descriptor, listener.number) end
  return dispatch
end

--- For resume: what of a dispatch another program has to know.
function M.state(dispatch)
  return { held = dispatch:held(), counts = dispatch:counts() }
end

--- The dispatch of the program before this one. What it held is given to somebody by M.give_held.
function M.resume(settings, list, state, is_paused)
  local dispatch = M.dispatch(settings)
  if is_paused then dispatch:pause(true) end
  dispatch:restore(state.counts)
  for _, listener in ipairs(list or {}) do dispatch:listen(listener.descriptor, listener.number) end
  return dispatch
end

--- A process of that goes on to be given connections; target: of process:state.
function M.resume_target(dispatch, process, target)
  if not dispatch or not target then return end
  process:take(dispatch, target.is_ready)
  process:restore(target.copies)
end

function M.give_held(dispatch, state)
  for _, each in ipairs(state.held) do dispatch:hold(each.descriptor, each.listener, each.flags) end
end

--- The same dispatch by other settings.
function M.change(dispatch, settings)
  dispatch:change(options_of(settings))
end

return M
