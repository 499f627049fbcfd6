-- Spans of one trace as a tree: a call and the request that it became are one line, and what that called is below it.
local columns = require "clouds.cli.columns"
local output = require "clouds.cli.output"
local M = {}

local Tree = {}
Tree.__index = Tree

local SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
local MOST = 10000
local NUMBERS = { 2, 3 }

function M.new()
  return setmetatable({ spans = {}, by_id = {} }, Tree)
end

local function attribute(of, key)
  for _, pair in ipairs(of.attributes or {}) do
    if pair.key == key then return pair.value.stringValue or pair.value.intValue end
  end
end

local function is_call(span)
  return span.kind == CLIENT or span.kind == PRODUCER
end

local function is_request(span)
  return span.kind == SERVER or span.kind == CONSUMER
end

local function is_time(value)
  return type(value) == "string" and value:find("^%d+$") and #value > 9
end

-- What others say of themselves may be anything.
local function are_all(list, is_one)
  if list == nil then return true end
  if type(list) ~= "table" then return false end
  for _, each in ipairs(list) do
    if type(each) ~= "table" or not is_one(each) then return false end
  end
  return true
end

local function is_text(value)
  return value == nil or type(value) == "string"
end

local function is_attribute(pair)
  local value = pair.value
  return type(pair.key) == "string" and type(value) == "table" and is_text(value.stringValue)
    and is_text(value.intValue)
end

local function is_event(event)
  return type(event.name) == "string" and is_time(event.timeUnixNano) and are_all(event.attributes, is_attribute)
end

local function is_span(span)
  return type(span) == "table" and type(span.spanId) == "string" and type(span.traceId) == "string"
    and type(span.name) == "string" and is_text(span.parentSpanId)
    and (span.status == nil or type(span.status) == "table")
    and is_time(span.startTimeUnixNano) and is_time(span.endTimeUnixNano)
    and are_all(span.attributes, is_attribute) and are_all(span.events, is_event)
end

function Tree:add(span)
  if not is_span(span) or self.by_id[span.spanId] or #self.spans >= MOST then return end
  self.spans[#self.spans + 1] = span
  self.by_id[span.spanId] = span
end

function Tree:count()
  return #self.spans
end

function Tree:id()
  return self.spans[1] and self.spans[1].traceId
end

-- Milliseconds from one time to another, which are nanoseconds in digits: more of them than a number has.
local function between(from, to)
  local seconds = tonumber(to:sub(1, -10)) - tonumber(from:sub(1, -10))
  return seconds * 1e3 + (tonumber(to:sub(-9)) - tonumber(from:sub(-9))) / 1e6
end

local function begins_before(a, b)
  if a.startTimeUnixNano ~= b.startTimeUnixNano then return a.startTimeUnixNano < b.startTimeUnixNano end
  return a.spanId < b.spanId
end

--- In the order in which they began.
function Tree:list()
  local list = {}
  for i, span in ipairs(self.spans) do list[i] = span end
  table.sort(list, begins_before)
  return list
end

-- By the span that they are in, "" for those that are in none that is known.
local function children_of(self)
  local children = {}
  for _, span in ipairs(self:list()) do
    local parent = self.by_id[span.parentSpanId] and span.parentSpanId or ""
    children[parent] = children[parent] or {}
    table.insert(children[parent], span)
  end
  return children
end

local function is_published(span)
  return span.kind == PRODUCER and attribute(span, "messaging.destination.name") ~= nil
end

-- Does a server surely have a span of it, if it has any? Of what is published nobody knows how many take it: one does.
local function was_served(span)
  if is_published(span) then return span.status == nil end
  local outcome = attribute(span, "clouds.outcome")
  return is_call(span) and (outcome == "OK" or outcome == "APP_ERROR") and attribute(span, "clouds.sends") ~= "0"
end

--- Has all come of which is known that it may?
function Tree:is_complete()
  local children, has_root = children_of(self), false
  for _, span in ipairs(self.spans) do
    has_root = has_root or not span.parentSpanId
    if was_served(span) and not children[span.spanId] then return false end
  end
  return has_root
end

---- the text ----

local function took(span)
  return span and ("%.2f ms"):format(between(span.startTimeUnixNano, span.endTimeUnixNano)) or "-"
end

local function message_of(span)
  local kind, message = attribute(span, "error.type"), span.status and span.status.message
  if not kind then return type(message) == "string" and message or nil end
  return message and ("%s: %s"):format(kind, message) or kind
end

local words = { retry = "tried again", failover = "another server was looked for", hedge = "a second server was asked" }

local function line_of(span, event)
  local why, peer = attribute(event, "error.type"), attribute(event, "clouds.server")
  local text = ("%.2f ms: %s"):format(between(span.startTimeUnixNano, event.timeUnixNano),
    words[event.name] or event.name)
  if peer then text = text .. (event.name == "hedge" and ", " or ", not ") .. peer end
  return why and ("%s (%s)"):format(text, why) or text
end

-- What happened, one line each.
local function remarks_of(span, request)
  local list = {}
  for _, event in ipairs(span.events or {}) do
    if event.name ~= "exception" then list[#list + 1] = line_of(span, event) end
  end
  list[#list + 1] = message_of(span) or (request and message_of(request))
  return list
end

local function name_of(span)
  if span.kind ~= PRODUCER then return span.name end
  return span.name .. (is_published(span) and " (published)" or " (no answer)")
end

-- The request that a call became, and what that called; of a call that was sent twice there may be two.
local function below(span, children)
  local request, list = nil, {}
  for _, child in ipairs(children[span.spanId] or {}) do
    if is_call(span) and is_request(child) and not request then request = child else list[#list + 1] = child end
  end
  for _, child in ipairs(request and children[request.spanId] or {}) do list[#list + 1] = child end
  table.sort(list, begins_before)
  return request, list
end

local function add_rows(rows, span, children, before, here)
  local request, list = below(span, children)
  local served = is_call(span) and request or not is_call(span) and span
  rows[#rows + 1] = { here .. name_of(span), is_call(span) and took(span) or "-", took(served),
    attribute(span, "clouds.outcome") or "-",
    attribute(span, "clouds.server") or not is_call(span) and attribute(span, "clouds.node") or "-" }
  local bar = before .. (list[1] and "│  " or "   ")
  for _, remark in ipairs(remarks_of(span, request)) do rows[#rows + 1] = { bar .. "· " .. remark } end
  for i, child in ipairs(list) do
    local is_last = i == #list
    add_rows(rows, child, children, before .. (is_last and "   " or "│  "), before .. (is_last and "└─ " or "├─ "))
  end
end

-- A remark is as long as it is, so that it makes no column wide.
local function lines_of(rows)
  local cells, remarks, count = {}, {}, 0
  for _, row in ipairs(rows) do
    if row[2] then cells[#cells + 1], count = row, count + 1
    else remarks[count] = (remarks[count] or "") .. output.plain(row[1]) .. "\n" end
  end
  local text, at = {}, 0
  for line in columns.text(cells, NUMBERS):gmatch("[^\n]*\n") do
    at = at + 1
    text[#text + 1] = line .. (remarks[at] or "")
  end
  return table.concat(text)
end

--- The tree; "" when nothing came.
function Tree:text()
  local children, rows = children_of(self), { { "METHOD", "CALL", "SERVED", "OUTCOME", "SERVER" } }
  for _, span in ipairs(children[""] or {}) do add_rows(rows, span, children, "", "") end
  if not rows[2] then return "" end
  return lines_of(rows) .. ("trace %s\n"):format(output.plain(self:id()))
end

return M
