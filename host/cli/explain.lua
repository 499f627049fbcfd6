-- clouds explain
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "explain",
  usage = "explain [options] METHOD",
  summary = "Show which server a call of METHOD would go to, and why; nothing is called.",
  text = "What a caller has learned of servers from its calls (latencies, breakers) is its own: this program has "
    .. "just begun.",
  options = {
    { long = "balance", value = "WAY", help = "choose as a caller with this option: rr, least, random or hash" },
    { long = "tags", value = "TAGS", help = "the caller's own tags, such as zone=a" },
    { long = "prefer", value = "NAME", help = "prefer servers with the caller's own value of this tag" },
    { long = "json", help = "print an object in one line" },
    common.timeout("longest wait for everything (default 10)"),
  },
  operands = { 1, 1 },
}

local plain = output.plain

local rules = {
  near = "of %d with %s",
  well = "of %d that are well",
  any = "of all %d, since too few are well",
}

-- What the choice is, in one line.
local function choice_of(found)
  local choice = found.choice
  if choice.rule == "none" then return "nobody would be called: there is no server" end
  local among = rules[choice.rule]:format(choice.among, found.prefer or "")
  local server = choice.server and plain(choice.server) or "one of them"
  return ("%s would be called: %s, %s"):format(server, found.balance, among)
end

local function tags_of(server)
  local tags = {}
  for name, value in pairs(server.tags) do tags[#tags + 1] = name .. "=" .. value end
  table.sort(tags)
  return tags[1] and table.concat(tags, ",") or "-"
end

local columns = {
  { "ID", function(server) return plain(server.id) end },
  { "STATE", function(server) return server.state end },
  { "ROUTE", function(server) return server.route end },
  { "WEIGHT", function(server) return ("%d"):format(server.weight) end },
  { "TAGS", tags_of },
  { "ADDRESS", function(server) return server.address == "" and "-" or plain(server.address) end },
}

local function table_of(servers)
  local rows = { {} }
  for i, column in ipairs(columns) do rows[1][i] = column[1] end
  for _, server in ipairs(servers) do
    local row = {}
    for i, column in ipairs(columns) do row[i] = column[2](server) end
    rows[#rows + 1] = row
  end
  return require("clouds.cli.columns").text(rows)
end

local function show(found, options)
  if options.json then return output.write(output.json(found), "\n") end
  return output.write(choice_of(found), "\n", found.servers[1] and table_of(found.servers) or "")
end

function M.main(options, operands)
  common.command("explain", options, function()
    local method = require("clouds.cli.call").text("explain", operands[1])
    local how = { balance = options.balance, tags = options.tags, prefer = options.prefer }
    local client = common.open("explain", "client", how)
    common.fail_fast(client)
    local stop_limit = common.limit(options.timeout or 10, client)
    local found, err = client:explain(method)
    stop_limit()
    if not found then return common.fail(err) end
    if not show(found, options) then return common.ERROR end
    return found.choice.rule == "none" and common.UNREACHABLE or common.OK
  end)
end

return M
