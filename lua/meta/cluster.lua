---@meta clouds.cluster
-- luacheck: ignore 241 631

-- A cluster.lua for the language server, as clouds.lua beside this. The words in full: docs/HOST.md.

---@class clouds.cluster
local cluster = {}

---The application; to be called once. Raises what is wrong with the settings, as the functions of the application do.
---@param settings? { name: string?, base: string?, pidfile: string?, user: string?, group: string?, ready_timeout: number?, reload_timeout: number?, url: string?, log: clouds.cluster.Log? }
---@return clouds.cluster.App
function cluster.master(settings) end

---@class clouds.cluster.Log
---@field file? string
---@field format? "text"|"json"
---@field max_size? integer bytes
---@field keep? integer
---@field lines? integer
---@field capture? boolean

---@class clouds.cluster.App
local App = {}

---A group of workers that run a script: Lua, Python (`.py`), JavaScript (`.js`, `.mjs`, `.cjs`), or what the key `command` runs.
---@param listen string|integer|(string|integer)[] A port, `127.0.0.1:8080`, `unix:PATH?mode=0660`, a list of them; or the name of a group that listens nowhere.
---@param script? string
---@param settings? table The keys of a group.
---@return clouds.cluster.App
function App:register(listen, script, settings) end

---The process beside the workers that holds what they share.
---@param script string
---@param settings? table
---@return clouds.cluster.App
function App:library(script, settings) end

---Functions for events of the application.
---@param event string|table<string, function>
---@param fn? function
---@return clouds.cluster.App
function App:on(event, fn) end

---Says that all has been said; the end of the file does, too.
---@return clouds.cluster.App
function App:dispatch() end

---Asks for a reload of one group, or of everything by a new plan.
---@param group? string
function App:reload(group) end

---Asks for a stop in order.
function App:stop() end

---Asks for so many workers in a group.
---@param group string
---@param count integer
function App:scale(group, count) end

return cluster
