-- clouds top
local host = require "clouds.host"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local rates = require "clouds.cli.top_rates"
local screen = require "clouds.cli.top_screen"
local M = {}

M.command = {
  name = "top",
  usage = "top [options]",
  summary = "Show which methods are called, how often and how fast, and what each server does.",
  text = "The servers themselves are asked, where their option admin allows it: \"local\", the default, over local:\n"
    .. "only, \"on\" also over Redis and etcd. Those whose option stats is on say it by method.\n"
    .. "On a terminal: q quits; r, p, e, o and n order by rate, p99, errors, open and name; the space bar pauses;\n"
    .. "/ and a text show those methods and nodes that have it in their name, Enter ends the text, Escape shows all.",
  options = {
    { long = "delay", short = "d", value = "SECONDS", kind = "number", least = 0.1,
      help = "the time between two looks (default 1)" },
    { long = "by", value = "ORDER", choices = { "rate", "p99", "errors", "open", "name" },
      help = "rate (default), p99, errors, open or name" },
    { long = "once", help = "once, without clearing the screen" },
    { long = "json", help = "print {\"seconds\":,\"methods\":[...],\"nodes\":[...]}, one line each time" },
    common.timeout("longest wait for each look (default 10)"),
  },
  operands = { 0, 0 },
}

---- as text ----

local function number(value)
  if not value then return "-" end
  return value >= 100 and ("%.0f"):format(value) or ("%.1f"):format(value)
end

local function whole(value) return value and ("%d"):format(value) or "-" end

local function duration(seconds)
  if not seconds then return "-" end
  return seconds < 1 and ("%.1fms"):format(seconds * 1000) or ("%.2fs"):format(seconds)
end

-- Those of whom the order knows nothing come last.
local function sort(rows, by)
  local place = {}
  for i, row in ipairs(rows) do place[row] = i end
  if by == "name" then return end
  table.sort(rows, function(a, b)
    local one, other = a[by] or -1, b[by] or -1
    if one ~= other then return one > other end
    return place[a] < place[b]
  end)
end

local function table_of_methods(methods)
  local rows = { { "METHOD", "SERVERS", "CALLS/S", "ERRORS/S", "P50", "P99", "OPEN", "WAITING" } }
  for _, m in ipairs(methods) do
    rows[#rows + 1] = { m.method, whole(m.servers), number(m.rate), number(m.errors), duration(m.p50), duration(m.p99),
      whole(m.open), whole(m.waiting) }
  end
  return columns.text(rows, { 2, 3, 4, 5, 6, 7, 8 })
end

local function table_of_nodes(nodes)
  local rows = { { "NODE", "REQUESTS/S", "OPEN", "CALLING", "PROCESS", "VERSION", "STATE" } }
  for _, n in ipairs(nodes) do
    local state = n.error or n.counts and n.state or n.state .. ", not by method (option stats)"
    rows[#rows + 1] = { n.id, number(n.rate), whole(n.open), whole(n.calls), whole(n.pid), n.version or "-", state }
  end
  return columns.text(rows, { 2, 3, 4, 5 })
end

local function text_of(found, by)
  if not found.nodes[1] then return "no services\n" end
  sort(found.methods, by)
  return table_of_methods(found.methods) .. "\n" .. table_of_nodes(found.nodes)
end

---- the command ----

-- Shows it; false: the output is gone.
local function show(found, view)
  local clouds, options = require "clouds", view.options
  if options.json then
    found.methods, found.nodes = clouds.array(found.methods), clouds.array(found.nodes)
    return output.write(output.json(found), "\n")
  end
  local wanted = screen.filtered(found, view)
  local text = text_of(wanted, view.by)
  if options.once then return output.write(text) end
  return screen.draw(wanted, view, text)
end

-- While it is paused nobody is asked, what comes of an earlier look is not shown, and what happened then is not shown
-- as of the time between two looks.
local function look_again(monitor, view, before, limit)
  if view.is_paused then return nil end
  local now, problem = rates.look(monitor, limit)
  if view.is_paused then return nil end
  if not now then return before, problem end
  if before then view.found = rates.between(before, now) end
  return now
end

local function watch(monitor, view, before, limit)
  local options = view.options
  while true do
    require("clouds").sleep(options.delay or 1)
    local problem
    before, problem = look_again(monitor, view, before, limit)
    if problem and options.once then
      return common.fail(problem)
    elseif problem then
      io.stderr:write(("clouds top: %s\n"):format(output.plain(problem.message)))
    elseif view.found and not show(view.found, view) then
      return common.ERROR
    end
    if options.once then return common.OK end
  end
end

-- What a person at a terminal gets besides.
local function open_screen(view)
  local restore
  common.stop_on_signal(0, function()
    if restore then restore() end
  end)
  view.is_screen = host.is_terminal(1) and not view.options.json
  if not view.is_screen then return end
  local has_luv, uv = pcall(require, "luv")
  if not has_luv then return end
  view.uv = uv
  if host.is_terminal(0) then
    restore = screen.read_keys(uv, view, function()
      if view.found then show(view.found, view) end
    end, function() host.stop(0) end)
  end
end

function M.main(options)
  common.command("top", options, function()
    local view = { options = options, by = options.by or "rate", filter = "", types = false, is_paused = false }
    local monitor, limit = common.open("top", "monitor", { direct = false }), options.timeout or 10
    common.fail_fast(monitor)
    local stop_limit = common.limit(limit, monitor)
    local first, problem = rates.look(monitor, limit)
    stop_limit()
    if not first then return common.fail(problem) end
    if not options.once then open_screen(view) end
    return watch(monitor, view, first, limit)
  end)
end

return M
