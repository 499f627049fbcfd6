-- clouds status
local host = require "clouds.host"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "status",
  usage = "status [options] | status --links [options] [NODE...]",
  summary = "Show which servers serve which methods, or which links nodes have.",
  text = "For links the nodes themselves are asked: those that serve, or the given ones. Each answers where its\n"
    .. "option admin allows it: \"local\", the default, over local: only, \"on\" also over Redis and etcd.",
  options = {
    { long = "links",
      help = "the links of nodes to other processes; with --json {\"nodes\":{id:{\"links\":[...]}}}\n"
        .. "with {\"error\":{...}} in the place of one that does not answer" },
    { long = "json",
      help = "print {\"servers\":{id:[methods]},\"methods\":{name:[ids]},\"states\":{id:{...}}}, "
        .. "one line each time" },
    { long = "watch", short = "w", value = "[SECONDS]", optional = "1", kind = "number", least = 0.1,
      help = "again every SECONDS (default 1), until stopped" },
    common.timeout("longest wait for everything (default 10); with --watch, for the first answer"),
  },
  operands = { 0, math.huge },
}

local plain = output.plain

-- The id of a server, with its weight when that is not 1, and whether it is paused for the method.
local function shown_server(id, method, states)
  local state = states and states[id]
  local text = plain(id)
  if not state then return text end
  if state.weight ~= 1 then text = ("%s*%d"):format(text, state.weight) end
  for _, name in ipairs(state.paused) do
    if name == method then text = text .. "(paused)" end
  end
  return text
end

local function table_of(methods, states)
  local rows = { { "METHOD", "SERVERS", "IDS" } }
  for _, name in ipairs(common.sorted_keys(methods)) do
    local ids = {}
    for i, id in ipairs(methods[name]) do ids[i] = shown_server(id, name, states) end
    table.sort(ids)
    rows[#rows + 1] = { name, ("%d"):format(#ids), table.concat(ids, " ") }
  end
  return columns.text(rows, { 2 })
end

local function show(text, options)
  if not options.watch or options.json then return output.write(text) end
  return output.write(host.is_terminal(1) and "\27[H\27[2J" or "", os.date("%H:%M:%S"), "\n", text)
end

---- who serves what ----

local function show_services(monitor, options, limit)
  local stop_limit = limit()
  local status, err = monitor:status()
  stop_limit()
  if not status then return nil, err end
  local text = options.json and output.json(status) .. "\n" or next(status.methods)
    and table_of(status.methods, status.states) or "no services\n"
  return show(text, options) and common.OK or common.ERROR
end

---- links ----

-- The nodes that are asked: the given ones, or all that serve.
local function nodes_to_ask(monitor, ids)
  if ids[1] then return ids end
  local status, err = monitor:status()
  return status and common.sorted_keys(status.servers), err
end

-- Those that did not answer are told on standard error; the exit code is that of the first of them.
local function tell_failures(failures)
  for _, failure in ipairs(failures) do
    local id, problem = failure[1], failure[2]
    io.stderr:write(("%s: %s: %s\n"):format(plain(id), plain(problem.code), plain(problem.message)))
  end
  return failures[1] and common.exit_code(failures[1][2]) or common.OK
end

local function show_links(monitor, options, limit, ids)
  local links, now = require "clouds.cli.links", require("clouds.loop").now
  local stop_limit, begun = limit(), now()
  local asked, err = nodes_to_ask(monitor, ids)
  stop_limit()
  if not asked then return nil, err end
  local left = (options.timeout or 10) - (now() - begun)
  local answers = links.gather(monitor, asked, math.max(left, 0.001))
  local text = options.json and output.json(links.to_json(answers)) .. "\n" or asked[1] and links.to_text(answers)
    or "no services\n"
  if not show(text, options) then return common.ERROR end
  return tell_failures(links.failures(answers))
end

---- the command ----

local function no_limit() return function() end end

local function watch(once, options)
  local clouds = require "clouds"
  while true do
    clouds.sleep(options.watch)
    local code, err = once(no_limit)
    if not code then io.stderr:write(("clouds status: %s\n"):format(plain(err.message))) end
    if output.failed then return common.ERROR end
  end
end

-- The ids that are given, if links are asked for.
local function check(options, operands)
  local fail, text = require("clouds.cli.args").fail, require("clouds.cli.call").text
  if operands[1] and not options.links then
    fail("status", "unexpected argument '%s'; nodes are named for --links", operands[1])
  end
  if options.links and require("clouds.options").default_url():match("^inproc:") then
    fail("status", "--links: over inproc: there are none, since all nodes are in one process")
  end
  local ids = {}
  for i, id in ipairs(operands) do ids[i] = text("status", id) end
  return ids
end

function M.main(options, operands)
  common.command("status", options, function()
    local ids = check(options, operands)
    -- Over Redis no link comes up only because links are asked for.
    local monitor = common.open("status", "monitor", options.links and { direct = false } or {})
    common.fail_fast(monitor)
    if options.watch then common.stop_on_signal(0) end
    local function once(limit)
      if options.links then return show_links(monitor, options, limit, ids) end
      return show_services(monitor, options, limit)
    end
    local code, err = once(function() return common.limit(options.timeout or 10, monitor) end)
    if not code then return common.fail(err) end
    return options.watch and watch(once, options) or code
  end)
end

return M
