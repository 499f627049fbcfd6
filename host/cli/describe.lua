-- clouds describe
local columns = require "clouds.cli.columns"
local common = require "clouds.cli.common"
local methods_of = require "clouds.cli.methods"
local output = require "clouds.cli.output"
local stubs = require "clouds.cli.stubs"
local words = require "clouds.cli.type_words"
local M = {}

M.command = {
  name = "describe",
  usage = "describe [options] [METHOD...]",
  summary = "Show what methods take and give, for people or as code; without METHOD of all.",
  text = methods_of.text,
  options = {
    { long = "as", value = "FORM", choices = { "text", "lua", "python", "typescript", "json-schema", "openapi" },
      help = "text (default); lua, python or typescript: functions that call them;\n"
      .. "json-schema; openapi: as POST /call/METHOD of a gateway" },
    methods_of.timeout,
  },
  operands = { 0, math.huge },
}

local function arguments_of(schema)
  local rows = {}
  for i, p in ipairs(words.parameters(schema.args, "clouds")) do
    local name = ("  %s%s%s"):format(p.rest and "..." or "", p.name, p.optional and "?" or "")
    rows[i] = { name, p.type, p.doc or "" }
  end
  return rows[1] and columns.text(rows) or ""
end

local function text_of(method)
  local schema = method.schema
  local lines = { output.plain(words.signature(method.name, schema)), "\n" }
  local doc = schema and schema.doc
  if doc then lines[#lines + 1] = "  " .. output.plain_lines(doc):gsub("\n", "\n  ") .. "\n" end
  if schema and schema.args then lines[#lines + 1] = arguments_of(schema) end
  if not method.answered then
    lines[#lines + 1] = "  not known: no server of it answers questions (option admin)\n"
  elseif not schema then
    lines[#lines + 1] = "  it says nothing of itself\n"
  elseif method.schemas > 1 then
    lines[#lines + 1] = "  its servers do not agree; this is what the first one says\n"
  end
  lines[#lines + 1] = "  served by " .. output.plain(table.concat(method.servers, " ")) .. "\n"
  return table.concat(lines)
end

local function shown(methods, form)
  if form ~= "text" then return stubs[form](methods) end
  local parts = {}
  for i, method in ipairs(methods) do parts[i] = text_of(method) end
  return parts[1] and table.concat(parts, "\n") or "no services\n"
end

function M.main(options, operands)
  common.command("describe", options, function()
    local names = {}
    for i, word in ipairs(operands) do names[i] = require("clouds.cli.call").text("describe", word) end
    local methods, missing = methods_of.gather("describe", names, options.timeout)
    if missing then
      io.stderr:write(("clouds describe: nobody serves '%s'\n"):format(output.plain(missing)))
      return common.UNREACHABLE
    end
    return output.write(shown(methods, options.as or "text")) and common.OK or common.ERROR
  end)
end

return M
