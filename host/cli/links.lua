-- What `clouds status --links` does: asks nodes for their links, and shows them.
local asking = require "clouds.cli.asking"
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local M = {}

---- asking ----

-- The links that are there only because we ask go. A question that came by a link says who is at its other end.
local function leave_us_out(answers)
  local us = {}
  for _, answer in pairs(answers) do
    for _, link in ipairs(answer.links or {}) do
      if link.asked then us[link.peer] = true end
    end
  end
  for _, answer in pairs(answers) do
    local others = {}
    for _, link in ipairs(answer.links or {}) do
      if link.ours or not us[link.peer] then others[#others + 1] = link end
    end
    if answer.links then answer.links = require("clouds").array(others) end
  end
end

-- By the id of each node: what it answers, { links = ... }, or an error.
function M.gather(node, ids, seconds)
  local answers = asking.all(node, ids, "links", seconds)
  leave_us_out(answers)
  return answers
end

---- as JSON ----

function M.to_json(answers)
  local clouds = require "clouds"
  local nodes = {}
  for id, answer in pairs(answers) do
    nodes[id] = clouds.is_error(answer) and { error = common.error_table(answer) } or answer
  end
  return { nodes = nodes }
end

---- as a table ----

-- The nodes that have answered, by the name of their context, as far as a link of theirs has it.
local function by_context(answers)
  local names = {}
  for id, answer in pairs(answers) do
    for _, link in ipairs(answer.links or {}) do
      names[link.here] = names[link.here] or {}
      names[link.here][id] = true
    end
  end
  for context, ids in pairs(names) do names[context] = table.concat(common.sorted_keys(ids), ",") end
  return names
end

local function is_context(name)
  return #name == 16 and not name:find("%X")
end

-- Who is at an end: nodes where they are known, else the context.
local function name_of(name, names, nodes)
  if nodes and nodes[1] then return table.concat(nodes, ",") end
  if name == "" then return "?" end
  return is_context(name) and names[name] or name
end

local function kind_of(link)
  if not link.address then return "-" end
  if link.security == "tls" then return "tls" end
  return link.address:match("^(%a+):") or "-"
end

local function state_of(link)
  return link.state == "resting" and ("resting %.0fs"):format(link["for"]) or link.state
end

local head = { "NODE", "", "PEER", "KIND", "STATE", "AGE", "CALLS", "QUEUED", "ADDRESS", "ERROR" }

local function row_of(link, names)
  return {
    name_of(link.here, names), link.ours and "->" or "<-", name_of(link.peer, names, link.nodes), kind_of(link),
    state_of(link), link.age and ("%.0fs"):format(link.age) or "-", link.in_flight or "-", link.unwritten or "-",
    link.address or "-", link.error or "-",
  }
end

-- A process answers for all of its nodes, so what one has told already is left out for the next.
local function rows_of(answers)
  local names, told, rows = by_context(answers), {}, {}
  for _, id in ipairs(common.sorted_keys(answers)) do
    local links = answers[id].links
    for _, link in ipairs(links or {}) do
      told[link.here] = told[link.here] or id
      if told[link.here] == id then rows[#rows + 1] = row_of(link, names) end
    end
    if links and not links[1] then rows[#rows + 1] = { id, "", "no links" } end
  end
  return rows
end

function M.to_text(answers)
  local rows = rows_of(answers)
  table.insert(rows, 1, head)
  return rows[2] and columns.text(rows) or ""
end

---- what went wrong ----

-- The errors, as lines of { id, error } in the order of the ids.
function M.failures(answers)
  local list = {}
  for _, id in ipairs(common.sorted_keys(answers)) do
    if require("clouds").is_error(answers[id]) then list[#list + 1] = { id, answers[id] } end
  end
  return list
end

return M
