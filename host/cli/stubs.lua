-- Methods as code of other languages: functions with types, that call them; as JSON Schema, and as OpenAPI.
local words = require "clouds.cli.type_words"
local M = {}

local function json(value) return require("clouds").json.encode(value) end

-- Each line of a text behind `lead`.
local function lines_of(text, lead)
  if not text then return "" end
  return lead .. text:gsub("\n", "\n" .. lead) .. "\n"
end

local function each(methods, fn)
  local parts = {}
  for i, method in ipairs(methods) do parts[i] = fn(method, method.schema or {}) end
  return table.concat(parts)
end

---- Lua ----

local function lua_function(method, schema)
  local parameters = {}
  for i, p in ipairs(words.parameters(schema.args, "lua")) do
    local name = p.rest and "..." or words.name(p.name) .. (p.optional and "?" or "")
    parameters[i] = ("%s: %s"):format(name, p.type)
  end
  local results = words.results(schema.returns, "lua")
  local gives = results and (results[1] and ": " .. table.concat(results, ", ") or "") or ": any"
  return ("\n%s  ---@type fun(%s)%s\n  M.%s = function(...)\n"
    .. "    return client:call(%s, { n = select(\"#\", ...), ... })\n  end\n"):format(
    lines_of(schema.doc, "  ---"), table.concat(parameters, ", "), gives, words.name(method.name),
    json(method.name))
end

function M.lua(methods)
  return "---The methods as functions of a client: local methods = require \"methods\"(client)\n"
    .. "return function(client)\n  local M = {}\n" .. each(methods, lua_function) .. "\n  return M\nend\n"
end

---- Python ----

local function python_text(text) return (text:gsub("\\", "\\\\"):gsub('"""', '\\"\\"\\"')) end

local function python_method(method, schema)
  local parameters, names = { "self" }, {}
  for _, p in ipairs(words.parameters(schema.args, "python")) do
    local name = words.name(p.name)
    parameters[#parameters + 1] = ("%s%s: %s%s"):format(p.rest and "*" or "", name, p.type,
      p.optional and " = _LEFT_OUT" or "")
    names[#names + 1] = (p.rest and "*" or "") .. name
  end
  local doc = schema.doc and ('        """%s"""\n'):format(python_text(schema.doc):gsub("\n", "\n        ")) or ""
  local gives = words.result(schema.returns, "python")
  return ("\n    def %s(%s) -> %s:\n%s        result: %s = self._client.call(%s, *_given(%s))\n"
    .. "        return result\n"):format(
    words.name(method.name), table.concat(parameters, ", "), gives, doc, gives, json(method.name),
    table.concat(names, ", "))
end

function M.python(methods)
  return [[
"""The methods as functions of a client: methods = Methods(client)."""
from typing import Any, Dict, List, Literal, Tuple, Union

_LEFT_OUT: Any = object()


def _given(*values: Any) -> Tuple[Any, ...]:
    """Without those at the end that are left out; in front of others they are None."""
    count = len(values)
    while count and values[count - 1] is _LEFT_OUT:
        count -= 1
    return tuple(None if value is _LEFT_OUT else value for value in values[:count])


class Methods:
    def __init__(self, client: Any) -> None:
        self._client = client
]] .. each(methods, python_method)
end

---- TypeScript ----

local function typescript_member(method, schema)
  local parameters = {}
  for i, p in ipairs(words.parameters(schema.args, "typescript")) do
    local kind = p.rest and (p.type:find("|", 1, true) and "(" .. p.type .. ")[]" or p.type .. "[]") or p.type
    parameters[i] = ("%s%s%s: %s"):format(p.rest and "..." or "", words.name(p.name), p.optional and "?" or "", kind)
  end
  local doc = schema.doc and ("  /** %s */\n"):format(schema.doc:gsub("%*/", "* /"):gsub("\n", "\n   * ")) or ""
  return ("%s  %s(%s): Promise<%s>;\n"):format(doc, words.name(method.name), table.concat(parameters, ", "),
    words.result(schema.returns, "typescript"))
end

local function typescript_call(method)
  return ("    %s: (...args: unknown[]) => client.call(%s, args),\n"):format(words.name(method.name), json(method.name))
end

function M.typescript(methods)
  return "export interface Methods {\n" .. each(methods, typescript_member) .. "}\n\n"
    .. "/** The methods as functions of a client. */\n"
    .. "export function methods(client: { call(method: string, args: unknown[]): Promise<any> }): Methods {\n"
    .. "  return {\n" .. each(methods, typescript_call) .. "  };\n}\n"
end

---- JSON ----

M["json-schema"] = function(methods)
  local all = {}
  for _, method in ipairs(methods) do all[method.name] = method.schema or require("clouds").null end
  return json(all) .. "\n"
end

M.openapi = require("clouds.cli.openapi").text

return M
