---@meta clouds.worker
-- luacheck: ignore 241 631

-- A worker in Lua for the language server, as clouds.lua beside this. The words in full: docs/HOST.md. Each function can
-- be called with a dot or a colon.

---@class clouds.worker
---@field index integer Its place in its group, from 1; a worker that takes its place has the same.
---@field count integer How many workers its group had when it was started.
---@field group string The name of its group.
---@field generation integer Of its group.
---@field ports (integer|string)[] Where it gets connections from: ports, and addresses of unix sockets.
---@field draining boolean Whether it has begun to end.
---@field solo boolean Whether there is no master.
local worker = {}

---Says that it is ready, and who takes its connections from now on: a function, for each as a socket with its port, which
---is closed when the function returns; or a server of HTTP. Without either they are closed.
---@param taker? fun(socket: clouds.socket.Socket, port: integer|string)|clouds.http.Server
---@return clouds.worker
function worker.ready(taker) end

---Calls a function when it happens: "drain" (reason, seconds), "message" (value, group, index), "stop".
---@param event "drain"|"message"|"stop"
---@param fn fun(...: any)
---@return clouds.worker
function worker.on(event, fn) end

---One more thing is under way. From the first time on the worker with the fewest gets the next connection.
function worker.transact() end

---One thing less is under way; or there are so many.
---@param remain? integer
function worker.release(remain) end

---A variable, which `clouds ps --json` shows; nil takes it away. Raises what JSON cannot say.
---@param name string
---@param value any
---@return clouds.worker
function worker.set(name, value) end

---Sends a value to all workers of a group, or to one: true; false for an empty message, nil or ""; or nil and an error.
---@param group string
---@param value any
---@param index? integer
---@return boolean?
---@return clouds.Error?
function worker.send(group, value, index) end

---Asks to be replaced. Whether the master was told.
---@return boolean
function worker.retire() end

---Asks for a reload of a group, or of everything. Whether the master was told.
---@param group? string
---@return boolean
function worker.reload(group) end

---Runs a function while no other worker of the group runs such a one: what it returns, or raises.
---@param fn fun(): ...
---@return any ...
function worker.serial(fn) end

---Calls a function every so many seconds, in a coroutine, not again before it has ended, until the worker has drained.
---@param seconds number
---@param fn fun()
---@return clouds.worker.Every
function worker.every(seconds, fn) end

---@class clouds.worker.Every
local Every = {}

---It is not called any more; a call that runs goes on.
---@return true
function Every:stop() end

return worker
