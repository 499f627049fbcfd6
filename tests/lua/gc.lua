-- Under an aggressive garbage collector, and again and again: nothing is lost, and nothing left.
local t = require("tap")
local clouds = require("clouds")

local function descriptors()
  local count, pipe = 0, io.popen("ls /proc/$PPID/fd")
  for _ in pipe:lines() do
    count = count + 1
  end
  pipe:close()
  return count
end

local function settle()
  for _ = 1, 5 do
    collectgarbage()
    clouds.sleep(0.01)
  end
end

-- Calls fn in a finaliser, where the core next allocates in `run`.
local function finalised_in(fn, run)
  collectgarbage()
  collectgarbage("stop")
  local pause, stepmul = collectgarbage("setpause", 100), collectgarbage("setstepmul", 0)
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = fn
  proxy = nil -- luacheck: ignore 311
  collectgarbage("restart")
  run()
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", stepmul)
end

t.test("a finaliser that waits for much moves nothing that is at work", function()
  local core = require("clouds.core")
  local handle, more = core.slot(), {}
  finalised_in(function()
    for i = 1, 20000 do
      more[i] = core.slot()
    end
  end, function()
    core.wake(handle, "kept", 7)
  end)
  t.is(#more, 20000)
  t.ok(core.done(handle))
  t.is({ core.wait(handle) }, { "kept", 7 })
  for _, each in ipairs(more) do
    core.drop(each)
  end
end)

local server = clouds.server({ url = t.url })
assert(server:register("echo", function(...)
  return ...
end))
assert(server:register("slow", function(...)
  clouds.sleep(0.001)
  return ...
end))
assert(server:register("bad", function()
  error({ message = "bad", list = { 1, 2, 3 } })
end))

local function calls_of_all_kinds(pause, stepmul)
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", stepmul)
  local client = clouds.client({ url = t.url, timeout = 60 })
  local tasks, done = {}, 0
  for i = 1, 20 do
    tasks[i] = function()
      local echo = client:bind("echo")
      for j = 1, 25 do
        local value = { i, { text = "x" .. j } }
        assert(echo(value)[2].text == "x" .. j)
        assert(client:call("slow", { j, nil, value, n = 3 }) == j)
        local _, err = client:call("bad")
        assert(err.list[3] == 3)
        client:call("echo", { j }, function(_, got)
          assert(got == j)
          done = done + 1
        end)
      end
      return true
    end
  end
  for _, result in ipairs(clouds.wait_all(tasks)) do
    t.ok(result[1], tostring(result[2]))
  end
  t.eventually(function()
    return done == 500
  end)
  collectgarbage("setpause", 200)
  collectgarbage("setstepmul", 200)
  client:close(0)
end

t.test("calls of all kinds while everything is collected all the time", function()
  calls_of_all_kinds(1, 10000)
end)

t.test("calls of all kinds while the collector hardly gets on", function()
  calls_of_all_kinds(1000, 1)
end)

t.test("a client that nobody keeps goes away, its call does not", function()
  local got
  clouds.client({ url = t.url, timeout = 60 }):call("slow", { 5 }, function(...)
    got = { ... }
  end)
  collectgarbage()
  collectgarbage()
  t.eventually(function()
    return got
  end)
  t.is(got, { nil, 5 })
  clouds.spawn(function()
    got = { clouds.client({ url = t.url, timeout = 60 }):call("slow", { 6 }) }
  end)
  got = nil
  collectgarbage()
  collectgarbage()
  t.eventually(function()
    return got
  end)
  t.is(got, { 6 })
end)

t.test("a bound function keeps its client", function()
  local echo = clouds.client({ url = t.url, timeout = 60 }):bind("echo")
  settle()
  t.is(echo("kept"), "kept")
end)

t.test("a server that nobody keeps still serves", function()
  local id
  do
    local kept = clouds.server({ url = t.url })
    id = kept.id
    assert(kept:register("kept", function()
      return "kept"
    end))
  end
  settle()
  local client = clouds.client({ url = t.url, timeout = 60 })
  t.is(client:call("kept"), "kept")
  t.ok(client:status().servers[id])
  client:close(0)
end)

-- Contexts of their own, dropped without a word or closed.
local function churn(rounds, close)
  for i = 1, rounds do
    local client = clouds.client({ url = t.url, timeout = 60, max_links = 100 + i % 2, max_events = 1000 + i })
    t.is(client:call("echo", { i }), i)
    if close then
      client:close(0)
    end
    client = nil -- luacheck: ignore 311
    if i % 10 == 0 then
      settle()
    end
  end
  settle()
end

t.test("contexts come and go: descriptors and memory are back", function()
  churn(20, true)
  churn(20, false)
  local fds, memory = descriptors(), collectgarbage("count")
  local rounds = os.getenv("CLOUDS_LONG") and 500 or 60
  churn(rounds, true)
  churn(rounds, false)
  t.ok(descriptors() <= fds + 2, ("descriptors: %d, then %d"):format(fds, descriptors()))
  t.ok(collectgarbage("count") < memory + 300, ("kB: %d, then %d"):format(memory, collectgarbage("count")))
end)

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local pages = file:read("*a"):match("^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4
end

t.test("many calls leave nothing: no memory, no descriptors", function()
  local bursts = os.getenv("CLOUDS_LONG") and 100 or 10
  local client = clouds.client({ url = t.url, timeout = 60 })
  local echo = client:bind("echo")
  local function burst()
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = function()
        for j = 1, 20 do
          echo(i, { j })
        end
      end
    end
    clouds.wait_all(tasks)
    tasks = nil -- luacheck: ignore 311
    settle()
    return collectgarbage("count")
  end
  burst()
  local before, resident_before, descriptors_before = burst(), resident(), descriptors()
  for _ = 1, bursts / 2 - 1 do
    burst()
  end
  local half = resident()
  for _ = 1, bursts / 2 - 2 do
    burst()
  end
  local after = burst()
  t.ok(after < before + 100, ("kB in Lua: %d, then %d"):format(before, after))
  if not os.getenv("CLOUDS_SANITIZE") then -- a sanitizer keeps what was freed
    t.ok(resident() < resident_before + 12000, ("kB resident: %d, then %d"):format(resident_before, resident()))
    t.ok(resident() < half + 4000, ("kB resident: %d halfway, then %d"):format(half, resident()))
  end
  -- A connection that comes back or goes just then counts too.
  t.ok(descriptors() <= descriptors_before + 2, ("descriptors: %d, then %d"):format(descriptors_before, descriptors()))
  client:close(0)
end)

server:close(0)
t.done()
