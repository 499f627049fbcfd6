-- Which server is called: weights and tags.
local t = require("tap")
local clouds = require("clouds")

local function serve(name, options)
  options.url, options.id = t.url, "s." .. name
  local server = clouds.server(options)
  assert(server:register("who", function()
    return name
  end))
  return server
end

-- How many of so many calls each server got.
local function shares(client, calls)
  local found = {}
  for _ = 1, calls do
    local name = assert(client:call("who"))
    found[name] = (found[name] or 0) + 1
  end
  return found
end

local function sees(client, ...)
  for _, name in ipairs({ ... }) do
    t.eventually(function()
      return shares(client, 1)[name]
    end)
  end
end

t.test("weights and tags", function()
  local heavy = serve("heavy", { weight = 3, tags = "zone=a" })
  local light = serve("light", { tags = "zone=b" })
  local client = clouds.client({ url = t.url, timeout = 20 })
  sees(client, "heavy", "light")
  local found = shares(client, 200)
  t.is(found.heavy, 150)
  t.is(found.light, 50)
  t.is(heavy:configure({ weight = 9 }), heavy)
  t.eventually(function()
    found = shares(client, 10)
    return found.heavy == 9 and found.light == 1
  end)
  local near = clouds.client({ url = t.url, timeout = 20, tags = "zone=b", prefer = "zone" })
  sees(near, "light")
  t.is(shares(near, 40).light, 40)
  for _, node in ipairs({ heavy, light, client, near }) do
    assert(node:close())
  end
end)

t.test("options of a node that lives", function()
  local server, node = serve("one", {}), clouds.client({ url = t.url, timeout = 20 })
  assert(server:register("never", function()
    clouds.sleep(1000)
  end))
  sees(node, "one")
  t.is(node:configure({ timeout = 0.05, retry = 0, operation_timeout = 1 }), node)
  local code = select(2, node:call("never")).code -- the second where the server got it too late
  t.ok(code == "CLOUDS_CALL_SERVICE_TIMEOUT" or code == "CLOUDS_EXPIRED", code)
  assert(server:close(0))
  local wrong = {
    { { weight = 0 }, "option 'weight'" },
    { { retry = -1 }, "option 'retry'" },
    { { tags = "zone=a" }, "tags" },
    { { url = "local:" }, "url" },
    { { wieght = 3 }, "did you mean 'weight'" },
    { { find_server = print }, "node:set('find_server', fn)" },
    { 7, "expected a table of options" },
  }
  for _, case in ipairs(wrong) do
    t.raises(function()
      node:configure(case[1])
    end, case[2])
  end
  assert(node:close())
  local none, err = node:configure({ timeout = 1 })
  t.is({ none, err.code }, { nil, "CLOUDS_CLOSED" })
end)

t.test("peer events", function()
  local server = serve("one", {})
  local client = clouds.client({ url = t.url, timeout = 20, peer_events = true })
  local told = {}
  client:on("peer", function(id, state, method)
    told[#told + 1] = ("%s %s %s"):format(id, state, tostring(method))
  end)
  sees(client, "one")
  told = {} -- that it came
  assert(server:pause("who"))
  t.eventually(function()
    return told[1]
  end)
  t.is(told[1], "s.one paused who")
  assert(server:resume("who"))
  t.eventually(function()
    return told[2]
  end)
  t.is(told[2], "s.one well who")
  assert(server:close())
  t.eventually(function()
    return told[3]
  end)
  t.ok(told[3]:find("^s.one %l+ ") and not told[3]:find("well", 1, true), told[3])
  assert(client:close())
end)

t.test("on the same machine, with nothing configured", function()
  local here, there = serve("here", {}), serve("there", { tags = "host=another" })
  local client = clouds.client({ url = t.url, timeout = 20, prefer = "host" })
  sees(client, "here")
  if t.url:match("^redis") then
    t.is(shares(client, 20).here, 20)
  else
    sees(client, "there")
  end
  assert(here:close())
  sees(client, "there")
  for _, node in ipairs({ there, client }) do
    assert(node:close())
  end
end)

t.test("explain", function()
  local near, far = serve("near", { tags = "zone=a", weight = 2 }), serve("far", {})
  local client = clouds.client({ url = t.url, timeout = 20, tags = "zone=a", prefer = "zone" })
  assert(far:pause("who"))
  local found
  t.eventually(function()
    found = assert(client:explain("who"))
    return #found.servers == 2 and found.servers[2].state == "paused"
  end)
  t.is(found.choice.server, "s.near")
  t.is(found.choice.rule, "near")
  t.is(found.choice.among, 1)
  t.is(found.prefer, "zone=a")
  t.is(found.servers[1].weight, 2)
  t.is(found.servers[1].tags.zone, "a")
  -- Where all are on one machine anyway, nobody says on which.
  local host = found.servers[2].tags.host
  t.is(host ~= nil, t.url:match("^redis") ~= nil)
  t.is(found.servers[1].tags.host, host)
  t.is(found.servers[1].latency, nil)
  t.is(found.servers[2].id, "s.far")
  t.is(client:explain("nobody", { timeout = 5 }).choice.rule, "none")
  t.raises(function()
    client:explain(7)
  end, "expected the name of a method")
  local _, nameless = client:explain("")
  t.is(nameless and nameless.code, "CLOUDS_INVALID_ARGUMENT")
  for _, node in ipairs({ near, far, client }) do
    assert(node:close())
  end
  local none, err = client:explain("who")
  t.is(none, nil)
  t.is(err.code, "CLOUDS_CLOSED")
end)

t.test("what no option can be", function()
  local wrong = { { weight = 0 }, { weight = 1001 }, { tags = "zone" }, { tags = "a=1,a=2" }, { prefer = "zone" } }
  for _, options in ipairs(wrong) do
    options.url = t.url
    t.raises(function()
      clouds.client(options)
    end, "option '")
  end
end)

t.done()
