-- Channels: publish, subscribe, watch.
local t = require("tap")
local clouds = require("clouds")

local function pair()
  local here, there = clouds.base({ url = t.url }), clouds.base({ url = t.url })
  assert(here:ready())
  assert(there:ready())
  return here, there
end

local function close(...)
  for _, node in ipairs({ ... }) do
    assert(node:close())
  end
end

-- Over Redis who publishes knows patterns and groups a moment later.
local function until_known(node, topic, seen)
  t.eventually(function()
    node:publish(topic, "known?")
    clouds.sleep(0.02)
    return seen()
  end)
end

t.test("a value reaches who subscribed", function()
  local here, there = pair()
  local got = {}
  local sub = assert(here:subscribe("chat.room", function(value, message)
    got[#got + 1] = { value, message.topic, message.from, message.missed, message.lagged, message.sequence }
  end))
  t.is(tostring(sub), "clouds.subscription: chat.room")
  t.is({ there:publish("chat.room", { text = "hello" }) }, { true })
  t.is({ there:publish("chat.other", 1) }, { true })
  t.is({ there:publish("chat.room", clouds.null) }, { true })
  t.eventually(function()
    return got[2]
  end)
  t.is(got[1], { { text = "hello" }, "chat.room", there.id, 0, false, 1 })
  t.is(got[2], { clouds.null, "chat.room", there.id, 0, false, 2 })
  t.is(sub:close(), true)
  t.is(sub:close(), true)
  t.eventually(function() -- Redis hears of it a moment later
    return there:publish("chat.room", 3, { confirm = true }) == 0
  end)
  t.is(#got, 2)
  close(here, there)
end)

t.test("patterns, any of several, and meta", function()
  local here, there = pair()
  local got, seen = {}, false
  local sub = assert(here:subscribe({ "a.*", "b.>" }, function(value, message)
    if value == "known?" then
      seen = true
    else
      got[#got + 1] = { value, message.topic, message.meta }
    end
  end))
  until_known(there, "a.x", function()
    return seen
  end)
  assert(there:publish("a.y", 1, { meta = { trace = "t" } }))
  assert(there:publish("a", 2))
  assert(there:publish("b.y.z", 3))
  t.eventually(function()
    return got[2]
  end)
  t.is(got, { { 1, "a.y", { trace = "t" } }, { 3, "b.y.z" } })
  sub:close()
  close(here, there)
end)

t.test("all of several", function()
  local here, there = pair()
  local got = {}
  assert(here:subscribe({ "x", "y" }, function(values)
    got[#got + 1] = values
  end, { all = true }))
  for i = 1, 3 do
    assert(there:publish("x", i))
  end
  assert(there:publish("y", "a"))
  assert(there:publish("y", "b"))
  t.eventually(function()
    return got[2]
  end)
  t.is({ { got[1][1], got[1][2] }, { got[2][1], got[2][2] } }, { { 1, "a" }, { 2, "b" } })
  close(here, there)
end)

t.test("one of a group", function()
  local here, there = pair()
  local got, known = { 0, 0 }, { 0, 0 }
  for i, node in ipairs({ here, there }) do
    assert(node:subscribe("job", function(value)
      local counts = value == "known?" and known or got
      counts[i] = counts[i] + 1
    end, { group = "workers" }))
  end
  until_known(there, "job", function()
    return known[1] > 0 and known[2] > 0
  end)
  for i = 1, 10 do
    assert(there:publish("job", i))
  end
  t.eventually(function()
    return got[1] + got[2] == 10
  end)
  t.is(got, { 5, 5 })
  close(here, there)
end)

t.test("watch", function()
  local here, there = pair()
  local watch = assert(here:watch("w", { queue = 3 }))
  clouds.spawn(function()
    for i = 1, 3 do
      assert(there:publish("w", i))
    end
  end)
  local got = {}
  for value, message in watch do
    got[#got + 1] = { value, message.topic }
    if #got == 3 then
      break
    end
  end
  t.is(got, { { 1, "w" }, { 2, "w" }, { 3, "w" } })
  for i = 1, 5 do
    assert(there:publish("w", i))
  end
  t.eventually(function()
    return here:counters().delivered >= 8
  end)
  clouds.sleep(0.01)
  local value, message = watch()
  t.is({ value, message.missed, message.lagged }, { 3, 2, true })
  clouds.spawn(function()
    clouds.sleep(0.02)
    watch:close()
  end)
  local left = 0
  for _ in watch do
    left = left + 1
  end
  t.is(left, 2)
  close(here, there)
end)

t.test("what is not handled in time is told", function()
  local here, there = pair()
  local got, gate = {}, {}
  assert(here:subscribe("slow", function(value, message)
    while not gate[1] do
      clouds.sleep(0.01)
    end
    got[#got + 1] = { value, message.missed, message.lagged }
  end, { queue = 2 }))
  local before = here:counters().delivered
  for i = 1, 5 do
    assert(there:publish("slow", i))
  end
  t.eventually(function()
    return here:counters().delivered - before >= 5
  end)
  clouds.sleep(0.01)
  gate[1] = true
  t.eventually(function()
    return got[2]
  end)
  assert(there:publish("slow", 6))
  t.eventually(function()
    return got[3]
  end)
  t.is(got[3][1], 6)
  t.is(got[1][2] + got[2][2] + got[3][2], 3)
  t.is(got[1][3] or got[2][3] or got[3][3], true)
  close(here, there)
end)

-- So many functions are at work, so many messages wait; then the oldest of these is dropped, or with keep_oldest
-- what comes.
t.test("what waits for functions that are slow is the newest, or the oldest", function()
  for _, case in ipairs({
    { { queue = 2 }, { { 1, 0 }, { 2, 0 }, { 5, 2 }, { 6, 0 }, { 7, 0 } } },
    { { queue = 2, keep_oldest = true }, { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 7, 2 } } },
    { { queue_bytes = 2500, queue = 2 }, { { 1, 0 }, { 2, 0 }, { 5, 2 }, { 6, 0 }, { 7, 0 } } },
  }) do
    local here, there = pair()
    local got, open = {}, false
    local subscription = assert(here:subscribe("slow", function(value, message)
      while not open do
        clouds.sleep(0.005)
      end
      got[#got + 1] = { value[1], message.missed }
      t.is(message.lagged, message.missed > 0)
    end, case[1]))
    local function publish(i)
      local before = here:counters().delivered
      assert(there:publish("slow", { i, ("x"):rep(1000) }))
      t.eventually(function()
        return here:counters().delivered > before
      end)
      clouds.sleep(0.005)
    end
    for i = 1, 6 do
      publish(i)
    end
    open = true
    t.eventually(function()
      return #got == 4
    end)
    publish(7)
    t.eventually(function()
      return #got == 5
    end)
    table.sort(got, function(a, b) -- several are at work at a time
      return a[1] < b[1]
    end)
    t.is(got, case[2])
    subscription:close()
    close(here, there)
  end
end)

t.test("what is larger than all that may wait is dropped, and told", function()
  local here, there = pair()
  local watch = assert(here:watch("large", { queue_bytes = 1000 }))
  for _, value in ipairs({ ("x"):rep(2000), "small" }) do
    assert(there:publish("large", value))
  end
  local value, message = watch()
  t.is({ value, message.missed, message.lagged }, { "small", 1, true })
  watch:close()
  close(here, there)
end)

t.test("an end of the node ends it", function()
  local here, there = pair()
  local watch = assert(here:watch("w"))
  clouds.spawn(function()
    clouds.sleep(0.02)
    here:close()
  end)
  t.is({ watch() }, {})
  t.is(watch:close(), true)
  local sub, err = here:subscribe("w", print)
  t.is({ sub, err.code }, { nil, "CLOUDS_CLOSED" })
  close(there)
end)

t.test("what is wrong is said", function()
  local node = clouds.base({ url = t.url })
  local function refused(topics, options, words)
    local sub, err = node:subscribe(topics, print, options)
    t.is({ sub, err.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
    t.has(err.message, words)
  end
  refused("a..b", nil, "has an empty token")
  refused({}, nil, "there is no topic")
  refused("a.*", { group = "g" }, "a group takes topics only")
  refused("a", { group = "" }, "the name of the group is empty")
  refused({ "a", "b.*" }, { all = true }, "all-of takes topics only")
  local ok, err = node:publish("a.*", 1)
  t.is(ok, nil)
  t.has(err.message, "only a subscription may have one")
  t.raises(function()
    node:subscribe("a", print, { grop = "g" })
  end, "grop")
  t.raises(function()
    node:watch("a", print)
  end, "expected a table of options")
  t.raises(function()
    node:subscribe("a")
  end, "expected a function")
  t.raises(function()
    node:subscribe({ 1 }, print)
  end, "topic number 1 is a number")
  t.raises(function()
    node:publish("a", function() end)
  end, "bad value")
  t.raises(function()
    node:subscribe("a", print, { queue = 0.5 })
  end, "queue is 0.5")
  close(node)
end)

t.test("a failing function is reported", function()
  local here, there = pair()
  local reported
  clouds.on_error = function(err)
    reported = tostring(err)
  end
  assert(here:subscribe("a", function()
    error("my fault")
  end))
  assert(there:publish("a", 1))
  t.eventually(function()
    return reported
  end)
  t.has(reported, "my fault")
  clouds.on_error = nil
  close(here, there)
end)

t.done()
