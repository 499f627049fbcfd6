--- Calls with a function of the program's before each attempt (on_retry). The library asks, counts and pauses; here is
-- only what that function says: the arguments of the attempt, or an error.
local core = require("clouds.core")
local errors = require("clouds.error")
local scheduler = require("clouds.scheduler")

local M = {}

-- The call fails with `err`, or the hook's own error is raised where the call was made.
local function give_up(asked, context, call, err, raised)
  asked.err, asked.raised, asked.given_up = err, raised, true
  context:cancel(call)
end

--- The hook that the core calls before each attempt of a call that was made with `asked`.
function M.attempt(asked, number, call)
  local context, answered = scheduler.context_by_number(number).core, false
  local function go(...)
    if answered then
      return
    end
    answered = true
    local ran, ok, err = pcall(context.attempt, context, call, ...)
    if not ran then
      give_up(asked, context, call, nil, ok)
      error(ok, 0)
    elseif not ok and err.code ~= "CLOUDS_STALE_ID" then -- stale: the call has ended meanwhile
      give_up(asked, context, call, err)
    end
  end
  local ok, problem = pcall(asked.hook, asked.args, go)
  if not ok and not asked.given_up then
    answered = true
    give_up(asked, context, call, nil, problem)
  end
end

--- What such a call gives.
function M.outcome(asked, ...)
  if not asked.given_up then
    return ...
  elseif asked.err then
    return nil, asked.err
  end
  error(asked.raised, 0)
end

--- The callback of the program's, for such a call.
function M.outcome_for(callback, asked)
  return function(err, ...)
    if asked.given_up then
      local words = asked.err or errors.new(core.ECANCELED, "on_retry failed: " .. errors.describe(asked.raised))
      return callback(words)
    end
    return callback(err, ...)
  end
end

return M
