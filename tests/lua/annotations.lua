-- lua/meta/clouds.lua, the annotations for the Lua language server, says what the modules have: no more and no less,
-- with words and types for all of it.
local t = require("tap")
local clouds = require("clouds")

local source = os.getenv("CLOUDS_SOURCE") or "../.."
local path = source .. "/lua/meta/clouds.lua"

local function contents(of)
  local file = assert(io.open(of or path))
  local text = file:read("*a")
  file:close()
  return text
end

-- { functions = { ["Node:close"] = { params, block } }, fields = { class = { name = type } }, parents }
local function read()
  local found = { functions = {}, fields = {}, parents = {} }
  local class, block = nil, {}
  for line in (contents() .. "\n" .. contents(source .. "/lua/meta/told.lua") .. "\n"):gmatch("(.-)\n") do
    local name, parent = line:match("^%-%-%-@class ([%w_.]+):? ?([%w_.]*)")
    local field, kind = line:match("^%-%-%-@field ([%w_%[%]]+%??) (.+)$")
    local method, params = line:match("^function ([%w_.:]+)%((.-)%) end$")
    if name then
      class, found.fields[name], found.parents[name] = name, {}, parent
    elseif field then
      found.fields[class][field:gsub("%?", "")] = kind
    elseif method then
      found.functions[method] = { params = params, block = table.concat(block, "\n") }
    end
    block = line:match("^%-%-%-") and block or {}
    if line:match("^%-%-%-") then
      block[#block + 1] = line
    end
  end
  return found
end

local said = read()

-- ---- the options of functions

local usual = {
  name = "walked",
  method = "walked",
  handler = print,
  fn = print,
  args = {},
  receiver = "nobody",
  peer = "nobody",
  what = "ping",
  topic = "walked",
  topics = "walked",
  value = 1,
  drain = 0,
}

local function options_of(block)
  local names = {}
  local kind = block:match("@param options%? ([^\n]*)")
  for name in (kind:match("^{(.-)}") or ""):gmatch("([%w_]+):") do
    names[#names + 1] = name
  end
  for class in kind:gmatch("clouds%.(%w+Options)") do
    for name in pairs(said.fields["clouds." .. class]) do
      names[#names + 1] = name
    end
  end
  return names
end

t.test("every function with options refuses an unknown one where it was called, with the one that was meant", function()
  local node, walked = clouds.base({ url = t.url }), 0
  for method, row in pairs(said.functions) do
    local name, before = method:match(":([%w_]+)$"), row.params:match("^(.-),? ?options")
    for _, option in ipairs(name and before and options_of(row.block) or {}) do
      local arguments, n = {}, 0
      for parameter in before:gmatch("[%w_]+") do
        n = n + 1
        arguments[n] = usual[parameter]
        t.ok(arguments[n] ~= nil, method .. " " .. parameter)
      end
      local function use(wrong)
        arguments[n + 1] = { [wrong] = 1 }
        local line = debug.getinfo(1, "l").currentline + 2
        local ok, err = pcall(function()
          local got = node[name](node, unpack(arguments, 1, n + 1))
          return got
        end)
        t.is(ok, false, method)
        t.has(err, ("annotations.lua:%d: unknown option '%s'; "):format(line, wrong))
        return err
      end
      t.has(use(option .. "s"), ("did you mean '%s'?"):format(option))
      t.has(use("zzzz"), "expected ")
      walked = walked + 1
    end
  end
  t.ok(walked >= 15, walked)
  t.is(node:status().methods.walked, nil)
  node:close(0)
end)

local function sorted(set)
  local list = {}
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return table.concat(list, " ")
end

-- What is said of the functions whose names begin with `prefix`, and of the fields of the class.
local function names_of(prefix, class)
  local names = {}
  for name in pairs(said.functions) do
    local own = name:match("^" .. prefix .. "[.:](.+)$")
    names[own or false] = own and true or nil
  end
  for name in pairs(class and said.fields[class] or {}) do
    names[name] = true
  end
  return names
end

local function keys(table_)
  local names = {}
  for name in pairs(table_) do
    names[name] = true
  end
  return names
end

-- The methods of a class of ours, without those that it has from the one below.
local function methods_of(object, without)
  local names = {}
  for name, value in pairs(object) do
    if type(value) == "function" and not name:match("^__") then
      names[name] = true
    end
  end
  for name in pairs(without or {}) do
    names[name] = nil
  end
  return names
end

local server, client = clouds.server({ url = t.url }), clouds.client({ url = t.url, timeout = 60 })
local request
assert(server:register("look", function()
  request = clouds.request()
  request.reply()
end))

t.test("the file is Lua, and only that", function()
  t.ok(loadfile(path))
  t.ok(contents():find("^%-%-%-@meta clouds\n"))
end)

t.test("the module", function()
  local real = keys(clouds)
  real.on_error, real.on_log = true, true
  t.is(sorted(names_of("clouds", "clouds")), sorted(real))
  t.is(sorted(names_of("json", "clouds.Json")), sorted(keys(clouds.json)))
  t.is(sorted(names_of("trace", "clouds.Trace")), sorted(keys(clouds.trace)))
  t.is(sorted(said.fields["clouds.Defaults"]), "sentinel_password sentinel_user stats url")
end)

t.test("the classes", function()
  local node = methods_of(getmetatable(getmetatable(client)).__index)
  t.is(sorted(names_of("Node")), sorted(node))
  t.is(sorted(names_of("Client")), sorted(methods_of(getmetatable(client))))
  local of_server = methods_of(getmetatable(server), names_of("Client"))
  t.is(sorted(names_of("Server")), sorted(of_server))
  t.is(said.parents["clouds.Server"], "clouds.Client")
  t.is(said.parents["clouds.Client"], "clouds.Node")
  local task = clouds.spawn(function() end)
  t.is(sorted(names_of("Task")), sorted(methods_of(getmetatable(task).__index)))
  for name in pairs(said.fields["clouds.Task"]) do
    t.is(type(task[name]), "boolean", "a task has " .. name)
  end
end)

t.test("a request", function()
  assert(client:call("look", {}) == nil)
  for name in pairs(names_of("Request", "clouds.Request")) do
    t.ok(request[name] ~= nil, "a request has " .. name)
  end
  local table_ = debug.getmetatable(request)
  local real = type(table_.__index) == "table" and table_.__index or request
  for name in pairs(type(real) == "table" and real or {}) do
    t.ok(type(name) ~= "string" or name:match("^__") or names_of("Request", "clouds.Request")[name], "said: " .. name)
  end
end)

t.test("an error", function()
  local _, err = client:call("nobody.there", {})
  for name, value in pairs(err) do
    local kind = said.fields["clouds.Error"][name]
    t.ok(kind and (kind:find("^" .. type(value)) or kind:find("^\"")), ("%s is a %s"):format(name, type(value)))
  end
end)

t.test("the options of a node", function()
  local real = require("clouds.core").options()
  for _, name in ipairs({ "retry" }) do
    real[name] = "node"
  end
  t.is(sorted(said.fields["clouds.Options"]), sorted(real))
end)

t.test("the options of a node have the words of the library's table", function()
  local own = { url = true, id = true, timeout = true, deadline = true, retries = true, heartbeat = true }
  local found = {}
  local row = 'OPTION%(([%w_]+), %w+, %w+, "(.-)", "(.-)", .-, "(.-)"%)\n'
  for name, unit, default, help in contents(source .. "/capi/api/options.def"):gmatch(row) do
    found[name] = true
    local words = help:gsub('\\"', '"')
    words = words .. (unit ~= "" and (" In %s."):format(unit) or "")
    words = words .. (default ~= "" and (" Default: %s."):format(default) or "")
    local field = said.fields["clouds.Options"][name]
    if not own[name] and not field:match("^fun%(") then
      t.is(field:match("^%w+ (.*)$"), words, name)
    end
  end
  t.is(sorted(found), sorted(require("clouds.core").options()))
end)

t.test("the options of calls", function()
  for class, call in pairs({
    ["clouds.CallOptions"] = function(options)
      return client:call("look", {}, options)
    end,
    ["clouds.BindOptions"] = function(options)
      return client:bind("look", options)
    end,
  }) do
    local values = { timeout = 5, deadline = 5, retry = 1, server = server.id, on_retry = function() end }
    for name in pairs(said.fields[class]) do
      t.ok(pcall(call, { [name] = values[name] }), class .. " has " .. name)
      values[name] = nil
    end
    for name, value in pairs(values) do
      t.ok(not pcall(call, { [name] = value }), class .. " has no " .. name)
    end
  end
end)

t.test("every function has words, and a type for each parameter", function()
  local count = 0
  for name, one in pairs(said.functions) do
    count = count + 1
    t.ok(one.block:match("^%-%-%-[^@]"), name .. " has words")
    for param in one.params:gmatch("[%w_.]+") do
      local typed = (one.block .. "\n"):find("@param " .. param:gsub("%p", "%%%0") .. "%?? ")
      t.ok(typed, ("%s has the type of %s"):format(name, param))
    end
  end
  t.ok(count >= 35, count)
end)

t.test("parameters have the names and the number that the functions have", function()
  local owners = { clouds = clouds, json = clouds.json, trace = clouds.trace }
  owners.Node, owners.Client, owners.Server = client, client, server
  for name, one in pairs(said.functions) do
    local owner, kind, own = name:match("^(%w+)([.:])([%w_]+)$")
    local fn = owners[owner] and owners[owner][own]
    local info = fn and debug.getinfo(fn, "uS")
    if info and info.what == "Lua" then
      local names = {}
      for param in one.params:gmatch("[%w_]+") do
        names[#names + 1] = param
      end
      t.is(#names, info.nparams - (kind == ":" and 1 or 0), name)
    end
  end
end)

server:close(0)
t.done()
