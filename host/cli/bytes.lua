-- Bytes on the command line: { "$base64": "..." } stands for them, in what is read and in what is printed.
local bit = require "bit"
local core = require "clouds.core"
local M = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local NAME = "$base64"

local function to_base64(text)
  return (text:gsub("..?.?", function(three)
    local a, b, c = three:byte(1, 3)
    local all, made = a * 65536 + (b or 0) * 256 + (c or 0), {}
    for i = 0, 3 do
      local digit = bit.band(bit.rshift(all, 18 - 6 * i), 63) + 1
      made[i + 1] = i <= #three and ALPHABET:sub(digit, digit) or "="
    end
    return table.concat(made)
  end))
end

-- nil: it is no base64.
local function from_base64(text)
  local digits, padding = text:match("^([%w+/]*)(=?=?)$")
  if not digits or #text % 4 ~= 0 or #padding > 0 and #text == 0 then return nil end
  local decoded = (digits .. ("A"):rep(#padding)):gsub("....", function(four)
    local all = 0
    for i = 1, 4 do all = all * 64 + ALPHABET:find(four:sub(i, i), 1, true) - 1 end
    return string.char(bit.rshift(all, 16), bit.band(bit.rshift(all, 8), 255), bit.band(all, 255))
  end)
  return decoded:sub(1, #decoded - #padding)
end

-- A value in which bytes are such objects.
local function shown(value)
  local clouds = require "clouds"
  if clouds.is_bytes(value) then return { [NAME] = to_base64(tostring(value)) } end
  if type(value) ~= "table" then return value end
  local made = clouds.json.is_array(value) and clouds.array({}) or {}
  for key, member in pairs(value) do made[key] = shown(member) end
  return made
end

--- The JSON of a value, in which bytes are such objects.
function M.encode(value)
  return core.encode(value) or core.encode(shown(value))
end

--- A value that was read, with bytes in the places of such objects.
function M.read(value)
  if type(value) ~= "table" then return value end
  local text = rawget(value, NAME)
  local bytes = type(text) == "string" and next(value, next(value)) == nil and from_base64(text)
  if bytes then return require("clouds").bytes(bytes) end
  for key, member in pairs(value) do value[key] = M.read(member) end
  return value
end

return M
