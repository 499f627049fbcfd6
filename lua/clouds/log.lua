--- Lines of the log: text for people, or with CLOUDS_LOG_FORMAT=json in the environment a JSON object in each line.
local core = require("clouds.core")
local errors = require("clouds.error")

local M = {}

local is_json = os.getenv("CLOUDS_LOG_FORMAT") == "json"
local FACTS = { "method", "request", "caller", "node", "trace" }
local LEVELS = { debug = true, info = true, warning = true, error = true }
local OWN = { level = true, message = true, method = true, request = true, caller = true, node = true, trace = true }

-- Bytes that are no text have no place in it; what else cannot be sent is shown as text.
local function json_of(value)
  local text = core.encode(value)
  if text then
    return text
  end
  return core.encode((tostring(value):gsub("[\128-\255]", "?")))
end

local function sorted_names(members)
  local names = {}
  for name in pairs(members) do
    if type(name) == "string" and not OWN[name] then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function json_line(level, message, about, members)
  local parts = { ('"level":"%s","message":%s'):format(level, json_of(message)) }
  for _, name in ipairs(FACTS) do
    if about[name] and about[name] ~= "" then
      parts[#parts + 1] = ('"%s":%s'):format(name, json_of(tostring(about[name])))
    end
  end
  for _, name in ipairs(sorted_names(members)) do
    parts[#parts + 1] = ("%s:%s"):format(json_of(name), json_of(members[name]))
  end
  -- A terminal obeys nothing in it: JSON has escaped the control characters but this one, and those of C1.
  local text = table.concat(parts, ","):gsub("\127", "\\u007f")
  text = text:gsub("\194([\128-\159])", function(c) return ("\\u%04x"):format(c:byte()) end)
  return "{" .. text .. "}\n"
end

-- In brackets behind the message: what the program says of it, then what it is about.
local function more_of(about, members)
  local list = {}
  for _, name in ipairs(sorted_names(members)) do
    local value = members[name]
    list[#list + 1] = ("%s %s"):format(name, type(value) == "string" and value or json_of(value))
  end
  for _, name in ipairs(FACTS) do
    if about[name] and about[name] ~= "" then
      list[#list + 1] = ("%s %s"):format(name, tostring(about[name]))
    end
  end
  return list[1] and (" (%s)"):format(errors.escape(table.concat(list, ", "))) or ""
end

local NONE = {}

--- Is each line a JSON object?
function M.is_json()
  return is_json
end

--- One line to standard error, or to `out`. head: what text begins with.
function M.write(head, level, message, about, members, out)
  out = out or io.stderr
  if is_json then
    out:write(json_line(level, message, about or NONE, members or NONE))
  else
    out:write(head, level, ": ", errors.escape(message), more_of(about or NONE, members or NONE), "\n")
  end
  out:flush()
end

--- clouds.log(level, message [, members]): a line of the program, with the request on whose behalf it runs.
function M.log(level, message, members)
  if not LEVELS[level] then
    error(("clouds.log: the level is %s; expected debug, info, warning or error"):format(tostring(level)), 2)
  elseif type(message) ~= "string" then
    error("clouds.log: expected a message as text", 2)
  elseif members ~= nil and type(members) ~= "table" then
    error("clouds.log: expected a table of what more there is to say", 2)
  end
  local request, about = core.request(), nil
  if request then
    about = { method = request.method, request = request.id, caller = request.caller, trace = request.trace }
  end
  local is_bad = level == "warning" or level == "error"
  M.write("", level, message, about, members, is_bad and io.stderr or io.stdout)
end

return M
