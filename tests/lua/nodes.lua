-- Nodes: ready, close, messages, status, options, and the choice of a server taken over.
local t = require("tap")
local clouds = require("clouds")

local function pack(...)
  return { n = select("#", ...), ... }
end

t.test("ready, and the id", function()
  local node = clouds.client({ url = t.url })
  t.has(node.id, "c.")
  t.is({ node:ready() }, { true })
  t.is({ node:ready() }, { true })
  local told
  node:on("ready", function()
    told = true
  end)
  t.eventually(function()
    return told
  end)
  assert(node:close())
  t.is(clouds.server({ url = t.url, id = "my.own.id" }).id, "my.own.id")
end)

t.test("the event exit", function()
  local node, exited = clouds.base({ url = t.url }), nil
  t.has(node.id, "b.")
  node:on("exit", function(unanswered)
    exited = unanswered
  end)
  t.is(node:close(0), true)
  t.eventually(function()
    return exited
  end)
  t.is(exited, 0)
  t.is(node:close(0), true)
end)

t.test("bad options say what is wrong", function()
  t.raises(function()
    clouds.client({ url = "nonsense" })
  end, "not a valid url")
  t.raises(function()
    clouds.client({ url = t.url, timeuot = 3 })
  end, "timeuot")
  t.raises(function()
    clouds.client({ url = t.url, timeout = {} })
  end, "timeout")
  t.raises(function()
    clouds.client({ url = t.url, id = "a:b" })
  end, "a:b")
  t.raises(function()
    clouds.client(5)
  end, "table of options")
  t.raises(function()
    clouds.server({ url = t.url, heartbeat = "often" })
  end, "nodes.lua")
end)

