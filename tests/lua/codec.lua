-- The exact JSON codec: clouds.json.
local t = require("tap")
local clouds = require("clouds")
local json = clouds.json

local function encodes(value, text)
  local got, problem = json.encode(value)
  t.is(got, text, problem or text)
end

local function refuses(value, why)
  local got, problem = json.encode(value)
  t.is(got, nil, why)
  t.has(problem, why)
end

local function decodes(text, value)
  local got, problem = json.decode(text)
  t.is(got, value, problem or text)
end

local function broken(text, why)
  local got, problem = json.decode(text)
  t.is(got, nil, text)
  t.has(problem, why or "at byte", text)
end

-- Text that comes back exactly as it was.
local function stable(text)
  local value, problem = json.decode(text)
  t.ok(value ~= nil, problem)
  encodes(value, text)
end

t.test("whole numbers are exact and have no fraction", function()
  encodes(0, "0")
  encodes(-0.0, "0")
  encodes(1, "1")
  encodes(-1, "-1")
  encodes(2 ^ 53 - 1, "9007199254740991")
  encodes(-(2 ^ 53 - 1), "-9007199254740991")
  encodes(2 ^ 53, "9007199254740992")
  encodes(1e15, "1000000000000000")
  decodes("9007199254740991", 2 ^ 53 - 1)
  decodes("-9007199254740991", -(2 ^ 53 - 1))
end)

t.test("fractions are short and come back bit for bit", function()
  encodes(0.1, "0.1")
  encodes(0.5, "0.5")
  encodes(-2.25, "-2.25")
  encodes(3.14159, "3.14159")
  encodes(0.001, "0.001")
  encodes(1 / 3, "0.3333333333333333")
  encodes(0.1 + 0.2, "0.30000000000000004")
  local corners = { 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e21, 1e22, 1e23, 1.5e300, 1e-7, 1.2e-9 }
  for _, number in ipairs(corners) do
    t.is(json.decode(json.encode(number)), number, tostring(number))
    t.is(json.decode(json.encode(-number)), -number, tostring(-number))
  end
end)

t.test("numbers are written as JavaScript writes them", function()
  encodes(123456789012345680000, "123456789012345680000")
  encodes(1e20, "100000000000000000000")
  encodes(2 ^ 63, "9223372036854776000")
  encodes(1e21, "1e+21")
  encodes(-1.5e300, "-1.5e+300")
  encodes(1e-6, "0.000001")
  encodes(1.25e-6, "0.00000125")
  encodes(1e-7, "1e-7")
  encodes(5e-324, "5e-324")
  encodes(2 ^ -44, "5.684341886080802e-14") -- the shortest is not the nearest
  encodes(0.09999999999999999, "0.09999999999999999")
  encodes(0.99999999999999989, "0.9999999999999999")
  encodes(4503599627370495.5, "4503599627370495.5")
  encodes(1.7976931348623157e308, "1.7976931348623157e+308")
end)

t.test("what is no number is null", function()
  encodes(0 / 0, "null")
  encodes(math.huge, "null")
  encodes({ -math.huge }, "[null]")
end)

t.test("numbers are read in all their forms", function()
  decodes("1e3", 1000)
  decodes("1E+3", 1000)
  decodes("1.5e-3", 0.0015)
  decodes("-0.0", 0)
  decodes("0.1", 0.1)
  decodes("123456789012345678901234567890", 123456789012345678901234567890)
  decodes("0." .. ("0"):rep(400) .. "1", 0)
  decodes("1" .. ("0"):rep(308), 1e308)
  decodes("2.2250738585072011e-308", 2.2250738585072011e-308)
  decodes("1" .. ("0"):rep(400) .. "e-400", 1)
  for text, place in pairs({ ["1e400"] = 1, ["-1e309"] = 1, ['{"a":[1,1e400]}'] = 9, ["1" .. ("0"):rep(309)] = 1 }) do
    local value, problem = json.decode(text)
    t.is({ value, problem }, { nil, "number out of range at byte " .. place }, text)
  end
  for _, text in ipairs({ "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x10", "NaN", "Infinity", "--1", "1-" }) do
    broken(text)
  end
end)

t.test("the locale does not matter", function()
  local before = os.setlocale(nil)
  for _, name in ipairs({ "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8" }) do
    if os.setlocale(name) then
      break
    end
  end
  local text, value = json.encode({ 1.25e-7, 0.5 }), json.decode("1.25e-7")
  os.setlocale(before)
  t.is(text, "[1.25e-7,0.5]")
  t.is(value, 1.25e-7)
end)

