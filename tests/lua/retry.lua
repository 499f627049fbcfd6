-- Retries: by count, and with a hook before each attempt.
local t = require("tap")
local clouds = require("clouds")

-- Where an attempt has to fail by its timeout, that is short enough to be waited for and long enough to be sent in.
local SHORT = 1

local client = clouds.client({ url = t.url, timeout = 10 })
assert(client:ready())

-- A service whose first `failures` calls are never answered.
local function serve(name, failures)
  local server = clouds.server({ url = t.url })
  local state = { runs = 0, args = {}, kept = {}, server = server }
  assert(server:register(name, function(...)
    state.runs = state.runs + 1
    state.args[state.runs] = { ... }
    if state.runs <= failures then
      state.kept[state.runs] = clouds.request():detach()
    end
    return state.runs
  end))
  return state
end

t.test("retries by count", function()
  local hasty = clouds.client({ url = t.url, timeout = SHORT })
  local ways = {
    r1 = function()
      return hasty:bind("r1", 5)()
    end,
    r2 = function()
      return hasty:bind("r2", { retry = 5 })()
    end,
    r3 = function()
      return hasty:call("r3", {}, { retry = 5 })
    end,
  }
  local states, tasks = {}, {}
  for name, way in pairs(ways) do
    states[name] = serve(name, 2)
    tasks[name] = clouds.spawn(way)
  end
  for name, state in pairs(states) do
    t.is({ tasks[name]:wait() }, { 3 }, name)
    t.is(state.runs, 3, name)
    state.server:close(0)
  end
  hasty:close(0)
end)

t.test("without retries the first timeout is the end", function()
  local state = serve("r4", 1)
  local result, err = client:bind("r4", { timeout = SHORT })()
  t.is({ result, err.code }, { nil, "CLOUDS_CALL_SERVICE_TIMEOUT" })
  t.is(state.runs, 1)
  state.server:close(0)
end)

