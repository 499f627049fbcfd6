-- Standard output that says so when it fails, and text of others made harmless for a terminal and a log.
local host = require "clouds.host"
local bytes = require "clouds.cli.bytes"
local M = { failed = false }

local EPIPE = 32

-- A reader that went away (head, a closed pipe) ends the command quietly.
local function failed(problem, number)
  if number ~= EPIPE then io.stderr:write(("clouds: cannot write the output: %s\n"):format(problem)) end
  M.failed = true
  host.output_failed()
  host.finish(host.exit.ERROR)
  return false
end

-- Writes and flushes; false when that failed, and then the program is about to end with 1.
function M.write(...)
  local ok, problem, number = io.stdout:write(...)
  if ok then ok, problem, number = io.stdout:flush() end
  if ok then return true end
  return failed(problem, number)
end

local function hex(c)
  return ("\\x%02x"):format(c:byte())
end

local short = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Text of others in one line: what controls a terminal is escaped, in UTF-8 as well.
function M.plain(text)
  text = tostring(text):gsub("%c", function(c) return short[c] or hex(c) end)
  return (text:gsub("\194([\128-\159])", function(c) return ("\\u%04x"):format(c:byte()) end))
end

-- The same for text that may have lines and tabs.
function M.plain_lines(text)
  return (text:gsub("[^\n\t]+", M.plain))
end

-- JSON, with what it lets through and a terminal obeys escaped, too.
function M.harmless_json(text)
  text = text:gsub("\127", "\\u007f")
  return (text:gsub("\194([\128-\159])", function(c) return ("\\u%04x"):format(c:byte()) end))
end

-- JSON for standard output; on a terminal, what JSON lets through and a terminal obeys is escaped too.
function M.json(value)
  local text = bytes.encode(value)
  return host.is_terminal(1) and M.harmless_json(text) or text
end

return M
