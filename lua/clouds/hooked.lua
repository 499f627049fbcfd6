--- Calls with a function of the program's before each attempt (on_retry). The library decides about
-- attempts; that function gives the arguments of one, or an error. `state` is what this module keeps for such a call.
local core = require("clouds.core")
local errors = require("clouds.error")
local scheduler = require("clouds.scheduler")

local M = {}

-- The call fails with `err`, or the hook's own error is raised where the call was made.
local function cancel(state, context, call, err, raised)
  state.err, state.raised, state.canceled = err, raised, true
  context:cancel(call)
end

--- The hook that the core calls before each attempt of such a call.
function M.attempt(state, number, call)
  local context, answered = scheduler.context_by_number(number).core, false
  local function go(...)
    if answered then
      return
    end
    answered = true
    local ran, ok, err = pcall(context.attempt, context, call, ...)
    if not ran then
      cancel(state, context, call, nil, ok)
      error(ok, 0)
    elseif not ok and err.code ~= "CLOUDS_STALE_ID" then -- stale: the call has ended meanwhile
      cancel(state, context, call, err)
    end
  end
  local ok, problem = pcall(state.hook, state.args, go)
  if not ok and not state.canceled then
    answered = true
    cancel(state, context, call, nil, problem)
  end
end

--- The results of such a call.
function M.outcome(state, ...)
  if not state.canceled then
    return ...
  elseif state.err then
    return nil, state.err
  end
  error(state.raised, 0)
end

--- The callback of the program's, for such a call.
function M.outcome_for(callback, state)
  return function(err, ...)
    if state.canceled then
      local problem = state.err or errors.new(core.ECANCELED, "on_retry failed: " .. errors.describe(state.raised))
      return callback(problem)
    end
    return callback(err, ...)
  end
end

return M
