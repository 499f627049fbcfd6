-- Coroutines: spawn, wait, wait_all, sleep, and errors that nobody takes.
local t = require("tap")
local clouds = require("clouds")

t.test("spawn starts at once and waits later", function()
  local order = {}
  local task = clouds.spawn(function(a, b)
    order[#order + 1] = a
    clouds.sleep(0.01)
    order[#order + 1] = b
    return a, nil, b
  end, 1, 2)
  t.is(order, { 1 })
  t.is({ task:wait() }, { 1, nil, 2 })
  t.is(order, { 1, 2 })
  t.is({ task:wait() }, { 1, nil, 2 })
  t.is({ task.done, task.ok }, { true, true })
end)

t.test("what a coroutine raises reaches who waits for it", function()
  local told
  clouds.on_error = function(err)
    told = err
  end
  local problem = { message = "p" }
  local task = clouds.spawn(function()
    clouds.sleep(0.01)
    error(problem)
  end)
  local result, err = task:wait()
  t.is(result, nil)
  t.ok(err == problem)
  t.is(told, nil)
  clouds.on_error = nil
end)

t.test("or is reported, with a traceback", function()
  local told
  clouds.on_error = function(...)
    told = { ... }
  end
  clouds.spawn(function()
    clouds.sleep(0.01)
    error("unseen", 0)
  end)
  t.eventually(function()
    return told
  end)
  t.is(told[1], "unseen")
  t.has(told[2], "tasks.lua")
  t.is(told[3], "coroutine")
  clouds.on_error = nil
end)

t.test("wait_all", function()
  local here = 0
  local function meet() -- goes on only when the other has come, too
    here = here + 1
    t.eventually(function()
      return here == 2
    end, "both at the same time")
  end
  local results = clouds.wait_all({
    function()
      meet()
      return 1, nil
    end,
    function()
      meet()
      error("x", 0)
    end,
    clouds.spawn(function()
      return "spawned"
    end),
  })
  t.is(results, { { n = 2, 1 }, { n = 2, nil, "x" }, { n = 1, "spawned" } })
  t.is(clouds.wait_all(function()
    return 1
  end, function()
    return 2
  end), { { n = 1, 1 }, { n = 1, 2 } })
  t.is(clouds.wait_all({}), {})
  t.raises(function()
    clouds.wait_all({ 1 })
  end, "expected functions")
end)

t.test("sleeps end in order and not early", function()
  local order, tasks = {}, {}
  for i = 1, 50 do
    local seconds = ((i * 7) % 50) / 1000
    tasks[i] = function()
      local started = clouds.now()
      clouds.sleep(seconds)
      assert(clouds.now() - started >= seconds * 0.999 - 0.001)
      order[#order + 1] = seconds
      return true
    end
  end
  for _, result in ipairs(clouds.wait_all(tasks)) do
    t.ok(result[1], tostring(result[2]))
  end
  t.is(#order, 50)
  t.raises(function()
    clouds.sleep("x")
  end, "number of seconds")
  t.raises(function()
    clouds.sleep(-1)
  end, "number of seconds")
end)

t.test("sleeping 0 lets the others run", function()
  local turns = 0
  local task = clouds.spawn(function()
    for _ = 1, 100 do
      clouds.sleep(0)
      turns = turns + 1
    end
  end)
  clouds.sleep(0)
  t.ok(turns < 100)
  task:wait()
  t.is(turns, 100)
end)

t.test("coroutines inside of coroutines, hundreds deep", function()
  local function nest(n)
    if n == 0 then
      return 0
    end
    return clouds.spawn(nest, n - 1):wait() + 1
  end
  t.is(nest(500), 500)
end)

t.test("many at a time, many times", function()
  local count = 0
  for _ = 1, 5 do
    local tasks = {}
    for i = 1, 2000 do
      tasks[i] = function()
        clouds.sleep(0)
        count = count + 1
      end
    end
    clouds.wait_all(tasks)
  end
  t.is(count, 10000)
end)

t.test("misuse", function()
  t.raises(function()
    clouds.spawn(5)
  end, "expected a function")
  t.is(clouds.is_error(5), false)
  t.is(clouds.is_error(nil), false)
  t.is(clouds.is_error({}), false)
  t.has(clouds.version, ".")
end)

t.done()
