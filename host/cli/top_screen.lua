-- clouds top on a terminal: the screen, and the keys that change what is shown.
local columns = require "clouds.cli.columns"
local output = require "clouds.cli.output"
local M = {}

local CLEAR = "\27[H\27[2J"
local orders = { r = "rate", p = "p99", e = "errors", o = "open", n = "name" }

---- keys ----

local function take_letter(view, key)
  if key == "\r" or key == "\n" then
    view.types = false
  elseif key == "\27" then
    view.types, view.filter = false, ""
  elseif key == "\127" or key == "\8" then
    view.filter = view.filter:gsub("[^\128-\191][\128-\191]*$", "") -- a character of UTF-8
  elseif key >= " " then
    view.filter = view.filter .. key
  end
end

local function take_key(view, key)
  if view.types then return take_letter(view, key) end
  if orders[key] then
    view.by = orders[key]
  elseif key == " " then
    view.is_paused = not view.is_paused
  elseif key == "/" then
    view.types, view.filter = true, ""
  elseif key == "\27" then
    view.filter = ""
  end
end

-- What a terminal sends for other keys, as arrows, means nothing here.
local function take_keys(view, text, on_quit)
  for key in text:gsub("\27[%[O][%d;]*.", ""):gmatch(".") do
    if key == "\3" or (key == "q" and not view.types) then return on_quit() end
    take_key(view, key)
  end
end

--- Reads keys: on_change() when another view is asked for, on_quit() at the end. Gives what puts the terminal back.
function M.read_keys(uv, view, on_change, on_quit)
  local tty = uv.new_tty(0, true)
  if not tty then return function() end end
  tty:set_mode(1)
  tty:read_start(function(_, text)
    if not text then return on_quit() end
    take_keys(view, text, on_quit)
    on_change()
  end)
  return function()
    tty:read_stop()
    uv.tty_reset_mode()
    if not tty:is_closing() then tty:close() end
  end
end

---- the screen ----

-- The lines and columns of the terminal at standard output; nil: not known.
local function size_of(uv)
  local tty = uv and uv.new_tty(1, false)
  if not tty then return nil end
  local width, height = tty:get_winsize()
  tty:close()
  return height, width
end

-- No more than the screen has.
local function cut(text, height, width)
  if not height or height < 2 then return text end
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    if #lines == height - 1 then break end
    lines[#lines + 1] = columns.cut(line, width - 1) .. "\n"
  end
  return table.concat(lines)
end

local function only(rows, name, filter)
  local found = {}
  for _, row in ipairs(rows) do
    if row[name]:find(filter, 1, true) then found[#found + 1] = row end
  end
  return found
end

--- What the person wants to see of it, in lists of its own.
function M.filtered(found, view)
  return { seconds = found.seconds, methods = only(found.methods, "method", view.filter),
    nodes = only(found.nodes, "id", view.filter) }
end

local function head_of(found, view)
  local head = ("%s  %d methods, %d nodes, by %s"):format(os.date("%H:%M:%S"), #found.methods, #found.nodes, view.by)
  if view.is_paused then head = head .. ", paused" end
  if view.types or view.filter ~= "" then head = head .. "  /" .. view.filter .. (view.types and "_" or "") end
  return head .. "\n"
end

--- Draws it; false: the output is gone.
function M.draw(found, view, text)
  local head = head_of(found, view)
  if not view.is_screen then return output.write(head, text) end
  return output.write(CLEAR, cut(head .. text, size_of(view.uv)))
end

return M
