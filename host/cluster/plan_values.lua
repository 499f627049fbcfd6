-- How the value of each kind of key is read: what it means in the plan, or what was expected in its place.
local host = require "clouds.host"
local M = { LONGEST_NAME = 64 }

local function is_number(value)
  return type(value) == "number" and value == value and math.abs(value) < math.huge
end

--- A value as an error message shows it.
function M.shown(value)
  if type(value) == "string" then return #value > 60 and ("%q..."):format(value:sub(1, 60)) or ("%q"):format(value) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

local function in_range(key, value)
  return (not key.least or value >= key.least) and (not key.most or value <= key.most)
end

local function range_text(key, what)
  if key.least and key.most then return ("%s from %g to %g"):format(what, key.least, key.most) end
  return key.least and ("%s of %g or more"):format(what, key.least) or what
end

local function is_list(value, is_right)
  if type(value) ~= "table" then return false end
  local count = 0
  for index, each in pairs(value) do
    if type(index) ~= "number" or not is_right(each) then return false end
    count = count + 1
  end
  return count == #value
end

local function is_text(value)
  return type(value) == "string" and not value:find("%z")
end

local readers = {}

function readers.number(value, key)
  if is_number(value) and in_range(key, value) then return value end
  return nil, range_text(key, "a number")
end

function readers.count(value, key)
  if is_number(value) and value % 1 == 0 and in_range(key, value) then return value end
  return nil, range_text(key, "a whole number")
end

function readers.boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false"
end

function readers.text(value)
  if is_text(value) and value ~= "" then return value end
  return nil, "a text"
end

local UMASK_MOST = 511 -- 0777

--- The number of octal digits, as 027; nil: they are none.
function M.umask_of(text)
  local mask = text:match("^[0-7]+$") and tonumber(text, 8)
  return mask and mask <= UMASK_MOST and mask or nil
end

function readers.umask(value)
  if is_text(value) and M.umask_of(value) then return value end
  return nil, "octal digits as 027"
end

function readers.name(value)
  local is_short = type(value) == "string" and #value <= M.LONGEST_NAME
  if is_short and value:match("^[%w_][%w_.-]*$") then return value end -- it names files, too
  return nil, ("1 to %d letters, digits, '_', '.' or '-'"):format(M.LONGEST_NAME)
end

function readers.choice(value, key)
  for _, choice in ipairs(key.choices) do
    if value == choice then return value end
  end
  return nil, 'one of "' .. table.concat(key.choices, '", "') .. '"'
end

local function is_word(value)
  return is_text(value) or is_number(value)
end

local function text_of(value)
  return type(value) == "number" and ("%.14g"):format(value) or value
end

function readers.texts(value)
  if not is_list(value, is_word) then return nil, "a list of texts" end
  local list = {}
  for i, each in ipairs(value) do list[i] = text_of(each) end
  return list
end

function readers.texts_by_name(value)
  local expected = 'texts by name, as { LANG = "C" }'
  if type(value) ~= "table" then return nil, expected end
  local texts = {}
  for name, each in pairs(value) do
    if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") or not is_word(each) then return nil, expected end
    texts[name] = text_of(each)
  end
  return texts
end

--- How many workers a group may have.
M.MOST_WORKERS = 1024

--- Whether it is a number that says how many workers a group has.
function M.is_worker_count(value)
  return is_number(value) and value % 1 == 0 and value >= 1 and value <= M.MOST_WORKERS
end

local WORKERS = ('a whole number from 1 to %d, a text as "50%%", or a table by CLOUDS_ENV, '):format(M.MOST_WORKERS)
  .. "as { production = 8, default = 1 }"

local function worker_count(value)
  if type(value) == "string" and value:match("^%d+$") then value = tonumber(value) end
  if M.is_worker_count(value) then return value end
  local percent = type(value) == "string" and tonumber(value:match("^(%d+)%%$"))
  if not percent or percent < 1 or percent > 10000 then return nil, WORKERS end
  return math.max(1, math.floor(host.cluster.processors() * percent / 100))
end

function readers.workers(value)
  if type(value) ~= "table" then return worker_count(value) end
  local wanted = os.getenv "CLOUDS_ENV" or ""
  for _, each in pairs(value) do
    if not worker_count(each) then return nil, WORKERS end
  end
  local chosen = value[wanted]
  if chosen == nil then chosen = value.default end
  if chosen ~= nil then return worker_count(chosen) end
  return nil, ("a default, or a number of workers for CLOUDS_ENV=%s"):format(wanted)
end

-- The parts of "8080, unix:/run/web.sock": empty ones beside others stand for nothing.
local function parts_of(value)
  if type(value) ~= "string" then return { value } end
  local parts = {}
  for part in value:gmatch("[^,]+") do
    part = part:match("^%s*(.-)%s*$")
    if part ~= "" then parts[#parts + 1] = part end
  end
  return parts
end

local LISTEN = 'a port, an address as "127.0.0.1:8080" or "unix:PATH", or a list of them'

function readers.listen(value)
  local given = type(value) == "table" and value or { value }
  if not is_list(given, is_word) then return nil, LISTEN end
  local list = {}
  for _, each in ipairs(given) do
    local parts = parts_of(each)
    if not parts[1] then return nil, LISTEN end
    for _, part in ipairs(parts) do
      local address = text_of(part)
      local is_right, problem = host.http_address(address)
      if not is_right then return nil, (problem:gsub("^expected ", "")), address end
      list[#list + 1] = address
    end
  end
  return list
end

function readers.limits(value)
  local expected = "a table of numbers: nofile, core, as"
  if type(value) ~= "table" then return nil, expected end
  for name, each in pairs(value) do
    local is_known = name == "nofile" or name == "core" or name == "as"
    if not is_known or not is_number(each) or each < 0 or each % 1 ~= 0 then return nil, expected end
  end
  return value
end

--- What the plan holds for the value of a key; or nil, what was expected, and in the place of which part, if of one.
function M.read(key, value)
  return readers[key[2]](value, key)
end

return M