t.test("strings: escapes, NUL, UTF-8", function()
  encodes('"\\/\b\f\n\r\t', [["\"\\/\b\f\n\r\t"]])
  encodes("\0\1\31\127", [["\u0000\u0001\u001f]] .. '\127"')
  encodes("äöü€😀", '"äöü€😀"')
  decodes([["\u00e4\u20ac\ud83d\ude00\/\u0000"]], "ä€😀/\0")
  t.is(#json.decode([["a\u0000b"]]), 3)
  stable('"' .. ("x"):rep(100000) .. '"')
  for _, piece in ipairs({ "\\u0000", '\\"', "\\ud800 ", "ä", "\\\\" }) do
    stable('"' .. piece:rep(5000) .. '"')
  end
end)

t.test("lone surrogates travel", function()
  stable([["\ud800"]])
  stable([["\udfff x \udc00"]])
  stable([["\ud800\ud800"]])
  decodes([["\ud800"]], "\237\160\128")
  decodes([["\ud83dx\ude00"]], "\237\160\189x\237\184\128")
end)

t.test("strings that are not text", function()
  refuses("\255", "not UTF-8 (byte 1)")
  refuses("ab\192\128", "not UTF-8 (byte 3)")
  refuses("\244\144\128\128", "not UTF-8")
  refuses("\226\130", "not UTF-8")
  decodes('"\255a\226\130"', "\239\191\189a\239\191\189\239\191\189")
  broken('"a\nb"', "control character")
  broken('"\\x"', "bad escape")
  broken('"\\u12g4"', "bad \\u escape")
  broken('"abc', "unexpected end")
  broken('"abc\\', "end of JSON")
end)

t.test("arrays and objects stay apart", function()
  encodes({}, "{}")
  encodes(clouds.array(), "[]")
  encodes(clouds.array({}), "[]")
  encodes({ 1, 2, 3 }, "[1,2,3]")
  encodes({ a = 1 }, '{"a":1}')
  encodes({ ["1"] = 2 }, '{"1":2}')
  decodes('{"1":2}', { ["1"] = 2 })
  for _, text in ipairs({ "[]", "{}", "[[],{}]", '{"a":[],"b":{}}', "[[[]]]", '[{"x":[]}]' }) do
    local value = json.decode(text)
    local again = json.encode(value)
    t.is(json.decode(again), value)
    t.is(#again, #text)
  end
  stable("[[],{},[[]]]")
  t.ok(json.is_array(json.decode("[]")))
  t.ok(not json.is_array(json.decode("{}")))
  t.ok(not json.is_array({}))
end)

t.test("nulls inside", function()
  t.is(tostring(clouds.null), "null")
  t.ok(clouds.null ~= nil and json.null == clouds.null)
  encodes({ clouds.null, 1 }, "[null,1]")
  encodes({ a = clouds.null }, '{"a":null}')
  encodes(clouds.array({ 1, nil, 3 }, 4), "[1,null,3,null]")
  encodes(clouds.array({}, 2), "[null,null]")
  stable("[null,[null,null],null]")
  t.is(json.decode("null"), clouds.null)
  encodes(nil, "null")
end)

t.test("integers beyond 2^53 are rounded once", function()
  local texts = { "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740995", "90071992547409930" }
  for _, mantissa in ipairs(texts) do
    for exponent = -22, 22 do
      local text = mantissa .. "e" .. exponent
      t.is(json.decode(text), tonumber(text), text)
      t.is(json.decode(("[-%s]"):format(text))[1], -tonumber(text), text)
    end
  end
end)

t.test("tables that are no clear array or object", function()
  refuses(clouds.array({ 1, nil, 3 }), "clouds.array(t, n)")
  refuses(clouds.array({ a = 1 }), "a list cannot have the key a")
  refuses({ x = clouds.array({ 1, n = "2" }) }, "the field n of a list is a count, not a string at .x")
  refuses({ 1, nil, 3 }, "holes")
  refuses({ [2] = 1 }, "holes")
  refuses({ 1, a = 2 }, "both numbers and strings")
  refuses({ a = 2, [1] = 1 }, "both numbers and strings")
  refuses({ [1.5] = 1 }, "key")
  refuses({ [0] = 1 }, "key")
  refuses({ [-1] = 1 }, "key")
  refuses({ [true] = 1 }, "boolean key")
  local unordered = {}
  for i = 20, 1, -1 do
    unordered[i] = i
  end
  encodes(unordered, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]")
end)

t.test("what cannot be encoded says where", function()
  refuses(print, "cannot encode a function")
  refuses({ a = { b = { print } } }, "at .a.b[1]")
  refuses({ { x = io.stdout } }, "cannot encode a userdata at [1].x")
  refuses({ coroutine.create(print) }, "thread")
  local circle = { 1, 2, {} }
  circle[3].again = circle
  refuses(circle, "contains itself at [3].again")
  local own = {}
  own.own = own
  refuses(own, "contains itself")
  local shared = { 1 }
  encodes({ shared, shared }, "[[1],[1]]")
end)

t.test("depth has a limit", function()
  local deep = {}
  for _ = 1, 255 do
    deep = { deep }
  end
  t.ok(json.encode(deep))
  refuses({ deep }, "deeper than 256")
  t.ok(json.decode(("["):rep(256) .. ("]"):rep(256)))
  broken(("["):rep(257) .. ("]"):rep(257), "deeper than 256")
  broken(("["):rep(100000), "deeper than 256")
  broken(('{"a":'):rep(100000), "deeper than 256")
end)

t.test("broken text", function()
  local texts = {
    "", " ", "nul", "nulll", "tru", "[", "[1", "[1,", "[1,]", "[,1]", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,',
    '{"a":1,}', "{a:1}", "{1:1}", "1 2", "[1] x", "'a'", "[1;2]", "]", "}", ":", "\239\187\1911", "/**/1", "[1\0]",
  }
  for _, text in ipairs(texts) do
    broken(text)
  end
  decodes(" \t\r\n[ 1 , 2 ] \n", { 1, 2 })
  decodes('{"a":1,"a":2}', { a = 2 })
end)

t.test("truncated anywhere it is refused", function()
  local text = [==[{"a":[1,-2.5e3,true,false,null,"x\n\u00e4\ud83d\ude00ä"],"b":{"c":{}}}]==]
  t.ok(json.decode(text))
  for i = 0, #text - 1 do
    t.is(json.decode(text:sub(1, i)), nil, "cut at " .. i)
  end
end)

t.test("arrays of all sizes", function()
  for _, n in ipairs({ 1, 2, 31, 32, 33, 63, 64, 65, 1000, 20000 }) do
    local list = {}
    for i = 1, n do
      list[i] = i * 3
    end
    local text = json.encode(list)
    local back = json.decode(text)
    t.is(#back, n)
    t.is(back[n], n * 3)
    t.is(json.encode(back), text)
  end
end)

local random = math.random

local function random_string()
  local parts = {}
  for i = 1, random(0, 12) do
    local kind = random(6)
    if kind == 1 then
      parts[i] = string.char(random(0, 31))
    elseif kind == 2 then
      parts[i] = ({ "ä", "€", "😀", "\237\160\128.", "\237\191\191." })[random(5)]
    else
      parts[i] = string.char(random(32, 126))
    end
  end
  return table.concat(parts)
end

local function random_number()
  local kind = random(5)
  if kind == 1 then
    return random(-1000, 1000)
  elseif kind == 2 then
    return math.floor((random() - 0.5) * 2 ^ 54)
  elseif kind == 3 then
    return random(-100000, 100000) / 1000
  end
  return (random() - 0.5) * 10 ^ random(-300, 300)
end

local function random_value(depth)
  local kind = random(depth > 4 and 5 or 7)
  if kind <= 2 then
    return random_number()
  elseif kind == 3 then
    return random_string()
  elseif kind == 4 then
    return random(2) == 1
  elseif kind == 5 then
    return clouds.null
  end
  local result = kind == 6 and clouds.array() or {}
  for i = 1, random(0, 6) do
    result[kind == 6 and i or random_string()] = random_value(depth + 1)
  end
  return result
end
jit.off(random_value) -- see tap.lua, equal

t.test("random values survive a round trip", function()
  local seed = os.time() + math.floor(os.clock() * 1e6)
  math.randomseed(seed)
  for _ = 1, 20000 do
    local value = random_value(1)
    local text, problem = json.encode(value)
    if not text then
      return t.ok(false, ("seed %d: %s"):format(seed, problem))
    end
    local back = json.decode(text)
    if not t.equal(back, value) then
      return t.ok(false, ("seed %d: %s"):format(seed, text))
    end
  end
end)

-- Node must write the numbers that it reads from our text as we do, and we read the same from its.
t.test("numbers agree with another implementation", function()
  local pipe = io.popen("command -v node 2>/dev/null")
  local node = pipe:read("*l")
  pipe:close()
  if not node then
    return
  end
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  local numbers = {}
  for i = 1, 3000 do
    numbers[i] = random_number()
  end
  local ours = json.encode(numbers)
  file:write(ours)
  file:close()
  local program = 'process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(process.argv[1]))))'
  local again = io.popen(("node -e '%s' %s"):format(program, name))
  local text = again:read("*a")
  again:close()
  os.remove(name)
  local back = json.decode(text)
  for i, number in ipairs(numbers) do
    if back[i] ~= number then
      return t.ok(false, ("%.17g became %s"):format(number, tostring(back[i])))
    end
  end
  t.is(ours, text)
end)

t.done()
