-- The console of clouds run -i: reads a chunk, runs it in a coroutine, prints what it returns, and reads on. It lives
-- on the loop, so services and timers go on while it waits for a line.
local host = require "clouds.host"
local clouds = require "clouds"
local complete = require "clouds.cli.complete"
local core = require "clouds.core"
local history = require "clouds.cli.history"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

local PROMPT, CONTINUED = "> ", ">> "
local MAX_DEPTH, MAX_ITEMS = 3, 50

local help_text = [[
clouds    the module: clouds.server{}, clouds.client{}, clouds.spawn, clouds.sleep, clouds.json ...
client    a client, made when it is first used: client:call("method", { 1, 2 }), client:status()
help()    this text

A line that is an expression, or begins with =, is printed. A line may wait, also for an answer; services and timers go
on meanwhile. Tab completes names. Ctrl-C gives up the line or ends what runs, Ctrl-D ends the console.]]

-- help and help() give the same.
local help = setmetatable({}, {
  __tostring = function() return help_text end,
  __call = function() print(help_text) end,
})

-- Globals that are there when they are used, and never in the way of the program's own.
local made_on_use = { client = function() return clouds.client{} end }

local function add_globals()
  if rawget(_G, "clouds") == nil then _G.clouds = clouds end
  if rawget(_G, "help") == nil then _G.help = help end
  if getmetatable(_G) then return end
  setmetatable(_G, { __index = function(_, name)
    local make = made_on_use[name]
    if not make then return nil end
    local value = make()
    rawset(_G, name, value)
    return value
  end })
end

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
  if type(value) ~= "table" or depth >= MAX_DEPTH then return tostring(value) end
  -- An object says itself what it is; its insides are nobody's business.
  if getmetatable(value) ~= nil and not clouds.json.is_array(value) then return tostring(value) end
  return show_table(value, depth)
end

local function print_results(count, ...)
  if count == 0 then return end
  local texts = {}
  for i = 1, count do texts[i] = show((select(i, ...)), 0) end
  local text = table.concat(texts, "\t")
  print(host.is_terminal(1) and output.plain_lines(text) or text)
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
  io.stderr:write(output.plain_lines(tostring(problem)), "\n")
end

local function run(chunk)
  local function finish(ok, ...)
    if ok then return print_results(select("#", ...), ...) end
    local problem = (...)
    report(problem:match("^[^\n]*interrupted%f[\n%z]") and "interrupted" or problem)
  end
  finish(xpcall(chunk, require("clouds.error").explain))
end

-- One console: `pending` is the begin of a chunk, `running` the coroutine of the last line until it has ended.
local Console = {}
Console.__index = Console

function Console:read()
  host.read_line(self.pending and CONTINUED or PROMPT, function(line) self:on_line(line) end)
end

function Console:start(chunk)
  jit.off(chunk, true) -- compiled loops could not be interrupted
  common.spawn(function()
    local this = coroutine.running()
    self.running = this
    host.interruptible(this)
    run(chunk)
    if self.running ~= this then return end
    self.running = nil
    host.interruptible(nil)
    self:read()
  end)
end

function Console:on_line(line)
  if not line then
    if self.pending then report("stdin: the input ends inside a chunk") end
    return self.done()
  end
  self.remember(line)
  local text = self.pending and self.pending .. "\n" .. line or line
  local chunk, problem = compile(text)
  if not chunk and not problem then
    self.pending = text
    return self:read()
  end
  self.pending = nil
  if chunk then return self:start(chunk) end
  report(problem)
  self:read()
end

-- A statement that waits in clouds is resumed, to raise. One that waits for something else goes on by itself.
function Console:interrupt()
  local waited, this = false, self.running
  if not this then
    self.pending = nil
    host.cancel_line()
    return self:read()
  end
  host.raise_in(this, function() waited = core.interrupt(this) end)
  if waited or self.running ~= this then return end
  self.running = nil
  host.interruptible(nil)
  report("interrupted: what runs goes on by itself")
  self:read()
end

-- Reads and runs until the input ends, then calls `done`.
function M.start(done)
  local on_terminal = host.is_terminal(0) and host.is_terminal(1)
  local remember = on_terminal and history.open() or function() end
  local console = setmetatable({ done = done, remember = remember }, Console)
  add_globals()
  if on_terminal then
    host.completer(function(word) return complete.list(word, { client = require("clouds.client") }) end)
    host.on_interrupt(function() console:interrupt() end)
  end
  console:read()
end

return M
