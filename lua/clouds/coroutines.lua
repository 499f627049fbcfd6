--- The coroutine library for programs whose coroutines wait in clouds.
--
-- What waits yields a mark and the handle of what it waits for. Coroutines of clouds yield it to the scheduler. One
-- that the program made yields it to whoever resumed it, to whom that is no value: so `resume` and `wrap` wait in its
-- place, and go on with it when the wait is over. A generator may call services.
local core = require("clouds.core")

local M = {}

local create, resume, yield, running = coroutine.create, coroutine.resume, coroutine.yield, coroutine.running
local MARK = core.wait_mark

-- Coroutines whose wait another coroutine does in their place.
local waiting = setmetatable({}, { __mode = "k" })

local function pass(co, ok, ...)
  if not ok or (...) ~= MARK then
    return ok, ...
  end
  waiting[co] = true
  return pass(co, M.continue(co, core.adopt((select(2, ...)))))
end

function M.continue(co, ...)
  waiting[co] = nil
  return resume(co, ...)
end

function M.resume(co, ...)
  if waiting[co] or (type(co) == "thread" and core.waits(co)) then
    return false, "cannot resume a coroutine that waits in clouds"
  end
  return pass(co, resume(co, ...))
end

local function unwrap(ok, ...)
  if ok then
    return ...
  end
  error((...), 0)
end

function M.wrap(fn)
  local co = create(fn)
  return function(...)
    return unwrap(M.resume(co, ...))
  end
end

--- A coroutine of clouds cannot be resumed by the program, unless that got it by coroutine.running: after a yield its
-- function would never end, and the caller of a handler would wait until its timeout.
function M.yield(...)
  if core.is_unknown() then
    error("coroutine.yield outside of a coroutine of the program's own: nobody would resume it", 2)
  end
  return yield(...)
end

function M.running()
  core.take()
  return running()
end

function M.install()
  local library = _G.coroutine
  for _, name in ipairs({ "resume", "wrap", "yield", "running" }) do
    library[name] = M[name]
  end
end

return M
