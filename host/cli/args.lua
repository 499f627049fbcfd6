-- Command lines: options by a table that also makes the --help text.
--
-- A command describes itself: { name, usage, summary, text, options, operands = {min, max}, stop_at_operand }.
-- An option is { long, short, value, kind, least, choices, optional, many, hidden, help }: without `value` it is a
-- switch; `kind` is "number", "count" or "url"; `choices` a list of its values; `optional` is the value it has without
-- one (numbers only).
local suggest = require "clouds.suggest"
local M = {}

local Usage = {}
Usage.__index = Usage
Usage.__tostring = function(self) return self.text end

-- Raises a usage error: the command line was wrong, and this says what was expected.
function M.fail(command, format, ...)
  local text = select("#", ...) > 0 and format:format(...) or format
  error(setmetatable({ text = text, command = command }, Usage), 0)
end

function M.is_usage(value)
  return getmetatable(value) == Usage
end

M.common = {
  { long = "url", value = "URL", kind = "url",
    help = "the cluster: redis://host[:port][/db], redis+unix:///path,\n"
    .. "redis+sentinel://host[:port][,...]/master[/db],\n"
    .. "rediss:// and rediss+sentinel:// over TLS,\n"
    .. "etcd://host[:port][,...][/prefix], local:[name]\n"
    .. "(default: the environment's CLOUDS_URL, else local:)" },
  { long = "url-file", value = "FILE", help = "read the URL from FILE, so that a password is not in the process list" },
  { long = "password-file", value = "FILE", help = "read the password for Redis or etcd from FILE" },
  { long = "sentinel-user", value = "NAME", help = "the user at the sentinels, if they have one of their own" },
  { long = "sentinel-password-file", value = "FILE", help = "read the password for the sentinels from FILE" },
  { long = "help", short = "h", help = "show this help" },
}

