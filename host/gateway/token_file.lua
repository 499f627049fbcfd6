-- The text of a token file: a line for each token, which has the SHA-256 of it and never the token itself.
--
--   shop-front  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  shop.*,subscribe:shop.>  rate=100
local access = require "clouds.gateway.access"
local digest = require "clouds.gateway.digest"
local M = {}

local HEX_DIGITS = 64
local LONGEST_NAME = 64
local amounts = { rate = true, burst = true, in_flight = true, subscriptions = true }

local function read_amount(identity, word)
  local name, text = word:match("^([%a_]+)=(.+)$")
  local value = name and amounts[name] and text:match("^[%d.]+$") and tonumber(text)
  if not value or value <= 0 then
    return nil, ("'%s': expected what is allowed, and rate=, burst=, in_flight= or subscriptions= with a number")
      :format(word)
  end
  identity.limits[name] = value
  return true
end

local function read_allowed(identity, word)
  local entries = {}
  for entry in word:gmatch("[^,]+") do entries[#entries + 1] = entry end
  local allowed, problem = access.read(entries)
  identity.access = allowed
  return allowed, problem
end

local function read_words(words)
  local name, hex = words[1], words[2]
  if #name > LONGEST_NAME or not name:find("^[%w_.@-]+$") then
    return nil, ("the name '%s': expected up to %d letters, digits and _.@-"):format(name, LONGEST_NAME)
  elseif not hex or #hex ~= HEX_DIGITS or hex:find("%X") then
    return nil, ("expected the SHA-256 of a token, %d hexadecimal digits, behind the name"):format(HEX_DIGITS)
  end
  local identity = { name = name, digest = digest.from_hex(hex), limits = {} }
  for i = 3, #words do
    local is_first = i == 3 and not words[i]:find("=", 1, true)
    local ok, problem = (is_first and read_allowed or read_amount)(identity, words[i])
    if not ok then return nil, problem end
  end
  return identity
end

--- The identities of a file, a list of { name =, digest =, access = or nil, limits = }; or nil and what is wrong.
function M.read(text)
  local list, number = {}, 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local words = {}
    for word in line:gsub("#.*$", ""):gmatch("%S+") do words[#words + 1] = word end
    if words[1] then
      local identity, problem = read_words(words)
      if not identity then return nil, ("line %d: %s"):format(number, problem) end
      list[#list + 1] = identity
    end
  end
  return list
end

return M