t.test("messages", function()
  local one, two = clouds.base({ url = t.url }), clouds.base({ url = t.url })
  local got = {}
  two:on("message", function(from, value)
    got[#got + 1] = { from, value }
  end)
  assert(two:ready())
  assert(one:ready())
  t.is(one:send(two.id, { a = 1, b = clouds.array({ clouds.null }) }), true)
  t.is(one:send(two.id, clouds.null), true)
  t.is(one:send(two.id, "text", { confirm = true }), 1)
  t.eventually(function()
    return #got == 3
  end)
  t.is(got[1][1], one.id)
  t.is(clouds.json.encode(got[1][2].b), "[null]")
  t.is(got[2][2], clouds.null)
  t.is(got[3][2], "text")
  t.is(one:send("b.nobody.1.1", 1), true)
  t.is(one:send("b.nobody.1.1", 1, { confirm = true }), 0)
  t.raises(function()
    one:send(two.id, print)
  end, "function")
  t.raises(function()
    one:send(nil, 1)
  end, "expected the id")
  one:close(0)
  two:close(0)
end)

t.test("several listeners, one of them broken, and taken back", function()
  local node, got, told = clouds.base({ url = t.url }), {}, nil
  clouds.on_error = function(err)
    told = err
  end
  local function broken()
    error("broken", 0)
  end
  node:on("message", broken):on("message", function(_, value)
    got[#got + 1] = value
  end)
  assert(node:ready())
  node:send(node.id, 1)
  t.eventually(function()
    return got[1] and told
  end)
  t.is(told, "broken")
  told = nil
  node:off("message", broken)
  node:send(node.id, 2)
  t.eventually(function()
    return got[2]
  end)
  t.is(told, nil)
  t.raises(function()
    node:on("nothing", print)
  end, "no such event")
  t.raises(function()
    node:on("message")
  end, "expected a function")
  clouds.on_error = nil
  node:close(0)
end)

t.test("status", function()
  local server, monitor = clouds.server({ url = t.url }), clouds.monitor({ url = t.url })
  assert(server:register("status.a", print))
  assert(server:register("status.b", print))
  local status = assert(monitor:status())
  t.is(status.methods["status.a"][1], server.id)
  table.sort(status.servers[server.id])
  t.is(clouds.json.encode(status.servers[server.id]), '["status.a","status.b"]')
  server:close(0)
  t.eventually(function()
    return not monitor:status().servers[server.id]
  end)
  monitor:close(0)
end)

t.test("links", function()
  local server, client = clouds.server({ url = t.url }), clouds.client({ url = t.url })
  assert(server:register("linked", print))
  t.is({ client:call("linked") }, {})
  local links, ours = assert(client:links()), {}
  for _, link in ipairs(links) do
    if link.ours and link.peer == server.id then ours[#ours + 1] = link end
  end
  -- Within a process there are links over local: only.
  t.is(#ours, t.url:match("^local") and 1 or 0)
  if ours[1] then
    t.is({ ours[1].state, ours[1].security, ours[1].in_flight, ours[1].unwritten }, { "open", "user", 0, 0 })
    t.ok(ours[1].age >= 0 and ours[1].address:match("^unix:/"))
  end
  server:close(0)
  client:close(0)
  local nothing, err = client:links()
  t.is({ nothing, err.code }, { nil, "CLOUDS_CLOSED" })
end)

t.test("stats", function()
  local server, client = clouds.server({ url = t.url, stats = true }), clouds.client({ url = t.url, stats = true })
  assert(server:register("counted", function(what)
    if what == "fail" then
      error("no")
    end
    return what
  end))
  t.is({ client:call("counted", { 1 }) }, { 1 })
  t.is(select(2, client:call("counted", { "fail" })).outcome, "APP_ERROR")
  local stats = assert(client:stats())
  t.is({ #stats.bounds, stats.bounds[1], stats.bounds[14] }, { 14, 0.0005, 10 })
  for kind, about in pairs({ calls = assert(client:stats()), requests = assert(server:stats()) }) do
    local tally, took = about.methods.counted[kind], 0
    t.is({ tally.open, tally.ok, tally.app_error, tally.not_done, tally.unknown }, { 0, 1, 1, 0, 0 })
    for i = 1, 15 do
      took = took + tally.took[i]
    end
    t.is(took, 2)
    t.ok(tally.seconds > 0)
  end
  server:close(0)
  client:close(0)
  t.is(select(2, client:stats()).code, "CLOUDS_CLOSED")
  local plain = clouds.client({ url = t.url })
  t.is(select(2, plain:stats()).code, "CLOUDS_NOT_SUPPORTED")
  plain:close(0)
end)

t.test("wrong options say what was meant", function()
  local function refuses(options, words)
    t.raises(function()
      clouds.client(options)
    end, words)
  end
  refuses({ url = t.url, hartbeat = 1 }, "nodes.lua")
  refuses({ url = t.url, hartbeat = 1 }, "unknown option 'hartbeat'; did you mean 'heartbeat'?")
  refuses({ url = t.url, nonsense = 1 }, "docs/CONFIGURATION.md")
  refuses({ t.url }, "options have names")
  refuses({ url = t.url, retry = -1 }, "option 'retry': got '-1'")
  local node = clouds.client({ url = t.url })
  t.raises(function()
    node:send("c.x.1.1", 1, { confrim = true })
  end, "did you mean 'confirm'?")
  t.raises(function()
    node:send("c.x.1.1", 1, "confirm")
  end, "a table of options")
  node:close(0)
end)

t.test("what is closed stays so", function()
  local server = clouds.server({ url = t.url })
  assert(server:register("closed.a", print))
  local done, err = server:unregister("closed.b")
  t.is({ done, err.message }, { nil, "no method 'closed.b' is registered" })
  server:close(0)
  done, err = server:ready()
  t.is({ done, err.code }, { nil, "CLOUDS_CLOSED" })
  done, err = server:set("find_server", print)
  t.is({ done, err.code }, { nil, "CLOUDS_CLOSED" })
  done, err = server:register("closed.a", print)
  t.is({ done, err.code }, { nil, "CLOUDS_CLOSED" })
end)

t.test("a server that changes how it finds servers serves on", function()
  local server, client = clouds.server({ url = t.url }), clouds.client({ url = t.url, timeout = 20 })
  local accepted
  assert(server:register("renew.slow", function()
    accepted = true
    clouds.sleep(0.2)
    return "slow"
  end))
  local before = server.id
  local task = clouds.spawn(function()
    return client:call("renew.slow")
  end)
  t.eventually(function()
    return accepted
  end)
  t.ok(server:set("find_server", function(_, known)
    return known[1]
  end) == server)
  t.is(server.id, before)
  t.is(task:wait(), "slow")
  t.is(client:call("renew.slow", {}, { server = before }), "slow")
  server:close(0)
  client:close(0)
end)

t.test("find_server taken over", function()
  local one, two = clouds.server({ url = t.url }), clouds.server({ url = t.url })
  for _, server in ipairs({ one, two }) do
    assert(server:register("which", function()
      return server.id
    end))
  end
  local client = clouds.client({ url = t.url, timeout = 20 })
  local before = client:bind("which")
  assert(before())
  local asked, chosen = {}, two.id
  client:set("find_server", function(method, known)
    asked[#asked + 1] = { method, #known }
    clouds.sleep(0.01)
    return chosen
  end)
  for _ = 1, 3 do
    t.is(before(), two.id)
    t.is(client:call("which"), two.id)
  end
  t.is(#asked, 6)
  t.is(asked[1][1], "which")
  chosen = nil
  local result, err = client:call("which")
  t.is({ result, err.code }, { nil, "CLOUDS_NO_AVAILABLE_SERVER" })
  local told
  clouds.on_error = function(problem)
    told = problem
  end
  client:set("find server", function()
    error("cannot choose", 0)
  end)
  result, err = client:call("which")
  t.is({ result, err.code, told }, { nil, "CLOUDS_NO_AVAILABLE_SERVER", "cannot choose" })
  clouds.on_error = nil
  client:set("find_server", nil)
  t.ok(before())
  t.raises(function()
    client:set("find_nothing", print)
  end, "no such function")
  client:close(0)
  one:close(0)
  two:close(0)
end)

t.test("a server that does not answer is told of", function()
  local server, kept = clouds.server({ url = t.url }), nil
  assert(server:register("silent", function()
    kept = clouds.request():detach()
  end))
  local removed
  local client = clouds.client({ url = t.url, timeout = 1, remove_server = function(id, method)
    removed = pack(id, method)
  end })
  client:call("silent")
  t.eventually(function()
    return removed
  end)
  t.is(removed, { n = 2, server.id, "silent" })
  t.is(kept.method, "silent")
  client:close(0)
  server:close(0)
end)

t.test("a function as an option", function()
  local server = clouds.server({ url = t.url })
  assert(server:register("option", function()
    return 1
  end))
  local client = clouds.client({ url = t.url, find_server = function()
    return server.id
  end })
  t.is(client:call("option"), 1)
  client:close(0)
  server:close(0)
end)

t.test("nodes of one address share a context, and the counters tell", function()
  local one, two = clouds.client({ url = t.url }), clouds.client({ url = t.url })
  t.is(one.context, two.context)
  local other = clouds.client({ url = t.url, max_in_flight = 5 })
  t.ok(other.context ~= one.context)
  one:call("nobody")
  t.ok(one:counters().calls >= 1)
  for _, node in ipairs({ one, two, other }) do
    node:close(0)
  end
end)

t.test("no connection: it is told, calls end in time, and closing works", function()
  local client, down = clouds.client({ url = "redis+unix:///nonexistent/redis.sock", timeout = 0.2 }), nil
  client:on("down", function(err)
    down = err
  end)
  local started = clouds.now()
  local result, err = client:call("x")
  t.is({ result, err.outcome }, { nil, "NOT_DONE" })
  t.ok(clouds.now() - started < 5)
  t.eventually(function()
    return down
  end)
  t.ok(clouds.is_error(down))
  t.is({ client:close(0) }, { true })
  result, err = client:ready()
  t.is({ result, err.code }, { nil, "CLOUDS_CLOSED" })
end)

local socket = t.url:match("^redis%+unix://(.*)$")

local function test_over_redis(name, fn)
  if socket then
    t.test(name, fn)
  else
    t.skip(name, "only Redis lets others speak in the name of a node")
  end
end

test_over_redis("messages of a type that nobody here knows", function()
  local node, got = clouds.base({ url = t.url }), {}
  node:on("unknown message", function(...)
    got[#got + 1] = pack(...)
  end)
  assert(node:ready())
  local function publish(text)
    os.execute(("redis-cli -s %s publish clouds:L:%s '%s' >/dev/null"):format(socket, node.id, text))
  end
  publish('{"t":"zz","s":"b.x.1.1","d":{"a":[]}}')
  t.eventually(function()
    return got[1]
  end)
  t.is({ got[1][1], got[1][2] }, { "zz", "b.x.1.1" })
  t.is(clouds.json.encode(got[1][3]), '{"a":[]}')
  t.has(got[1][4], '"zz"')
  for _, text in ipairs({ "", "null", "[", '{"t":"c"}', '{"t":"r","s":"x","d":null}', '{"t":"m","s":5}', "\\u0000" }) do
    publish(text)
  end
  local alive
  node:on("message", function(_, value)
    alive = value
  end)
  node:send(node.id, "alive")
  t.eventually(function()
    return alive == "alive"
  end)
  node:close(0)
end)

t.test("the limit of calls in flight is an error at once", function()
  local server, kept = clouds.server({ url = t.url }), {}
  assert(server:register("hang", function()
    kept[#kept + 1] = clouds.request():detach()
  end))
  local client = clouds.client({ url = t.url, max_in_flight = 4, timeout = 2 })
  local tasks = {}
  for i = 1, 6 do
    tasks[i] = function()
      return client:call("hang")
    end
  end
  local limited, late = 0, 0
  for _, result in ipairs(clouds.wait_all(tasks)) do
    limited = limited + (result[2].code == "CLOUDS_LIMIT_REACHED" and 1 or 0)
    late = late + (result[2].code == "CLOUDS_CALL_SERVICE_TIMEOUT" and 1 or 0)
  end
  t.is({ limited, late, #kept }, { 2, 4, 4 })
  client:close(0)
  server:close(0)
end)

t.test("a node says who it is", function()
  local own = clouds.client({ url = t.url })
  t.is(tostring(own), "clouds.client: " .. own.id)
  own:close(0)
end)

t.test("a text with a NUL is refused and not cut", function()
  t.raises(function()
    clouds.client({ url = t.url, id = "c.one\0two" })
  end, "option 'id' cannot have a NUL byte")
  t.raises(function()
    clouds.client({ url = t.url .. "\0/more" })
  end, "option 'url' cannot have a NUL byte")
end)

t.test("a wait for readiness has a limit, and says what is in the way", function()
  local own, down = clouds.client({ url = "redis+unix:///nowhere/redis.sock" }), nil
  own:on("down", function(err)
    down = err
  end)
  t.eventually(function()
    return down
  end)
  local ok, err = own:ready({ timeout = 0.01 })
  t.is({ ok, err.code, err.message }, { nil, down.code, down.message })
  local patient = clouds.client({ url = "redis+unix:///nowhere/redis.sock", operation_timeout = 0.05 })
  ok, err = patient:ready() -- a node that is told so has a limit for all waits
  t.is({ ok, err.code }, { nil, "CLOUDS_UNREACHABLE" })
  patient:close(0)
  t.raises(function()
    own:ready({ timeout = -1 })
  end, "expected a number of seconds")
  t.raises(function()
    own:ready({ drain = 1 })
  end, "unknown option 'drain'")
  own:close(0)
end)

t.test("a handler may close its own node", function()
  local own, caller = clouds.server({ url = t.url }), clouds.client({ url = t.url, timeout = 60 })
  local ended
  own:on("exit", function(unanswered)
    ended = unanswered
  end)
  assert(own:register("close yourself", function()
    assert(own:close(60))
    return "closing"
  end))
  t.is({ caller:call("close yourself") }, { "closing" })
  t.eventually(function()
    return ended
  end)
  t.is(ended, 0)
  caller:close(0)
end)

t.test("listeners that wait have a limit, in number and in bytes", function()
  local told = {}
  clouds.on_error = function(err, _, what)
    told[#told + 1] = { err.code, what }
  end
  for _, limit in ipairs({ { max_events = 16 }, { max_event_bytes = 165000 } }) do
    limit.url = t.url
    local own, sender = clouds.server(limit), clouds.client({ url = t.url })
    assert(own:ready() and sender:ready())
    local going, most, open = 0, 0, false
    own:on("message", function()
      going = going + 1
      most = math.max(most, going)
      t.eventually(function()
        return open
      end)
      going = going - 1
    end)
    t.eventually(function()
      assert(sender:send(own.id, ("x"):rep(10000), { confirm = true }))
      return own:counters().dropped_messages >= 4
    end)
    t.is({ going, most }, { 16, 16 })
    open = true
    t.eventually(function()
      return going == 0
    end)
    assert(sender:send(own.id, "again"))
    t.eventually(function()
      return most == 16 and going == 0
    end)
    own:close(0)
    sender:close(0)
  end
  clouds.on_error = nil
  t.is(told, { { "CLOUDS_LIMIT_REACHED", "message listener" }, { "CLOUDS_LIMIT_REACHED", "message listener" } })
end)

t.test("a registration that fails is not served", function()
  local own = clouds.server({ url = t.url })
  local ok, err = own:register(("x"):rep(1000), print)
  t.is({ ok, err.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
  assert(own:register("kept", function() return 1 end))
  own:close(0)
  ok, err = own:register("late", print)
  t.is({ ok, err.code }, { nil, "CLOUDS_CLOSED" })
end)

t.test("the library's log lines are told", function()
  local lines = {}
  clouds.on_log = function(level, message, about)
    lines[#lines + 1] = { level, message, type(about) }
  end
  local own = clouds.client({ url = t.url, log_level = "info" })
  assert(own:ready())
  t.eventually(function()
    return lines[1]
  end)
  t.is({ lines[1][1], lines[1][3] }, { "info", "table" })
  t.has(lines[1][2], "connected")
  own:close(0)
  clouds.on_log = nil
  t.raises(function()
    clouds.client({ url = t.url, log_level = "loud" })
  end, "log_level")
end)

t.test("every wait has a limit, and says what is in the way", function()
  local own, down = clouds.server({ url = "redis+unix:///nowhere/redis.sock" }), nil
  own:on("down", function(err)
    down = err
  end)
  t.eventually(function()
    return down
  end)
  local limit = { timeout = 0.01 }
  local waits = {
    register = function() return own:register("limited", print, limit) end,
    unregister = function() return own:unregister("limited", limit) end,
    status = function() return own:status(limit) end,
    send = function() return own:send("c.somebody", 1, { confirm = true, timeout = 0.01 }) end,
  }
  for _, name in ipairs({ "register", "unregister", "status", "send" }) do
    local ok, err = waits[name]()
    t.is({ ok, err.code }, { nil, "CLOUDS_UNREACHABLE" }, name)
  end
  local ok, err = own:unregister("limited")
  t.is({ ok, err.message, err.method }, { nil, "no method 'limited' is registered", "limited" })
  for _, fn in ipairs({ own.register, own.unregister }) do
    t.raises(function()
      fn(own, "limited", fn == own.register and print or { late = 1 }, { late = 1 })
    end, "unknown option 'late'")
  end
  own:close(0)
  local there = clouds.server({ url = t.url })
  assert(there:register("in time", print, { timeout = 60 }))
  t.ok(there:status({ timeout = 60 }).methods["in time"])
  t.ok(there:send(there.id, 1, { confirm = true, timeout = 60 }))
  assert(there:unregister("in time", { timeout = 60 }))
  there:close(0)
end)

t.done()