--- Its own options, and those of all.
function M.options_of(command)
  local list = {}
  for _, option in ipairs(command.options or {}) do list[#list + 1] = option end
  if not command.without_common then
    for _, option in ipairs(M.common) do list[#list + 1] = option end
  else
    list[#list + 1] = M.common[#M.common]
  end
  return list
end

local function find_option(command, key, name)
  for _, option in ipairs(M.options_of(command)) do
    if option[key] == name then return option end
  end
end

local function unknown(command, shown, name)
  local words = {}
  for _, option in ipairs(M.options_of(command)) do
    if not option.hidden then words[#words + 1] = option.long end
  end
  local near = name and suggest.nearest(name, words)
  local hint = near and ("; did you mean --%s?"):format(near)
    or ("; expected one of --%s"):format(table.concat(words, ", --"))
  M.fail(command.name, "unknown option %s%s", shown, hint)
end

local function check_choice(command, option, text)
  for _, choice in ipairs(option.choices) do
    if text == choice then return end
  end
  M.fail(command.name, "--%s: expected one of %s, got '%s'", option.long, table.concat(option.choices, ", "), text)
end

local function check(command, option, text)
  local kind = option.kind
  if option.choices then check_choice(command, option, text) end
  if kind == "number" or kind == "count" then
    local digits = text:match("^([%d.]+)$") or text:match("^([%d.]+)[eE][+-]?%d+$")
    local number, least, most = digits and tonumber(text), option.least or 0, option.most or 1e300
    if not number or number < least or number > most or (kind == "count" and number % 1 ~= 0) then
      local what = kind == "count" and "whole number" or "number"
      local range = option.most and ("from %.15g to %.15g"):format(least, most) or ("of %.15g or more"):format(least)
      M.fail(command.name, "--%s: expected a %s %s, got '%s'", option.long, what, range, text)
    end
    return number
  end
  if kind == "url" and not text:match("^[%a+]+:") then
    M.fail(command.name, "--%s: expected %s, got '%s'", option.long,
      "redis://host[:port][/db], redis+unix:///path, "
      .. "redis+sentinel://host[:port][,...]/master, etcd://host[:port][/prefix], local:[name] or inproc:[name]",
      (text:gsub("//[^@/]*@", "//***@")))
  end
  return text
end

local function keep(command, result, option, value)
  local name = option.long:gsub("-", "_")
  if option.value then value = check(command, option, value) end
  if option.many then
    result[name] = result[name] or {}
    table.insert(result[name], value)
  else
    result[name] = value
  end
  result.order[#result.order + 1] = { name, value }
end

-- The value of an option that stands in the next word; it and the index of the last word used.
local function next_value(command, argv, index, option, shown)
  local word = argv[index + 1]
  if option.optional and not (word and word:match("^[%d.]+$")) then return option.optional, index end
  if not word then M.fail(command.name, "%s needs a value: %s", shown, option.value) end
  return word, index + 1
end

-- One word that begins with "--"; returns the index of the last word used.
local function take_long(command, argv, index, result)
  local name, value = argv[index]:match("^%-%-([^=]+)=(.*)$")
  name = name or argv[index]:sub(3)
  local option = find_option(command, "long", name)
  if not option then unknown(command, "--" .. name, name) end
  if not option.value then
    if value then M.fail(command.name, "--%s takes no value", name) end
    keep(command, result, option, true)
    return index
  end
  if not value then value, index = next_value(command, argv, index, option, "--" .. name) end
  keep(command, result, option, value)
  return index
end

-- One word of short options: -x, -xVALUE, -x VALUE, -xyz.
local function take_short(command, argv, index, result)
  local word, at = argv[index], 2
  while at <= #word do
    local letter = word:sub(at, at)
    local option = find_option(command, "short", letter)
    if not option then unknown(command, "-" .. letter) end
    if option.value then
      local value = word:sub(at + 1)
      if value == "" then value, index = next_value(command, argv, index, option, "-" .. letter) end
      keep(command, result, option, value)
      return index
    end
    keep(command, result, option, true)
    at = at + 1
  end
  return index
end

local function check_operands(command, operands)
  local least, most = command.operands and command.operands[1] or 0, command.operands and command.operands[2] or 0
  if #operands < least then
    local missing = operands[1] and ("nothing after '%s'"):format(operands[#operands]) or "nothing given"
    M.fail(command.name, "%s; expected: clouds %s", missing, command.usage)
  end
  local extra = operands[most + 1]
  if extra then M.fail(command.name, "unexpected argument '%s'; expected: clouds %s", extra, command.usage) end
end

-- A negative number is an argument, not an option, unless the command knows it as one.
local function is_option(command, word)
  if not word:match("^%-.") then return false end
  if word:match("^%-%d") then return find_option(command, "short", word:sub(2, 2)) ~= nil end
  return true
end

-- Reads argv from `first`: the options by name, the operands, and the index of the first operand.
function M.parse(command, argv, first)
  local result, operands, index, first_operand = { order = {} }, {}, first, nil
  local only_operands = false
  while argv[index] do
    local word = argv[index]
    if not only_operands and word == "--" then
      only_operands, result.ended = true, true
    elseif not only_operands and word:sub(1, 2) == "--" then
      index = take_long(command, argv, index, result)
    elseif not only_operands and is_option(command, word) then
      index = take_short(command, argv, index, result)
    else
      operands[#operands + 1] = word
      first_operand = first_operand or index
      if command.stop_at_operand then only_operands = true end
    end
    index = index + 1
  end
  if not result.help then check_operands(command, operands) end
  return result, operands, first_operand
end

local function option_head(option)
  local head = option.short and ("-%s, --%s"):format(option.short, option.long) or ("    --%s"):format(option.long)
  return option.value and head .. " " .. option.value or head
end

local function option_line(option)
  local help = option.help:gsub("\n", "\n" .. (" "):rep(29))
  local head = option_head(option)
  return #head <= 25 and ("  %-26s %s"):format(head, help) or ("  %s\n%s%s"):format(head, (" "):rep(29), help)
end

-- The --help text of a command.
function M.help(command)
  local lines = { ("usage: clouds %s"):format(command.usage), "", command.summary }
  if command.text then lines[#lines + 1] = "\n" .. command.text end
  lines[#lines + 1] = "\noptions"
  for _, option in ipairs(M.options_of(command)) do
    lines[#lines + 1] = not option.hidden and option_line(option) or nil
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
