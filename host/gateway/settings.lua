-- What a gateway can be told: by the options of `clouds gateway`, the table that gateway.lua returns, or a script.
local host = require "clouds.host"
local suggest = require "clouds.suggest"
local access = require "clouds.gateway.access"
local M = {}

local function is_text(value) return type(value) == "string" and value ~= "" end

local function is_list(value)
  if type(value) ~= "table" then return false end
  for key, each in pairs(value) do
    if type(key) ~= "number" or not is_text(each) then return false end
  end
  return true
end

local function is_amount(value) return type(value) == "number" and value > 0 and value < math.huge end

local function is_function(value) return type(value) == "function" end

local function is_boolean(value) return type(value) == "boolean" end

local LIST, TEXT, AMOUNT = { is_list, "a list of texts" }, { is_text, "a text" }, { is_amount, "a number above 0" }
local BOOLEAN = { is_boolean, "true or false" }

local keys = {
  allow = LIST, origins = LIST, hosts = LIST, forwarded = LIST, listen = LIST,
  token_file = TEXT, static = TEXT,
  open = BOOLEAN, tell_server = BOOLEAN,
  authorize = { is_function, "a function of the request and the token" },
  rate = AMOUNT, burst = AMOUNT, in_flight = AMOUNT, subscriptions = AMOUNT,
  timeout = AMOUNT, body = AMOUNT, message = AMOUNT, connections = AMOUNT, unsent = AMOUNT, stall = AMOUNT,
  auth_timeout = AMOUNT,
}

local function names()
  local list = {}
  for name in pairs(keys) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function unknown(name)
  return ("unknown setting '%s'; %s"):format(tostring(name), suggest.hint(name, names()))
end

-- Where only this machine reaches it.
local function is_here(address)
  return address:find("^unix:") or address:find("^127%.[%d.]+:%d+$") or address:find("^%[::1%]:%d+$")
    or address:find("^localhost:%d+$")
end

--- Where it listens: as the settings say, else as the program was told; in a worker, where its master does.
function M.addresses(settings)
  if settings.listen then return settings.listen end
  if not host.master_listens_at then return host.listen_at or {} end
  local list = {}
  for address in host.master_listens_at:gmatch("%S+") do list[#list + 1] = address end
  return list
end

--- Why it may not listen at these addresses with these settings; nil: it may.
function M.problem_of_addresses(settings)
  if settings.open or settings.token_file or settings.authorize then return nil end
  for _, address in ipairs(M.addresses(settings)) do
    if not is_here(address) then
      return ("%s: others than this machine can reach that; expected a token file, or that it is open to everybody")
        :format(address)
    end
  end
end

--- What is wrong with a table of settings; nil: nothing.
function M.problem(settings)
  if type(settings) ~= "table" then return "expected a table of settings, as { allow = { 'shop.*' } }" end
  for name, value in pairs(settings) do
    local key = keys[name]
    if not key then return unknown(name) end
    if not key[1](value) then return ("'%s': expected %s"):format(name, key[2]) end
  end
  if settings.token_file and settings.authorize then
    return "'token_file' and 'authorize': expected one of them, for both say who somebody is"
  end
  for _, origin in ipairs(settings.origins or {}) do
    if not origin:find("^https?://[^/%s]+$") then
      return ("'origins': expected pages as https://shop.example, got '%s'"):format(origin)
    end
  end
  local _, problem = access.read(settings.allow or {})
  return problem and "'allow': " .. problem
end

return M
