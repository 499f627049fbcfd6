-- What a handler may do: wait, call on, answer later, fail; and what becomes of one that does not answer.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url })
local client = clouds.client({ url = t.url, timeout = 60 })
local inner = clouds.client({ url = t.url, timeout = 60 })

local function echo(...)
  return ...
end

assert(server:register("echo", echo))
local kept = {} -- a request that is collected is answered
assert(server:register("never", function()
  kept[#kept + 1] = clouds.request():detach()
end))

t.test("a handler sees its request", function()
  assert(server:register("request", function()
    local req = clouds.request()
    local left = req.time_left()
    clouds.sleep(0.02)
    return req.caller, req.method, left, req:time_left(), clouds.request().caller
  end))
  local caller, method, left, later, again = client:call("request", {}, { timeout = 20 })
  t.is({ caller, method, again }, { client.id, "request", client.id })
  t.ok(left > 10 and left <= 20, "time left: " .. tostring(left))
  t.ok(later <= left - 0.015, "the time left passes")
  t.is(clouds.request(), nil)
end)

-- Calls a method, waits until it runs, and gives up.
local function give_up(method, is_running)
  local caller = clouds.client({ url = t.url, timeout = 60 })
  local call = clouds.spawn(function()
    return caller:call(method, {})
  end)
  t.eventually(is_running)
  caller:close(0)
  local _, err = call:wait()
  t.is(err.code, "CLOUDS_CANCELED")
end

t.test("a handler hears that its caller has given up", function()
  local elsewhere = clouds.client({ url = t.url, timeout = 60, reconnect_max = 4 })
  local waits = {
    sleep = function()
      return clouds.sleep(60)
    end,
    call = function()
      return inner:call("never", {})
    end,
    elsewhere = function()
      return elsewhere:call("never", {})
    end,
    task = function()
      return clouds
        .spawn(function()
          return clouds.sleep(60)
        end)
        :wait()
    end,
  }
  for name, wait in pairs(waits) do
    local seen, started
    assert(server:register("cancel." .. name, function()
      local request, called = clouds.request(), 0
      t.is(request.canceled(), false)
      request.on_cancel(function()
        called = called + 1
      end)
      started = true
      local value, err = wait()
      request:on_cancel(function()
        called = called + 1
      end)
      seen = { value, err and err.code, request:canceled(), called }
    end))
    give_up("cancel." .. name, function()
      return started
    end)
    t.eventually(function()
      return seen
    end)
    t.is(seen, { nil, "CLOUDS_CANCELED", true, 2 }, name)
  end
  elsewhere:close(0)
end)

t.test("who calls on after that calls nobody", function()
  local seen, started
  assert(server:register("cancel.on", function()
    started = true
    clouds.sleep(60)
    local ok, slept = clouds.sleep(0.001), true
    local _, err = inner:call("echo", { 1 })
    seen = { ok, slept, err and err.code }
  end))
  give_up("cancel.on", function()
    return started
  end)
  t.eventually(function()
    return seen
  end)
  t.is(seen, { nil, true, "CLOUDS_CANCELED" })
end)

t.test("a server may leave its handlers alone", function()
  local alone = clouds.server({ url = t.url, cancel_events = false })
  local seen, started
  assert(alone:register("cancel.alone", function()
    started = true
    local _, err = clouds.sleep(0.3)
    seen = { err or "slept", clouds.request() and clouds.request().canceled() or false }
  end))
  give_up("cancel.alone", function()
    return started
  end)
  t.eventually(function()
    return seen
  end)
  t.is(seen, { "slept", false })
  alone:close(0)
end)

t.test("what a handler calls has the time that its caller left", function()
  local elsewhere = clouds.client({ url = t.url, timeout = 60, reconnect_max = 3 })
  t.ok(elsewhere.context ~= server.context)
  local took, problems = {}, {}
  local function waits(name, through)
    local started = clouds.now()
    local _, err = through:call("never", {})
    took[name], problems[name] = clouds.now() - started, err
  end
  local outer = {
    itself = function()
      waits("itself", inner)
    end,
    ["a coroutine"] = function()
      clouds.wait_all({ function()
        waits("a coroutine", inner)
      end })
    end,
    elsewhere = function()
      waits("elsewhere", elsewhere)
    end,
  }
  for name, fn in pairs(outer) do
    assert(server:register(name, fn))
    client:call(name, {}, { timeout = 2 }, function() end)
  end
  for name in pairs(outer) do
    t.eventually(function()
      return took[name]
    end, name)
    t.ok(took[name] < 10, name .. " waited for " .. tostring(took[name])) -- not the 60 s of its own
    t.has(problems[name].code, "CLOUDS_", name)
    t.ok(problems[name].outcome ~= "APP_ERROR", name)
  end
  elsewhere:close(0)
end)

t.test("an answer later, by reply", function()
  local parked
  assert(server:register("later", function(...)
    parked = { clouds.request():detach(), ... }
    return "not this"
  end))
  local got
  client:call("later", { 1, 2 }, function(...)
    got = { ... }
  end)
  t.eventually(function()
    return parked
  end)
  t.is(got, nil)
  t.ok(parked[1]:open())
  t.is(parked[1]:reply("a", nil, parked[3]), true)
  t.eventually(function()
    return got
  end)
  t.is(got, { nil, "a", nil, 2 })
  t.ok(not parked[1]:open())
  local ok, err = parked[1]:reply("twice")
  t.is({ ok, err.code }, { nil, "CLOUDS_STALE_ID" })
  t.is({ parked[1].caller, parked[1].method }, { client.id, "later" })
end)

t.test("an answer later, by returning clouds.pending", function()
  local reply
  assert(server:register("later", function()
    reply = clouds.request().reply
    return clouds.pending
  end))
  local got
  client:call("later", {}, function(...)
    got = { ... }
  end)
  t.eventually(function()
    return reply
  end)
  reply({ x = 1 })
  t.eventually(function()
    return got
  end)
  t.is(got, { nil, { x = 1 } })
end)

t.test("fail, now and later, with values", function()
  assert(server:register("fails", function(kind)
    local req = clouds.request()
    if kind == "later" then
      req:detach()
      clouds.spawn(function()
        clouds.sleep(0.01)
        req:fail({ message = "later", code = "E_LATER" }, 1, "two")
      end)
      return
    end
    req.fail("now")
    return "too late"
  end))
  local result, err = client:call("fails", { "later" })
  t.is({ result, err.message, err.code, err.values[1], err.values[2] }, { nil, "later", "E_LATER", 1, "two" })
  result, err = client:call("fails", {})
  t.is({ result, err.message, err.values }, { nil, "now" })
end)

t.test("an early answer is the answer", function()
  local finished
  assert(server:register("early", function()
    clouds.request().reply("early")
    clouds.sleep(0.01)
    finished = true
    return "late"
  end))
  t.is(client:call("early"), "early")
  t.eventually(function()
    return finished
  end)
end)

t.test("an error may answer while it is put into words", function()
  for _, how in ipairs({ "raised", "failed" }) do
    assert(server:register(how, function()
      local request = clouds.request()
      local err = setmetatable({}, {
        __tostring = function()
          request.reply("in its words")
          return "words"
        end,
      })
      if how == "raised" then
        error(err)
      end
      request.fail(err)
    end))
    t.is(client:call(how), "in its words")
  end
  assert(server:register("slow echo", function(value)
    clouds.sleep(0.01)
    return value
  end))
  local got, calls = {}, {}
  for i = 1, 8 do
    calls[i] = function()
      got[i] = client:call("slow echo", { i }, { timeout = 20 })
    end
  end
  clouds.wait_all(calls)
  t.is(got, { 1, 2, 3, 4, 5, 6, 7, 8 })
end)

t.test("a handler in trouble does not harm the others", function()
  local reports = 0
  clouds.on_error = function()
    reports = reports + 1
  end
  assert(server:register("trouble", function()
    clouds.sleep(0.01)
    local nothing = nil
    return nothing.field
  end))
  assert(server:register("deep", function()
    local function again()
      return 1 + again()
    end
    return again()
  end))
  local tasks = {}
  for i = 1, 20 do
    tasks[#tasks + 1] = function()
      return client:call("echo", { i })
    end
    tasks[#tasks + 1] = function()
      return client:call(i % 2 == 0 and "trouble" or "deep")
    end
  end
  local results = clouds.wait_all(tasks)
  for i = 1, 20 do
    t.is(results[2 * i - 1][1], i)
    t.is(results[2 * i][1], nil)
    t.is(results[2 * i][2].outcome, "APP_ERROR")
  end
  t.is(reports, 20)
  clouds.on_error = nil
end)

t.test("an error in on_error is told, and that is all", function()
  clouds.on_error = function()
    error("again")
  end
  local stderr = io.stderr
  local _, err = client:call("trouble")
  t.has(err.message, "attempt to index")
  clouds.on_error = nil
  t.is(io.stderr, stderr)
end)

t.test("a handler that waits for what never comes is collected", function()
  local function forgets()
    clouds.request():detach()
  end
  local function yields()
    coroutine.running() -- without it a yield that nobody resumes is an error
    coroutine.yield()
  end
  assert(server:register("forgets", forgets))
  assert(server:register("yields", yields))
  local answers = {}
  for i, name in ipairs({ "forgets", "yields" }) do
    client:call(name, {}, function(err)
      answers[i] = err
    end)
  end
  t.eventually(function()
    -- New work takes the places in the pool where the abandoned coroutine still is.
    client:call("echo", { 1 })
    collectgarbage()
    collectgarbage()
    return answers[1] and answers[2]
  end)
  t.has(answers[1].message, "forgotten")
  t.has(answers[2].message, "without an answer")
end)

t.test("a request that nobody can answer is answered at once", function()
  assert(server:register("dropped", function()
    clouds.request():detach()
    collectgarbage()
    collectgarbage()
  end))
  assert(server:register("pending", function()
    return clouds.pending
  end))
  for _, name in ipairs({ "dropped", "pending" }) do
    local result, err = client:call(name, {}, { timeout = 10 })
    t.is(result, nil)
    t.has(err.message, "forgotten")
  end
end)

t.test("a request that nobody answers is closed at its deadline", function()
  local left_open
  assert(server:register("left_open for ever", function()
    left_open = clouds.request():detach()
  end))
  local _, err = client:call("left_open for ever", {}, { deadline = 2 })
  t.is(err.outcome, "UNKNOWN")
  t.ok(left_open, "the handler ran")
  t.eventually(function()
    return not left_open:open() and not left_open.open()
  end)
  local ok, problem = left_open:reply("late")
  t.is({ ok, problem.code }, { nil, "CLOUDS_STALE_ID" })
end)

-- A Redis that is stopped reads nothing.
local socket = t.url:match("^redis%+unix://(.*)$")
if socket then
  t.test("an answer that finds no room is sent when there is some", function()
    local pipe = io.popen(("redis-cli -s '%s' info server"):format(socket))
    local pid = assert(pipe:read("*a"):match("process_id:(%d+)"))
    pipe:close()
    local own = clouds.server({ url = t.url, write_soft = 65536, write_hard = 65536 })
    local waiting, left, full, open, refused, late = 0, 0, false, false, nil, nil
    assert(own:register("large", function(kind)
      waiting = waiting + 1
      t.eventually(function()
        return open
      end)
      if kind == "returned" then
        return ("x"):rep(20000)
      end
      if kind == "filler" then -- takes as much of what room there still is as it can, until there is none
        t.eventually(function()
          return refused
        end)
        local request, size = clouds.request():detach(), 32768
        while not request.reply(("x"):rep(size)) and size > 0 do
          size = math.floor(size / 2)
        end
        full = full or size == 0
        return t.eventually(function()
          return size > 0 or request.reply("") or not request.open()
        end)
      end
      if kind == "forgotten" or kind == "failed" then -- not even a short answer finds room
        t.eventually(function()
          return full
        end)
        left = left + 1
        if kind == "failed" then
          error({ code = "E_LATE" })
        end
        clouds.request():detach()
        return
      end
      -- The last to answer: there is no room, and the request stays open.
      local request = clouds.request():detach()
      t.eventually(function()
        local ok, err = request.reply(("x"):rep(60000))
        if not ok then
          refused = refused or err.code
          late = late or request.open()
        end
        return ok
      end)
    end))
    local calls = {}
    for i = 1, 60 do
      calls[i] = clouds.spawn(client.call, client, "large", { i < 60 and "returned" or "replied" })
    end
    local others = { clouds.spawn(client.call, client, "large", { "forgotten" }, { timeout = 300 }) }
    others[2] = clouds.spawn(client.call, client, "large", { "failed" }, { timeout = 300 })
    for _ = 1, 30 do
      clouds.spawn(client.call, client, "large", { "filler" })
    end
    t.eventually(function()
      return waiting == 92
    end)
    os.execute("kill -STOP " .. pid)
    open = true
    t.eventually(function()
      collectgarbage()
      return refused and left == 2
    end)
    clouds.sleep(0.05)
    collectgarbage()
    os.execute("kill -CONT " .. pid)
    for i, call in ipairs(calls) do
      local text, err = call:wait()
      t.is(text and #text, i < 60 and 20000 or 60000, tostring(err))
    end
    t.is({ refused, late }, { "CLOUDS_LIMIT_REACHED", true })
    local _, err = others[1]:wait()
    t.is(err.message, "the request was forgotten")
    _, err = others[2]:wait()
    t.is(err.code, "E_LATE")
    own:close(0)
  end)
end

t.test("a reply that cannot be sent is told to both sides", function()
  local kinds = { text = "\255", type = print, size = ("x"):rep(5000000) }
  local told
  assert(server:register("unsendable reply", function(kind)
    told = { clouds.request().reply(kinds[kind]) }
    told[3] = clouds.request() ~= nil
  end))
  for kind, code in pairs({ text = "CLOUDS_INVALID_JSON", type = "CLOUDS_INVALID_JSON", size = "CLOUDS_TOO_BIG" }) do
    local result, err = client:call("unsendable reply", { kind })
    t.ok(result == nil and clouds.is_error(err), kind)
    t.is({ told[1], told[2].code, told[3] }, { nil, code, false }, kind)
  end
end)

t.test("a coroutine of the handler may ask for the request again and again", function()
  local function collect()
    collectgarbage()
    collectgarbage()
  end
  assert(server:register("again", function()
    clouds.spawn(function()
      for _ = 1, 3 do
        t.is(clouds.request().method, "again")
        clouds.sleep(0.005)
        collect()
      end
      clouds.request().reply("spawned")
    end)
    return clouds.pending
  end))
  assert(server:register("own coroutine", function()
    coroutine.wrap(function()
      clouds.sleep(0.005)
      collect()
      clouds.request().reply("wrapped")
    end)()
    return clouds.pending
  end))
  assert(server:register("callback", function()
    inner:call("echo", { "called back" }, function(_, value)
      collect()
      clouds.request().reply(value)
    end)
    return clouds.pending
  end))
  t.is(client:call("again"), "spawned")
  t.is(client:call("own coroutine"), "wrapped")
  t.is(client:call("callback"), "called back")
end)

t.test("a coroutine that others resume answers all the same", function()
  local parked
  assert(server:register("parked", function()
    parked = coroutine.running()
    local got = coroutine.yield()
    return got, (inner:call("echo", { "inner" }))
  end))
  local got
  client:call("parked", {}, function(...)
    got = { ... }
  end)
  t.eventually(function()
    return parked
  end)
  assert(coroutine.resume(parked, "outside"))
  t.eventually(function()
    return got
  end)
  t.is(got, { nil, "outside", "inner" })
end)

t.test("services call each other, several deep", function()
  for i = 1, 8 do
    local nextone = inner:bind("hop" .. i + 1)
    assert(server:register("hop" .. i, function(n)
      return (nextone(n + 1))
    end))
  end
  assert(server:register("hop9", function(n)
    return n + 1
  end))
  t.is(client:call("hop1", { 0 }), 9)
end)

t.test("a service that calls itself many times over", function()
  assert(server:register("down", function(n)
    return n == 0 and 0 or inner:call("down", { n - 1 }) + 1
  end))
  t.is(client:call("down", { 60 }), 60)
end)

t.test("closing answers what was accepted", function()
  local short, accepted, got = clouds.server({ url = t.url }), nil, nil
  assert(short:register("slow", function()
    accepted = true
    clouds.sleep(0.2)
    return "done"
  end))
  client:call("slow", {}, function(...)
    got = { ... }
  end)
  t.eventually(function()
    return accepted
  end)
  assert(short:close(30))
  t.eventually(function()
    return got
  end)
  t.is(got, { nil, "done" })
end)

t.test("the handler that counts is the last that was registered", function()
  local other, names = clouds.server({ url = t.url }), {}
  for i = 1, 20 do
    names[i] = i % 4 == 0 and ("long."):rep(12) .. i or "counts." .. i
  end
  local function offer(word)
    for _, name in ipairs(names) do
      assert(server:register(name, function()
        return word, name, "one"
      end))
      assert(other:register(name, function()
        return word, name, "other"
      end))
    end
  end
  for _, word in ipairs({ "first", "second" }) do
    offer(word)
    for round = 1, 2 do
      for _, name in ipairs(names) do
        t.is({ client:call(name, {}, { server = server.id }) }, { word, name, "one" }, "round " .. round)
        t.is({ client:call(name, {}, { server = other.id }) }, { word, name, "other" }, "round " .. round)
      end
    end
  end
  local handler = setmetatable({}, { __mode = "v" })
  handler[1] = function()
    return "last"
  end
  assert(server:register(names[1], handler[1]))
  t.is(client:call(names[1], {}, { server = server.id }), "last")
  for _, name in ipairs(names) do
    assert(server:unregister(name))
    t.is({ client:call(name, {}) }, { "second", name, "other" })
  end
  collectgarbage()
  collectgarbage()
  t.is(handler[1], nil)
  other:close(0)
end)

t.test("what was accepted before a method is unregistered is served by the handler that was there", function()
  local served, answered, refused, tasks = 0, 0, {}, {}
  assert(server:register("leaves", function(i)
    served = served + 1
    if served == 1 then
      clouds.spawn(function()
        server:unregister("leaves")
      end)
    end
    return i
  end))
  for i = 1, 50 do
    tasks[i] = function()
      local value, err = client:call("leaves", { i }, { server = server.id })
      answered = answered + (value == i and 1 or 0)
      if err then
        refused[err.outcome] = true
      end
    end
  end
  clouds.wait_all(tasks)
  t.ok(answered >= 1 and answered == served, answered .. " of " .. served)
  refused.NOT_DONE = nil
  t.is(refused, {})
end)

t.test("registered anew while it is unregistered, with the same handler", function()
  local function handler()
    return "stays"
  end
  assert(server:register("anew", handler))
  local task = clouds.spawn(function()
    return server:unregister("anew")
  end)
  assert(server:register("anew", handler))
  task:wait()
  t.is(client:call("anew", {}, { server = server.id, timeout = 20 }), "stays")
  assert(server:unregister("anew"))
end)

t.test("one that is late is not begun, and its key is free again", function()
  local begun = 0
  assert(server:register("busy", function()
    local till = clouds.now() + 0.4
    repeat until clouds.now() > till
  end))
  assert(server:register("order", function()
    begun = begun + 1
    return "done"
  end))
  client:call("busy", {})
  client:call("order", {}) -- so that it is known where both go
  begun = 0
  local before = server:counters().expired_requests
  local err
  clouds.wait_all({
    function()
      client:call("busy", {}, { timeout = 20 })
    end,
    function()
      err = select(2, client:call("order", {}, { deadline = 0.2, once = "o7" }))
    end,
  })
  t.ok(err, "it was late")
  t.is({ begun, server:counters().expired_requests - before }, { 0, 1 })
  t.is({ client:call("order", {}, { once = "o7", timeout = 20 }), begun }, { "done", 1 })
end)

t.test("one that is late is begun for who repeats it, and has more time", function()
  local begun, got, err = 0, nil, nil
  assert(server:register("order", function()
    begun = begun + 1
    return "done"
  end))
  clouds.wait_all({
    function()
      client:call("busy", {}, { timeout = 20 })
    end,
    function()
      client:call("order", {}, { deadline = 0.2, once = "o8" })
    end,
    function()
      got, err = client:call("order", {}, { deadline = 20, timeout = 20, once = "o8" })
    end,
  })
  t.is({ begun, got, err }, { 1, "done" })
end)

-- `unregister` is called while one request of the method runs and three wait. What came of these.
local function of_what_waits(name, unregister)
  local is_open, tasks, got = true, {}, {}
  assert(server:register(name, function(i)
    while not is_open do
      clouds.sleep(0.01)
    end
    return i
  end, { concurrency = 1, queue = 10, queue_age = 20 }))
  client:call(name, { 0 })
  is_open = false
  for i = 1, 4 do
    tasks[i] = clouds.spawn(function()
      return client:call(name, { i }, { timeout = 20 })
    end)
  end
  t.eventually(function()
    local own = server:status().own[server.id].methods[name]
    return own.running == 1 and own.waiting == 3
  end)
  unregister()
  clouds.sleep(0.02)
  is_open = true
  for i = 1, 4 do
    got[i] = tasks[i]:wait()
  end
  return got
end

t.test("what waits for its turn is served when its method is unregistered", function()
  local task
  local got = of_what_waits("slow", function()
    task = clouds.spawn(server.unregister, server, "slow")
  end)
  t.is(got, { 1, 2, 3, 4 })
  t.is(task:wait(), true)
end)

t.test("a method that is unregistered twice at once is served until that is done", function()
  local first, second
  local got = of_what_waits("twice", function()
    first = clouds.spawn(server.unregister, server, "twice")
    second = clouds.spawn(server.unregister, server, "twice")
  end)
  t.is(got, { 1, 2, 3, 4 })
  t.is(first:wait(), true)
  t.is(select(2, second:wait()).code, "CLOUDS_INVALID_ARGUMENT")
end)

t.test("behind its deadline the handler of one with an idempotency key still calls others", function()
  assert(server:register("put", function()
    clouds.sleep(0.05)
    return "put"
  end))
  assert(server:register("pay", function()
    clouds.sleep(0.4)
    return client:call("put", {}, { server = server.id })
  end))
  client:call("put", {})
  t.ok(select(2, client:call("pay", {}, { deadline = 0.2, once = "pay 1", server = server.id })), "it was late")
  t.is({ client:call("pay", {}, { once = "pay 1", timeout = 20, server = server.id }) }, { "put" })
end)

-- They run in the same coroutine, as long as none of them waits.
t.test("requests and results that come together have nothing of each other", function()
  local steps, results, reported, count = {}, {}, {}, 80
  local function step(...)
    steps[#steps + 1] = { ... }
  end
  assert(server:register("together", function(i)
    step("spawns", i)
    clouds.spawn(function()
      step("spawned", clouds.request():time_left())
    end)
    step("goes on", i)
    if i % 4 == 1 then
      error({ code = "E_TOGETHER", message = tostring(i) })
    elseif i % 4 == 2 then
      clouds.sleep(0.01)
    elseif i % 4 == 3 then
      coroutine.running()
    end
    return i, clouds.request():time_left()
  end))
  clouds.on_error = function(err)
    reported[#reported + 1] = err
  end
  for i = 1, count do
    client:call("together", { i }, { timeout = 1000 * i }, function(err, ...)
      local got, request = { err and err.message, ... }, clouds.request()
      if i % 5 == 0 then
        clouds.sleep(0.01)
      end
      results[i] = { got = got, request = request }
      if i % 7 == 0 then
        error(i, 0)
      end
    end)
  end
  t.eventually(function()
    return #results == count and #reported == math.floor(count / 7)
  end)
  clouds.on_error = nil
  for i, result in ipairs(results) do
    t.is(result.request, nil)
    if i % 4 == 1 then
      t.is(result.got[1], tostring(i))
    else
      t.is(result.got[2], i)
      t.ok(result.got[3] > 1000 * i - 500 and result.got[3] <= 1000 * i, "the time left of its own request")
    end
  end
  for at = 1, 3 * count, 3 do
    local i = steps[at][2]
    t.is({ steps[at][1], steps[at + 1][1], steps[at + 2] }, { "spawns", "spawned", { "goes on", i } })
    t.ok(math.abs(steps[at + 1][2] - 1000 * i) < 500, "what it spawned acts for the same request")
  end
  table.sort(reported)
  t.is({ reported[1], reported[#reported] }, { 7, 77 })
end)

t.done()
