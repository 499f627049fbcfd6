-- What the commands share: the address, a client, the codes they exit with, and the orderly end.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local output = require "clouds.cli.output"
local M = {}

M.OK, M.ERROR, M.USAGE = host.exit.OK, host.exit.ERROR, host.exit.USAGE
M.UNREACHABLE, M.UNKNOWN = host.exit.UNREACHABLE, host.exit.UNKNOWN
M.MAX_RETRIES = select(3, require("clouds.core").options()).retries

--- The option --timeout, with these words about it.
function M.timeout(help)
  return { long = "timeout", short = "t", value = "SECONDS", kind = "number", least = 0.001, help = help }
end

function M.exit_code(err)
  return host.exit_code(err.code, err.outcome)
end

local function first_line(command, option, path)
  local file, problem = io.open(path, "r")
  if not file then args.fail(command, "--%s: %s", option, problem) end
  local line = file:read("*l")
  file:close()
  if not line or line == "" then
    args.fail(command, "--%s: %s is empty, expected a text in its first line", option, path)
  end
  return (line:gsub("%s+$", ""))
end

local function escape(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The URL with this password in the place of any it has.
local function with_password(command, url, password)
  local scheme, rest = url:match("^(rediss?://)(.*)$")
  if not scheme then scheme, rest = url:match("^(redis%+unix://)(.*)$") end
  if not scheme then scheme, rest = url:match("^(rediss?%+sentinel://)(.*)$") end
  if not scheme then scheme, rest = url:match("^(etcds?://)(.*)$") end
  if not scheme then
    args.fail(command, "--password-file is for redis://, redis+unix://, redis+sentinel:// and etcd://, "
      .. "the URL is '%s'", url)
  end
  local authority, path = rest:match("^([^/?]*)(.*)$")
  local user, place = authority:match("^(.*)@([^@]*)$")
  local name = user and user:match("^[^:]*") or ""
  return ("%s%s:%s@%s%s"):format(scheme, name, escape(password), place or authority, path)
end

-- Where --sentinel-user and --sentinel-password-file go: to the nodes that take the default address.
local function set_sentinel_login(command, options)
  local user, file, settings = options.sentinel_user, options.sentinel_password_file, require "clouds.options"
  if not user and not file then return end
  local address = settings.default_url()
  if not address:lower():match("^rediss?%+sentinel://") then
    args.fail(command, "--%s is for redis+sentinel://, the URL is '%s'",
      user and "sentinel-user" or "sentinel-password-file", (address:gsub("//[^/]*@", "//***@")))
  end
  if not file then args.fail(command, "--sentinel-user: expected --sentinel-password-file FILE, too") end
  settings.defaults.sentinel_user = user
  settings.defaults.sentinel_password = first_line(command, "sentinel-password-file", file)
end

-- Makes --url and the other common options the default of the module clouds.
function M.set_default_url(command, options)
  local url = options.url or (options.url_file and first_line(command, "url-file", options.url_file))
  if options.password_file then
    local password = first_line(command, "password-file", options.password_file)
    url = with_password(command, url or require("clouds.options").default_url(), password)
  end
  local clouds = require "clouds"
  if url then clouds.defaults.url = url end
  set_sentinel_login(command, options)
  host.luv_spawn(clouds.spawn)
end

function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Runs fn in a coroutine that may wait.
function M.spawn(fn, ...)
  return require("clouds").spawn(fn, ...)
end

local ending = false

-- How long closing may take beyond the time for accepted requests, in seconds: then the program ends as it is. A short
-- command serves nothing, so that nobody misses anything when it ends before its peers have heard of it.
local CLOSE_TIME, SHORT_CLOSE_TIME = 2, 0.25
local close_time = CLOSE_TIME

function M.is_ending() return ending end

-- Says which requests the time was not enough for.
local function report_unanswered(nodes, drain)
  local counts, names = {}, {}
  for _, node in ipairs(nodes) do
    for method, count in pairs(node.left_open or {}) do counts[method] = (counts[method] or 0) + count end
  end
  for method, count in pairs(counts) do
    names[#names + 1] = count > 1 and ("%s (%d)"):format(output.plain(method), count) or output.plain(method)
  end
  if not names[1] then return end
  table.sort(names)
  io.stderr:write(("clouds: not answered within the %g s of the drain: %s\n"):format(drain, table.concat(names, ", ")))
end

-- Ends the program with `status` once every node is closed; `drain` seconds for what was accepted (nil: none, and what
-- is lost thereby is no news).
function M.finish(status, drain)
  host.stop_reading()
  if ending then return end
  ending = true
  if output.failed then status = M.ERROR end
  local nodes = {}
  for _, node in pairs(require("clouds.node").nodes) do nodes[#nodes + 1] = node end
  local finished = false
  local function finish()
    if finished then return end
    finished = true
    nodes[#nodes + 1] = { left_open = require("clouds.node").left_behind }
    if drain then report_unanswered(nodes, drain) end
    require("clouds.scheduler").write_log()
    host.finish(status)
  end
  local loop = require "clouds.loop"
  local timer = loop.timer((drain or 0) + close_time, finish)
  M.spawn(function()
    pcall(require("clouds").shutdown, drain or 0)
    timer:stop()
    loop.timer(CLOSE_TIME, finish)
    pcall(require("clouds.scheduler").end_contexts)
    finish()
  end)
end

-- How long a stop lets accepted requests finish, where nothing else is said: the node option drain_timeout.
function M.default_drain()
  local _, default_of = require("clouds.core").options()
  return tonumber(default_of.drain_timeout)
end

-- The first SIGINT, SIGTERM or SIGHUP, or host.stop, closes the nodes in order, and then the program ends with 0. A
-- script that keeps the loop from its turn is ended by force.
function M.stop_on_signal(drain, begin)
  host.on_stop(function(asked)
    if begin then begin() end
    M.finish(M.OK, asked or drain)
  end, drain, CLOSE_TIME + 0.5)
end

-- A new node of the given type. A URL or an option that it cannot take is wrong usage, anything else the library's
-- error.
function M.open(command, kind, settings)
  local ok, node = pcall(require("clouds")[kind], settings)
  if ok then return node end
  local failure = require("clouds.node").failure
  if failure and M.exit_code(failure) ~= M.USAGE then error(failure, 0) end
  args.fail(command, "%s", (tostring(node):gsub("^%[[%w.]+%]:%d+: ", "")))
end

-- Reports what a command raised; its exit code.
local function failed(name, problem)
  if require("clouds").is_error(problem) then return M.fail(problem) end
  local usage = args.is_usage(problem)
  io.stderr:write(("clouds %s: %s\n"):format(name, output.plain_lines(usage and problem.text or problem)))
  return usage and M.USAGE or M.ERROR
end

-- Runs a short command in a coroutine: what it returns is the exit code. A usage error inside is reported as one.
function M.command(name, options, body)
  M.set_default_url(name, options)
  close_time = SHORT_CLOSE_TIME
  M.spawn(function()
    local ok, status = xpcall(body, function(problem)
      local known = args.is_usage(problem) or require("clouds").is_error(problem)
      return known and problem or host.traceback(problem)
    end)
    if not ok then status = failed(name, status) end
    M.finish(status or M.OK)
  end)
end

-- An error as a table for JSON: its code, outcome and words, and whatever else the service said.
function M.error_table(err)
  local result = {}
  for key, value in pairs(err) do result[key] = value end
  result.code, result.outcome, result.message = err.code, err.outcome, err.message
  return result
end

-- What of a failed call its message does not say by itself. Only the library speaks of the method that was called: the
-- service's own error may be about another.
local function more_about(err, call)
  if err.code ~= "CLOUDS_NO_AVAILABLE_SERVER" or err.outcome ~= "NOT_DONE" or not call then return "" end
  local function unnamed(name) return name and not err.message:find(name, 1, true) end
  local more = ""
  if unnamed(call.method) then more = (" for '%s'"):format(call.method) end
  if unnamed(call.server) then more = more .. (" with the id '%s'"):format(call.server) end
  return more .. " ('clouds status' lists who serves what)"
end

-- Reports a failed operation, of { method =, server = } if it was a call, and returns its exit code. Once the program
-- ends, what fails because of that is no news.
function M.fail(err, as_json, call)
  if ending then return M.exit_code(err) end
  if as_json then output.write(output.json({ error = M.error_table(err) }), "\n") end
  io.stderr:write(("%s: %s\n"):format(output.plain(err.code or "error"),
    output.plain(err.message .. more_about(err, call))))
  return M.exit_code(err)
end

-- Ends the command when it takes longer than `seconds`, with what is known of the reason. A function that lifts it.
function M.limit(seconds, node)
  local connected, reason = false, nil
  node:on("down", function(err) reason = err end)
  node:on("up", function() connected, reason = true, nil end)
  local timer = require("clouds.loop").timer(seconds, function()
    if ending then return end
    if reason then return M.finish(M.fail(reason)) end
    local text = connected and "CLOUDS_CALL_SERVICE_TIMEOUT: no answer from the cluster within %g s\n"
      or "CLOUDS_UNREACHABLE: not connected within %g s\n"
    io.stderr:write(text:format(seconds))
    M.finish(connected and M.UNKNOWN or M.UNREACHABLE)
  end)
  return function() timer:stop() end
end

-- Ends the program when the cluster cannot be reached before the first connection: nothing was done, so say so at once
-- instead of at the deadline.
function M.fail_fast(node, as_json)
  local connected = false
  node:on("up", function() connected = true end)
  node:on("down", function(err)
    if not connected then M.finish(M.fail(err, as_json)) end
  end)
end

return M
