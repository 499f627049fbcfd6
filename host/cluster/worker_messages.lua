-- What workers tell the master and ask of it over their channel, by the type of the message: docs/CHANNEL.md. What is
-- about connections is seen to in C (cluster_module.c).

-- fn(worker, text)
local M = {}

---- its life ----

-- It takes no connections.
function M.E(worker)
  worker.takes_none = true
  worker:take(false)
end

-- It takes connections, again.
function M.B(worker)
  worker.takes_none = false
  if worker.state == "ready" or worker.state == "retiring" then worker:take(true) end
end

-- It accepts from its listeners by itself.
function M.O(worker)
  worker.accepts = true
  if worker.group.is_quiet then worker:say("accepts", "accepts by itself, also while all is quiet") end
end

-- It has begun as many requests as it may.
function M.L(worker)
  worker.group:retire(worker, ("it has begun %d requests"):format(worker.process:board().requests))
end

-- It wants to be replaced.
function M.W(worker)
  worker.group:retire(worker, "its script asks for that")
end

-- It stops, and not because it was told to.
function M.S(worker)
  if worker.state ~= "ready" and worker.state ~= "retiring" then return worker:take(false) end
  worker:is_draining("signal")
  worker.group:is_told_to_stop(worker)
end

-- There will be no more messages.
M[""] = function(worker)
  worker:is_cut_off()
end

-- It is ready.
function M.R(worker)
  worker:is_ready()
end

-- It answers: its loop turns.
function M.I(worker)
  worker.asked_at = nil
end

---- what it says of itself, and to others ----

-- Its variables, a JSON object.
function M.V(worker, text)
  local variables = require("clouds").json.decode(text)
  if type(variables) ~= "table" or require("clouds").json.is_array(variables) then
    return worker:say("variables", "says variables that are no JSON object")
  end
  worker.variables, worker.variables_at = variables, os.time()
end

-- One in the place of this index: the one that serves, or else the one that starts.
local function worker_at(group, index)
  local slot, generation = group.slots[index], group.coming
  return slot and (slot.worker or slot.coming) or generation and generation.workers[index]
end

local function deliver(from, to, text)
  if to.process:send("M", ("%s %d\n%s"):format(from.group.name, from.index, text)) then return end
  to.messages_lost = (to.messages_lost or 0) + 1
  to:say("messages", "does not take its messages: %d were lost", to.messages_lost)
end

-- "GROUP\nJSON" for all workers of a group, "GROUP INDEX\nJSON" for one.
function M.M(worker, text)
  local name, index, value = text:match("^(%S+) ?(%d*)\n(.*)$")
  if not name then return worker:say("message", "sends a message to nobody") end
  local group = worker.group.app:group(name)
  if not group then return worker:say("message", "sends a message to a group '%s', which there is not", name) end
  if index == "" then
    for each in pairs(group.workers) do deliver(worker, each, value) end
    return
  end
  local one = worker_at(group, tonumber(index))
  if one then return deliver(worker, one, value) end
  worker:say("message", "sends a message to a worker %s.%s, which there is not", name, index)
end

-- A reload, of the group of this name or of all.
function M.P(worker, text)
  local app, name = worker.group.app, text ~= "" and text or nil
  if name and not app:group(name) then
    return worker:say("reload", "asks to reload a group '%s', which there is not", name)
  end
  app.log:own(("worker %s asks for a reload%s"):format(worker.name, name and " of " .. name or ""))
  app:reload(name, function() end)
end

-- A part of what it says of itself for the admin endpoint, and the last.
function M.y(worker, text) worker.group.app.endpoint:relay(worker, "y", text) end
function M.Y(worker, text) worker.group.app.endpoint:relay(worker, "Y", text) end

---- one at a time ----

-- It wants the token of its group; it gives it back.
function M.G(worker) worker.group.token:ask(worker) end
function M.F(worker) worker.group.token:free(worker) end

return M
