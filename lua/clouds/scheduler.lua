--- Coroutines, time, and the contexts on the loop.
local core = require("clouds.core")
local loop = require("clouds.loop")
local errors = require("clouds.error")
local log_lines = require("clouds.log")

local M = { loop = loop }

local unpack = unpack

local function pack(...)
  return { n = select("#", ...), ... }
end

---- errors without a caller ----

-- clouds.on_error of the public module, which may be replaced. The text may come from elsewhere, so that it is escaped
-- for a terminal and stays on one line.
function M.on_error(err, traceback, what, about)
  if log_lines.is_json() then
    local message = ("error in a %s: %s"):format(what, errors.describe(err))
    return log_lines.write("", "error", message, about, { traceback = traceback })
  end
  local where = errors.escape(what) .. errors.place(about)
  local lines = { "clouds: error in a ", where, ": ", errors.escape(errors.describe(err)), "\n" }
  if traceback then
    lines[#lines + 1] = errors.escape(traceback, "\n\t") .. "\n"
  end
  io.stderr:write(table.concat(lines))
end

local function report(err, traceback, what, about)
  local ok, problem = pcall(M.on_error, err, traceback and errors.trim(traceback, err) or nil, what, about)
  if not ok then
    io.stderr:write("clouds: error in clouds.on_error: ", errors.escape(tostring(problem)), "\n")
  end
end

local last_traceback -- of the error that xpcall is about to give

local function keep_traceback(err)
  last_traceback = debug.traceback("", 2):sub(2)
  return err
end

--- Calls a function of the program's: true; or false, the error, and the traceback of it, for report.
function M.protected(fn, ...)
  local ok, problem = xpcall(fn, keep_traceback, ...)
  return ok, problem, last_traceback
end

-- `about` is there when a handler failed. What it raised to be sent is the caller's alone.
local function report_from_core(err, traceback, what, about)
  if not (about and errors.is_answer(err)) then
    report(err, traceback, what, about)
  end
end

-- clouds.on_log of the public module, which may be replaced: the library's log lines of the level that the option
-- log_level says. The library has escaped what came from elsewhere.
function M.on_log(level, message, about)
  log_lines.write("clouds: ", level, message, about)
end

-- Sends the answers again that found no room, until they do.
local RETRY_DELAY = 0.02

local function resend()
  loop.timer(RETRY_DELAY, function()
    if not core.resend() then
      resend()
    end
  end)
end

---- waiting ----

-- Outside of a coroutine, where the loop can be run from inside.
local function block(handle)
  if loop.run_until(function()
    return core.done(handle)
  end) then
    return core.wait(handle)
  end
  core.drop(handle)
  return nil, errors.new(core.ECLOSED, "nothing is left that could end the wait")
end

local function check_seconds(seconds, level)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    error("expected a number of seconds, 0 or more", level + 1)
  end
end

-- What a wait gave, which may have been canceled before its timer: that would keep the program running.
local function stopped(timer, ...)
  timer:stop()
  return ...
end

function M.sleep(seconds)
  check_seconds(seconds, 2)
  core.check_wait()
  local handle = core.slot(true)
  local timer = loop.timer(seconds, function()
    core.wake(handle)
  end)
  return stopped(timer, core.wait(handle))
end

---- coroutines ----

local Task = {}
Task.__index = Task
Task.__name = "clouds.task"

local function finish(task, quiet, ok, ...)
  task.done, task.ok, task.results = true, ok, pack(...)
  local waiters = task.waiters
  task.waiters = nil
  if not ok and not quiet and not waiters then
    report(..., task.traceback, "coroutine")
  end
  for _, handle in ipairs(waiters or {}) do
    core.wake(handle)
  end
end

local function run_task(task, quiet, fn, ...)
  finish(
    task,
    quiet,
    xpcall(fn, function(err)
      task.traceback = debug.traceback("", 2):sub(2)
      return err
    end, ...)
  )
end

local function launch(quiet, fn, ...)
  local task = setmetatable({ done = false }, Task)
  if not core.run(run_task, task, quiet, fn, ...) then
    local args = pack(...)
    loop.timer(0, function()
      core.run(run_task, task, quiet, fn, unpack(args, 1, args.n))
    end)
  end
  return task
end

--- Waits for the end of a coroutine: what its function returned; or nil and what it raised.
function Task:wait()
  if not self.done then
    core.check_wait()
    local handle = core.slot(true)
    self.waiters = self.waiters or {}
    table.insert(self.waiters, handle)
    local _, err = core.wait(handle)
    if not self.done then -- the wait was canceled
      return nil, err
    end
  end
  if self.ok then
    return unpack(self.results, 1, self.results.n)
  end
  return nil, self.results[1]
end

function M.spawn(fn, ...)
  if type(fn) ~= "function" then
    error("expected a function", 2)
  end
  return launch(false, fn, ...)
end

local function task_from(item)
  if type(item) == "function" then
    return launch(true, item)
  end
  if getmetatable(item) == Task then
    return item
  end
  error("wait_all: expected functions, or what clouds.spawn gave", 3)
end

--- What fn, which may wait, returns; or nothing when that takes longer than `seconds`: it goes on then, and `late` is
-- called with what it returns. Raises what fn raises before it first waits.
function M.within(seconds, late, fn)
  core.check_wait()
  local handle, over = core.slot(), false
  local task = launch(true, function()
    local results = pack(pcall(fn))
    if over then
      if results[1] then
        late(unpack(results, 2, results.n))
      end
      return
    end
    core.wake(handle, unpack(results, 1, results.n))
  end)
  local timer = not task.done and loop.timer(seconds, function()
    over = true
    core.wake(handle)
  end)
  local results = pack(core.wait(handle))
  if timer then
    timer:stop()
  end
  if results.n > 0 and not results[1] then
    error(results[2], 0)
  end
  return unpack(results, 2, results.n)
end

function M.wait_all(first, ...)
  local items = type(first) == "table" and getmetatable(first) ~= Task and first or { first, ... }
  local tasks, results = {}, {}
  core.check_wait()
  for i, item in ipairs(items) do
    tasks[i] = task_from(item)
  end
  for i, task in ipairs(tasks) do
    results[i] = pack(task:wait())
  end
  return results
end

function M.defer(fn, ...)
  local args = pack(...)
  loop.timer(0, function()
    core.run(fn, unpack(args, 1, args.n))
  end)
end

---- contexts ----

local contexts = {} -- key -> entry { core, watch, key, options, number, holds, held }
local by_number = {}

local function poll(entry)
  local count, problem = entry.core:poll(0)
  if not count then
    report(problem, nil, "context")
  end
end

local levels = { [0] = "debug", "info", "warning", "error" }

local function log(level, about)
  local ok, problem = pcall(M.on_log, levels[level] or "error", tostring(about.message), about)
  if not ok then
    io.stderr:write("clouds: error in clouds.on_log: ", errors.escape(tostring(problem)), "\n")
  end
end

local unwritten = {} -- log lines, until the next turn

--- Writes the log lines that wait, for who has no further turn.
function M.write_log()
  local lines = unwritten
  unwritten = {}
  for _, line in ipairs(lines) do
    if not (line.entry and line.entry.lost == line.about.message) then
      log(line.level, line.about)
    end
  end
end

--- A log line of the context of this number. A lost connection is reported by the event that follows.
function M.log(number, level, about)
  unwritten[#unwritten + 1] = { entry = by_number[number], level = level, about = about }
  if not unwritten[2] then
    loop.timer(0, M.write_log)
  end
end

-- Nodes that are made from now on have another.
local function forget(entry)
  if contexts[entry.key] == entry then
    contexts[entry.key] = nil
  end
end

local function drop(entry)
  entry.watch:stop()
  entry.core:destroy()
  by_number[entry.number] = nil
  forget(entry)
  for _, handle in ipairs(entry.waiters or {}) do
    core.wake(handle)
  end
end

-- One that has recorded spans ends in order before: those that wait go out, and what is logged of that is heard. Is it
-- one of them?
local function ends_in_order(entry)
  if not entry.is_ending and (entry.core:counter("spans") or 0) > 0 and entry.core:close(0) then
    entry.is_ending = true
    forget(entry)
    loop.timer(0, function() end) -- it is to be polled
  end
  return entry.is_ending
end

--- The last event of the context of this number came.
function M.context_over(number)
  by_number[number].is_over = true
end

--- In a coroutine, when all nodes are closed: waits until the spans of their contexts have gone out.
function M.end_contexts()
  local ending = {}
  for _, entry in pairs(by_number) do
    if ends_in_order(entry) then
      ending[#ending + 1] = entry
    end
  end
  for _, entry in ipairs(ending) do
    if by_number[entry.number] then
      local handle = core.slot(true)
      entry.waiters = entry.waiters or {}
      table.insert(entry.waiters, handle)
      core.wait(handle)
    end
  end
end

local function update_context(entry)
  local dirty, busy, nodes = entry.core:state()
  if dirty then
    poll(entry)
    dirty, busy, nodes = entry.core:state()
    if dirty then
      loop.timer(0, function() end)
    end
  end
  local is_idle = nodes == 0 and busy == 0 and not dirty
  if is_idle and (entry.is_over or not ends_in_order(entry)) then
    return drop(entry)
  end
  local hold = entry.is_ending or busy > 0 or entry.holds > 0
  if hold ~= entry.held then
    entry.held = hold
    entry.watch:hold(hold)
  end
end

local to_update = {}

-- What runs meanwhile may open and end contexts.
local function before_sleep()
  local count = 0
  for _, entry in pairs(by_number) do
    count = count + 1
    to_update[count] = entry
  end
  for i = 1, count do
    local entry = to_update[i]
    to_update[i] = nil
    if by_number[entry.number] == entry then
      update_context(entry)
    end
  end
end

local function key_of(options)
  local parts = {}
  for name, value in pairs(options) do
    parts[#parts + 1] = ("%s=%s"):format(name, tostring(value))
  end
  table.sort(parts)
  return table.concat(parts, "\0")
end

--- The context of these options: nodes that say the same share one. nil and an error when there can be none.
function M.context(options)
  options.log_level = options.log_level or "warn"
  local key = key_of(options)
  local entry = contexts[key]
  if entry then
    return entry
  end
  local context, number = core.context(options)
  if not context then
    return nil, number
  end
  entry = { core = context, number = number, key = key, options = options, holds = 0, held = false }
  entry.watch = loop.watch(context:fd(), function()
    if by_number[number] then
      poll(entry)
    end
  end)
  contexts[key], by_number[number] = entry, entry
  return entry
end

function M.context_by_number(number)
  return by_number[number]
end

---- the hooks ----

--- `event` is called with events of nodes and contexts, `attempt` before attempts.
function M.start(event, attempt)
  core.setup({
    can_block = loop.can_block,
    report = report_from_core,
    resend = resend,
    pack = errors.pack,
    block = block,
    defer = M.defer,
    event = event,
    attempt = attempt,
  })
  loop.before_sleep(before_sleep)
end

M.pack = pack
M.report = report
M.check_seconds = check_seconds

return M
