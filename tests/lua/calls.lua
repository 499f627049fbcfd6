-- Services and their callers: values, errors, the forms of a call.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url })
local client = clouds.client({ url = t.url, timeout = 60 })

assert(server:register("echo", function(...)
  return ...
end))
assert(server:register("count", function(...)
  return select("#", ...)
end))
assert(client:ready())
local echo = client:bind("echo")

local function pack(...)
  return { n = select("#", ...), ... }
end

t.test("values arrive as they left", function()
  local values = {
    1, -5, 0.1, 2 ^ 53 - 1, -(2 ^ 53 - 1), 1e300, 5e-324, "", "text", "a\0b", "äöü€😀", "\237\160\128", true, false,
    { 1, 2, 3 }, { a = { b = { c = 1 } } }, { ["1"] = "text key" },
  }
  for _, value in ipairs(values) do
    local got, problem = echo(value)
    t.is(got, value, tostring(problem))
  end
  t.is(clouds.json.encode((echo(clouds.array()))), "[]")
  t.is(clouds.json.encode((echo({}))), "{}")
  t.is(clouds.json.encode((echo({ clouds.null, { clouds.null }, clouds.null }))), "[null,[null],null]")
end)

t.test("nils are counted", function()
  t.is(pack(echo()), { n = 0 })
  t.is(pack(echo(nil)), { n = 1 })
  t.is(pack(echo(nil, 1, nil)), { n = 3, nil, 1, nil })
  t.is(pack(echo(clouds.null, 2)), { n = 2, nil, 2 })
  t.is(client:call("count", { 1, nil, 3, n = 5 }), 5)
  t.is(client:call("count", clouds.array({}, 3)), 3)
  t.is(client:call("count", {}), 0)
  t.is(client:call("count"), 0)
end)

t.test("a handler gets what it gets", function()
  assert(server:register("two", function(a, b)
    return tostring(a), tostring(b)
  end))
  local two = client:bind("two")
  t.is({ two() }, { "nil", "nil" })
  t.is({ two(1) }, { "1", "nil" })
  t.is({ two(1, 2, 3, 4) }, { "1", "2" })
end)

t.test("many values", function()
  local list = {}
  for i = 1, 3000 do
    list[i] = i
  end
  t.is(select("#", echo(unpack(list))), 3000)
  t.is((select(3000, echo(unpack(list)))), 3000)
  local long = ("x"):rep(500000)
  t.is(echo(long), long)
end)

