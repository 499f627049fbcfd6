-- Coroutines of the program's own that wait in clouds, yields that nobody would answer, modules that wait.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url })
local client = clouds.client({ url = t.url, timeout = 60 })
assert(server:register("echo", function(...)
  clouds.sleep(0.001)
  return ...
end))
local echo = client:bind("echo")

t.test("a wrapped function that waits gives what it returns", function()
  local f = coroutine.wrap(function(a, ...)
    local first = echo(a)
    local second = coroutine.yield(first, nil)
    return first, echo(second), select("#", ...), nil
  end)
  t.is({ n = select("#", f("one", nil, nil)) }, { n = 2 })
  t.is({ f("two") }, { "one", "two", 2 })
  t.raises(f, "cannot resume dead coroutine")
end)

t.test("a generator calls services", function()
  local function each(n)
    return coroutine.wrap(function()
      for i = 1, n do
        coroutine.yield((echo(i)))
      end
    end)
  end
  local got = {}
  for i in each(3) do
    for j in each(2) do
      got[#got + 1] = i * 10 + j
    end
  end
  t.is(got, { 11, 12, 21, 22, 31, 32 })
end)

t.test("coroutines inside of coroutines wait, each for its own", function()
  local results = clouds.wait_all({
    function()
      return coroutine.wrap(function()
        return coroutine.wrap(function()
          return echo("deep")
        end)()
      end)()
    end,
    function()
      return echo("beside")
    end,
  })
  t.is({ results[1][1], results[2][1] }, { "deep", "beside" })
end)

t.test("what has waited and ended is dead, and its errors are its resumer's", function()
  local co = coroutine.create(function()
    echo(1)
    error("after the wait", 0)
  end)
  t.is({ coroutine.resume(co) }, { false, "after the wait" })
  t.is(coroutine.status(co), "dead")
  co = coroutine.create(function()
    return echo(2)
  end)
  t.is({ coroutine.resume(co) }, { true, 2 })
  t.is(coroutine.status(co), "dead")
end)

t.test("what waits is not resumed by others", function()
  local co = coroutine.create(function()
    return echo("own")
  end)
  local task = clouds.spawn(function()
    return coroutine.resume(co)
  end)
  t.is({ coroutine.resume(co) }, { false, "cannot resume a coroutine that waits in clouds" })
  t.is({ task:wait() }, { true, "own" })
  local taken
  task = clouds.spawn(function()
    taken = coroutine.running()
    return echo("taken")
  end)
  t.is({ coroutine.resume(taken) }, { false, "cannot resume a coroutine that waits in clouds" })
  t.is({ task:wait() }, { "taken" })
end)

t.test("where it cannot wait it says so, and who resumed goes on", function()
  local ok, problem = clouds.spawn(function()
    return pcall(string.gsub, "x", "x", coroutine.wrap(function()
      echo(1)
    end))
  end):wait()
  t.is(ok, false)
  t.has(tostring(problem), "cannot wait here")
  t.is(echo(3), 3)
end)

t.test("a yield that nobody would resume is an error at once", function()
  local told = {}
  clouds.on_error = function(err)
    told[#told + 1] = tostring(err)
  end
  assert(server:register("yields", function()
    coroutine.yield("for ever")
  end))
  local _, err = client:call("yields")
  t.has(err.message, "coroutine.yield outside of a coroutine of the program's own")
  t.has(err.message, "coroutines.lua")
  _, err = clouds.spawn(coroutine.yield):wait()
  t.has(err, "coroutine.yield outside")
  clouds.on_error = nil
  t.has(told[1], "coroutine.yield outside")
end)

t.test("a module may wait while it is required, and is loaded once", function()
  local loaded = 0
  package.preload["waits"] = function(name)
    loaded = loaded + 1
    return { name = name, value = (echo("from the module")) }
  end
  local results = clouds.wait_all({
    function() return require("waits") end,
    function() return require("waits") end,
    function() return require("waits") end,
  })
  t.is(results[1][1], { name = "waits", value = "from the module" })
  t.ok(results[2][1] == results[1][1] and results[3][1] == results[1][1] and require("waits") == results[1][1])
  t.is(loaded, 1)
end)

t.test("modules that fail, that are not there, and that need each other", function()
  local runs = 0
  package.preload["fails"] = function()
    runs = runs + 1
    echo(1)
    error("no such thing")
  end
  t.raises(function() require("fails") end, "no such thing")
  t.raises(function() require("fails") end, "no such thing", "it is tried again")
  t.is(runs, 2)
  t.raises(function() require("nowhere.at.all") end, "module 'nowhere.at.all' not found:\n\tno field package.preload")
  t.raises(function() require() end, "bad argument #1 to 'require'")
  package.preload["loop a"] = function() return require("loop b") end
  package.preload["loop b"] = function() echo(1) return require("loop a") end
  t.raises(function() require("loop a") end, "loop or previous error loading module 'loop a'")
  package.preload["early"] = function(name)
    package.loaded[name] = "early"
    t.is(require("early"), "early")
  end
  t.is(require("early"), "early")
  package.preload["silent"] = function() end
  t.is(require("silent"), true)
  -- Two that wait for each other, each loaded by somebody else.
  package.preload["cross a"] = function() echo(1) return require("cross b") end
  package.preload["cross b"] = function() echo(1) return require("cross a") end
  local ends = clouds.wait_all({
    function() return require("cross a") end,
    function() return require("cross b") end,
  })
  t.has(tostring(ends[1][2]) .. tostring(ends[2][2]), "loop or previous error")
end)

t.test("so may a file that is run", function()
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write("local clouds = require('clouds') clouds.sleep(0.001) return 'ran', 2")
  file:close()
  t.is({ dofile(name) }, { "ran", 2 })
  os.remove(name)
  t.raises(function() dofile(name) end, "cannot open")
end)

t.done()
