--- The canonical text of a value (see table.py), made of Lua values alone.
local clouds = require("clouds")
local ffi = require("ffi")

local double = ffi.new("union { double d; uint32_t u[2]; }")

local function unit(code)
  if code >= 32 and code < 127 and code ~= 34 and code ~= 92 then
    return string.char(code)
  end
  return ("\\u%04x"):format(code)
end

-- One character of UTF-8, surrogates on their own included, as its UTF-16 units.
local function units(char)
  local first = char:byte()
  if first < 0x80 then
    return unit(first)
  end
  local code = #char == 2 and first % 32 or #char == 3 and first % 16 or first % 8
  for i = 2, #char do
    code = code * 64 + char:byte(i) % 64
  end
  if code < 0x10000 then
    return unit(code)
  end
  code = code - 0x10000
  return unit(0xd800 + math.floor(code / 1024)) .. unit(0xdc00 + code % 1024)
end

local function text(value)
  return '"' .. value:gsub("[%z\1-\127\194-\244][\128-\191]*", units) .. '"'
end

local function number(value)
  if math.abs(value) <= 2 ^ 53 and value % 1 == 0 then
    return ("%.0f"):format(value == 0 and 0 or value)
  end
  double.d = value
  return ("x%08x%08x"):format(double.u[1], double.u[0])
end

local canonical

local function list(values, count)
  local texts = {}
  for i = 1, count do
    texts[i] = canonical(values[i])
  end
  return "[" .. table.concat(texts, ",") .. "]"
end

local function object(value)
  local keys, texts = {}, {}
  for key, of in pairs(value) do
    local name = text(key)
    keys[#keys + 1], texts[name] = name, name .. ":" .. canonical(of)
  end
  table.sort(keys)
  for i, name in ipairs(keys) do
    keys[i] = texts[name]
  end
  return "{" .. table.concat(keys, ",") .. "}"
end

function canonical(value)
  local kind = type(value)
  if clouds.is_bytes(value) then
    local hex = tostring(value):gsub(".", function(byte)
      return ("%02x"):format(byte:byte())
    end)
    return "bytes(" .. hex .. ")"
  elseif value == nil or value == clouds.null then
    return "null"
  elseif kind == "table" then
    return clouds.json.is_array(value) and list(value, #value) or object(value)
  elseif kind == "string" then
    return text(value)
  end
  return kind == "number" and number(value) or tostring(value)
end

return { of = canonical, list = list }
