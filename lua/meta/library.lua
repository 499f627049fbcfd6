---@meta clouds.library
-- luacheck: ignore 241 631

-- Library and agent in Lua for the language server, as clouds.lua beside this. The words in full: docs/HOST.md.

---@class clouds.library
---@field is_serving? boolean Whether `serve` has been called.
local library = {}

---Serves resources to the agents of the application: a table of them by name, or a function that returns it and may wait.
---A resource is a table, or a function that returns one and may wait. Waits until it serves. Raises.
---@param resources table<string, any>|fun(): table<string, any>
---@return clouds.library
function library.serve(resources) end

---Calls a function when the subscription of an agent ends: it was closed, or its worker is gone. At once when it has.
---@param callback function What a function of the library got as its last argument.
---@param fn fun()
function library.on_close(callback, fn) end

---How many subscriptions of agents are open.
---@return integer
function library.subscriptions() end

---The resources of the library by name: agent.db.get("k") calls the function there, agent.db.name reads the field.
---@class clouds.agent
---@field [string] any
local agent = {}

---The same library, with a limit in seconds for each call. Default: 60.
---@param options { timeout: number? }
---@return table
function agent.with(options) end

---Calls of a function of this process by the library: the first result of a call with a function as its last argument.
---@class clouds.agent.Subscription
---@field closed boolean? Whether it has ended.
---@field missed integer How many messages were lost, each told by "gap".
local Subscription = {}

---Ends it: its function is not called any more.
---@return true
function Subscription:close() end

---Calls a function when it happens: "again" (made again at a new library, with the results), "gap" (how many messages are
---missing before the next), "error" (it could not be made again and has ended; why).
---@param event "again"|"gap"|"error"
---@param fn fun(...: any)
---@return clouds.agent.Subscription
function Subscription:on(event, fn) end
