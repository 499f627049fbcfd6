-- What a method says of itself: told to who asks, and checked before its handler runs.
local t = require("tap")
local clouds = require("clouds")

local server = clouds.server({ url = t.url, admin = "on", id = "s.schemas" })
local client = clouds.client({ url = t.url, timeout = 20 })
local ran = 0

assert(server:register("greet", {
  doc = "Greets somebody.",
  args = { { "name", "string", "whom" }, "times: integer?" },
  returns = "string",
}, function(name, times)
  ran = ran + 1
  return ("hi " .. name):rep(times or 1)
end))

t.test("arguments are checked before the handler runs", function()
  t.is(client:call("greet", { "you" }), "hi you")
  t.is(client:call("greet", { "a", 2 }), "hi ahi a")
  t.is(ran, 2)
  local wrong = {
    { {}, "expected at least 1 argument, got 0" },
    { { 3 }, "argument 1 (name): expected a text, got 3" },
    { { "a", 1.5 }, "argument 2 (times): expected an integer or null, got 1.5" },
    { { "a", 1, 2 }, "expected at most 2 arguments" },
  }
  for _, row in ipairs(wrong) do
    local answer, err = client:call("greet", row[1])
    t.is({ answer, err.code, err.outcome, err.retryable }, { nil, "CLOUDS_BAD_ARGUMENT", "NOT_DONE", true })
    t.ok(err.message:find(row[2], 1, true), err.message)
  end
  t.is(ran, 2)
  local answer, err = client:call("greet", { 3 }, { once = "order", retry = 3 })
  t.is({ answer, err.code }, { nil, "CLOUDS_BAD_ARGUMENT" })
end)

t.test("with limits, and without any more", function()
  assert(server:register("one", function(n)
    return n
  end, { args = { "n: integer" }, serial = true }))
  t.is(client:call("one", { 1 }), 1)
  t.is(select(2, client:call("one", { "1" })).code, "CLOUDS_BAD_ARGUMENT")
  assert(server:register("one", function(n)
    return n
  end))
  t.is(client:call("one", { "1" }), "1")
end)

t.test("who asks is told JSON Schema", function()
  local schema = assert(client:ask("s.schemas", "methods")).methods.greet.schema
  t.is(schema, {
    doc = "Greets somebody.",
    args = {
      type = "array",
      prefixItems = {
        { title = "name", description = "whom", type = "string" },
        { title = "times", type = { "integer", "null" } },
      },
      minItems = 1,
      items = false,
    },
    returns = { type = "array", prefixItems = { { type = "string" } }, minItems = 1, items = false },
  })
  t.is(client:ask("s.schemas", "status").methods.greet, { paused = false })
end)

t.test("what is no schema", function()
  local function register(options)
    return server:register("bad", function() end, options)
  end
  local wrong = {
    { { args = { "a" } }, 'expected "name: type"' },
    { { args = { "a: strin" } }, "at strin" },
    { { args = "a: string" }, "'args': expected an array" },
    { { doc = 3 }, "'doc': expected a text" },
    { { returns = { { pattern = "a" } } }, "'pattern' is not one of the keywords" },
  }
  for _, row in ipairs(wrong) do
    local ok, err = register(row[1])
    t.is({ ok, err.code }, { nil, "CLOUDS_INVALID_ARGUMENT" })
    t.ok(err.message:find(row[2], 1, true), err.message)
  end
  local ok, problem = pcall(register, { arg = {} })
  t.ok(not ok and problem:find("did you mean 'args'?", 1, true), problem)
  ok, problem = pcall(register, { args = { register } })
  t.ok(not ok and problem:find("the schema cannot be written as JSON", 1, true), problem)
end)

server:close(0)
client:close(0)

t.done()
