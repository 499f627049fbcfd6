---@meta clouds.http
-- luacheck: ignore 241 631

-- The server for HTTP in Lua for the language server, as clouds.lua beside this. The words in full: docs/HTTP.md.

---@class clouds.http
local http = {}

---What a server allows; each has a default.
---@class clouds.http.Options
---@field header? integer Bytes of a head. Default: 16384.
---@field target? integer Bytes of the target. Default: 8192.
---@field body? integer Bytes of a body that a handler reads. Default: 1000000.
---@field connections? integer Open at a time. Default: 10000.
---@field header_timeout? number Seconds for a head. Default: 10.
---@field body_timeout? number Seconds that a body is waited for. Default: 10.
---@field body_rate? number One more second for each so many bytes of it. Default: 500.
---@field keepalive? number Seconds that a connection waits for the next request. Default: 75.
---@field write_stall? number Seconds in which a client takes nothing of its answer. Default: 30.
---@field response_buffer? integer Bytes that may be unsent before a write waits. Default: 65536.
---@field message? integer WebSocket: bytes of a message. Default: 1000000.
---@field ping? number WebSocket: seconds after which a client is asked whether it is there. Default: 30.
---@field server? string What the field Server says.
---@field headers? table<string, string|number|(string|number)[]> Header fields of all answers.
---@field errors? fun(status: integer, message: string, headers: table?): any The body of what is refused.
---@field forwarded? string[] Addresses of proxies whose X-Forwarded-For and -Proto count; "unix": those of sockets.
---@field half_close? boolean Whether a client that has said all may still wait for its answer. Default: false.
---@field handover? boolean Whether a worker that is replaced gives its idle connections to another. Default: true.

---What it returns is the answer: a text; a table (JSON); a status, a body and header fields; nothing (204); nil and an error.
---@alias clouds.http.Handler fun(request: clouds.http.Request, response: clouds.http.Response): ...

---Makes a server.
---@param options? clouds.http.Options
---@param fn? clouds.http.Handler For what has no route.
---@return clouds.http.Server
---@overload fun(fn: clouds.http.Handler): clouds.http.Server
function http.server(options, fn) end

---Listens at these addresses, without any at those of --listen. Raises when it cannot.
---@param app clouds.http.Server|clouds.http.Handler
---@param ... string|integer
---@return clouds.http.Server
function http.serve(app, ...) end

---Ends the handler with this answer, from wherever it has come to.
---@param status integer 400 to 599.
---@param message? string
---@param headers? table<string, string|number|(string|number)[]>
function http.raise(status, message, headers) end

---@class clouds.http.Server
local Server = {}

