-- The lines of earlier consoles: read when one starts, written as they are entered. Trouble with the file is no trouble
-- of the console: it then has no memory.
local host = require "clouds.host"
local M = {}

local MOST_LINES = 1000

-- $XDG_STATE_HOME/clouds/history, or the same below ~/.local/state; nil without a home.
function M.path()
  local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
  if not state or state:sub(1, 1) ~= "/" then
    if not home or home:sub(1, 1) ~= "/" then return end
    state = home .. "/.local/state"
  end
  return state .. "/clouds/history"
end

local function read_lines(path)
  local lines, file = {}, io.open(path, "r")
  if not file then return lines end
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end

-- Leaves the newest lines in the file, which is replaced in one step: consoles may share it.
local function shorten(path, lines)
  local new = ("%s.%d"):format(path, host.pid())
  if not host.make_private(new) then return end
  local file = io.open(new, "w")
  if not file then return end
  file:write(table.concat(lines, "\n", #lines - MOST_LINES + 1), "\n")
  if file:close() then os.rename(new, path) else os.remove(new) end
end

-- Gives the editor the lines of before; what adds a line to the file.
function M.open()
  local path = M.path()
  if not path or not host.make_private(path) then return function() end end
  local lines = read_lines(path)
  if #lines > 2 * MOST_LINES then shorten(path, lines) end
  for i = math.max(1, #lines - MOST_LINES + 1), #lines do host.add_history(lines[i]) end
  return function(line)
    local file = line:find("%S") and io.open(path, "a")
    if not file then return end
    file:write(line, "\n")
    file:close()
  end
end

return M
