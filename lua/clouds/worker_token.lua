--- One worker of a group at a time: the token of the master, and the coroutines of this process that wait for it.
local core = require("clouds.core")
local link = require("clouds.worker_link")
local scheduler = require("clouds.scheduler")

local waiting = {} -- slots, in order
local is_asked = false -- and not given back yet

-- The next of them that still waits has it; without one it goes back.
local function give()
  while waiting[1] do
    if core.wake(table.remove(waiting, 1), true) then
      return
    end
  end
  is_asked = false
  link.tell("F")
end

link.on("T", give)

local function ask()
  if is_asked then
    return
  end
  is_asked = true
  if link.is_solo() then
    return scheduler.loop.timer(0, give)
  end
  link.tell("G")
end

-- Other workers come before those of this process that wait for it.
local function give_back()
  is_asked = false
  link.tell("F")
  if waiting[1] then
    ask()
  end
end

local function finish(ok, ...)
  give_back()
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Runs fn while no other worker of the group runs such a function: what it returns; or nil and an error when the wait
-- for its turn was canceled.
return function(fn)
  core.check_wait()
  local slot = core.slot(true)
  table.insert(waiting, slot)
  ask()
  local ok, err = core.wait(slot)
  if not ok then
    return nil, err
  end
  return finish(pcall(fn))
end
