-- The text format 0.0.4 of Prometheus, and what it has of methods.
local common = require "clouds.cli.common"
local counts = require "clouds.cli.counts"

local Text = { TYPE = "text/plain; version=0.0.4" }
Text.__index = Text

local OUTCOMES = { "ok", "app_error", "not_done", "unknown" }

function Text.new()
  return setmetatable({ lines = {} }, Text)
end

local PREFIX = "clouds_"

--- prefix: of the name, instead of that of clouds.
function Text:head(name, kind, help, prefix)
  name = (prefix or PREFIX) .. name
  self.lines[#self.lines + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind)
end

--- labels: as `labels` gives them, or "".
function Text:put(name, labels, value, prefix)
  self.lines[#self.lines + 1] = ("%s%s%s %.17g\n"):format(prefix or PREFIX, name, labels, value)
end

--- A family of one sample.
function Text:add(name, kind, help, value, labels, prefix)
  self:head(name, kind, help, prefix)
  self:put(name, labels or "", value, prefix)
end

function Text:all()
  return table.concat(self.lines)
end

---- labels ----

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function escape(text) return (text:gsub('[\\"\n]', escapes)) end

--- "{name="value",...}" of names and values in turn.
function Text.labels(...)
  local pairs_of = {}
  for i = 1, select("#", ...), 2 do
    local name, value = select(i, ...)
    pairs_of[#pairs_of + 1] = ('%s="%s"'):format(name, escape(tostring(value)))
  end
  return "{" .. table.concat(pairs_of, ",") .. "}"
end

---- histograms ----

--- One of a family whose head is there. label: a name and a value, as NAME="VALUE", or nil; took: counts by the bounds.
function Text:histogram(name, label, took, seconds, bounds)
  local count, before, labels = 0, "", ""
  if label then before, labels = label .. ",", ("{%s}"):format(label) end
  for i, n in ipairs(took) do
    count = count + n
    self:put(name .. "_bucket", ('{%sle="%s"}'):format(before, bounds[i] or "+Inf"), count)
  end
  self:put(name .. "_sum", labels, seconds)
  self:put(name .. "_count", labels, count)
end

---- by method ----

local function label_of(method) return ('method="%s"'):format(escape(method)) end

local function add_gauge(self, name, help, methods, member)
  self:head(name, "gauge", help)
  for _, method in ipairs(common.sorted_keys(methods)) do
    local value = methods[method][member]
    if value then self:put(name, ("{%s}"):format(label_of(method)), value) end
  end
end

-- `one`: "call" or "request".
local function add_tallies(self, one, methods, bounds)
  local names, many = common.sorted_keys(methods), one .. "s"
  self:head(many .. "_total", "counter", ("The %s that ended, by method and outcome."):format(many))
  for _, method in ipairs(names) do
    for _, outcome in ipairs(OUTCOMES) do
      self:put(many .. "_total", ('{%s,outcome="%s"}'):format(label_of(method), outcome), methods[method][outcome])
    end
  end
  add_gauge(self, many .. "_in_flight", ("The %s that have not ended."):format(many), methods, "open")
  self:head(one .. "_duration_seconds", "histogram", ("How long the %s took that began and ended."):format(many))
  for _, method in ipairs(names) do
    local tally = methods[method]
    self:histogram(one .. "_duration_seconds", label_of(method), tally.took, tally.seconds, bounds)
  end
end

local function add_refused(self, methods)
  self:head("refused_total", "counter", "The requests that were refused, by method and reason.")
  for _, method in ipairs(common.sorted_keys(methods)) do
    local refused = methods[method].refused or {}
    for _, reason in ipairs(common.sorted_keys(refused)) do
      self:put("refused_total", ('{%s,reason="%s"}'):format(label_of(method), reason), refused[reason])
    end
  end
end

local function add_waits(self, methods, bounds)
  self:head("queue_seconds", "histogram", "How long the requests had waited that began, of methods with limits.")
  for _, method in ipairs(common.sorted_keys(methods)) do
    local queue = methods[method].queue
    if queue then self:histogram("queue_seconds", label_of(method), queue.took, queue.seconds, bounds) end
  end
end

local function add_methods(self, sums)
  add_tallies(self, "call", sums.calls, counts.bounds)
  add_tallies(self, "request", sums.requests, counts.bounds)
  add_gauge(self, "requests_waiting", "The requests that wait for their turn.", sums.requests, "waiting")
  add_gauge(self, "requests_limit", "How many requests may run at a time.", sums.requests, "limit")
  add_refused(self, sums.requests)
  add_waits(self, sums.requests, counts.bounds)
end

---- of contexts ----

-- How contexts are; and of what there are samples by method, if there are some.
local is_no_counter = { open = true, up = true, nodes = true }
local by_method = { calls = true, requests = true }

local function add_contexts(self, contexts, has_methods)
  self:add("bus_up", "gauge", "1 when every cluster that is used is connected.",
    (contexts.open or 0) > (contexts.up or 0) and 0 or 1)
  for _, name in ipairs(common.sorted_keys(contexts)) do
    if not is_no_counter[name] and not (has_methods and by_method[name]) then
      self:add(name .. "_total", "counter", ("The counter %s of the library."):format(name), contexts[name])
    end
  end
end

---- of HTTP ----

local function label_of_route(route) return ('route="%s"'):format(escape(route)) end

local function add_route_gauge(self, name, help, routes, member)
  self:head(name, "gauge", help)
  for _, route in ipairs(common.sorted_keys(routes)) do
    self:put(name, ("{%s}"):format(label_of_route(route)), routes[route][member])
  end
end

local function add_routes(self, sums)
  self:head("http_requests_total", "counter", "The requests of HTTP that were answered, by route and status.")
  for _, row in ipairs(sums.statuses) do
    self:put("http_requests_total", self.labels("route", row.route, "code", row.code), row.count)
  end
  self:head("http_request_duration_seconds", "histogram", "How long they took, from their heads to their answers.")
  for _, route in ipairs(common.sorted_keys(sums.routes)) do
    local times = sums.routes[route]
    self:histogram("http_request_duration_seconds", label_of_route(route), times.took, times.seconds, counts.bounds)
  end
  add_route_gauge(self, "http_requests_in_flight", "Those that are not answered yet.", sums.routes, "open")
  add_route_gauge(self, "websockets", "WebSockets that are open.", sums.routes, "websockets")
end

--- All that counts.sum gives.
function Text:counts(sums)
  add_contexts(self, sums.contexts, sums.has_methods)
  if sums.has_methods then add_methods(self, sums) end
  if next(sums.routes) then add_routes(self, sums) end
  if not sums.loop then return end
  self:head("loop_lag_seconds", "histogram", "How long the loop was busy without waiting.")
  self:histogram("loop_lag_seconds", nil, sums.loop.took, sums.loop.seconds, counts.bounds)
end

return Text
