-- The console of clouds run -i: reads a chunk, runs it in a coroutine, prints what it returns, and reads on. It lives
-- on the loop, so services and timers go on while it waits for a line.
local host = require "clouds.host"
local node = require "clouds.cli.node"
local M = {}

local PROMPT, CONTINUED = "> ", ">> "
local MAX_DEPTH, MAX_ITEMS = 3, 50

local show

local function show_key(key)
  if type(key) == "string" and key:match("^[%a_][%w_]*$") then return key end
  return "[" .. show(key, MAX_DEPTH) .. "]"
end

local function show_table(value, depth)
  local parts, count = {}, 0
  for i = 1, math.min(#value, MAX_ITEMS) do parts[i] = show(value[i], depth + 1) end
  for key, item in pairs(value) do
    if not (type(key) == "number" and key >= 1 and key <= #value and key % 1 == 0) then
      parts[#parts + 1] = show_key(key) .. " = " .. show(item, depth + 1)
    end
    count = count + 1
    if count >= MAX_ITEMS then
      parts[#parts + 1] = "..."
      break
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function show(value, depth)
  if type(value) == "string" then return depth == 0 and value or ("%q"):format(value) end
  local meta = getmetatable(value)
  if type(value) ~= "table" or depth >= MAX_DEPTH or (type(meta) == "table" and meta.__tostring) then
    return tostring(value)
  end
  return show_table(value, depth)
end

local function print_results(count, ...)
  if count == 0 then return end
  local texts = {}
  for i = 1, count do texts[i] = show((select(i, ...)), 0) end
  print(table.concat(texts, "\t"))
end

-- The compiled chunk, or nil and what is wrong, or nil, nil when more lines are needed.
local function compile(text)
  local source = text:gsub("^%s*=", "return ", 1)
  local chunk = load("return " .. source, "=stdin", "t")
  if chunk then return chunk end
  local problem
  chunk, problem = load(source, "=stdin", "t")
  if chunk then return chunk end
  if problem:find("'<eof>'", 1, true) then return nil, nil end
  return nil, problem
end

local function report(problem)
  io.stdout:flush()
  io.stderr:write(tostring(problem), "\n")
end

local function run(chunk)
  local function finish(ok, ...)
    if ok then return print_results(select("#", ...), ...) end
    report((...))
  end
  finish(xpcall(chunk, require("clouds.error").explain))
end

-- Reads and runs until the input ends, then calls `done`.
function M.start(done)
  local pending, read

  local function on_line(line)
    if not line then
      if pending then report("stdin: the input ends inside a chunk") end
      return done()
    end
    local text = pending and pending .. "\n" .. line or line
    local chunk, problem = compile(text)
    if not chunk and not problem then
      pending = text
      return read()
    end
    pending = nil
    if not chunk then
      report(problem)
      return read()
    end
    node.spawn(function()
      run(chunk)
      read()
    end)
  end

  function read()
    host.read_line(pending and CONTINUED or PROMPT, on_line)
  end
  read()
end

return M
