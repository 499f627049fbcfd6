-- What the process of an admin endpoint asks its master: the requests of the control socket, over the channel.
local core = require "clouds.core"
local errors = require "clouds.error"
local host = require "clouds.host"
local loop = require "clouds.loop"
local M = {}

local ANSWER_TIME = 5 -- seconds; what takes longer by itself says so

local last_id, pending, pieces = 0, {}, {}

-- The answer, or nil and { code =, message = }. Ends, too, when its client is gone.
local function wait(id, seconds)
  local slot = core.slot(true)
  local timer = loop.timer(seconds, function()
    core.wake(slot, nil, { code = "NO_ANSWER", message = ("the master does not answer within %g s"):format(seconds) })
  end)
  pending[id] = slot
  local answer, problem = core.wait(slot)
  pending[id] = nil
  timer:stop()
  if errors.is_error(problem) then error(problem, 0) end
  if not answer then return nil, problem end
  if answer.error then return nil, answer.error end
  return answer
end

--- Asks for what a request of the control socket asks for: its answer; or nil and { code =, message = }.
function M.ask(request, seconds)
  last_id = last_id + 1
  request.id = last_id
  if not host.cluster.tell("c", require("clouds").json.encode(request)) then
    return nil, { code = "NO_ANSWER", message = "the master is gone" }
  end
  return wait(last_id, seconds or ANSWER_TIME)
end

--- A message of the master: a part of an answer ("a"), or its end ("A").
function M.take(kind, text)
  table.insert(pieces, text)
  if kind ~= "A" then return end
  local answer = require("clouds").json.decode(table.concat(pieces))
  pieces = {}
  local slot = answer and pending[answer.id]
  if slot then core.wake(slot, answer) end
end

return M
