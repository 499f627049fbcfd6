--- clouds.trace: the trace that the running code is in, and spans of the program's own.
local core = require("clouds.core")
local errors = require("clouds.error")
local node = require("clouds.node")

local M = { INTERNAL = 1, CONSUMER = 5 } -- the kinds of core.span_end

-- By the connection of the node that serves, else by one that records.
local function begin()
  for number, each in pairs(node.nodes) do
    if core.serving(number) then
      return core.span_begin(each.core), each
    end
  end
  for _, each in pairs(node.nodes) do
    local span = not each.closed and core.span_begin(each.core)
    if span then
      return span, each
    end
  end
end

local function words_of(problem)
  if type(problem) == "table" then
    return core.encode((errors.pack(problem)))
  end
  local words = errors.pack(problem).message
  return words ~= "" and words or "error"
end

local function finish(span, by, name, kind, ok, ...)
  core.span_end(span, by.core, name, not ok and words_of((...)) or nil, kind)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Calls fn(...) in a span of this name, and gives what it returns; what it raises goes on. Calls that it makes are in
-- the span, and so is what it waits for and starts.
function M.span(name, fn, ...)
  if type(name) ~= "string" or name == "" then
    error("clouds.trace.span: expected a name", 2)
  elseif type(fn) ~= "function" then
    error("clouds.trace.span: expected a function", 2)
  end
  local span, by = begin()
  if not span then
    return fn(...)
  end
  return finish(span, by, name, M.INTERNAL, pcall(fn, ...))
end

-- Of what scheduler.protected gives.
local function consumed(span, by, topic, ok, problem, traceback)
  core.span_end(span, by.core, topic, not ok and words_of(problem) or nil, M.CONSUMER)
  return ok, problem, traceback
end

--- Calls protected(fn, ...), which does something with a message that came to a node; in a span in the trace of the
-- message, if that is in one.
function M.consume(by, message, protected, fn, ...)
  local meta = message.meta
  local is_traced = meta and (meta.traceparent ~= nil or meta["trace-to"] ~= nil)
  local span = is_traced and core.span_begin(by.core, core.encode(meta))
  if not span then
    return protected(fn, ...)
  end
  return consumed(span, by, message.topic, protected(fn, ...))
end

--- Where this code is: { trace =, span =, recorded = }, or nil where it is in no trace.
function M.current()
  local trace, span, is_recorded = core.trace()
  return trace and { trace = trace, span = span, recorded = is_recorded } or nil
end

return M
