-- Methods as OpenAPI 3.1: POST /call/METHOD of a gateway.
local M = {}

local ERROR = {
  type = "object",
  required = { "error" },
  properties = { error = {
    type = "object",
    required = { "message" },
    properties = {
      code = { type = "string" },
      message = { type = "string" },
      outcome = { type = "string", description = "whether it was executed" },
      retryable = { type = "boolean" },
    },
  } },
}

local PARAMETERS = {
  timeout = { name = "Clouds-Timeout", ["in"] = "header", description = "seconds for the whole call",
    schema = { type = "number", exclusiveMinimum = 0, maximum = 86400 } },
  key = { name = "Idempotency-Key", ["in"] = "header", description = "who repeats a call with it gets the same answer",
    schema = { type = "string", minLength = 1, maxLength = 128 } },
}

local function json_body(schema) return { ["application/json"] = { schema = schema } } end

local function reference(kind, name) return { ["$ref"] = ("#/components/%s/%s"):format(kind, name) } end

-- Braces in a path would stand for parameters.
local function path_of(name)
  return "/call/" .. name:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)
end

local function operation(method)
  local schema = method.schema or {}
  local least = schema.args and schema.args.minItems or 0
  return { post = {
    operationId = method.name,
    description = schema.doc,
    parameters = { reference("parameters", "timeout"), reference("parameters", "key") },
    requestBody = { required = least > 0, description = "the arguments", content = json_body(schema.args or {}) },
    responses = {
      ["200"] = { description = "the results", content = json_body(schema.returns or { type = "array" }) },
      default = reference("responses", "error"),
    },
  } }
end

--- The document of these methods (clouds.cli.methods). needs_token: whether calls are known to need a token.
function M.text(methods, needs_token)
  local clouds, paths = require "clouds", {}
  for _, method in ipairs(methods) do paths[path_of(method.name)] = operation(method) end
  return clouds.json.encode {
    openapi = "3.1.0",
    info = { title = "clouds", version = clouds.version },
    paths = paths,
    components = {
      parameters = PARAMETERS,
      responses = { error = { description = "an error", content = json_body(ERROR) } },
      securitySchemes = needs_token and { token = { type = "http", scheme = "bearer" } } or nil,
    },
    security = needs_token and { { token = clouds.array {} } } or nil,
  } .. "\n"
end

return M
