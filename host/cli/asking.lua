-- Questions to nodes, and what they answer: one node for `clouds ping`, `pause`, `resume` and `stop`, all of a list for
-- others.
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

local LIMIT = 10
local LOOK_AGAIN = 0.05 -- seconds

local json = { long = "json",
  help = "print what it answers, {\"id\":,\"version\":,\"pid\":,\"state\":,\"paused\":}, or\n{\"error\":{...}}" }
local no_wait = { long = "no-wait", help = "end with its answer, and do not wait until what was asked for is seen" }

local function limit_of(default)
  return common.timeout(("longest wait for everything (default %s)"):format(default))
end

-- Of a question that is answered at once, and of one whose effect is waited for.
M.options = { json, limit_of(LIMIT) }
function M.waiting_options(default) return { json, no_wait, limit_of(default or LIMIT) } end

M.text = "The library there answers, not its program, where its option admin allows it: \"local\", the default, over\n"
  .. "local: only, \"on\" also over Redis and etcd. A node of npm clouds 0.1 takes no questions."

-- Asks whether it is so, again and again, until it is, or the time is over. true; or nil and an error with these words.
local function await(is_so, until_time, words)
  local now = require("clouds.loop").now
  while not is_so() do
    if now() >= until_time then
      return nil, require("clouds.error").new(require("clouds.core").ETIMEOUT, words)
    end
    require("clouds").sleep(LOOK_AGAIN)
  end
  return true
end

-- `how.describe(answer, seconds)` gives the line that is printed. `how.limit`: seconds, unless the command line says
-- otherwise. With `how.is_done(node, answer)` it waits until that is true, else it fails with how.late(id, seconds).
function M.main(command, options, id, args, how)
  common.command(command, options, function()
    local node, limit = common.open(command, "client", {}), options.timeout or how.limit or LIMIT
    common.fail_fast(node, options.json)
    local lift = common.limit(limit, node)
    local now = require("clouds.loop").now
    local before = now()
    local ok, err = node:ready()
    if not ok then return common.fail(err, options.json) end
    local begun = now()
    local answer, problem = node:ask(call.text(command, id), command, args)
    if not answer then return common.fail(problem, options.json) end
    lift()
    local took = now() - begun
    if how.is_done and not options.no_wait then
      ok, err = await(function() return how.is_done(node, answer) end, before + limit, how.late(answer.id, limit))
      if not ok then return common.fail(err, options.json) end
    end
    local line = options.json and output.json(answer) or how.describe(answer, took)
    return output.write(line, "\n") and common.OK or common.ERROR
  end)
end

-- What each of the nodes answers, by its id: a table, or an error. They are asked at once.
function M.all(node, ids, what, seconds)
  local questions, answers = {}, {}
  for i, id in ipairs(ids) do
    questions[i] = function()
      local answer, problem = node:ask(id, what, nil, { timeout = seconds })
      answers[id] = answer or problem
    end
  end
  require("clouds").wait_all(questions)
  return answers
end

---- clouds pause and clouds resume ----

local function has(list, name)
  for _, other in ipairs(list) do
    if other == name then return true end
  end
  return false
end

-- Is it so in the cluster, and not at the node alone? Who may not see that is content with the answer.
local function is_seen(status, id, method, is_paused)
  local state = status and status.states and status.states[id]
  local paused = state and state.paused or {}
  for _, name in ipairs(status and status.servers[id] or {}) do
    if (not method or name == method) and has(paused, name) ~= is_paused then return false end
  end
  return true
end

function M.pause(command, done, options, operands)
  local id, method = operands[1], operands[2]
  local function what_of(node_id)
    local what = output.plain(node_id)
    return method and ("%s of %s"):format(output.plain(method), what) or what
  end
  M.main(command, options, id, method and { method = call.text(command, method) }, {
    describe = function(answer) return ("%s is %s"):format(what_of(answer.id), done) end,
    is_done = function(node, answer) return is_seen(node:status(), answer.id, method, command == "pause") end,
    late = function(node_id, seconds)
      return ("%s is %s, which is not seen in the cluster within %g s"):format(what_of(node_id), done, seconds)
    end,
  })
end

return M
