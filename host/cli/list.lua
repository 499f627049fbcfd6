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
  text = methods_of.text,
  options = {
    { long = "json", help = "print {name:{\"servers\":[ids],\"schema\":{...}}}" },
    methods_of.timeout,
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
    local methods = methods_of.gather("list", {}, options.timeout)
    return output.write(options.json and as_json(methods) or as_text(methods)) and common.OK or common.ERROR
  end)
end

return M
