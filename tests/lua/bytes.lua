-- clouds.bytes: as arguments, results, messages, and what is published.
local t = require("tap")
local clouds = require("clouds")

local bytes = clouds.bytes

local function pair()
  local server, client = clouds.server({ url = t.url }), clouds.client({ url = t.url })
  assert(server:register("echo", function(...)
    return ...
  end))
  assert(server:ready())
  assert(client:ready())
  return server, client
end

local function close(...)
  for _, node in ipairs({ ... }) do
    assert(node:close())
  end
end

t.test("what bytes are", function()
  local b = bytes("a\0\255")
  t.is(tostring(b), "a\0\255")
  t.is(#b, 3)
  t.is(b == bytes("a\0\255"), true)
  t.is(b == bytes("a\0"), false)
  t.is(b == "a\0\255", false)
  t.is(rawequal(bytes(b), b), true)
  t.is({ clouds.is_bytes(b), clouds.is_bytes("a"), clouds.is_bytes(clouds.null) }, { true, false, false })
  t.is(clouds.is_bytes(), false)
  t.is(getmetatable(b), "bytes")
  t.is(#bytes(""), 0)
  t.raises(function()
    bytes(5)
  end, "string expected, got number")
  t.raises(function()
    bytes()
  end, "string expected, got no value")
end)

-- Each comes back as it was sent, what looks like bytes too.
local lists = {
  { bytes("\0\1\255\254") },
  { bytes("") },
  { bytes(""), bytes("") },
  { bytes("one"), 1, bytes("two"), "three", { a = { bytes("four"), { b = bytes("") } } } },
  { { ["$bytes"] = clouds.array({ 0, 3 }) } },
  { { ["$$bytes"] = 1 } },
  { { ["$bytes"] = clouds.array({ 0, 3 }) }, bytes("abc") },
  { bytes("abc"), { ["$bytes"] = clouds.array({ 0, 3 }) }, { ["$$$bytes"] = bytes("x") } },
  { bytes("abc"), { ["$bytes"] = { ["$bytes"] = 1 } }, { ["$bytes"] = { ["$$bytes"] = {} } } },
  { bytes("abc"), { ["$bytes"] = clouds.array({ 0, 3 }), other = 1 }, { bytes = 1 }, { ["$"] = 1 } },
  { bytes(("\0\255"):rep(500000)) },
}

-- Bytes by what they hold; tables by their members.
local function shown(value)
  if clouds.is_bytes(value) then
    return { is = "bytes", holds = #value < 100 and tostring(value) or #value .. tostring(value):sub(-2) }
  elseif type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, member in pairs(value) do
    copy[key] = shown(member)
  end
  return copy
end

t.test("arguments and results", function()
  local server, client = pair()
  local bound = client:bind("echo")
  for _, list in ipairs(lists) do
    t.is(shown({ client:call("echo", list) }), shown(list))
    t.is(shown({ client:call("echo", list, { timeout = 20, meta = { a = 1 } }) }), shown(list))
    t.is(shown({ bound(unpack(list)) }), shown(list))
  end
  close(server, client)
end)

t.test("callbacks, and answers later", function()
  local server, client = pair()
  assert(server:register("later", function(...)
    local request, values = clouds.request():detach(), { ... }
    clouds.spawn(function()
      clouds.sleep(0.001)
      request.reply(unpack(values))
    end)
  end))
  local got
  client:call("later", { bytes("x\0"), 2 }, function(err, ...)
    got = { err or false, ... }
  end)
  t.eventually(function()
    return got
  end)
  t.is(shown(got), shown({ false, bytes("x\0"), 2 }))
  close(server, client)
end)

t.test("a hook before an attempt gives bytes, or takes them away", function()
  local server, client = pair()
  local given
  local echo = client:bind("echo", {
    on_retry = function(args, go)
      go(unpack(given or args))
    end,
  })
  t.is(shown({ echo(bytes("own"), 1) }), shown({ bytes("own"), 1 }))
  given = { bytes("other"), bytes("") }
  t.is(shown({ echo(bytes("own"), 1) }), shown(given))
  given = { { ["$bytes"] = clouds.array({ 0, 1 }) } }
  t.is(shown({ echo(bytes("own"), 1) }), shown(given))
  close(server, client)
end)

t.test("messages, and what is published", function()
  local server, client = pair()
  local got = {}
  server:on("message", function(_, value)
    got[#got + 1] = value
  end)
  for _, list in ipairs(lists) do
    t.is(client:send(server.id, list, { confirm = true }) ~= nil, true)
  end
  t.eventually(function()
    return #got == #lists
  end)
  t.is(shown(got), shown(lists))
  local heard = {}
  local subscription = assert(server:subscribe("a", function(value)
    heard[#heard + 1] = value
  end))
  for _, list in ipairs(lists) do
    assert(client:publish("a", list, { meta = { m = 1 } }))
  end
  t.eventually(function()
    return #heard == #lists
  end)
  t.is(shown(heard), shown(lists))
  subscription:close()
  close(server, client)
end)

t.test("all of several topics, with bytes in some", function()
  local server, client = pair()
  local got
  assert(server:subscribe({ "x", "y" }, function(values)
    got = values
  end, { all = true }))
  assert(client:publish("x", { ["$bytes"] = clouds.array({ 0, 1 }) }))
  assert(client:publish("y", bytes("why")))
  t.eventually(function()
    return got
  end)
  t.is(shown(got), shown({ { ["$bytes"] = clouds.array({ 0, 1 }) }, bytes("why") }))
  close(server, client)
end)

t.test("where bytes cannot be", function()
  local server, client = pair()
  local words = "cannot encode bytes here"
  t.is(clouds.json.encode(bytes("x")), nil)
  t.has(select(2, clouds.json.encode({ a = bytes("x") })), " at .a")
  t.raises(function()
    client:call("echo", {}, { meta = { a = bytes("x") } })
  end, words)
  t.raises(function()
    client:publish("a", 1, { meta = { a = bytes("x") } })
  end, words)
  assert(server:register("fails", function()
    error({ code = "E_BYTES", message = "with bytes", data = bytes("x"), kept = 1 })
  end))
  local _, err = client:call("fails")
  t.is({ err.code, err.message, err.data, err.kept }, { "E_BYTES", "with bytes", nil, 1 })
  close(server, client)
end)

t.test("too many bytes", function()
  local server, client = pair()
  local _, err = client:call("echo", { bytes(("x"):rep(5000000)) })
  t.is({ err.code, err.outcome }, { "CLOUDS_TOO_BIG", "NOT_DONE" })
  assert(server:register("big", function()
    return bytes(("x"):rep(5000000))
  end))
  _, err = client:call("big")
  t.is({ err.code, err.outcome }, { "CLOUDS_TOO_BIG", "APP_ERROR" })
  t.is(shown({ client:call("echo", { bytes("still") }) }), shown({ bytes("still") }))
  close(server, client)
end)

t.done()
