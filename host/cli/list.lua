-- clouds list
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local methods_of = require "clouds.cli.methods"
local output = require "clouds.cli.output"
local words = require "clouds.cli.type_words"
local M = {}

M.command = {
  name = "list",
  usage = "list [options]",
  summary = "List the methods, with what they take and what they are for.",
  text = "Servers are asked for what they say of their methods, where their option admin allows it: \"local\", the\n"
    .. "default, over local: only, \"on\" also over Redis and etcd.",
  options = {
    { long = "json", help = "print {name:{\"servers\":[ids],\"schema\":{...}}}" },
    common.timeout("longest wait for everything (default 10)"),
  },
  operands = { 0, 0 },
}

local function as_json(methods)
  local all, clouds = {}, require "clouds"
  for _, method in ipairs(methods) do
    all[method.name] = { servers = clouds.array(method.servers), schema = method.schema }
  end
  return output.json(all) .. "\n"
end

local function as_text(methods)
  local rows = { { "METHOD", "SERVERS", "" } }
  for _, method in ipairs(methods) do
    local doc = method.schema and method.schema.doc and method.schema.doc:match("^[^\n]*")
    rows[#rows + 1] = { words.signature(method.name, method.schema), ("%d"):format(#method.servers), doc or "" }
  end
  return methods[1] and columns.text(rows, { 2 }) or "no services\n"
end

function M.main(options)
  common.command("list", options, function()
    local limit = options.timeout or 10
    local monitor = common.open("list", "monitor", { direct = false })
    common.fail_fast(monitor)
    local stop_limit = common.limit(limit, monitor)
    local methods, problem = methods_of.gather(monitor, {}, limit)
    stop_limit()
    if not methods then return common.fail(problem) end
    return output.write(options.json and as_json(methods) or as_text(methods)) and common.OK or common.ERROR
  end)
end

return M
