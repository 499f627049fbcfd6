---@meta clouds.gateway
-- luacheck: ignore 241 631

-- The gateway for the language server, as http.lua beside this. The words in full: docs/GATEWAY.md.

---@class clouds.gateway
local gateway = {}

---@class clouds.gateway.Settings
---@field allow? string[] What may be done: "shop.*", "subscribe:chat.>", "publish:chat.*", "send:s.*".
---@field listen? string[] Where it listens; without it where --listen says.
---@field token_file? string A line NAME SHA256-OF-TOKEN for each who may ask.
---@field authorize? fun(request: clouds.http.Request, token: string?): string?, string[]? Who asks, and what that may do.
---@field open? boolean Everybody may ask, without a token too.
---@field tell_server? boolean Answers say which server it was.
---@field static? string A folder whose files are answered to GET.
---@field origins? string[] Pages of other sites that may ask.
---@field hosts? string[] Names by which it is reached, beside those of this machine.
---@field forwarded? string[] Addresses of proxies whose X-Forwarded-For counts.
---@field rate? number Requests a second. Default: 100.
---@field burst? number At once. Default: twice rate.
---@field in_flight? number Calls at a time. Default: 64.
---@field subscriptions? number At a time. Default: 100.
---@field unsent? integer Bytes that may wait for a client until it misses what is published. Default: 1000000.
---@field stall? number Seconds that it may then take nothing. Default: 10.
---@field auth_timeout? number Seconds for the first message of a WebSocket without a token. Default: 5.
---@field message? integer Bytes of a message of WebSocket. Default: 1000000.
---@field timeout? number Seconds for a call that says none.
---@field body? integer Bytes of a body. Default: 1000000.
---@field connections? integer Default: 10000.

---Serves at `listen`, without it where the program was told. Raises when it cannot.
---@param settings clouds.gateway.Settings
---@return clouds.http.Server
function gateway.serve(settings) end

---The same, which does not listen yet.
---@param settings clouds.gateway.Settings
---@return clouds.http.Server
function gateway.server(settings) end

return gateway
