-- The limits of a method: one at a time, keys, rates, and what no option can be.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url })
local client = clouds.client({ url = t.url, timeout = 20 })

local function start_all(count, call)
  local tasks = {}
  for i = 1, count do
    tasks[i] = clouds.spawn(call, i)
  end
  for _, task in ipairs(tasks) do
    t.ok(task:wait())
  end
end

t.test("serial: one request at a time, in order", function()
  local running, most, order = 0, 0, {}
  assert(server:register("serial", function(i)
    running = running + 1
    most = math.max(most, running)
    clouds.sleep(0.001)
    order[#order + 1] = i
    running = running - 1
    return i
  end, { serial = true }))
  start_all(50, function(i)
    return client:call("serial", { i })
  end)
  t.is(most, 1)
  for i = 1, 50 do
    t.is(order[i], i)
  end
end)

t.test("key: those of a key in order, others beside them", function()
  local running, all, most, next_of = {}, 0, 0, {}
  assert(server:register("keyed", function(_, key, i)
    t.is(running[key], nil)
    running[key] = true
    all = all + 1
    most = math.max(most, all)
    t.eventually(function() -- none ends before one of each key has begun
      return most == 4
    end)
    t.is(i, next_of[key] or 1)
    next_of[key] = i + 1
    all = all - 1
    running[key] = nil
    return true
  end, { key = 2 }))
  start_all(40, function(i)
    return client:call("keyed", { "x", "k" .. i % 4, math.ceil(i / 4) })
  end)
  t.is(most, 4)
end)

t.test("rate: what is too much was not done", function()
  local ran = 0
  assert(server:register("rated", function()
    ran = ran + 1
    return ran
  end, { rate = 0.001, burst = 2 }))
  t.is(client:call("rated"), 1)
  t.is(client:call("rated"), 2)
  local value, err = client:call("rated")
  t.is({ value, err.code, err.outcome, err.reason }, { nil, "CLOUDS_OVERLOADED", "NOT_DONE", "rate" })
  t.ok(err.retry_after > 100, "retry_after: " .. tostring(err.retry_after))
  t.is(ran, 2)
  assert(server:register("rated", function()
    return "free"
  end))
  t.is(client:call("rated"), "free")
end)

t.test("no queue", function()
  local go
  assert(server:register("one", function()
    go = clouds.request():detach()
  end, { concurrency = 1, queue = 0 }))
  local first = clouds.spawn(function()
    return client:call("one")
  end)
  while not go do
    clouds.sleep(0.001)
  end
  local _, err = client:call("one")
  t.is({ err.code, err.reason }, { "CLOUDS_OVERLOADED", "concurrency" })
  go.reply(7)
  t.is(first:wait(), 7)
end)

local function own(method)
  for _, node in pairs(server:status().own) do
    if node.methods[method] then
      return node.methods[method]
    end
  end
end

t.test("a concurrency that is found", function()
  local running, most = 0, 0
  assert(server:register("found", function()
    running = running + 1
    most = math.max(most, running)
    clouds.sleep(0.01)
    running = running - 1
    return true
  end, { concurrency = "auto", queue_age = math.huge }))
  local first = own("found")
  t.is({ first.concurrency, first.adaptive, first.latency, first.queue }, { 4, true, nil, 1000 })
  local going, callers = true, {}
  for i = 1, 40 do
    callers[i] = clouds.spawn(function()
      while going do
        assert(client:call("found"))
      end
    end)
  end
  repeat -- a handler that only waits does as many as there are
    clouds.sleep(0.01)
  until most > 16
  local later = own("found")
  going = false
  for i = 1, 40 do
    callers[i]:wait()
  end
  t.ok(later.concurrency > 16 / 2 and later.adaptive, "concurrency: " .. later.concurrency)
  t.ok(later.latency >= 0.005 and later.unqueued >= 0.005, "latency: " .. later.latency)
  t.ok(server:counters().limit_changes >= 2)
end)

t.test("what no option can be", function()
  local function handler() end
  local wrong = {
    [{ seriall = true }] = "unknown option 'seriall'; did you mean 'serial'?",
    [{ [1] = true }] = "unknown option '1'; expected args, burst, caller_burst,",
    [{ serial = 1 }] = "option 'serial': expected true or false",
    [{ key = 0 }] = "option 'key': expected the number of an argument, from 1 on",
    [{ concurrency = 1.5 }] = "option 'concurrency': expected a whole number above 0, or 'auto'",
    [{ concurrency = "many" }] = "option 'concurrency': expected a whole number above 0, or 'auto'",
    [{ concurrency = -1 }] = "option 'concurrency': expected a whole number above 0, or 'auto'",
    [{ queue = -1 }] = "option 'queue': expected a whole number, 0 or more",
    [{ rate = 0 }] = "option 'rate': expected a number above 0",
    [{ burst = math.huge }] = "option 'burst': expected a number above 0",
    [{ queue_age = 0 }] = "option 'queue_age': expected a number of seconds above 0",
  }
  for options, words in pairs(wrong) do
    local ok, err = pcall(server.register, server, "m", handler, options)
    t.ok(not ok and tostring(err):find(words, 1, true), tostring(err))
  end
  local done, err = server:register("m", handler, { serial = true, concurrency = 2 })
  t.is({ done, err.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
  done, err = server:register("m", handler, { serial = true, concurrency = "auto" })
  t.is({ done, err.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
  t.ok(server:register("m", handler, { concurrency = 2, queue_age = math.huge, queue_target = 0.01, timeout = 5 }))
end)

t.test("paused: as if it were not there, and back", function()
  assert(server:register("paused", function()
    return "here"
  end))
  t.is(client:call("paused"), "here")
  t.is(server:pause("paused"), true)
  local value, err = client:call("paused")
  t.is({ value, err.code, err.outcome }, { nil, "CLOUDS_NO_AVAILABLE_SERVER", "NOT_DONE" })
  t.ok(err.message:find(": 1 server is paused", 1, true), err.message)
  local waits = clouds.spawn(function()
    return client:call("paused", {}, { retry = 5 })
  end)
  clouds.sleep(0.02)
  t.ok(not waits.done)
  t.is(server:resume("paused"), true)
  t.is(waits:wait(), "here")
  t.is(server:pause(), true)
  t.is(select(2, client:call("paused")).code, "CLOUDS_NO_AVAILABLE_SERVER")
  t.is(server:resume(), true)
  t.eventually(function()
    return client:call("paused") == "here"
  end)
  local done, unknown = server:pause("never")
  t.is({ done, unknown.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
  t.raises(function()
    server:pause(7)
  end, "expected the name of a method, or nil for all")
end)

t.done()
