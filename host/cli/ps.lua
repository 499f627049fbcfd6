-- clouds ps
local host = require "clouds.host"
local application = require "clouds.cli.application"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local TIMEOUT = 5

M.command = {
  name = "ps",
  usage = "ps [options] [NAME]",
  summary = "Show the workers of the applications that run on this machine.",
  text = "NAME is that of an application of 'clouds start' of this user; all are shown without it.",
  options = {
    { long = "json", help = "print a JSON object with what is known, one line for each application" },
    { long = "watch", short = "w", value = "[SECONDS]", optional = "1", kind = "number", least = 0.1,
      help = "again every SECONDS (default 1), until stopped" },
    { long = "check", help = "print nothing; exit with 0 when all that should run is ready, else with 1" },
    application.timeout(TIMEOUT),
  },
  operands = { 0, 1 },
  without_common = true,
}

---- words ----

local function duration(seconds)
  if not seconds then return "" end
  if seconds < 100 then return ("%.0fs"):format(seconds) end
  if seconds < 6000 then return ("%.0fm"):format(seconds / 60) end
  return seconds < 360000 and ("%.0fh"):format(seconds / 3600) or ("%.0fd"):format(seconds / 86400)
end

local function megabytes(bytes)
  return bytes and ("%.1fM"):format(bytes / 1048576) or ""
end

local function milliseconds(seconds)
  return seconds and ("%.0fms"):format(seconds * 1000) or ""
end

local function whole(number)
  return number and ("%d"):format(number) or ""
end

-- Requests in a second since the look before, or since the worker began.
local function rate(row, before)
  if not row.board then return "" end
  local then_ = before[row.pid]
  local requests, seconds = row.board.requests, row.uptime
  if then_ then requests, seconds = requests - then_.board.requests, seconds - then_.uptime end
  return ("%.0f"):format(requests / math.max(seconds, 0.001))
end

local shown = {
  { "WORKER", function(row) return row.worker end, left = true },
  { "PID", function(row) return whole(row.pid) end },
  { "GEN", function(row) return whole(row.generation) end },
  { "STATE", function(row) return row.state end, left = true },
  { "UP", function(row) return duration(row.uptime) end },
  { "REQ/S", rate },
  { "ERRORS", function(row) return whole(row.board and row.board.errors) end },
  { "IN-FLIGHT", function(row) return whole(row.board and row.board.in_flight) end },
  { "OPEN", function(row) return whole(row.board and row.board.open) end },
  { "LAG", function(row) return milliseconds(row.board and row.board.lag) end },
  { "RSS", function(row) return megabytes(row.memory) end },
  { "LUA", function(row) return megabytes(row.board and row.board.lua_bytes) end },
  { "RESTARTS", function(row) return whole(row.restarts) end },
  { "REPLACED", function(row) return whole(row.recycles) end },
  { "LAST EXIT", function(row) return row.last_exit or "" end, left = true },
}

---- a table ----

local function table_of(workers, before)
  local rows, to_right = { {} }, {}
  for i, column in ipairs(shown) do
    rows[1][i] = column[1]
    if not column.left then to_right[#to_right + 1] = i end
  end
  for _, worker in ipairs(workers) do
    local row = {}
    for i, column in ipairs(shown) do row[i] = column[2](worker, before) end
    rows[#rows + 1] = row
  end
  return columns.text(rows, to_right)
end

local RED, PLAIN = "\27[31m", "\27[0m"

local function text_of(status, before)
  local rows, where = {}, {}
  for _, group in ipairs(status.groups) do
    for _, row in ipairs(group.workers) do rows[#rows + 1] = row end
    where[#where + 1] = ("%s %d/%d%s"):format(output.plain(group.name), group.ready, group.wanted,
      group.listen[1] and " at " .. table.concat(group.listen, ", ") or "")
  end
  local state = status.state .. (status.reloading and ", reloading" or "")
  if status.state ~= "ready" and host.is_terminal(1) then state = RED .. state .. PLAIN end
  return ("%s %d  %s  up %s  %s\n"):format(output.plain(status.name), status.pid, state, duration(status.uptime),
    table.concat(where, "; ")) .. table_of(rows, before)
end

---- the command ----

local function remember(before, status)
  for _, group in ipairs(status.groups) do
    for _, row in ipairs(group.workers) do
      if row.pid then before[row.pid] = row end
    end
  end
end

-- What is printed, whether everything is ready, and the exit code when nothing can be told.
local function look(options, name, before)
  local names = { name }
  if not name then names = application.names() end
  if not names[1] or (name and not application.find("ps", name)) then
    if not name then io.stderr:write("clouds ps: no application runs here\n") end
    return nil, false, common.UNREACHABLE
  end
  local pieces, is_ready = {}, true
  for i, each in ipairs(names) do
    local answer, code = application.ask("ps", each, { ["do"] = "status" }, options)
    if not answer then return nil, false, code end
    is_ready = is_ready and answer.status.state == "ready"
    pieces[i] = options.json and output.json(answer.status) .. "\n" or text_of(answer.status, before)
    remember(before, answer.status)
  end
  return table.concat(pieces, options.json and "" or "\n"), is_ready
end

function M.main(options, operands)
  options.timeout = options.timeout or TIMEOUT
  common.command("ps", options, function()
    local before = {}
    while true do
      local text, is_ready, code = look(options, operands[1], before)
      if options.check then return is_ready and common.OK or code or common.ERROR end
      if not text then return code end
      if options.watch and not options.json and host.is_terminal(1) then text = "\27[H\27[2J" .. text end
      if not output.write(text) then return common.ERROR end
      if not options.watch then return common.OK end
      require("clouds").sleep(tonumber(options.watch))
    end
  end)
end

return M