t.test("more values than a stack takes are an error on the side that cannot take them", function()
  local list = {}
  for i = 1, 9000 do
    list[i] = i
  end
  local result, err = client:call("count", list)
  t.is({ result, err.code, err.outcome }, { nil, "CLOUDS_INVALID_ARGUMENT", "APP_ERROR" })
  t.is(#echo(list), 9000)
end)

t.test("nothing, and nil with a text, are results", function()
  assert(server:register("nothing", function() end))
  assert(server:register("nil and text", function()
    return nil, "x"
  end))
  t.is(pack(client:call("nothing")), { n = 0 })
  t.is(pack(client:call("nil and text")), { n = 2, nil, "x" })
  t.ok(not clouds.is_error((select(2, client:call("nil and text")))))
end)

t.test("a handler fails with a text", function()
  local told
  clouds.on_error = function(err, traceback, what)
    told = { err, traceback, what }
  end
  assert(server:register("text", function()
    error("no luck", 0)
  end))
  local result, err = client:call("text")
  t.is(result, nil)
  t.ok(clouds.is_error(err))
  t.is(err.message, "no luck")
  t.is(err.outcome, "APP_ERROR")
  t.is(err.code, "CLOUDS_SERVICE_ERROR")
  t.is(err.retryable, false)
  t.is(tostring(err), "no luck")
  t.is(told[1], "no luck")
  t.is(told[3], "handler of 'text'")
  t.has(told[2], "calls.lua")
  t.ok(not told[2]:find("xpcall", 1, true), "frames of clouds itself are left out")
  clouds.on_error = nil
end)

t.test("a handler fails with a table", function()
  assert(server:register("table", function(kind)
    if kind == "full" then
      error({ message = "gone", code = "E_GONE", status = 410, list = clouds.array(), more = { 1, clouds.null } })
    elseif kind == "code" then
      error({ code = 7 })
    elseif kind == "reserved" then
      error({ message = "m", outcome = "mine", retryable = "mine", values = "mine" })
    end
    error({})
  end))
  local _, err = client:call("table", { "full" })
  t.is(err.message, "gone")
  t.is(err.code, "E_GONE")
  t.is(err.status, 410)
  t.is(clouds.json.encode(err.more), "[1,null]")
  t.is(clouds.json.encode(err.list), "[]")
  t.is(tostring(err), "E_GONE: gone")
  _, err = client:call("table", { "code" })
  t.is({ err.code, err.message }, { 7, "7" })
  _, err = client:call("table", { "reserved" })
  t.is({ err.outcome, err.retryable }, { "APP_ERROR", false })
  local told
  clouds.on_error = function(_, _, what)
    told = what
  end
  _, err = client:call("table")
  t.is(err.message, "(error object is a table value) {}")
  t.is(told, "handler of 'table'", "a fault is told")
  assert(server:register("odd", function(kind)
    local odd = { other = { why = "no", n = 1 }, number = 5, truth = false, long = { ("x"):rep(1000) } }
    error(odd[kind], 0)
  end))
  local words = {
    other = '(error object is a table value) {"', number = "5", truth = "(error object is a boolean value) false",
    long = '(error object is a table value) ["xxx', nothing = "(error object is a nil value) nil",
  }
  for kind, text in pairs(words) do
    _, err = client:call("odd", { kind })
    t.has(err.message, text, kind)
    t.ok(#err.message < 300)
  end
  clouds.on_error = nil
end)

t.test("an error of a call can be handed on", function()
  assert(server:register("chain", function(kind)
    local chained = clouds.client({ url = t.url, timeout = 60 })
    local result, err = chained:call("table", { kind })
    chained:close(0)
    if err then
      error(err)
    end
    return result
  end))
  local _, err = client:call("chain", { "full" })
  t.is({ err.message, err.code, err.status, err.outcome }, { "gone", "E_GONE", 410, "APP_ERROR" })
end)

t.test("a failed call that a handler returns, or replies with, is its failure", function()
  local told, nobody = {}, clouds.client({ url = t.url, timeout = 60 })
  clouds.on_error = function(err, _, what, about)
    told[#told + 1] = { err.code, what, about.caller, about.method }
  end
  assert(server:register("hands on", function(method, ...)
    return nobody:call(method, { ... })
  end))
  assert(server:register("replies", function(method)
    clouds.request().reply(nobody:call(method))
  end))
  local got = { client:call("hands on", { "table", "full" }) }
  t.is({ got[1], got[2].code, got[2].message, got[2].status }, { nil, "E_GONE", "gone", 410 })
  t.is(#told, 0, "the service's own error is nobody else's")
  for _, method in ipairs({ "hands on", "replies" }) do
    local result, err = client:call(method, { "nobody serves this" })
    t.is({ result, err.code, err.outcome }, { nil, "CLOUDS_NO_AVAILABLE_SERVER", "APP_ERROR" })
  end
  t.is(told, { { "CLOUDS_NO_AVAILABLE_SERVER", "handler of 'hands on'", client.id, "hands on" } })
  -- Anything else that an error is part of is a value.
  assert(server:register("as a value", function(err)
    return err, { list = { err } }
  end))
  local _, err = nobody:call("table", { "full" })
  local value, inside = client:call("as a value", { err })
  t.is({ value.code, value.status, inside.list[1].message }, { "E_GONE", 410, "gone" })
  t.is(clouds.is_error(value), false)
  t.is({ client:call("echo", { nil, "just a text", n = 2 }) }, { nil, "just a text" })
  nobody:close(0)
  clouds.on_error = nil
end)

t.test("arguments are a list, and nothing of them is lost in silence", function()
  local wrong = {
    { { a = 1 }, "a list cannot have the key a" },
    { { 1, 2, a = 1 }, "a list cannot have the key a" },
    { { [true] = 1 }, "the key a boolean" },
    { { [0] = 1 }, "the key [0]" },
    { { 1, nil, 3 }, "clouds.array(t, n), or the field n" },
    { { nil, 2 }, "clouds.array(t, n), or the field n" },
    { { 1, n = "x" }, "the field n of a list is a count" },
    { { 1, n = -1 }, "the field n of a list is a count" },
    { { 1, n = 1.5 }, "the field n of a list is a count" },
    { { 1, 2, 3, n = 2 }, "field n is 2 has an element 3" },
    { clouds.array({ 1, x = 2 }), "a list cannot have the key x" },
    { { clouds.array({ x = 2 }) }, "a list cannot have the key x" },
    { { clouds.array({ 1, nil, 3 }) }, "clouds.array(t, n)" },
  }
  for i, case in ipairs(wrong) do
    t.raises(function()
      client:call("count", case[1])
    end, case[2], "case " .. i)
    t.raises(function()
      client:call("count", case[1], print)
    end, case[2], "case " .. i .. " with a callback")
  end
  t.is(client:call("count", { { a = 1 } }), 1)
  t.is(client:call("count", { 1, nil, 3, n = 3 }), 3)
  t.is(client:call("count", clouds.array({ 1, nil, 3 }, 3)), 3)
  local unordered = {}
  for i = 9, 1, -1 do
    unordered[i] = i
  end
  t.is(client:call("count", unordered), 9)
end)

t.test("lists of every length are looked at alike", function()
  for count = 0, 5 do
    local function list(more)
      local items = {}
      for i = 1, count do
        items[i] = i
      end
      for key, value in pairs(more or {}) do
        items[key] = value
      end
      return items
    end
    local function refused(more, words)
      t.raises(function()
        client:call("count", list(more))
      end, words, "of " .. count)
    end
    t.is(client:call("count", list()), count)
    t.is(client:call("count", list({ n = count })), count)
    t.is(client:call("count", list({ n = count + 2 })), count + 2)
    refused({ other = 1 }, "a list cannot have the key other")
    refused({ n = count, other = 1 }, "a list cannot have the key other")
    refused({ ["1"] = 1 }, "a list cannot have the key 1")
    refused({ [count + 2] = 1 }, "clouds.array(t, n), or the field n")
    refused({ n = count - 1 }, count == 0 and "is a count" or "has an element " .. count)
  end
end)

-- What data may be gives nil and an error, in every form of a call; what only a program can get wrong raises.
t.test("data never raises", function()
  local deep = {}
  for _ = 1, 300 do
    deep = { deep }
  end
  local data = {
    { "\255", "CLOUDS_INVALID_JSON" }, { { ["\255"] = 1 }, "CLOUDS_INVALID_JSON" }, { deep, "CLOUDS_TOO_BIG" },
    { ("x"):rep(5000000), "CLOUDS_TOO_BIG" },
  }
  if t.url:find("^inproc") then -- once is enough for so much
    local half = ("x"):rep(130 * 2 ^ 20)
    data[#data + 1] = { { half, half }, "CLOUDS_TOO_BIG" }
  end
  for i, case in ipairs(data) do
    local got
    local result, err = echo(case[1])
    t.is({ result, err.code, err.outcome }, { nil, case[2], "NOT_DONE" }, "bound " .. i)
    result, err = client:call("echo", { case[1] })
    t.is({ result, err.code }, { nil, case[2] }, "call " .. i)
    result, err = client:send(client.id, case[1])
    t.is({ result, err.code }, { nil, case[2] }, "send " .. i)
    echo(case[1], function(problem)
      got = problem
    end)
    t.eventually(function()
      return got
    end)
    t.is(got.code, case[2], "callback " .. i)
  end
end)

t.test("an error says what it is about", function()
  local _, err = client:call("nobody serves this", {}, { server = "s.nobody" })
  t.is({ err.method, err.server }, { "nobody serves this", "s.nobody" })
  t.has(tostring(err), "nobody serves this")
  for _, ask in ipairs({ client.call, client.notify }) do
    t.raises(function()
      ask(client, "echo", {}, { server = "" })
    end, "option 'server': expected a text, and not an empty one")
  end
  _, err = echo(("x"):rep(5000000))
  t.is({ err.method, err.size, err.limit, err.code }, { "echo", 5000004, 4194304, "CLOUDS_TOO_BIG" })
  t.has(tostring(err), "5000004")
  _, err = echo("\255")
  t.is(err.method, "echo")
end)

t.test("what cannot be sent of an error is left out", function()
  assert(server:register("half", function()
    error({ message = "the words", code = "E_HALF", fn = print, bytes = "\255", more = 1 })
  end))
  local _, err = client:call("half")
  t.is({ err.message, err.code, err.fn, err.bytes, err.more }, { "the words", "E_HALF", nil, nil, 1 })
end)

t.test("what cannot be sent back is an error, and the service lives", function()
  clouds.on_error = function() end
  assert(server:register("bad", function(kind)
    if kind == "function" then
      return print
    elseif kind == "cycle" then
      local circle = {}
      circle.circle = circle
      return circle
    elseif kind == "binary" then
      return "\255\254"
    elseif kind == "error" then
      error({ message = "x", extra = print })
    elseif kind == "error text" then
      error("\255 bytes", 0)
    elseif kind == "error object" then
      error(setmetatable({}, { __tostring = function()
        error("worse")
      end }))
    end
    error(print)
  end))
  for kind, words in pairs({ ["function"] = "function", cycle = "contains itself", binary = "UTF-8", error = "x",
    ["error text"] = "? bytes", ["error object"] = "whose __tostring fails", ["?"] = "function" }) do
    local result, err = client:call("bad", { kind })
    t.is(result, nil, kind)
    t.has(err.message, words, kind)
    t.is(err.outcome, "APP_ERROR", kind)
  end
  clouds.on_error = nil
  t.is(echo(1), 1)
end)

t.test("arguments that cannot be sent are a mistake", function()
  t.raises(function()
    echo(print, 1)
  end, "bad arguments: cannot encode a function at [1]")
  t.raises(function()
    client:call("echo", { {}, { a = io.stdout } })
  end, "cannot encode a userdata at [2].a")
  t.raises(function()
    client:call("echo", "text")
  end, "expected the arguments in a table")
  t.raises(function()
    client:call({}, {})
  end, "expected the name of a method")
  t.raises(function()
    client:call("echo", {}, { timeuot = 1 })
  end, "unknown option 'timeuot'")
  for _, wrong in ipairs({ { retry = 1.5 }, { retry = -1 }, { timeout = -1 }, { deadline = 0 / 0 }, "5" }) do
    t.raises(function()
      client:call("echo", {}, wrong)
    end, "expected a")
    t.raises(function()
      client:bind("echo", wrong)
    end, "expected a")
  end
  t.raises(function()
    client:bind("echo", { retry = "3" })
  end, "expected a number")
  t.raises(function()
    server:register("x")
  end, "expected a function")
end)

t.test("nobody there", function()
  local result, err = client:call("nobody.there", {})
  t.is(result, nil)
  t.is(err.code, "CLOUDS_NO_AVAILABLE_SERVER")
  t.is(err.outcome, "NOT_DONE")
  t.is(err.retryable, true)
  t.is(err.method, "nobody.there")
  t.is(tostring(err), "CLOUDS_NO_AVAILABLE_SERVER: no available server for nobody.there on " .. err.cluster)
end)

local answers -- when set, the method "late" answers

t.test("nobody answers in time", function()
  assert(server:register("late", function()
    t.eventually(function()
      return answers
    end, "leave to answer")
    return "late"
  end))
  local result, err = client:call("late", {}, { timeout = 1 })
  t.is(result, nil)
  t.is(err.code, "CLOUDS_CALL_SERVICE_TIMEOUT")
  t.is(err.outcome, "UNKNOWN")
  t.is(err.retryable, false)
  answers = true
  t.is(client:call("late", {}), "late")
end)

t.test("the callback form", function()
  local got
  t.is(pack(client:call("echo", { 1, nil, 3, n = 3 }, function(...)
    got = pack(...)
  end)), { n = 0 })
  t.is(got, nil, "called back too early")
  t.eventually(function()
    return got
  end)
  t.is(got, { n = 4, nil, 1, nil, 3 })
  got = nil
  echo("x", function(...)
    got = pack(...)
  end)
  t.eventually(function()
    return got
  end)
  t.is(got, { n = 2, nil, "x" })
  got = nil
  client:call("nobody.there", {}, function(...)
    got = pack(...)
  end)
  t.eventually(function()
    return got
  end)
  t.is(got.n, 1)
  t.is(got[1].code, "CLOUDS_NO_AVAILABLE_SERVER")
end)

t.test("a callback may wait, and may fail", function()
  local told, got
  clouds.on_error = function(err)
    told = err
  end
  client:call("echo", { 1 }, function(_, value)
    got = echo(value + 1)
    error("in the callback", 0)
  end)
  t.eventually(function()
    return told
  end)
  t.is(told, "in the callback")
  t.is(got, 2)
  clouds.on_error = nil
end)

t.test("waiting does not block the others", function()
  local order = {}
  answers = nil
  clouds.wait_all({
    function()
      client:call("late", {})
      order[#order + 1] = "late"
    end,
    function()
      echo(1)
      order[#order + 1] = "echo"
      answers = true
    end,
  })
  t.is(order, { "echo", "late" })
end)

t.test("calls in flight do not mix", function()
  local all = {}
  for i = 1, 200 do
    all[i] = function()
      for j = 1, 20 do
        local got = echo(i, j)
        assert(got == i)
      end
      return true
    end
  end
  for i, result in ipairs(clouds.wait_all(all)) do
    if not result[1] then
      return t.ok(false, ("%d: %s"):format(i, tostring(result[2])))
    end
  end
end)

t.test("waiting through pcall, iterators and metamethods", function()
  local object = setmetatable({}, { __index = function(_, key)
    return (echo(key))
  end, __add = function(_, other)
    return (echo(other))
  end })
  t.is(object.x, "x")
  t.is(object + 4, 4)
  t.is({ pcall(echo, 5) }, { true, 5 })
  local ok, problem = pcall(function()
    error((echo("through")), 0)
  end)
  t.is({ ok, problem }, { false, "through" })
  local seen = {}
  for i in function(_, i)
    return i < 3 and echo(i + 1) or nil
  end, nil, 0 do
    seen[#seen + 1] = i
  end
  t.is(seen, { 1, 2, 3 })
end)

t.test("waiting where that cannot be says so", function()
  local ok, problem = clouds.spawn(function()
    return pcall(string.gsub, "x", "x", function()
      return (echo(1))
    end)
  end):wait()
  t.is(ok, false)
  t.has(problem, "cannot wait here")
  t.is(echo(1), 1)
end)

t.test("in a coroutine of the program's own", function()
  local got
  local co = coroutine.create(function()
    got = echo("own")
    got = got .. echo("!")
  end)
  assert(coroutine.resume(co))
  t.eventually(function()
    return coroutine.status(co) == "dead"
  end)
  t.is(got, "own!")
end)

t.test("registering again replaces, unregistering removes", function()
  assert(server:register("again", function()
    return 1
  end))
  t.is(client:call("again"), 1)
  assert(server:register("again", function()
    return 2
  end))
  t.is(client:call("again"), 2)
  assert(server:unregister("again"))
  local result, err = client:call("again")
  t.is(result, nil)
  t.ok(err.retryable, tostring(err))
  local ok, problem = server:unregister("again")
  t.is(ok, nil)
  t.ok(clouds.is_error(problem))
  ok, problem = server:register(("x"):rep(1000), print)
  t.is(ok, nil)
  t.ok(clouds.is_error(problem))
end)

t.test("a particular server", function()
  local other = clouds.server({ url = t.url })
  assert(server:register("who", function()
    return server.id
  end))
  assert(other:register("who", function()
    return other.id
  end))
  for _ = 1, 4 do
    t.is(client:call("who", {}, { server = other.id }), other.id)
    t.is(client:call("who", {}, { server = server.id }), server.id)
  end
  local seen = {}
  for _ = 1, 10 do
    seen[client:call("who")] = true
  end
  t.ok(seen[server.id] and seen[other.id], "the calls are shared out")
  assert(other:close(1))
  t.is(client:call("who"), server.id)
end)

t.test("a call on what is closed", function()
  local gone = clouds.client({ url = t.url })
  local bound = gone:bind("echo")
  assert(gone:ready())
  assert(gone:close(0))
  local result, err = bound(1)
  t.is({ result, err.code }, { nil, "CLOUDS_CLOSED" })
  result, err = gone:call("echo", { 1 })
  t.is({ result, err.code }, { nil, "CLOUDS_CLOSED" })
  t.is(gone:close(), true)
end)

t.test("meta goes along, and on", function()
  local serving, calling = clouds.server({ url = t.url }), clouds.client({ url = t.url, timeout = 20 })
  assert(serving:register("meta.last", function()
    return clouds.request().meta
  end))
  assert(serving:register("meta.first", function()
    return clouds.request().meta, (serving:call("meta.last", {}, { meta = { own = true } }))
  end))
  local first, last = calling:call("meta.first", {}, { meta = { a = { 1 }, ["-b"] = 2 } })
  t.is(first, { a = { 1 }, ["-b"] = 2 })
  t.is(last, { a = { 1 }, own = true })
  t.is(calling:call("meta.last", {}), {})
  t.ok(not pcall(calling.call, calling, "meta.last", {}, { meta = 5 }))
  serving:close(0)
  calling:close(0)
end)

t.test("notify", function()
  local serving, calling = clouds.server({ url = t.url }), clouds.client({ url = t.url, timeout = 20 })
  local got
  assert(serving:register("notified", function(...)
    got = { ... }
    return "for nobody"
  end))
  t.is({ calling:notify("notified", { 1, 2 }) }, { true })
  t.eventually(function()
    return got
  end)
  t.is(got, { 1, 2 })
  local ok, err = calling:notify("notified.nobody", {})
  t.is({ ok, err.code, err.outcome }, { nil, "CLOUDS_NO_AVAILABLE_SERVER", "NOT_DONE" })
  serving:close(0)
  calling:close(0)
end)

t.done()
