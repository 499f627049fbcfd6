-- clouds top
local host = require "clouds.host"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local rates = require "clouds.cli.top_rates"
local M = {}

M.command = {
  name = "top",
  usage = "top [options]",
  summary = "Show which methods are called, how often and how fast, and what each server does.",
  text = "The servers themselves are asked, where their option admin allows it: \"local\", the default, over local:\n"
    .. "only, \"on\" also over Redis and etcd. Those whose option stats is on say it by method.\n"
    .. "On a terminal: q quits; r, p, e, o and n order by rate, p99, errors, open and name.",
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

---- on a terminal ----

-- The lines and columns of the terminal at standard output; nil: not known.
local function size_of(uv)
  local tty = uv.new_tty(1, false)
  if not tty then return nil end
  local width, height = tty:get_winsize()
  tty:close()
  return height, width
end

-- No more than the screen has.
local function cut(text, height, width)
  if not height or height < 2 then return text end
  local lines = {}
  for line in text:gmatch("[^\n]*\n") do
    if #lines == height - 1 then break end
    lines[#lines + 1] = #line > width and line:sub(1, width - 1) .. "\n" or line
  end
  return table.concat(lines)
end

local keys = { r = "rate", p = "p99", e = "errors", o = "open", n = "name" }

-- Reads keys: `on_order` for those of an order, `on_quit` for the end. Gives what puts the terminal back.
local function read_keys(uv, on_order, on_quit)
  local tty = uv.new_tty(0, true)
  if not tty then return function() end end
  tty:set_mode(1)
  tty:read_start(function(_, text)
    for key in (text or "q"):gmatch(".") do
      if keys[key] then on_order(keys[key]) end
      if key == "q" or key == "\3" then return on_quit() end
    end
  end)
  return function()
    tty:read_stop()
    uv.tty_reset_mode()
    if not tty:is_closing() then tty:close() end
  end
end

---- the command ----

-- Shows it; false: the output is gone.
local function show(found, view)
  local clouds, options = require "clouds", view.options
  if options.json then
    found.methods, found.nodes = clouds.array(found.methods), clouds.array(found.nodes)
    return output.write(output.json(found), "\n")
  end
  local text = text_of(found, view.by)
  if options.once then return output.write(text) end
  local head = ("%s  %d methods, %d nodes, by %s\n"):format(os.date("%H:%M:%S"), #found.methods, #found.nodes, view.by)
  if not view.is_screen then return output.write(head, text) end
  local height, width
  if view.uv then height, width = size_of(view.uv) end
  return output.write("\27[H\27[2J", cut(head .. text, height, width))
end

local function watch(monitor, view, first, limit)
  local options, before = view.options, first
  while true do
    require("clouds").sleep(options.delay or 1)
    local now, problem = rates.look(monitor, limit)
    if now then
      if not show(rates.between(before, now), view) then return common.ERROR end
      before = now
    elseif options.once then
      return common.fail(problem)
    else
      io.stderr:write(("clouds top: %s\n"):format(output.plain(problem.message)))
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
    restore = read_keys(uv, function(by) view.by = by end, function() host.stop(0) end)
  end
end

function M.main(options)
  common.command("top", options, function()
    local view = { options = options, by = options.by or "rate" }
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
