-- What `clouds list` and `clouds describe` know of methods: who serves them, and what those say of them.
local asking = require "clouds.cli.asking"
local common = require "clouds.cli.common"
local M = {}

local LIMIT = 10

M.text = "Servers are asked for what they say of their methods, where their option admin allows it: \"local\", the\n"
  .. "default, over local: only, \"on\" also over Redis and etcd."
M.timeout = common.timeout(("longest wait for everything (default %d)"):format(LIMIT))

-- One method of all that `answers` say of it; the servers may not agree while a new version is rolled out.
local function about(name, ids, answers)
  local method, seen = { name = name, servers = ids, schemas = 0 }, {}
  for _, id in ipairs(ids) do
    local said = answers[id] and answers[id].methods and answers[id].methods[name]
    method.answered = method.answered or said ~= nil
    local text = said and said.schema and require("clouds").json.encode(said.schema)
    if text and not seen[text] then
      seen[text], method.schemas = true, method.schemas + 1
      method.schema = method.schema or said.schema
    end
  end
  return method
end

local function served_names(status, wanted)
  local names = {}
  for _, name in ipairs(common.sorted_keys(status.methods)) do
    if not wanted or wanted(name) then names[#names + 1] = name end
  end
  return names
end

--- The methods of these names, without any of all that are wanted(name), in their order: { name =, servers =, schema =,
--- schemas =, answered = } of each; and the first name that nobody serves. Or nil and an error.
function M.ask(node, names, seconds, wanted)
  local status, problem = node:status({ timeout = seconds })
  if not status then return nil, problem end
  local asked, ids, methods, missing = {}, {}, {}, nil
  names = names[1] and names or served_names(status, wanted)
  for _, name in ipairs(names) do
    if not status.methods[name] then missing = missing or name end
    for _, id in ipairs(status.methods[name] or {}) do
      if not asked[id] then ids[#ids + 1] = id end
      asked[id] = true
    end
  end
  local answers = asking.all(node, ids, "methods", seconds)
  for _, name in ipairs(names) do
    local servers = status.methods[name]
    if servers then
      table.sort(servers)
      methods[#methods + 1] = about(name, servers, answers)
    end
  end
  return methods, missing
end

-- The same for a command, within its time; what goes wrong is raised.
function M.gather(command, names, seconds)
  local limit, monitor = seconds or LIMIT, common.open(command, "monitor", { direct = false })
  common.fail_fast(monitor)
  local stop_limit = common.limit(limit, monitor)
  local methods, missing = M.ask(monitor, names, limit)
  stop_limit()
  if not methods then error(missing, 0) end
  return methods, missing
end

return M
