-- clouds gateway: what is allowed of the cluster by HTTP and WebSocket, for who does not reach it.
local access = require "clouds.cli.admin_access"
local args = require "clouds.cli.args"
local host = require "clouds.host"
local output = require "clouds.cli.output"
local M = { DEFAULT_ADDRESS = "127.0.0.1:8080" }

M.command = {
  name = "gateway",
  usage = "gateway [options] --allow PATTERN",
  summary = "Let programs and browsers call methods by HTTP and WebSocket.",
  text = "POST /call/METHOD with JSON calls a method, GET /ws is WebSocket, GET /events?subscribe=TOPIC a stream.\n"
    .. "Nothing is allowed without --allow. To listen where others than this machine come, it needs --token-file,\n"
    .. "or --open, which lets everybody in.",
  options = {
    { long = "listen", value = "ADDRESS", many = true,
      help = "where: PORT (all addresses), 127.0.0.1:PORT, [::1]:PORT or\nunix:PATH (may be repeated; default: "
      .. M.DEFAULT_ADDRESS .. ")" },
    { long = "allow", value = "PATTERN", many = true,
      help = "methods that may be called: shop.add, shop.* (one part\nmore), shop.> (any number); subscribe:PATTERN,\n"
      .. "publish:PATTERN and send:PATTERN (may be repeated)" },
    { long = "token-file", value = "FILE", help = "who may ask: a line NAME SHA256-OF-TOKEN for each" },
    { long = "open", help = "everybody who reaches it may ask, also without a token" },
    { long = "static", value = "DIR", help = "GET answers with the files of this folder" },
    { long = "origin", value = "URL", many = true,
      help = "pages of another site that may ask, as\nhttps://shop.example (may be repeated)" },
    { long = "host", value = "NAME", many = true,
      help = "a name that it is reached by, beside localhost\n(may be repeated)" },
    { long = "tell-server", help = "answers say which server it was, in Clouds-Server" },
    { long = "config", value = "FILE", help = "a Lua file that returns a table of settings\n(docs/GATEWAY.md)" },
    { long = "drain", value = "SECONDS", kind = "number",
      help = "how long a stop lets accepted requests finish (default 8)" },
    access.options[1], access.options[2],
  },
}

-- What a file says: a table of settings.
local function read_config(path)
  local chunk, problem = loadfile(path, "t")
  if not chunk then args.fail("gateway", "--config: %s", problem) end
  local ok, settings = xpcall(chunk, require("clouds.error").explain)
  if not ok then args.fail("gateway", "--config: %s", settings) end
  if type(settings) ~= "table" then
    args.fail("gateway", "--config: %s returns no table of settings, as return { allow = { 'shop.*' } }", path)
  end
  return settings
end

local lists = { allow = "allow", origin = "origins", host = "hosts" }

-- What is read when it begins to serve is looked at before.
local function check_files(settings)
  local ok, problem = true, nil
  if settings.static then
    local app = require("clouds.http").server()
    ok, problem = pcall(app.static, app, "/", settings.static)
  end
  if ok and settings.token_file then ok, problem = require("clouds.gateway.tokens").open(settings.token_file) end
  if not ok then args.fail("gateway", "%s", (tostring(problem):gsub("^%[clouds[%w_.]*%]:%d+: ", ""))) end
end

-- What cannot be listened at is no fault of a script, and has no traceback. Gives the exit code.
local function serve(settings)
  local ok, problem = pcall(require("clouds.gateway").serve, settings)
  if ok then return end
  local words = tostring(problem):gsub("^%[clouds[%w_.]*%]:%d+: ", "")
  io.stderr:write("clouds gateway: ", output.plain(words), "\n")
  return host.exit.UNREACHABLE
end

--- The settings of a command line, whose lists go behind those of its file; raises wrong usage.
function M.settings(options)
  local settings = options.config and read_config(options.config) or {}
  for option, name in pairs(lists) do
    for _, value in ipairs(options[option] or {}) do
      settings[name] = settings[name] or {}
      table.insert(settings[name], value)
    end
  end
  settings.token_file, settings.static = options.token_file or settings.token_file, options.static or settings.static
  if options.open then settings.open = true end
  if options.tell_server then settings.tell_server = true end
  local problem = require("clouds.gateway.settings").problem(settings)
  if problem then args.fail("gateway", "%s", problem) end
  if not settings.allow and not settings.static then
    args.fail("gateway", "expected --allow PATTERN (or --static DIR), as nothing is allowed without")
  end
  check_files(settings)
  settings.listen = options.listen or settings.listen or { M.DEFAULT_ADDRESS }
  problem = require("clouds.gateway.settings").problem_of_addresses(settings)
  if problem then args.fail("gateway", "--listen %s", problem) end
  return settings
end

function M.main(options, operands, argv)
  local run = require "clouds.cli.run"
  require("clouds.cli.common").set_default_url("gateway", options)
  local settings = M.settings(options)
  options.listen, settings.listen = settings.listen, nil -- or in a worker what its master says
  run.start("gateway", options, {}, argv, function()
    return { function() return serve(settings) end }
  end)
end

return M
