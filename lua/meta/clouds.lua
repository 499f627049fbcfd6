---@meta clouds
-- luacheck: ignore 241 631

-- The Lua face of clouds for the Lua language server (LuaLS): types and words for every function, class and option. It is
-- never loaded by a program. In .luarc.json:  "workspace.library": ["/usr/share/clouds/lua/meta"]
-- A test compares it with what the modules have. The words in full: docs/LUA.md.

---@class clouds
---@field version string The library's version.
---@field null userdata `null` inside of tables; at the top a null is nil.
---@field pending userdata What a handler returns when the answer comes later, by request.reply or request.fail.
---@field defaults clouds.Defaults What counts for nodes that do not say otherwise.
---@field json clouds.Json JSON text and values.
---@field trace clouds.Trace The trace that code is in, and spans of one's own.
---@field on_error? fun(err: any, traceback: string?, what: string, about: table?) Called with errors that nothing else takes; nil restores the default.
---@field on_log? fun(level: string, message: string, about: table) Called with the library's log lines; nil restores the default.
local clouds = {}

---@class clouds.Defaults
---@field url? string The address of nodes that name none (the host's --url).
---@field sentinel_user? string The same options of nodes that name no url (the host's --sentinel-user).
---@field sentinel_password? string
---@field stats? boolean Whether calls are counted by method, for `stats` (`clouds run --admin`: true).

---A value that travels as JSON: text, number, boolean, table, clouds.null.
---@alias clouds.Value any

---Answers a call. What it returns are the results; it fails by raising.
---@alias clouds.Handler fun(...: clouds.Value): ...

---Gets the error (or nil) and the results of a call.
---@alias clouds.Callback fun(err: clouds.Error?, ...: clouds.Value)

---Options of a node. Nodes with the same options of the connection share one connection.
---@class clouds.Options
---@field url? string `redis://...`, `rediss://...`, `redis+unix://...`, `redis+sentinel://...`, `etcd://...`, `local:[name]`, `inproc:[name]`. Else clouds.defaults.url, else CLOUDS_URL, else `local:`.
---@field timeout? number Seconds for one attempt of a call. Default: 60.
---@field deadline? number Seconds for a whole call; 0: what its attempts and the waits between them can take.
---@field retry? integer Further attempts after a timeout, or when no server is there.
---@field retries? integer The library's own word for retry.
---@field heartbeat? number Seconds between renewals of the registrations. Default: 5.
---@field id? string The id, instead of a generated one.
---@field find_server? fun(method: string, known: string[]): string? Which server shall a call go to?
---@field save_servers? fun(method: string, ids: string[]) A list of servers was learned.
---@field remove_server? fun(id: string, method: string) A server did not answer in time.
---@field clear_servers? fun() The aged lists are due to be forgotten.
---@field cancel_events? boolean Raise CLOUDS_EVENT_CANCELED when the caller of a request has given up, and end the calls that were made on its behalf. Default: false.
---@field mode? string Who does the I/O: "inline" (the caller, in poll and wait) or "thread" (a thread of the library). Default: inline.
---@field prefix? string Redis, etcd: what the names of keys and channels begin with; overrides the one in the url (clouds).
---@field password_file? string Redis, etcd: a file whose first line is the password; overrides the one in the url.
---@field sentinel_user? string redis+sentinel: the user at the sentinels, with a password of its own; empty: the default user.
---@field sentinel_password? string redis+sentinel: the password at the sentinels; empty: they get the user and the password of Redis.
---@field sentinel_password_file? string redis+sentinel: a file whose first line is the password at the sentinels; overrides sentinel_password.
---@field ca_file? string rediss, etcds: a file with the certificates (PEM) of whom to trust; empty: the authorities of the system.
---@field cert_file? string rediss, etcds: a file with the certificate (PEM) that a server is shown which wants one, and with those between it and its authority.
---@field cert_key_file? string rediss, etcds: a file with the key (PEM, without a password) of cert_file; empty: it is in cert_file, too.
---@field server_name? string rediss, etcds: the name that the certificates of all servers have; empty: that of the host in the address.
---@field verify? boolean rediss, etcds: a server must have a certificate of somebody who is trusted, with its name. false: whoever answers is taken for it. Default: true.
---@field connect_timeout? number Longest time to resolve a name and connect. In seconds. Default: 5.
---@field hello_timeout? number Longest time for a new link to say which node it is. In seconds. Default: 2.
---@field ping_interval? number A connection that was silent for so long is pinged. In seconds. Default: 10.
---@field ping_timeout? number A ping that is not answered for so long ends the connection. In seconds. Default: 5.
---@field reconnect_min? number First delay before connecting again. In seconds. Default: 0.05.
---@field reconnect_max? number Longest delay before connecting again. In seconds. Default: 2.
---@field linger? number Redis: how long a stopped server still answers callers that do not know yet. In seconds. Default: 0.2.
---@field max_deadline? number Longest deadline a call can have; there is none without. In seconds. Default: 86400.
---@field max_message? number Longest message, envelope included, in and out. What all links of local: hold of messages whose end has not come is eight times that. In bytes. Default: 4194304.
---@field max_method? number Longest name of a method that a node of this context may register. In bytes. Default: 128.
---@field max_depth? number Deepest nesting of JSON. Default: 256.
---@field max_values? number Most values in one JSON text. Default: 1000000.
---@field max_in_flight? number Most calls outstanding, and most requests accepted and not answered. Default: 10000.
---@field max_in_flight_bytes? number The same for the bytes of their arguments: one more call is refused, and one more request is answered busy. In bytes. Default: 268435456.
---@field once_window? number How long a server keeps the answer of a call with an idempotency key. In seconds. Default: 60.
---@field once_keys? number Most idempotency keys that are kept; of those that were answered the oldest go first. Default: 10000.
---@field once_bytes? number The same for the bytes of keys and answers. An answer that has no room is not kept, and who repeats its call gets an error. In bytes. Default: 16777216.
---@field max_links? number Most direct links to other processes; never more than the limit of open files leaves, less 128. Default: 10000.
---@field direct? boolean Redis: calls go over direct links to the processes that are reached by one, and by Redis to all others. Default: true.
---@field listen? string Where direct links of others arrive: "unix", tcp://ADDRESS:PORT or tcp://ADDRESS:FIRST-LAST, both with a comma between them, or "none". Default: unix.
---@field advertise? string HOST or HOST:PORT by which others dial the TCP address; empty: found out; "none": they are not told.
---@field key_file? string Links over TCP: a file with a key of the cluster in each line, for TLS with whoever has one (see clouds key).
---@field insecure? boolean Links over TCP may leave this machine without a key, readable and open to everybody. Default: false.
---@field link_ping? number A TCP link with calls outstanding that was silent for so long is pinged. In seconds. Default: 1.
---@field link_timeout? number One that does not answer for so long is dead. In seconds. Default: 2.
---@field link_idle? number Whoever opened a link closes it when it was not used for so long. In seconds. Default: 300.
---@field max_events? number Events waiting for poll: past it messages are dropped and requests are refused; completions are always kept. Default: 20000.
---@field max_event_bytes? number The same for the bytes of their texts, and in thread mode of what waits for the library's thread. With `max_in_flight_bytes` together: bytes of results that wait; past them a result is lost. In bytes. Default: 67108864.
---@field write_soft? number Unwritten bytes of a connection past which calls wait for room, and other sends but answers are refused. In bytes. Default: 1048576.
---@field write_hard? number Unwritten bytes of a connection past which answers wait for room, too, and over a link nothing more is read from who does not take them; whoever takes none for as long as it may take to answer a ping is cut off. All links together hold eight times that; for small messages what is large does not count. In bytes. Default: 8388608.
---@field resp_line? number Redis: longest line that is no payload. In bytes. Default: 65536.
---@field resp_buffered? number Redis: most bytes read and not yet understood. In bytes. Default: 16777216.
---@field admin? string Whose questions (clouds_node_ask) the nodes answer: "local" (over local: and inproc: those of every node, else nobody's), "on" (every node's) or "off". Default: local.
---@field stats? boolean Calls and requests are counted and timed by method, for clouds_node_stats; it costs each of them a look at the clock or two. Default: false.
---@field trace? string Where spans of calls and requests go: "env" (what the variables of OpenTelemetry say: nowhere without OTEL_EXPORTER_OTLP_ENDPOINT), "otlp" (the same, and without it to this machine), http:// or https:// with the whole address of a collector, "file:PATH", or "off". Default: env.
---@field trace_ratio? number How many of the traces that begin here are recorded; those of callers are if they are there. Not given: as OTEL_TRACES_SAMPLER says, else all. Default: 1.
---@field trace_service? string service.name of the spans; empty: as OTEL_SERVICE_NAME says, else the name of the program.
---@field log_level? string Log lines of this level and above arrive as CLOUDS_EVENT_LOG: "debug", "info", "warn", "error" or "off". Default: off.
---@field type? string "server", "client", "monitor", "base" or another word of up to 15 letters; it gives the id its first letter. Default: base.
---@field server_max_age? number A list of servers of this age is forgotten at the next sweep. In seconds. Default: 60.
---@field auto_clean? boolean A call that timed out deletes the registration of the server (of clouds 0.1.14 servers only). Default: true.
---@field balance? string How a server is chosen: "rr" (one after the other), "least" (of two the one with fewer calls under way from here and shorter ones), "random" or "hash" (calls with equal arguments, or with one `key`, go to the same server). Default: rr.
---@field weight? number How many calls this node takes as a server, beside those of weight 1: callers choose it so much more often. Default: 1.
---@field tags? string What callers are told of this node, as "zone=a,host=b": names of letters, digits and _.- with values of these and :/@+, up to 256 bytes. Of other buses than local: and inproc: callers are told `host`, too, the machine that the node is on, unless it is given here.
---@field prefer? string The name of a tag, such as "zone": calls go to servers with the value of it that this node has in `tags`, while one of them is well. "host" needs no tag: those on the same machine.
---@field breaker? boolean A server that fails again and again is left alone for a while, unless no other is left. Default: true.
---@field throttle? boolean While servers refuse most calls of a method, some end here already, as CLOUDS_EOVERLOAD. Default: false.
---@field shun_silent? boolean A server that did not answer in time is not asked for that method again for a while, even when no other is left. Default: false.
---@field peer_events? boolean Raise CLOUDS_EVENT_PEER when a server of a method that was called is avoided, open, probed, paused, draining, gone or well again. Default: false.
---@field drain_timeout? number How long a closing node waits for the requests it has accepted. In seconds. Default: 8.
---@field operation_timeout? number Longest wait of a registration, its end, a confirmed message and a status; then the last known reason is the error. In seconds. Default: 10.
---@field user_data? number A number of 64 bits that the events of the node carry. Default: 0.

---Options of one call.
---@class clouds.CallOptions
---@field timeout? number Seconds for one attempt.
---@field deadline? number Seconds for the whole call.
---@field retry? integer Further attempts after a timeout, or when no server is there.
---@field server? string The id of the only node to ask.
---@field meta? table Goes along with the call.
---@field key? string Calls with the same key go to the same server.
---@field once? string Idempotency key, up to 255 bytes: a server runs a call with it once at most, and who repeats it gets the same answer.
---@field hedge? number Seconds after which a second server is asked, too; below 0: after what 95 of 100 calls of the method take. Needs `once` or `idempotent`.
---@field idempotent? boolean It may be executed twice.
---@field about? { server: string? } When the call has ended, `server` in it is the id of who answered, or of who was asked last.
---@field reply_to? string A topic at which the answer is published; the call ends as a notification does.
---@field correlation? string What the answer has as "in-reply-to" in its meta.

---Options of a bound function.
---@class clouds.BindOptions
---@field timeout? number Seconds for one attempt.
---@field deadline? number Seconds for the whole call.
---@field retry? integer Further attempts after a timeout, or when no server is there.
---@field on_retry? fun(args: clouds.Value[], go: fun(...: clouds.Value)) Runs before every attempt; what `go` is given are its arguments.

---Makes a server: a node whose id begins with s. Raises when an option is wrong.
---@param options? clouds.Options|string Options, or the url.
---@return clouds.Server
function clouds.server(options) end

---Makes a client: a node whose id begins with c, without register. Raises when an option is wrong.
---@param options? clouds.Options|string Options, or the url.
---@return clouds.Client
function clouds.client(options) end

---Makes a monitor: a node whose id begins with m. Raises when an option is wrong.
---@param options? clouds.Options|string Options, or the url.
---@return clouds.Server
function clouds.monitor(options) end

---Makes a node of no kind, or of the kind that its option `type` says. Raises when an option is wrong.
---@param options? clouds.Options|string Options, or the url.
---@return clouds.Server
function clouds.base(options) end

---Is it an error of clouds: what a failed call gives beside nil?
---@param value any
---@return boolean
function clouds.is_error(value) end

---Inside a handler: the request that is being served. Elsewhere nil.
---@return clouds.Request?
function clouds.request() end

---A line of the log, with the request on whose behalf this code runs: to standard output, warnings and errors to standard error.
---@param level "debug"|"info"|"warning"|"error"
---@param message string
---@param members? table What more there is to say: members of the line in JSON.
function clouds.log(level, message, members) end

---Marks a table as an array, also when it is empty or has holes, and gives it back.
---@generic T: table
---@param t? T
---@param n? integer How many elements, nils included.
---@return T
function clouds.array(t, n) end

---Bytes that are no text. `tostring` gives them as a string, `#` their number, and `==` compares what they hold.
---@class clouds.Bytes: userdata

---The bytes of a string, as a value of their own: an argument, a result, a message, or anywhere in one. They arrive as such.
---@param text string|clouds.Bytes
---@return clouds.Bytes
function clouds.bytes(text) end

---Is it of clouds.bytes?
---@param value any
---@return boolean
function clouds.is_bytes(value) end

---Runs a function in a coroutine, at once, until it first waits.
---@param fn fun(...): ...
---@param ... any Its arguments.
---@return clouds.Task
function clouds.spawn(fn, ...) end

---Runs functions, or waits for tasks, at the same time; waits for all. They may be in one table.
---@param first (fun(): ...)|clouds.Task|((fun(): ...)|clouds.Task)[]
---@param ... (fun(): ...)|clouds.Task
---@return { [integer]: any, n: integer }[] results What each returned.
function clouds.wait_all(first, ...) end

---Waits.
---@param seconds number
function clouds.sleep(seconds) end

---A monotonic clock, in seconds with fractions.
---@return number
function clouds.now() end

---Closes every node in order and waits for the end.
---@param drain? number Seconds for what was accepted; nil: the option drain_timeout.
---@return true
function clouds.shutdown(drain) end

---Runs a function in one process of an application of `clouds start`, its library; without an application right here.
---What was begun under a name is not begun again. Raises in an application without a library.
---@param name string
---@param fn fun()
---@return boolean begins Whether it runs here.
function clouds.once(name, fn) end

---In plain LuaJIT: runs until nothing is left to wait for. In the host it does nothing, since the loop runs anyway.
function clouds.run() end

---@class clouds.Json
---@field null userdata As clouds.null.
local json = {}

---The text of a value.
---@param value clouds.Value
---@return string? text nil when it cannot be sent.
---@return string? problem Why, and where.
function json.encode(value) end

---The value of a text.
---@param text string
---@return clouds.Value? value clouds.null for null; nil when the text is wrong.
---@return string? problem What is wrong, and where.
function json.decode(text) end

---As clouds.array.
---@generic T: table
---@param t? T
---@param n? integer
---@return T
function json.array(t, n) end

---Was this table marked or decoded as an array?
---@param t any
---@return boolean
function json.is_array(t) end

---The trace that code is in, and spans of one's own.
---@class clouds.Trace
local trace = {}

---Calls fn(...) in a span of this name: calls that it makes are in it. Gives what fn returns; what it raises goes on.
---@param name string
---@param fn function
---@param ... any
---@return any ...
function trace.span(name, fn, ...) end

---The ids of the trace and the span that this code is in, and whether that is recorded. Outside of any nil.
---@return { trace: string, span: string, recorded: boolean }?
function trace.current() end

---What a failed call gives beside nil. tostring() is one line for people.
---@class clouds.Error
---@field code string The service's own, or one of the library's: "CLOUDS_NO_AVAILABLE_SERVER" ...
---@field message string
---@field outcome "APP_ERROR"|"NOT_DONE"|"UNKNOWN" Was it executed?
---@field retryable boolean May it be repeated without doing anything twice?
---@field values? clouds.Value[] Values that were sent beside the error.
---@field method? string What was called or registered.
---@field server? string The node that was asked last.
---@field node? string The node that it concerns.
---@field cluster? string The address of the cluster.
---@field size? number What was too large, or too many ...
---@field limit? number ... and how much is possible.
---@field reason? string Why a server is busy: "rate", "queue", "age" or "concurrency".
---@field retry_after? number Seconds after which it is worth to ask it again.
---@field [string] clouds.Value The further members that the service sent.

---One identity on the bus.
---@class clouds.Node
---@field id string
local Node = {}

---Waits until the node listens. Nothing has to wait for it. After the timeout the error is why it does not listen yet.
---@param options? { timeout: number? } Seconds.
---@return true?
---@return clouds.Error?
function Node:ready(options) end

---Stops the node in order: unregisters, serves what was accepted, refuses the rest. Waits where that is possible.
---@param drain? number Seconds for what was accepted; nil: the option drain_timeout.
---@param options? { timeout: number? } Seconds to wait for the end.
---@return true?
---@return clouds.Error?
function Node:close(drain, options) end

---Calls fn, in a coroutine of its own, each time it happens. Gives the node.
---@generic N: clouds.Node
---@param self N
---@param name "message"|"unknown message"|"ready"|"listen"|"exit"|"error"|"up"|"down"|"peer"|"stop"|"paused"
---@param fn fun(...)
---@return N
function Node:on(name, fn) end

---Takes a function back; without one, all of the event. Gives the node.
---@generic N: clouds.Node
---@param self N
---@param name "message"|"unknown message"|"ready"|"listen"|"exit"|"error"|"up"|"down"|"peer"|"stop"|"paused"
---@param fn? fun(...)
---@return N
function Node:off(name, fn) end

---Asks another node; its library answers, if the option `admin` there allows it: id, version, pid, state, paused, and more.
---@param peer string The id of a node.
---@param what "ping"|"info"|"status"|"stats"|"methods"|"links"|"pause"|"resume"|"stop"
---@param args? { method: string?, drain: number? }
---@param options? { timeout: number? }
---@return table?
---@return clouds.Error?
function Node:ask(peer, what, args, options) end

---Sends a value to another node. With confirm it waits, and gives how many nodes got it (true: that cannot be known).
---@param receiver string The id of a node.
---@param value clouds.Value
---@param options? { confirm: boolean?, timeout: number? }
---@return true|integer?
---@return clouds.Error?
function Node:send(receiver, value, options) end

---Publishes a value at a topic: everybody who has subscribed to it gets it, at most once each. With confirm it waits,
---and gives how many got it (true: that cannot be known).
---@param topic string Tokens with dots between: "chat.room-1.joined".
---@param value clouds.Value
---@param options? { confirm: boolean?, meta: table?, timeout: number? }
---@return true|integer?
---@return clouds.Error?
function Node:publish(topic, value, options) end

---What is known of a message beside its value.
---@class clouds.Published
---@field topic string
---@field from string The id of the node that published it.
---@field missed integer Messages of it at this topic that are missing before this one.
---@field lagged boolean Some of them were dropped here, since they were not taken in time.
---@field sequence integer Its number within node and topic, from 1; 0: it has none.
---@field meta? table

---@class clouds.Subscription
---@field topics string[]
---@field closed? boolean
local Subscription = {}

---Ends it: nothing of it comes any more.
---@return true?
---@return clouds.Error?
function Subscription:close() end

---Calls fn for what is published at a topic, at what matches a pattern (`*` one token, `>` at the end one or more), or at
---any of a list of them; in a coroutine each. all: with the list of their values, when there is one of each. group: of
---its members one gets each message. queue: so many may wait, and be at work; what is dropped then is told with the
---next message.
---@param topics string|string[]
---@param fn fun(value: clouds.Value, message: clouds.Published)
---@param options? { all: boolean?, group: string?, queue: integer?, queue_bytes: integer?, keep_oldest: boolean?, timeout: number? }
---@return clouds.Subscription?
---@return clouds.Error?
function Node:subscribe(topics, fn, options) end

---@class clouds.Watch
---@overload fun(): clouds.Value?, clouds.Published?
local Watch = {}

---Ends it.
---@return true?
---@return clouds.Error?
function Watch:close() end

---What is published, one after the other: `for value, message in node:watch("chat.*") do ... end`.
---@param topics string|string[]
---@param options? { all: boolean?, group: string?, queue: integer?, queue_bytes: integer?, keep_oldest: boolean?, timeout: number? }
---@return clouds.Watch?
---@return clouds.Error?
function Node:watch(topics, options) end

---Answers a question of the library by a function of yours; nil gives it back to the library.
---@generic N: clouds.Node
---@param self N
---@param name "find_server"|"save_servers"|"remove_server"|"clear_servers"
---@param fn? fun(...): ...
---@return N?
---@return clouds.Error?
function Node:set(name, fn) end

---Changes options while the node lives, such as weight, timeout or retry, for what begins from then on. Raises for others
---than those that can change.
---@generic N: clouds.Node
---@param self N
---@param changes clouds.Options
---@return N?
---@return clouds.Error?
function Node:configure(changes) end

---Who serves what.
---@param options? { timeout: number? } Seconds.
---@return { servers: table<string, string[]>, methods: table<string, string[]>, states: table?, seen: table?, own: table? }?
---@return clouds.Error?
function Node:status(options) end

---Who would be called for a method now, and why.
---@param method string
---@param options? { timeout: number? } Seconds.
---@return { method: string, bus: string, balance: string, prefer: string?, choice: { server: string?, rule: string, among: integer }, servers: clouds.Explained[] }?
---@return clouds.Error?
function Node:explain(method, options) end

---The direct links of this process's connection.
---@param options? { timeout: number? } Seconds.
---@return clouds.Link[]?
---@return clouds.Error?
function Node:links(options) end

---How many calls and requests of each method this process's connection has had, where its option `stats` is on.
---@param options? { timeout: number? } Seconds.
---@return clouds.Stats?
---@return clouds.Error?
function Node:stats(options) end

---The counters of the connection, and dropped_messages of this node.
---@return table<string, integer>
function Node:counters() end

---@class clouds.Client: clouds.Node
local Client = {}

---Calls a method and waits for the results; nil and an error when it fails. With a callback it does not wait.
---@param name string
---@param args? clouds.Value[] A list; `n` counts, if there are nils among them.
---@param options? clouds.CallOptions|clouds.Callback
---@param callback? clouds.Callback
---@return clouds.Value ...
function Client:call(name, args, options, callback) end

---Calls a method, and wants no answer: true when one server has the call, which executes it once at most.
---@param name string
---@param args? clouds.Value[]
---@param options? clouds.CallOptions
---@return true?
---@return clouds.Error?
function Client:notify(name, args, options) end

---Makes a function of the method's arguments. With a function as the last of them it does not wait, and calls that.
---@param name string
---@param options? integer|clouds.BindOptions Retries, or options.
---@return fun(...: clouds.Value): ...
function Client:bind(name, options) end

---The limits of a method, and what it says of itself. What limits refuse was not begun: its caller's error is CLOUDS_OVERLOADED.
---@class clouds.RegisterOptions
---@field timeout? number Seconds to wait; it is tried on after that.
---@field serial? boolean One request at a time, in the order in which they come.
---@field key? integer Requests with the same value of this argument, from 1 on, one at a time and in order.
---@field concurrency? integer|"auto" Requests that run at a time; "auto": as many as the server finds to be of use.
---@field queue? integer Requests that may wait (1000).
---@field queue_age? number Seconds that a request waits at most (0.1 with concurrency, else no limit; math.huge: no limit).
---@field queue_target? number The same, once the queue was not empty for queue_age (0.005).
---@field rate? number Requests a second.
---@field burst? number How many may come at once (the rate).
---@field caller_rate? number The same for each node that calls.
---@field caller_burst? number
---@field doc? string What the method is for.
---@field args? table What it takes: "name: type", { "name", type } or { "name", type, "what it is" } for each argument.
---@field returns? string|table What it gives: a type, or a list of types.

---@class clouds.Server: clouds.Client
local Server = {}

---Offers a method; registering again replaces the handler. Waits for the registration where that is possible.
---@param name string
---@param handler clouds.Handler
---@param options? clouds.RegisterOptions
---@return true?
---@return clouds.Error?
function Server:register(name, handler, options) end

---Takes a method back; what was accepted is still answered.
---@param name string
---@param options? { timeout: number? } Seconds.
---@return true?
---@return clouds.Error?
function Server:unregister(name, options) end

---Takes no calls for a method, or for all: callers go to other servers, or wait where they have retries. What was accepted is
---still answered.
---@param name? string
---@param options? { timeout: number? } Seconds.
---@return true?
---@return clouds.Error?
function Server:pause(name, options) end

---Takes calls again; without a name for all methods.
---@param name? string
---@param options? { timeout: number? } Seconds.
---@return true?
---@return clouds.Error?
function Server:resume(name, options) end

---A request that is being served. Each function can be called with a dot or a colon, and handed on.
---@class clouds.Request
---@field caller string The id of the calling node.
---@field method string
---@field id string Its number, as in the log.
---@field trace string The id of the trace that it is part of; "" when it is in none.
---@field meta table What came along with the call.
local Request = {}

---Answers now.
---@param ... clouds.Value
---@return true?
---@return clouds.Error?
function Request.reply(...) end

---Fails now, with values beside the error if you like.
---@param err any
---@param ... clouds.Value
---@return true?
---@return clouds.Error?
function Request.fail(err, ...) end

---What the handler returns will be no answer: reply or fail will.
---@return clouds.Request
function Request.detach() end

---Seconds until the caller gives up; nil when it did not say.
---@return number?
function Request.time_left() end

---Can it still be answered?
---@return boolean
function Request.open() end

---Has the caller given up?
---@return boolean
function Request.canceled() end

---Calls a function, in a coroutine of its own, when the caller gives up; at once when it has.
---@param fn fun()
---@return clouds.Request
function Request.on_cancel(fn) end

---A coroutine that clouds.spawn started.
---@class clouds.Task
---@field done boolean Has it ended?
---@field ok? boolean When it has ended: did it return (true) or raise (false)?
local Task = {}

---Waits for its end: what it returned; or nil and what it raised.
---@return any ...
function Task:wait() end

return clouds
