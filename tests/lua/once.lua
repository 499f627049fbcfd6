-- Idempotency keys, hedging, answers that are published, and versions of a service.
local t = require("tap")
local clouds = require("clouds")

local function open()
  local server = clouds.server({ url = t.url })
  local client = clouds.client({ url = t.url, timeout = 20 })
  local runs = 0
  assert(server:register("count", function(...)
    runs = runs + 1
    return runs, ...
  end))
  t.eventually(function()
    return (client:call("count"))
  end)
  runs = 0
  return server, client, function()
    return runs
  end
end

local function close(...)
  for _, node in ipairs({ ... }) do
    assert(node:close())
  end
end

t.test("once", function()
  local server, client, runs = open()
  for _ = 1, 5 do
    t.is({ client:call("count", { "x" }, { once = "order 7", retry = 2 }) }, { 1, "x" })
  end
  t.is(runs(), 1)
  local result, err = client:call("count", { "y" }, { once = "order 7" })
  t.is(result, nil)
  t.is(err.code, "CLOUDS_KEY_CONFLICT")
  t.is(err.outcome, "NOT_DONE")
  t.is((client:call("count", { "y" }, { once = "order 8" })), 2)
  t.is(client:notify("count", { "z" }, { once = "order 9" }), true)
  t.is((client:call("count", { "z" }, { once = "order 9" })), 3)
  t.is(runs(), 3)
  t.raises(function()
    client:call("count", {}, { once = 7 })
  end, "option 'once'")
  local _, long = client:call("count", {}, { once = ("x"):rep(256) })
  t.is(long.code, "CLOUDS_TOO_BIG")
  t.raises(function()
    client:call("count", {}, { once = "" })
  end, "option 'once': expected a text, and not an empty one")
  close(server, client)
end)

t.test("hedge and key", function()
  local server, client = open()
  local second = clouds.server({ url = t.url })
  local slow = true
  assert(second:register("who", function()
    if slow then
      clouds.sleep(5)
    end
    return "second"
  end))
  assert(server:register("who", function()
    return "first"
  end))
  for _ = 1, 4 do
    t.is((client:call("who", {}, { hedge = 0.05, idempotent = true })), "first")
  end
  slow = false
  local found = assert(client:call("who", {}, { key = "a" }))
  for _ = 1, 4 do
    t.is((client:call("who", {}, { key = "a" })), found)
  end
  local _, err = client:call("who", {}, { hedge = 1 })
  t.is(err.code, "CLOUDS_INVALID_ARGUMENT")
  close(second, server, client)
end)

t.test("reply_to", function()
  local server, client = open()
  local came = {}
  local sub = assert(client:subscribe("answers", function(value, message)
    came[#came + 1] = { value, message.meta and message.meta["in-reply-to"] }
  end))
  t.eventually(function()
    server:publish("answers", "probe")
    return came[1]
  end)
  assert(server:register("no", function()
    error({ message = "no", code = "E_NO" })
  end))
  local function answer_to(id)
    local answer
    t.eventually(function()
      for _, found in ipairs(came) do
        if found[2] == id then
          answer = found[1]
        end
      end
      return answer
    end)
    return answer
  end
  t.is(client:notify("count", { "x" }, { reply_to = "answers", correlation = "1" }), true)
  t.is(answer_to("1").result[2], "x")
  t.is(client:notify("no", {}, { reply_to = "answers", correlation = "2" }), true)
  t.is(answer_to("2").error.code, "E_NO")
  local _, err = client:call("count", {}, { reply_to = "a..b" })
  t.is(err.code, "CLOUDS_INVALID_ARGUMENT")
  t.raises(function()
    client:call("count", {}, { reply_to = "" })
  end, "option 'reply_to': expected a text, and not an empty one")
  close(sub, server, client)
end)

t.test("versions", function()
  local server, client = open()
  assert(server:register("price", function()
    return 1
  end))
  assert(server:register("price@2", function()
    return 2
  end))
  t.is((client:call("price")), 1)
  t.is((client:call("price@2")), 2)
  local _, err = client:call("price@3")
  t.is(err.code, "CLOUDS_NO_AVAILABLE_SERVER")
  t.is(#client:status().methods["price@2"], 1)
  close(server, client)
end)

t.done()
