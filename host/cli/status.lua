-- clouds status
local host = require "clouds.host"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "status",
  usage = "status [options]",
  summary = "Show which servers serve which methods.",
  options = {
    { long = "json",
      help = "print {\"servers\":{id:[methods]},\"methods\":{name:[ids]},\"states\":{id:{...}}}, "
        .. "one line each time" },
    { long = "watch", short = "w", value = "[SECONDS]", optional = "1", kind = "number", least = 0.1,
      help = "again every SECONDS (default 1), until stopped" },
    { long = "timeout", short = "t", value = "SECONDS", kind = "number", least = 0.001,
      help = "longest wait for everything (default 10); with --watch, for the first answer" },
  },
}

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

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
  local names, width = sorted_keys(methods), #"METHOD"
  for _, name in ipairs(names) do width = math.max(width, #plain(name)) end
  local lines = { ("%s  %s  %s"):format("METHOD" .. (" "):rep(width - 6), "SERVERS", "IDS") }
  for _, name in ipairs(names) do
    local ids = {}
    for i, id in ipairs(methods[name]) do ids[i] = shown_server(id, name, states) end
    table.sort(ids)
    local shown = plain(name)
    shown = shown .. (" "):rep(width - #shown)
    lines[#lines + 1] = ("%s  %7d  %s"):format(shown, #ids, table.concat(ids, " "))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function show(status, options)
  if options.json then return output.write(output.json(status), "\n") end
  local text = next(status.methods) and table_of(status.methods, status.states) or "no services\n"
  if not options.watch then return output.write(text) end
  return output.write(host.is_terminal(1) and "\27[H\27[2J" or "", os.date("%H:%M:%S"), "\n", text)
end

local function watch(monitor, options)
  local clouds = require "clouds"
  while true do
    clouds.sleep(options.watch)
    local status, err = monitor:status()
    if status then
      if not show(status, options) then return common.ERROR end
    else
      io.stderr:write(("clouds status: %s\n"):format(output.plain(err.message)))
    end
  end
end

function M.main(options)
  common.command("status", options, function()
    local monitor = common.open("status", "monitor", {})
    common.fail_fast(monitor)
    if options.watch then common.stop_on_signal(0) end
    local stop_limit = common.limit(options.timeout or 10, monitor)
    local status, err = monitor:status()
    stop_limit()
    if not status then return common.fail(err) end
    if not show(status, options) then return common.ERROR end
    return options.watch and watch(monitor, options) or common.OK
  end)
end

return M
