--- Messages between workers, and the variables by which they say what they do.
local core = require("clouds.core")
local errors = require("clouds.error")
local link = require("clouds.worker_link")
local scheduler = require("clouds.scheduler")

local M = {}

local LONGEST = 64000 -- bytes of a value that is sent, and of all variables
local EARLY = 1000 -- messages that wait for a function until the worker is ready
local PERIOD = 1 -- seconds between two times that the variables are sent

---- messages ----

local emit -- function(value, group, index); nil: nobody wants them yet
local early = {}
local may_wait = true

local function arrive(value, group, index)
  if emit then
    emit(value, group, index)
  elseif may_wait and #early < EARLY then
    early[#early + 1] = { value, group, index }
  end
end

link.when_ready(function()
  may_wait, early = false, {}
end)

link.on("M", function(text)
  local group, index, value = text:match("^(%S+) (%d+)\n(.*)$")
  if group then
    arrive((core.decode(value)), group, tonumber(index))
  end
end)

--- fn(value, group, index) for each message, those that have come already included.
function M.receive(fn)
  emit = fn
  local waiting = early
  early = {}
  for _, message in ipairs(waiting) do
    emit(unpack(message, 1, 3))
  end
end

local function too_long(what, size)
  return errors.new(core.ELIMIT, ("%s has %d bytes as JSON; expected at most %d"):format(what, size, LONGEST))
end

-- In a program without a master: there is this worker only.
local function send_here(group, text, index)
  if group ~= link.fact("group") or (index or 1) ~= 1 then
    local name = index and group .. "." .. index or group
    return nil, errors.new(core.EINVAL, ("there is no worker %s: this program runs without clouds start"):format(name))
  end
  scheduler.loop.timer(0, function()
    arrive((core.decode(text)), group, 1)
  end)
  return true
end

--- A value for all workers of a group, or the one of this index. true; or nil and an error. Raises what cannot be sent.
function M.send(group, value, index, level)
  local text, problem = core.encode(value)
  if not text then
    error("the message: " .. errors.describe(problem), level + 1)
  elseif #text > LONGEST then
    return nil, too_long("the message", #text)
  elseif link.is_solo() then
    return send_here(group, text, index)
  elseif link.tell("M", ("%s%s\n%s"):format(group, index and " " .. index or "", text)) then
    return true
  end
  return nil, errors.new(core.ELIMIT, "the master does not take messages now")
end

---- variables ----

local texts, size = {}, 0 -- name as JSON -> value as JSON
local timer, sent_at

local function send_variables()
  local members = {}
  for name, text in pairs(texts) do
    members[#members + 1] = name .. ":" .. text
  end
  timer, sent_at = nil, scheduler.loop.now()
  link.tell("V", "{" .. table.concat(members, ",") .. "}")
end

-- At once, or when it may be done again.
local function send_soon()
  if timer or link.is_solo() then
    return
  end
  local pause = sent_at and sent_at + PERIOD - scheduler.loop.now() or 0
  timer = scheduler.loop.timer(math.max(0, pause), send_variables)
end

--- A variable; nil takes it away. Raises what cannot be one.
function M.set(name, value, level)
  if type(name) ~= "string" or name == "" then
    error("expected the name of a variable", level + 1)
  end
  local text, problem
  if value ~= nil then
    text, problem = core.encode(value)
    if not text then
      error(("'%s': %s"):format(name, errors.describe(problem)), level + 1)
    end
  end
  local key = core.encode(name)
  if not key then
    error("expected a name that is a text in UTF-8", level + 1)
  end
  local before = texts[key]
  if before == text then
    return
  end
  local after = size - (before and #key + #before + 2 or 0) + (text and #key + #text + 2 or 0)
  if after > LONGEST then
    error(tostring(too_long("what the variables are together", after).message), level + 1)
  end
  texts[key], size = text, after
  send_soon()
end

return M