t.test("the hook runs before every attempt, with the original arguments", function()
  local state, seen = serve("h1", 2), {}
  local bound = client:bind("h1", {
    retry = 3,
    timeout = SHORT,
    on_retry = function(args, go)
      seen[#seen + 1] = { args.n, unpack(args, 1, args.n) }
      go("attempt " .. #seen, args[1])
    end,
  })
  t.is(bound("a", nil), 3)
  t.is(seen, { { 2, "a" }, { 2, "a" }, { 2, "a" } })
  t.is(state.args, { { "attempt 1", "a" }, { "attempt 2", "a" }, { "attempt 3", "a" } })
  state.server:close(0)
end)

t.test("the hook may go on later, and only its first word counts", function()
  local state = serve("h2", 0)
  local bound = client:bind("h2", {
    on_retry = function(_, go)
      clouds.spawn(function()
        clouds.sleep(0.02)
        go(1)
        go(2)
      end)
    end,
  })
  t.is(bound(), 1)
  t.is(state.args, { { 1 } })
  state.server:close(0)
end)

t.test("a hook that waits", function()
  local state = serve("h3", 0)
  local bound = client:bind("h3", {
    on_retry = function(_, go)
      clouds.sleep(0.01)
      go("slept")
    end,
  })
  t.is(bound(), 1)
  t.is(state.args, { { "slept" } })
  state.server:close(0)
end)

t.test("a hook that raises fails the call, one that never goes on ends at the deadline", function()
  local state = serve("h4", 0)
  t.raises(client:bind("h4", {
    on_retry = function()
      error("the hook")
    end,
  }), "the hook")
  local result, err = client:bind("h4", { deadline = 0.05, on_retry = function() end })()
  t.is({ result, err.code, err.outcome }, { nil, "CLOUDS_EXPIRED", "NOT_DONE" })
  t.is(state.runs, 0)
  state.server:close(0)
end)

t.test("with a hook: nobody there is asked for again after the timeout", function()
  local attempts, started = 0, clouds.now()
  local result, err = client:bind("h5", {
    retry = 2,
    timeout = 1.5,
    on_retry = function(_, go)
      attempts = attempts + 1
      go()
    end,
  })()
  t.is({ result, err.outcome, attempts }, { nil, "NOT_DONE", 3 })
  t.ok(clouds.now() - started >= 2.995, "it waited between the attempts")
end)

t.test("with a hook: the service's own error is not tried again", function()
  local server, runs = clouds.server({ url = t.url }), 0
  assert(server:register("h6", function()
    runs = runs + 1
    error({ message = "no" })
  end))
  local result, err = client:bind("h6", { retry = 3, on_retry = function(_, go) go() end })()
  t.is({ result, err.message, runs }, { nil, "no", 1 })
  server:close(0)
end)

t.test("with a hook: the callback form", function()
  local state, got = serve("h7", 1), nil
  local bound = client:bind("h7", {
    retry = 1,
    timeout = SHORT,
    on_retry = function(args, go)
      go(unpack(args, 1, args.n))
    end,
  })
  bound("x", function(...)
    got = { n = select("#", ...), ... }
  end)
  t.eventually(function()
    return got
  end)
  t.is(got, { n = 2, nil, 2 })
  t.is(state.args[2], { "x" })
  client:bind("h8", { on_retry = function(_, go) go() end })(function(err)
    got = err
  end)
  t.eventually(function()
    return clouds.is_error(got)
  end)
  t.is(got.outcome, "NOT_DONE")
  got = nil
  client:bind("h8", { on_retry = function() error("hook", 0) end })(function(err)
    got = err
  end)
  t.eventually(function()
    return got
  end)
  t.is({ got.code, got.message }, { "CLOUDS_CANCELED", "on_retry failed: hook" })
  state.server:close(0)
end)

-- The pause of these would be longer than what a test waits for anything.
local LONG = 600

local function counting()
  local asked = { count = 0 }
  function asked.hook(args, go)
    asked.count = asked.count + 1
    go(unpack(args, 1, args.n))
  end
  return asked
end

t.test("with a hook: a pause ends when a server comes up", function()
  local asked = counting()
  local bound = client:bind("h9", { retry = 3, timeout = LONG, on_retry = asked.hook })
  local before = client:counters().retries
  local task = clouds.spawn(bound, "late")
  t.eventually(function()
    return client:counters().retries > before
  end, "an attempt that found nobody")
  local state = serve("h9", 0)
  t.is({ task:wait() }, { 1 })
  t.is(state.args, { { "late" } })
  t.ok(asked.count >= 2)
  state.server:close(0)
end)

t.test("with a hook: closing the node ends a pause, and a question", function()
  local own, asked = clouds.client({ url = t.url }), counting()
  assert(own:ready())
  local paused = clouds.spawn(own:bind("h10", { retry = 3, timeout = LONG, on_retry = asked.hook }))
  local open = clouds.spawn(own:bind("h10", { timeout = LONG, on_retry = function() asked.open = true end }))
  t.eventually(function()
    return own:counters().retries > 0 and asked.open
  end)
  own:close(0)
  for _, task in ipairs({ paused, open }) do
    local result, err = task:wait()
    t.is(result, nil)
    t.ok(err.code == "CLOUDS_CLOSED" or err.code == "CLOUDS_CANCELED", tostring(err))
    t.is(err.outcome, "NOT_DONE")
  end
end)

-- Over Redis nothing tells that a server is gone but the time.
if not t.url:find("^redis") then
  t.test("with a hook: a lost server is followed by another attempt", function()
    local asked, first = counting(), serve("h11", 1)
    local task = clouds.spawn(client:bind("h11", { retry = 1, timeout = LONG, on_retry = asked.hook }), "again")
    t.eventually(function()
      return first.kept[1]
    end)
    local second = serve("h11", 0)
    first.server:close(0)
    t.is({ task:wait() }, { 1 })
    t.is({ second.args, asked.count }, { { { "again" } }, 2 })
    second.server:close(0)
  end)
end

t.test("with a hook: what it goes on with may be wrong", function()
  local state = serve("h12", 0)
  local result, err = client:bind("h12", { on_retry = function(_, go) go("\255") end })()
  t.is({ result, err.code }, { nil, "CLOUDS_INVALID_JSON" })
  t.raises(client:bind("h12", { on_retry = function(_, go) go(print) end }), "bad arguments: cannot encode a function")
  t.is(state.runs, 0)
  state.server:close(0)
end)

t.test("a server that comes late is found", function()
  local result
  local task = clouds.spawn(function()
    result = { client:call("r9", {}, { retry = 60, timeout = SHORT }) }
  end)
  local before = client:counters().retries
  t.eventually(function()
    return client:counters().retries > before
  end, "an attempt that found nobody")
  local state = serve("r9", 0)
  task:wait()
  t.is(result, { 1 })
  state.server:close(0)
end)

t.done()
