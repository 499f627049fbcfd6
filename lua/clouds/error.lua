--- Errors: what a failed call returns beside nil, and how an error that a handler raises becomes its answer.
local core = require("clouds.core")

local M = {}

local Error = core.error_type
Error.__index = Error
Error.__name = "clouds.error"

function Error:__tostring()
  local code, message = rawget(self, "code"), rawget(self, "message")
  if code == nil or code == "CLOUDS_SERVICE_ERROR" or code == message then
    return tostring(message)
  end
  return tostring(code) .. ": " .. tostring(message)
end

-- Members that are set here, and do not come from the service.
local own = { outcome = true, retryable = true, values = true }

function M.is_error(value)
  return type(value) == "table" and getmetatable(value) == Error
end

-- What was thrown, for who did not say: a table as JSON, as much of it as fits on a line.
local MAX_SHOWN = 200

local function show(value)
  local text = type(value) == "table" and core.encode(value) or tostring(value)
  if #text > MAX_SHOWN then
    text = text:sub(1, MAX_SHOWN):gsub("[\128-\255]+$", "") .. "..."
  end
  return ("(error object is a %s value) %s"):format(type(value), text)
end

-- What its __tostring makes of it; nil: it has none.
local function text_of(err)
  local meta = getmetatable(err)
  if type(meta) ~= "table" or not meta.__tostring then
    return nil
  end
  local ok, text = pcall(tostring, err)
  return ok and text or "(error object whose __tostring fails)"
end

local function message_of(err)
  local message = rawget(err, "message")
  if type(message) == "string" then
    return message
  end
  if message ~= nil and message ~= core.null then
    return type(message) == "table" and show(message) or tostring(message)
  end
  local text = text_of(err)
  if text then
    return text
  end
  local code = rawget(err, "code")
  if code ~= nil and code ~= core.null then
    return tostring(code)
  end
  return show(err)
end

--- Was it made to be sent, with words or a code of its own? What failed in the library on the way of a handler is none.
function M.is_answer(err)
  if type(err) ~= "table" or (M.is_error(err) and rawget(err, "outcome") ~= "APP_ERROR") then
    return false
  end
  return rawget(err, "code") ~= nil or rawget(err, "message") ~= nil
end

--- Where a handler failed, for people: its request and who called.
function M.place(about)
  if type(about) ~= "table" then
    return ""
  end
  local trace = about.trace and (", trace %s"):format(tostring(about.trace)) or ""
  return M.escape((" (request %s of %s%s)"):format(tostring(about.request), tostring(about.caller), trace))
end

local named = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

--- A text without control characters but those in `kept`, for a terminal or a log.
function M.escape(text, kept)
  return (text:gsub("[%c]", function(char)
    if kept and kept:find(char, 1, true) then
      return char
    end
    return named[char] or ("\\x%02x"):format(char:byte())
  end):gsub("\194[\128-\159]", function(pair)
    return ("\\x%02x"):format(pair:byte(2))
  end))
end

--- Any error in words: one line for people.
function M.describe(err)
  if type(err) == "string" or type(err) == "number" then
    return tostring(err)
  end
  local text = text_of(err)
  if text then
    return text
  end
  local code, message = nil, nil
  if type(err) == "table" then
    code, message = rawget(err, "code"), rawget(err, "message")
  end
  if code == nil and message == nil then
    return show(err)
  end
  if code == nil or message == nil then
    return tostring(message == nil and code or message)
  end
  return tostring(code) .. ": " .. tostring(message)
end

local frames_of_ours = {
  "\n\t%[clouds[%w_.]*%]:[^\n]*$",
  "\n\t%[C%]: in function 'xpcall'$",
  "\n\t%[builtin#%d+%]:[^\n]*$",
}

-- The frames of clouds above the program's own: what it called was called in a wrong way, and checked that in there.
-- Where clouds itself is at fault, which the words then begin with, they stay.
local function skip_checks(traceback, err)
  if type(err) == "string" and err:find("^%[clouds") then
    return traceback
  end
  local from = ("stack traceback:"):len() + 1
  local at, cut = from, from
  while true do
    local frame = traceback:match("^\n\t([^\n]*)", at)
    local is_ours = frame and frame:find("^%[clouds[%w_.]*%]:")
    if not (is_ours or frame and (frame:find("^%[C%]:") or frame:find("^%[builtin#"))) then
      return traceback:sub(1, from - 1) .. traceback:sub(cut)
    end
    at = at + #frame + 2
    cut = is_ours and at or cut
  end
end

--- A traceback without the frames of clouds at its ends, which say nothing of the program; nil when no other is left.
function M.trim(traceback, err)
  local kept
  traceback = skip_checks(traceback, err)
  repeat
    kept = traceback
    for _, frame in ipairs(frames_of_ours) do
      traceback = traceback:gsub(frame, "")
    end
  until traceback == kept
  return traceback:find("\n", 1, true) and traceback or nil
end

--- A handler for xpcall: the error in words, and the traceback.
function M.explain(err)
  local traceback = M.trim(debug.traceback("", 2):sub(2), err)
  return M.describe(err) .. (traceback and "\n" .. traceback or "")
end

-- Bytes that are no text have no place in a message.
local function clean(text)
  if core.encode(text) then
    return text
  end
  return (text:gsub("[\128-\255]", "?"))
end

--- The members of an error as they go to the caller, and its values. What cannot be sent is left out: the others say
-- more than an error about the error would.
function M.pack(err)
  if type(err) ~= "table" then
    local text = (type(err) == "string" or type(err) == "number") and tostring(err) or show(err)
    return { message = clean(text) }
  end
  local ours = M.is_error(err)
  local members = {}
  for key, value in pairs(err) do
    if type(key) == "string" and not (ours and own[key]) and core.encode(value) then
      members[key] = value
    end
  end
  members.message = clean(message_of(err))
  return members, ours and rawget(err, "values") or nil
end

function M.new(code, text)
  return core.new_error(code, text)
end

return M
