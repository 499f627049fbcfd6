-- A line of the log in each of its forms.
--
-- An entry is { time = seconds since 1970, group =, worker =, pid =, stream =, text =, is_cut = } and a line of a
-- worker, or of the manager or the master, whose group and worker are "manager" and "master". stream: 1 or 2; what the
-- master says itself has none.
local host = require "clouds.host"
local output = require "clouds.cli.output"
local M = {}

local STDERR = 2
local CUT = "..."

---- the text ----

-- Bytes that are no UTF-8 as \xNN.
local function mended(text)
  return text:find("[\128-\255]") and host.cluster.mended(text) or text
end

local function end_of(entry)
  return entry.is_cut and CUT or ""
end

-- In one line that no terminal obeys.
local function shown(entry)
  local text = entry.text
  if text:find("[%c\128-\255]") then text = output.plain(mended(text)) end
  return text .. end_of(entry)
end

---- the time ----

local last_time, last_text

--- "2026-11-28T06:48:01.123Z"
function M.time(seconds)
  if seconds ~= last_time then
    local whole = math.floor(seconds)
    last_time = seconds
    last_text = ("%s.%03dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", whole), (seconds - whole) * 1000 + 0.5)
  end
  return last_text
end

local last_second, last_clock

-- "06:48:01", where we are.
local function clock(seconds)
  local whole = math.floor(seconds)
  if whole ~= last_second then last_second, last_clock = whole, os.date("%H:%M:%S", whole) end
  return last_clock
end

---- the forms ----

--- For a file, a pipe, whoever reads it later.
function M.text(entry)
  return ("%s %s %d | %s\n"):format(M.time(entry.time), entry.worker, entry.pid, shown(entry))
end

local has_colours = (os.getenv "NO_COLOR" or "") == ""
local PLAIN, RED, FIRST_COLOUR, COLOURS = "\27[0m", "\27[31m", 32, 5
local colour_of = {}

local function colour(name)
  if not colour_of[name] then
    local sum = 0
    for i = 1, #name do sum = sum + name:byte(i) end
    colour_of[name] = ("\27[%dm"):format(FIRST_COLOUR + sum % COLOURS)
  end
  return colour_of[name]
end

--- For a terminal, in colours unless the environment has NO_COLOR.
function M.terminal(entry)
  local head, text = clock(entry.time) .. " " .. entry.worker .. " |", shown(entry)
  if not has_colours then return head .. " " .. text .. "\n" end
  local bar = entry.stream == STDERR and RED or colour(entry.worker)
  return colour(entry.worker) .. head:sub(1, -2) .. bar .. "|" .. PLAIN .. " " .. text .. "\n"
end

local function level_of(entry)
  return entry.stream == STDERR and "warning" or "info"
end

local priority_of = { info = 6, warning = 4 }

--- For systemd, which has time and pid itself.
function M.journal(entry)
  return ("<%d>%s | %s\n"):format(priority_of[level_of(entry)], entry.worker, shown(entry))
end

-- What a program has said as a JSON object with a message.
local function said_by(entry)
  if entry.is_cut or entry.text:sub(1, 1) ~= "{" then return nil end
  local value = require("clouds").json.decode(entry.text)
  return type(value) == "table" and type(value.message) == "string" and value or nil
end

local names = { "time", "app", "group", "worker", "pid", "stream", "level", "missed", "message" }
local own = { time = true, app = true, group = true, worker = true, pid = true, stream = true, missed = true }

-- Who it is from is not what it says of itself.
local function add_said(members, said)
  for name, value in pairs(said) do
    if type(name) == "string" and not own[name] then members[name] = value end
  end
  if type(members.level) ~= "string" then members.level = tostring(members.level) end
  return members
end

local function usual_members(entry, app)
  return { time = M.time(entry.time), app = app, group = entry.group, worker = entry.worker, pid = entry.pid,
    stream = entry.stream and (entry.stream == STDERR and "stderr" or "stdout") or nil, level = level_of(entry),
    message = mended(entry.text) .. end_of(entry) }
end

--- What of a line goes into JSON. A program that writes JSON objects says more of it, and how serious it is.
function M.members(entry, app)
  local members, said = usual_members(entry, app), said_by(entry)
  return said and add_said(members, said) or members
end

-- Those that a program has added, behind the others.
local function further_names(members)
  local known, list = {}, {}
  for _, name in ipairs(names) do known[name] = true end
  for name in pairs(members) do
    if not known[name] then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- What M.members gave as a JSON object, always in one order; a terminal obeys nothing in it.
function M.json_of(members)
  local encode, list = require("clouds").json.encode, {}
  for _, name in ipairs(names) do
    local value = members[name]
    if value ~= nil then list[#list + 1] = ('"%s":%s'):format(name, encode(value)) end
  end
  for _, name in ipairs(further_names(members)) do
    list[#list + 1] = ("%s:%s"):format(encode(name), encode(members[name]))
  end
  return "{" .. output.harmless_json(table.concat(list, ",")) .. "}\n"
end

--- For programs: a JSON object.
function M.json(entry, app)
  return M.json_of(M.members(entry, app))
end

---- back again ----

-- Seconds since 1970 of a time that M.time has written.
local function seconds_of(text)
  local year, month, day, hour, minute, second = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)Z$")
  if not year then return 0 end
  local here = os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = 0, isdst = false }
  local there = os.date("!*t", here)
  there.isdst = false
  return here + os.difftime(here, os.time(there)) + tonumber(second)
end

--- The entry of what M.members gave, as far as another program says something that makes sense.
function M.entry(members)
  local stream = members.stream == "stderr" and STDERR or members.stream == "stdout" and 1 or nil
  return { time = seconds_of(tostring(members.time)), group = tostring(members.group), pid = tonumber(members.pid) or 0,
    worker = output.plain(members.worker), stream = stream, text = tostring(members.message) }
end

--- The form for a descriptor of this process.
function M.of_descriptor(fd, format)
  if format == "json" then return M.json end
  if host.is_terminal(fd) then return M.terminal end
  return host.cluster.is_journal(fd) and M.journal or M.text
end

return M