---A handler for a method ("*": all) and a pattern of words, :name for one part, *name for the rest.
---@param method string
---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? } The most bytes of a body.
---@return clouds.http.Server
function Server:route(method, pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:get(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:post(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:put(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:patch(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:delete(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:head(pattern, fn, options) end

---@param pattern string
---@param fn clouds.http.Handler
---@param options? { body: integer? }
---@return clouds.http.Server
function Server:options(pattern, fn, options) end

---The files of a folder, below a path.
---@param prefix string
---@param folder string
---@param options? { index: string?, max_age: number?, dotfiles: boolean?, types: table<string, string>? }
---@return clouds.http.Server
function Server:static(prefix, folder, options) end

---WebSocket at a path: the handler runs for each connection, which is closed when it returns.
---@param pattern string
---@param fn fun(ws: clouds.http.WebSocket, request: clouds.http.Request)
---@param options? { origins: string[]?, protocols: string[]? }
---@return clouds.http.Server
function Server:websocket(pattern, fn, options) end

---A function before all handlers; what it returns is the answer, nothing: the handler makes it.
---@param fn fun(request: clouds.http.Request, response: clouds.http.Response): ...
---@return clouds.http.Server
function Server:before(fn) end

---A function around all handlers; next() gives what the next one returned.
---@param fn fun(request: clouds.http.Request, response: clouds.http.Response, next: fun(): ...): ...
---@return clouds.http.Server
function Server:use(fn) end

---Listens at one more address: the port, 0 for a socket; or nil and why not.
---@param address string|integer `8080`, `127.0.0.1:8080`, `[::1]:8080`, `unix:PATH`, `unix:PATH?mode=0660`
---@return integer?
---@return string?
function Server:listen(address) end

---Serves a socket that was accepted, and of which nothing was read or written; the socket ends. False: the server stops.
---@param socket clouds.socket.Socket
---@param port? integer|string What `request.port` is.
---@return boolean
function Server:serve(socket, port) end

---Stops listening, and waits until what was asked for is answered; what is not within the time is cut off.
---@param seconds? number Default: 8.
---@return true
function Server:close(seconds) end

---@class clouds.http.Request
---@field method string
---@field target string As it came.
---@field path string Decoded, without what is behind the ?.
---@field query table<string, string>
---@field params table<string, string> What the names of the pattern stand for.
---@field headers table<string, string> By name in small letters.
---@field version "1.1"|"1.0"
---@field remote string The address of the client; "unix".
---@field scheme "http"|"https"
---@field port integer|string Where it came in.
local Request = {}

---All of the body. Raises the answer 413 or 408 when it is too long or does not come.
---@return string
function Request:body() end

---The value that the body is. Raises 400 or 415 when it is no JSON.
---@return any
function Request:json() end

---The next piece of the body; nil at its end; or nil and an error.
---@return string?
---@return clouds.Error?
function Request:read() end

---Has the client gone, or its answer been given?
---@return boolean
function Request:closed() end

---Calls a function, in a coroutine of its own, when the client goes before it has its answer.
---@param fn fun()
---@return clouds.http.Request
function Request:on_close(fn) end

---@class clouds.http.Response
local Response = {}

---A header field of the answer, whatever that will be.
---@param name string
---@param value string|number|(string|number)[]
---@return clouds.http.Response
function Response:header(name, value) end

---Begins an answer that is written in pieces.
---@param status? integer Default: 200.
---@param headers? table<string, string|number|(string|number)[]>
---@return true?
---@return clouds.Error?
function Response:start(status, headers) end

---One more piece. Waits while much is unsent.
---@param text string
---@return true?
---@return clouds.Error?
function Response:write(text) end

---The same without waiting, however much is unsent.
---@param text string
---@return true?
---@return clouds.Error?
function Response:post(text) end

---Bytes that the client has not taken.
---@return integer
function Response:unsent() end

---Waits until they are no more than response_buffer.
---@return true?
---@return clouds.Error?
function Response:wait_room() end

---The end, with one more piece if you like.
---@param text? string
---@return true?
---@return clouds.Error?
function Response:finish(text) end

---@class clouds.http.WebSocket
---@field protocol? string The subprotocol that was chosen.
---@field code? integer When it has ended: the code of the client's close; 1005: none; 1006: it went without a word.
---@field reason? string
local WebSocket = {}

---Waits for the next message, and whether it is text or binary; nil when there will be none.
---@return string?
---@return "text"|"binary"|clouds.Error|nil
function WebSocket:receive() end

---For a loop over all messages.
---@return fun(): string?, "text"|"binary"|nil
function WebSocket:messages() end

---Sends a message. Waits while the client has much to take.
---@param text string
---@param kind? "text"|"binary"
---@return true?
---@return clouds.Error?
function WebSocket:send(text, kind) end

---The same without waiting, however much is unsent.
---@param text string
---@param kind? "text"|"binary"
---@return true?
---@return clouds.Error?
function WebSocket:post(text, kind) end

---Bytes that the client has not taken.
---@return integer
function WebSocket:unsent() end

---Waits until they are no more than response_buffer.
---@return true?
---@return clouds.Error?
function WebSocket:wait_room() end

---@param code? integer Default: 1000.
---@param reason? string Up to 123 bytes.
---@return true?
---@return clouds.Error?
function WebSocket:close(code, reason) end

---@return boolean
function WebSocket:closed() end

---Calls a function, with the seconds within which the connection will be closed, when the program begins to stop.
---@param fn fun(seconds: number)
function WebSocket:on_drain(fn) end

return http
