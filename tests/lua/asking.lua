-- What a node asks another, and what the other's program hears of it.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url, admin = "on", id = "s.asked" })
local client = clouds.client({ url = t.url, timeout = 20 })

assert(server:register("echo", function(...)
  return ...
end))

t.test("ping and status", function()
  local answer = assert(client:ask("s.asked", "ping"))
  t.is({ answer.id, answer.version, answer.state, answer.paused }, { "s.asked", clouds.version, "ready", false })
  t.is(answer.methods, nil)
  answer = assert(client:ask("s.asked", "status", nil, { timeout = 10 }))
  t.is(answer.methods, { echo = { paused = false } })
  t.is(answer.requests, 0)
  t.is(type(answer.counters.requests), "number")
end)

t.test("info, methods and stats", function()
  local answer = assert(client:ask("s.asked", "info"))
  t.is({ answer.type, answer.weight, answer.counts }, { "server", 1, false })
  t.ok(answer.uptime >= 0 and answer.host ~= "")
  t.is(client:ask("s.asked", "methods").methods, { echo = { paused = false } })
  t.is(select(2, client:ask("s.asked", "stats")).code, "CLOUDS_NOT_SUPPORTED")
end)

t.test("its links", function()
  local answer = assert(client:ask("s.asked", "links"))
  t.is({ answer.id, type(answer.links) }, { "s.asked", "table" })
  for _, link in ipairs(answer.links) do
    t.is({ type(link.peer), type(link.here), type(link.ours) }, { "string", "string", "boolean" })
  end
end)

t.test("pause and resume, and what the program hears of it", function()
  local heard = {}
  local function listener(...)
    heard[#heard + 1] = { ... }
  end
  server:on("paused", listener)
  t.is(client:ask("s.asked", "pause", { method = "echo" }).paused, false)
  t.is(select(2, client:call("echo", { 1 })).code, "CLOUDS_NO_AVAILABLE_SERVER")
  assert(client:ask("s.asked", "resume", { method = "echo" }))
  t.is(client:ask("s.asked", "pause", {}).paused, true)
  t.is(client:ask("s.asked", "resume").paused, false)
  t.eventually(function()
    return #heard == 4 and client:call("echo", { 1 }) == 1
  end)
  t.is(heard[1], { client.id, "echo", true })
  t.is(heard[2], { client.id, "echo", false })
  t.is({ heard[3][1], heard[3][2], heard[3][3] }, { client.id, nil, true })
  server:off("paused", listener)
end)

t.test("what cannot be asked", function()
  local answer, err = client:ask("s.nobody", "ping")
  t.is({ answer, err.code, err.outcome }, { nil, "CLOUDS_NO_AVAILABLE_SERVER", "NOT_DONE" })
  answer, err = client:ask("s.asked", "pause", { method = "nobody" })
  t.is({ answer, err.code, err.message }, { nil, "CLOUDS_INVALID_ARGUMENT", "no method 'nobody' is registered" })
  local wrong = {
    { { 7, "ping" }, "expected the id of a node" },
    { { "s.asked", "dance" }, "cannot be asked to 'dance'; expected ping, info, status, stats, methods, links, pause" },
    { { "s.asked", "ping", 7 }, "expected a table of what the question needs, or nil" },
    { { "s.asked", "ping", { drain = 1 } }, "'ping' does not take 'drain'" },
    { { "s.asked", "stop", { drain = "1" } }, "'drain': expected a number" },
    { { "s.asked", "ping", nil, { tmeout = 1 } }, "did you mean 'timeout'?" },
  }
  for _, row in ipairs(wrong) do
    local ok, problem = pcall(client.ask, client, row[1][1], row[1][2], row[1][3], row[1][4])
    t.ok(not ok and tostring(problem):find(row[2], 1, true), tostring(problem))
  end
end)

t.test("a node that may not be asked", function()
  local closed = clouds.server({ url = t.url, admin = "off", id = "s.closed" })
  assert(closed:register("closed", function() end))
  local answer, err = client:ask("s.closed", "stop")
  t.is({ answer, err.code, err.outcome }, { nil, "CLOUDS_NOT_SUPPORTED", "NOT_DONE" })
  t.ok(err.message:find("it answers no questions (option admin)", 1, true), err.message)
  closed:close(0)
  local ok, problem = pcall(clouds.server, { url = t.url, admin = "yes" })
  t.ok(not ok and tostring(problem):find('expected "local", "on" or "off"', 1, true), tostring(problem))
end)

t.test("stop: the program decides, or the node closes", function()
  local asked
  server:on("stop", function(from, drain)
    asked = { from, drain }
  end)
  assert(client:ask("s.asked", "stop", { drain = 2.5 }))
  t.eventually(function()
    return asked ~= nil
  end)
  t.is(asked, { client.id, 2.5 })
  t.is(client:call("echo", { 2 }), 2)
  local other = clouds.server({ url = t.url, admin = "on", id = "s.other" })
  assert(other:register("other", function() end))
  assert(client:ask("s.other", "stop", { drain = 0 }))
  t.eventually(function()
    return other.closed
  end)
end)

server:close(0)
client:close(0)

t.done()
