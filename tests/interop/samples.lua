-- Values of all kinds, as this language has them. Each name stands for the same value as in samples.js.
local clouds = require("clouds")
local null, array = clouds.null, clouds.array

local function nested(wrap, value)
  for _ = 2, 200 do
    value = wrap(value)
  end
  return value
end

local function numbers(count)
  local list = {}
  for i = 1, count do
    list[i] = i - 1
  end
  return list
end

local table_of = {
  null = function() return null end,
  ["true"] = function() return true end,
  ["false"] = function() return false end,
  zero = function() return 0 end,
  one = function() return 1 end,
  minus_one = function() return -1 end,
  max_safe = function() return 2 ^ 53 - 1 end,
  min_safe = function() return -(2 ^ 53 - 1) end,
  int32 = function() return 2 ^ 31 end,
  sum = function() return 0.1 + 0.2 end,
  third = function() return 1 / 3 end,
  big = function() return 1e21 end,
  below_big = function() return 123456789012345680000 end,
  tiny = function() return 4.9406564584124654e-324 end,
  huge = function() return 1.7976931348623157e308 end,
  small = function() return 1e-7 end,
  half = function() return -0.5 end,
  pi = function() return math.pi end,
  empty_text = function() return "" end,
  text = function() return "plain" end,
  unicode = function() return "h\195\169llo \228\184\150\231\149\140 \240\159\152\128" end,
  nul = function() return "a\0b\0" end,
  controls = function() return "\1\b\t\n\f\r\31\"\\/\127\226\128\168\226\128\169" end,
  high_surrogate = function() return "x\237\160\128y" end,
  low_surrogate = function() return "\237\176\128" end,
  swapped_surrogates = function() return "\237\176\128\237\160\128" end,
  megabyte = function() return ("0123456789abcdef"):rep(65536) end,
  empty_array = function() return array({}) end,
  empty_object = function() return {} end,
  nested_empty = function()
    return { array({}), {}, { array({}) }, { {} }, { a = array({}), b = {} } }
  end,
  nulls = function() return { null, 1, null, null } end,
  only_nulls = function() return { null, null } end,
  object_with_null = function() return { a = null, b = { c = null } } end,
  number_keys = function()
    return { ["1"] = "one", ["2"] = "two", ["01"] = "text", ["-1"] = "minus", ["1.5"] = "half", [""] = "empty" }
  end,
  proto_keys = function()
    return { ["__proto__"] = { x = 1 }, constructor = 1, hasOwnProperty = 2, toString = 3, n = 4 }
  end,
  unicode_keys = function() return { ["h\195\169"] = 1, ["\240\159\152\128"] = 2, ["a\0b"] = 3 } end,
  deep_array = function()
    return nested(function(v) return { v } end, array({}))
  end,
  deep_object = function()
    return nested(function(v) return { d = v } end, {})
  end,
  wide_array = function() return numbers(10000) end,
  record = function()
    return { id = 7, tags = { "a", "b" }, at = { x = -1.25, y = 1e-3 }, none = null, ok = true }
  end,
}

-- An array that came over the wire says so; one that was written here is known by its first element or its mark.
local function is_list(value)
  return clouds.json.is_array(value) or value[1] ~= nil
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and type(a) == type(b) and (a ~= 0 or 1 / a == 1 / b)
  end
  if is_list(a) ~= is_list(b) then
    return false
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local samples = { same = same }

function samples.give(name)
  return table_of[name]()
end

function samples.is(name, value)
  if value == nil then
    value = null
  end
  return same(value, table_of[name]())
end

return samples
