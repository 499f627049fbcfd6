-- Who answered: the option `about` of a call.
local t = require("tap")
local clouds = require("clouds")

local first, second = clouds.server({ url = t.url, id = "s.first" }), clouds.server({ url = t.url, id = "s.second" })
local client = clouds.client({ url = t.url, timeout = 20 })

for _, server in ipairs({ first, second }) do
  assert(server:register("who", function()
    return server.id
  end))
  assert(server:register("refuse", function()
    error({ code = "E_NO", message = server.id, server = "mine" })
  end))
end

-- Calls until both have answered: how often each did.
local function count_both(call)
  local counts = {}
  t.eventually(function()
    local id = call()
    counts[id] = (counts[id] or 0) + 1
    return counts["s.first"] and counts["s.second"]
  end)
  return counts
end

t.test("a result", function()
  count_both(function()
    local about = {}
    local id = assert(client:call("who", {}, { about = about }))
    t.is(about, { server = id })
    return id
  end)
end)

t.test("an error of the service, in which `server` is what that says", function()
  count_both(function()
    local about = {}
    local result, err = client:call("refuse", {}, { about = about })
    t.is({ result, err.code, err.server }, { nil, "E_NO", "mine" })
    t.is(about.server, err.message)
    return about.server
  end)
end)

t.test("with a callback it is known when that runs", function()
  count_both(function()
    local about, came, answered, refused = {}, nil, nil, nil
    client:call("who", {}, { about = about }, function(err, id)
      came, answered = err or id, about.server
    end)
    t.is(about.server, nil)
    t.eventually(function()
      return came
    end)
    t.is(answered, came)
    client:call("refuse", {}, { about = about }, function(err)
      refused = { err.message, about.server }
    end)
    t.eventually(function()
      return refused
    end)
    t.is(refused[2], refused[1])
    return came
  end)
end)

t.test("many at a time", function()
  local many = {}
  for i = 1, 200 do
    many[i] = function()
      local about = {}
      local id = assert(client:call("who", {}, { about = about }))
      t.is(about.server, id)
    end
  end
  clouds.wait_all(many)
end)

t.test("a notification", function()
  local about = {}
  t.is(client:notify("who", {}, { about = about, server = "s.second" }), true)
  t.is(about.server, "s.second")
end)

t.test("who did not answer in time", function()
  assert(first:register("never", function()
    clouds.sleep(60)
  end))
  local about = {}
  local result, err = client:call("never", {}, { about = about, timeout = 2 })
  t.is({ result, err.code, err.outcome }, { nil, "CLOUDS_CALL_SERVICE_TIMEOUT", "UNKNOWN" })
  t.is(about.server, "s.first")
end)

t.test("nobody, where there is no server; what the table said before is gone", function()
  local about = { server = "s.old", other = 1 }
  local _, err = client:call("nobody", {}, { about = about })
  t.is(err.code, "CLOUDS_NO_AVAILABLE_SERVER")
  t.is(about, { other = 1 })
  about.server = "s.old"
  local loop = {}
  loop[1] = loop
  t.ok(not pcall(client.call, client, "who", loop, { about = about }))
  t.is(about, { other = 1 })
end)

t.test("it is a table", function()
  t.raises(function()
    client:call("who", {}, { about = "x" })
  end, "option 'about': expected a table")
end)

t.test("after a retry it is the second", function()
  assert(first:register("either", function()
    clouds.sleep(60)
  end))
  local about = {}
  t.is(client:call("either", {}, { about = about, timeout = 2 }), nil)
  t.is(about.server, "s.first")
  assert(second:register("either", function()
    return "answered"
  end))
  t.eventually(function()
    return client:call("either", {}, { about = about, timeout = 2, retry = 5 }) == "answered"
  end)
  t.is(about.server, "s.second")
end)

for _, node in ipairs({ client, first, second }) do
  assert(node:close(0))
end

t.done()
