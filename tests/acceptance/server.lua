-- A service that behaves as it is told: clouds run server.lua [LIMIT=VALUE ...], limits of its method `work`.
--
-- `work` does what its mode says; `control.<id>` (what, value) changes the mode, pauses it, and tells what happened.
local clouds = require("clouds")

local limits = {}
for i = 1, #arg do
  local name, value = arg[i]:match("^([%w_]+)=(.+)$")
  limits[name] = value == "true" or tonumber(value)
end

local server = clouds.server()
local mode, count, running, most, canceled, order, kept = "good", 0, 0, 0, 0, {}, {}

local modes = {
  good = function()
    return server.id
  end,
  silent = function()
    kept[#kept + 1] = clouds.request():detach()
  end,
  fails = function()
    error({ code = "E_NO", message = "no" })
  end,
  slow = function(...)
    running = running + 1
    most = math.max(most, running)
    order[#order + 1] = { ... }
    clouds.sleep(0.001)
    running = running - 1
    return ...
  end,
  -- Calls `last` for its own caller, and once more when that has given up.
  middle = function()
    clouds.request().on_cancel(function()
      canceled = canceled + 1
    end)
    server:call("last", {})
    local _, err = server:call("last", {})
    order[#order + 1] = { err and err.code }
  end,
}

assert(server:register("work", function(...)
  count = count + 1
  return modes[mode](...)
end, limits))

assert(server:register("last", function()
  count = count + 1
  clouds.request().on_cancel(function()
    canceled = canceled + 1
  end)
  clouds.sleep(60)
end))

local controls = {
  mode = function(value)
    mode = value
  end,
  pause = function()
    assert(server:pause("work"))
  end,
  resume = function()
    assert(server:resume("work"))
  end,
  tell = function()
    return {
      count = count,
      most = most,
      canceled = canceled,
      order = clouds.array(order),
      counters = server:counters(),
    }
  end,
}
assert(server:register("control." .. server.id, function(what, value)
  return controls[what](value)
end))
print("ready " .. server.id)
