-- JSON Schema as a type of a language, and lists of arguments and results as what a function has.
local sorted_keys = require("clouds.cli.common").sorted_keys
local M = {}

local basic = {
  clouds = { ["null"] = "null", boolean = "boolean", integer = "integer", number = "number", string = "string",
    array = "array", object = "object", any = "any", none = "null" },
  lua = { ["null"] = "nil", boolean = "boolean", integer = "integer", number = "number", string = "string",
    array = "any[]", object = "table", any = "any", none = "nil" },
  python = { ["null"] = "None", boolean = "bool", integer = "int", number = "float", string = "str",
    array = "List[Any]", object = "Dict[str, Any]", any = "Any", none = "None" },
  typescript = { ["null"] = "null", boolean = "boolean", integer = "number", number = "number", string = "string",
    array = "any[]", object = "object", any = "any", none = "void" },
}

local function json(value) return require("clouds").json.encode(value) end

local type_of

local function is_required(schema, name)
  for _, required in ipairs(schema.required or {}) do
    if required == name then return true end
  end
  return false
end

-- An object with named members, where the language can say it in one line.
local function members_of(schema, language)
  local parts, separator = {}, language == "typescript" and "; " or ", "
  for _, name in ipairs(sorted_keys(schema.properties)) do
    local shown = name:match("^[%a_][%w_]*$") and name or json(name)
    parts[#parts + 1] = ("%s%s: %s"):format(shown, is_required(schema, name) and "" or "?",
      type_of(schema.properties[name], language))
  end
  return "{" .. table.concat(parts, separator) .. "}"
end

local maps = { clouds = "{[string]: %s}", lua = "table<string, %s>", python = "Dict[str, %s]",
  typescript = "Record<string, %s>" }

local function object_of(schema, language)
  if schema.required and not schema.properties and schema.required[1] == "$bytes" then
    return ({ python = "bytes", typescript = "Uint8Array", clouds = "bytes" })[language] or "any"
  end
  if schema.properties and language ~= "python" then return members_of(schema, language) end
  if type(schema.additionalProperties) == "table" then
    return maps[language]:format(type_of(schema.additionalProperties, language))
  end
  return basic[language].object
end

local function array_of(schema, language)
  if type(schema.items) ~= "table" or schema.prefixItems then return basic[language].array end
  local inner = type_of(schema.items, language)
  if language == "python" then return ("List[%s]"):format(inner) end
  return inner:find("|", 1, true) and ("(%s)[]"):format(inner) or inner .. "[]"
end

local function one_of(parts, language)
  if #parts == 1 then return parts[1] end
  if language == "python" then return ("Union[%s]"):format(table.concat(parts, ", ")) end
  if language == "clouds" and #parts == 2 and parts[2] == "null" and not parts[1]:find("|", 1, true) then
    return parts[1] .. "?"
  end
  return table.concat(parts, language == "typescript" and " | " or "|")
end

local function choices_of(values, language)
  local parts = {}
  for i, value in ipairs(values) do
    parts[i] = value == require("clouds").null and basic[language]["null"] or json(value)
    if language == "python" and type(value) == "boolean" then parts[i] = value and "True" or "False" end
  end
  return language == "python" and ("Literal[%s]"):format(table.concat(parts, ", ")) or table.concat(parts, "|")
end

local function named(kind, schema, language)
  if kind == "object" then return object_of(schema, language) end
  return kind == "array" and array_of(schema, language) or basic[language][kind]
end

function type_of(schema, language)
  if type(schema) ~= "table" then return basic[language].any end
  local parts = {}
  if schema.enum then return choices_of(schema.enum, language) end
  if schema.const ~= nil then return choices_of({ schema.const }, language) end
  for _, inner in ipairs(schema.anyOf or {}) do parts[#parts + 1] = type_of(inner, language) end
  local kinds = type(schema.type) == "table" and schema.type or { schema.type }
  for _, kind in ipairs(schema.anyOf and {} or kinds) do parts[#parts + 1] = named(kind, schema, language) end
  return parts[1] and one_of(parts, language) or basic[language].any
end

-- The parameters: { name, type, doc, optional, rest } of each. Names are those of the schema, or of their place.
function M.parameters(args, language)
  local list, least = {}, args and args.minItems or 0
  if not args then return { { name = "args", type = basic[language].any, rest = true } } end
  for i, schema in ipairs(args.prefixItems or {}) do
    list[i] = { name = schema.title or "argument" .. i, type = type_of(schema, language), doc = schema.description,
      optional = i > least }
  end
  if args.items ~= false then
    local schema = type(args.items) == "table" and args.items or {}
    list[#list + 1] = { name = schema.title or "args", type = type_of(schema, language), doc = schema.description,
      rest = true }
  end
  return list
end

-- The types of the results; nil: not said.
function M.results(returns, language)
  if not returns then return nil end
  local list = {}
  for i, schema in ipairs(returns.prefixItems or {}) do list[i] = type_of(schema, language) end
  if not list[1] and returns.items ~= false then return nil end
  return list
end

-- What it is when there is one value, or none.
function M.result(returns, language)
  local list = M.results(returns, language)
  if not list then return basic[language].any end
  if not list[1] then return basic[language].none end
  return list[2] and basic[language].any or list[1]
end

local reserved = {}
for word in ([[
  and as assert async await break case catch class const continue def default del do elif else end enum except
  export extends false finally for from function global goto if import in instanceof is lambda let local new
  nil nonlocal not null or pass raise repeat return self super switch then this throw true try typeof until
  var void while with yield False None True]]):gmatch("%S+") do reserved[word] = true end

-- A name in any of these languages: what none can have becomes `_`, and a word of one of them gets one behind it.
function M.name(text)
  local name = text:gsub("[^%w_]", "_")
  if name:match("^%d") then return "_" .. name end
  return reserved[name] and name .. "_" or name
end

-- greet(name: string, times?: integer) -> string
function M.signature(name, schema)
  if not schema then return name end
  local parts, results = {}, M.results(schema.returns, "clouds")
  for i, p in ipairs(M.parameters(schema.args, "clouds")) do
    parts[i] = ("%s%s%s: %s"):format(p.rest and "..." or "", p.name, p.optional and "?" or "", p.type)
  end
  local gives = results and " -> " .. (results[1] and table.concat(results, ", ") or "nothing") or ""
  return ("%s(%s)%s"):format(name, table.concat(parts, ", "), gives)
end

return M
