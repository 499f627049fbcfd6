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
  local near = clouds.client({ url = t.url, timeout = 20, tags = "zone=b", prefer = "zone" })
  sees(near, "light")
  t.is(shares(near, 40).light, 40)
  for _, node in ipairs({ heavy, light, client, near }) do
    assert(node:close())
  end
end)

t.test("what no option can be", function()
  for _, options in ipairs({ { weight = 0 }, { weight = 1001 }, { tags = "zone" }, { tags = "a=1,a=2" }, { prefer = "zone" } }) do
    options.url = t.url
    t.raises(function()
      clouds.client(options)
    end, "option '")
  end
end)

t.done()
