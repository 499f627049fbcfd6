---@meta clouds.socket
-- luacheck: ignore 241 631

-- Sockets in Lua for the language server, as clouds.lua beside this. The words in full: docs/SOCKET.md.

---@class clouds.socket
local socket = {}

---Waits for a connection to HOST:PORT, [ADDRESS]:PORT or unix:PATH.
---@param address string
---@param options? { timeout: number? } Seconds. Default: 10.
---@return clouds.socket.Socket?
---@return clouds.Error?
function socket.connect(address, options) end

---Listens; the function runs in a coroutine for each connection, which is closed when it returns.
---@param address string|integer `7000`, `127.0.0.1:7000`, `[::1]:7000`, `unix:PATH`, `unix:PATH?mode=0660`
---@param fn fun(client: clouds.socket.Socket)
---@return clouds.socket.Listener?
---@return string?
function socket.listen(address, fn) end

---@class clouds.socket.Listener
---@field port integer 0 for a unix socket.
---@field address string
local Listener = {}

---Takes no connection any more; those that are there go on.
---@return true
function Listener:close() end

---@class clouds.socket.Socket
local Socket = {}

---What has come; a number: so many bytes; "line"; "all": until the end. nil and "end" at the end of the input.
---@param how? integer|"line"|"all"
---@param longest? integer The most bytes of a line, or of all. Default: 1000000.
---@return string?
---@return "end"|clouds.Error|nil
function Socket:read(how, longest) end

---For a loop over all lines.
---@param longest? integer
---@return fun(): string?
function Socket:lines(longest) end

---Writes texts. Waits while the other end has much to take.
---@param ... string|number
---@return true?
---@return clouds.Error?
function Socket:write(...) end

---How long each read and write waits; nil: as long as it takes.
---@param seconds? number
---@return clouds.socket.Socket
function Socket:timeout(seconds) end

---Nothing more will be written.
---@return true?
---@return clouds.Error?
function Socket:shutdown() end

---Ends it; what was written still goes out.
---@return true
function Socket:close() end

---The address and the port of the other end; "unix".
---@return string?
---@return integer?
function Socket:peer() end

---The connection as a handle of luv, and the bytes that had come and were not read. The socket is closed thereby.
---@return userdata? handle A uv_tcp_t or uv_pipe_t, to be closed by who has it.
---@return string|clouds.Error
function Socket:luv() end

---The number of its descriptor, which stays the socket's.
---@return integer?
function Socket:fd() end

return socket
