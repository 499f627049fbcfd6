-- What the workers of an application say of themselves when they are asked: their nodes and links. Their texts come by
-- the master, which does not read them.
local core = require "clouds.core"
local counts = require "clouds.cli.endpoint_counts"
local host = require "clouds.host"
local loop = require "clouds.loop"
local M = {}

local ANSWER_TIME = 1 -- seconds; one that is busy for longer is left out
local MOST = 1e6 -- bytes of a worker

local last, asking = 0, {} -- questions by their numbers

local function is_complete(question)
  return question.expected and question.count >= question.expected
end

local function check(question)
  if question.slot and is_complete(question) then core.wake(question.slot, true) end
end

-- A piece of an answer, or the last.
local function take(kind, text)
  local pid, name, asked, part = text:match("^(%d+) (%S+)\n(%d+)\n(.*)$")
  local question = asked and asking[tonumber(asked)]
  if not question then return end
  local pieces = question.pieces[pid] or { name = name, size = 0 }
  question.pieces[pid] = pieces
  pieces.size = pieces.size + #part
  if pieces.size <= MOST then pieces[#pieces + 1] = part end
  if kind ~= "Y" then return end
  pieces.is_complete = true
  question.count = question.count + 1
  check(question)
end

-- How many have been asked.
local function begin(text)
  local asked, count = text:match("^(%d+) (%d+)$")
  local question = asked and asking[tonumber(asked)]
  if not question then return end
  question.expected = tonumber(count)
  check(question)
end

--- A message of the master about that.
function M.take(kind, text)
  if kind == "n" then begin(text) else take(kind, text) end
end

local function wait(question)
  if is_complete(question) then return end
  question.slot = core.slot(true)
  local timer = loop.timer(ANSWER_TIME, function() core.wake(question.slot, true) end)
  core.wait(question.slot)
  timer:stop()
end

-- Of all that have answered, each with its worker; and the names of the others.
local function result_of(question, member)
  local list, untold, has_told = {}, {}, {}
  for pid, pieces in pairs(question.pieces) do
    local said = pieces.is_complete and require("clouds").json.decode(table.concat(pieces))
    for _, each in ipairs(type(said) == "table" and type(said[member]) == "table" and said[member] or {}) do
      if type(each) == "table" then
        each.worker = pieces.name
        list[#list + 1] = each
      end
    end
    has_told[pid] = said and true
  end
  for pid, name in pairs(counts.names()) do
    if not has_told[pid] then untold[#untold + 1] = name end
  end
  table.sort(untold)
  table.sort(list, function(a, b) return a.worker < b.worker end)
  return list, untold
end

--- What workers say of themselves, "nodes" or "links": a list, each with its `worker`; and the names of those that say
--- nothing. Waits.
function M.ask(member)
  last = last + 1
  local id, question = last, { pieces = {}, count = 0 }
  asking[id] = question
  host.cluster.tell("n", tostring(id))
  wait(question)
  asking[id] = nil
  return result_of(question, member)
end

return M
