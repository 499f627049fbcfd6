-- The control socket of an application: one JSON object a line, docs/HOST.md has the protocol. It lies in a folder that
-- only the user of the master can enter.
local core = require "clouds.core"
local host = require "clouds.host"
local inner = require "clouds.socket_inner"
local loop = require "clouds.loop"
local requests = require "clouds.master.control_requests"
local M = {}

local LONGEST = 65536 -- bytes of a line
local MODE = 384 -- 0600
local BACKLOG = 128
local SHORT = 0.1 -- seconds until it is accepted again where there was no descriptor

local json

---- connections ----

local Connection = {}
Connection.__index = Connection

-- In turns, for a socket has one that waits to write at a time.
function Connection:send(message)
  while self.is_sending do
    local slot = core.slot(true)
    table.insert(self.waiting, slot)
    core.wait(slot)
  end
  self.is_sending = true
  local is_sent = self.socket:write(json.encode(message), "\n")
  self.is_sending = false
  local next_one = table.remove(self.waiting, 1)
  if next_one then core.wake(next_one, true) end
  return is_sent
end

function Connection:push(message)
  return inner.push(self.socket, json.encode(message) .. "\n")
end

function Connection:cut()
  self.socket:close()
end

local function connect(app, socket)
  return setmetatable({ app = app, socket = socket, open = 0, waiting = {}, on_end = {} }, Connection)
end

local function serve(self)
  while true do
    local line, err = self.socket:read("line", LONGEST)
    if not line then
      if err ~= "end" and type(err) == "table" and err.code == "CLOUDS_LIMIT_REACHED" then
        requests.refuse(self.app, self, nil, "WRONG_USE", ("a line has at most %d bytes"):format(LONGEST))
      end
      break
    end
    if line ~= "" then requests.take(self.app, self, line) end
  end
  for _, fn in ipairs(self.on_end) do fn() end
  self.socket:close()
end

---- the socket ----

local function lock_path(path)
  return (path:gsub("%.ctl$", ".lock"))
end

--- Where the control socket of this user's application of that name lies; or nil and why not.
function M.path(name)
  local folder, problem = host.runtime_folder("apps")
  if not folder then return nil, problem end
  return ("%s/%s.ctl"):format(folder, name)
end

--- The names of the applications whose control sockets are there; or nil and why not. Some may have been killed.
function M.names()
  local folder, problem = host.runtime_folder("apps")
  if not folder then return nil, problem end
  local list = {}
  for _, file in ipairs(host.cluster.files(folder)) do list[#list + 1] = file:match("^(.+)%.ctl$") end
  table.sort(list)
  return list
end

local Control = {}
Control.__index = Control

local function watch(self)
  self.timer = nil
  self.watch = loop.watch(self.descriptor, function()
    local descriptor, is_short = host.cluster.accept(self.descriptor)
    if descriptor then return require("clouds").spawn(serve, connect(self.app, inner.adopt(descriptor))) end
    if not is_short then return end
    self.watch:stop()
    self.timer = loop.timer(SHORT, function() watch(self) end)
  end)
  self.watch:hold(true)
end

local function begin(app, path, lock, descriptor)
  json = require("clouds").json
  require "clouds.socket"
  local self = setmetatable({ app = app, path = path, lock = lock, descriptor = descriptor }, Control)
  watch(self)
  return self
end

function Control:close()
  self.watch:stop()
  if self.timer then self.timer:stop() end
  host.cluster.close_listener(self.descriptor)
  os.remove(self.path)
  host.cluster.unlock(lock_path(self.path), self.lock)
end

--- For M.resume.
function Control:state()
  return { path = self.path, lock = self.lock, descriptor = self.descriptor }
end

--- Holds the name of the application, and opens its socket; or nil, why not, and whether it runs already.
function M.open(app)
  local path, problem = M.path(app.name)
  if not path then return nil, problem end
  local lock, why, holder = host.cluster.lock(lock_path(path), MODE)
  if not lock then
    if holder then return nil, ("%s runs already, as process %d"):format(app.name, holder), true end
    return nil, ("cannot hold %s: %s"):format(lock_path(path), why)
  end
  os.remove(path) -- of one that was killed: the lock was free
  local descriptor, failed = host.cluster.listen(("unix:%s?mode=0600"):format(path), BACKLOG)
  if descriptor then return begin(app, path, lock, descriptor) end
  host.cluster.unlock(lock_path(path), lock)
  return nil, ("cannot listen at %s: %s"):format(path, failed)
end

--- One that the program before this one held. client: { descriptor =, id = } of who waits for the answer to a request
--- of that. A second value: answer(result, code, message) for that client.
function M.resume(app, state, client)
  local self = begin(app, state.path, state.lock, state.descriptor)
  if not client then return self, function() end end
  local connection = connect(app, inner.adopt(client.descriptor))
  require("clouds").spawn(serve, connection)
  return self, function(result, code, message)
    if not result then return requests.refuse(app, connection, client.id, code, message) end
    result.id, result.ok = client.id, true
    connection:push(result)
  end
end

return M
