--- What runs once in an application, and not in each of its workers.
local errors = require("clouds.error")
local library_bus = require("clouds.library_bus")
local scheduler = require("clouds.scheduler")

local begun = {}

-- Alone, a script does everything itself.
local function runs_here()
  if library_bus.is_library() then
    return true
  elseif library_bus.address() then
    return false
  elseif library_bus.is_in_application() then
    error("clouds.once: this application has no library: expected clouds start --library FILE", 3)
  end
  return true
end

--- Runs fn in a coroutine, in the library of the application only; in a process without an application right here. What
--- was begun under a name is not begun again. Whether it begins.
return function(name, fn)
  if type(name) ~= "string" or name == "" then
    error("expected a name of what runs once", 2)
  elseif type(fn) ~= "function" then
    error("expected a function", 2)
  end
  if not runs_here() or begun[name] then
    return false
  end
  begun[name] = true
  scheduler.defer(function()
    local ok, problem, traceback = scheduler.protected(fn)
    if not ok then
      scheduler.report(problem, traceback, ("'%s', which runs once"):format(errors.escape(name)))
    end
  end)
  return true
end
