-- What the commands share: the address, a client, the codes they exit with, and the orderly end.
local host = require "clouds.host"
local args = require "clouds.cli.args"
local M = {}

M.OK, M.ERROR, M.USAGE, M.UNREACHABLE, M.UNKNOWN = 0, 1, 2, 3, 4

local by_outcome = { APP_ERROR = M.ERROR, NOT_DONE = M.UNREACHABLE, UNKNOWN = M.UNKNOWN }
local wrong_usage = {
    CLOUDS_INVALID_ARGUMENT = true,
    CLOUDS_INVALID_URL = true,
    CLOUDS_INVALID_OPTION = true,
    CLOUDS_INVALID_JSON = true,
    CLOUDS_TOO_BIG = true,
}

function M.exit_code(err)
    if wrong_usage[err.code] and err.outcome == "NOT_DONE" then return M.USAGE end
    return by_outcome[err.outcome] or M.UNKNOWN
end

local function first_line(command, path)
    local file, problem = io.open(path, "r")
    if not file then args.fail(command, "--url-file: %s", problem) end
    local line = file:read("*l")
    file:close()
    if not line or line == "" then args.fail(command, "--url-file: %s is empty, expected a URL in its first line", path) end
    return (line:gsub("%s+$", ""))
end

-- Makes --url and the other common options the defaults of the module clouds.
function M.settle_url(command, options)
    local url = options.url or (options.url_file and first_line(command, options.url_file))
    local defaults = require("clouds").defaults
    if url then defaults.url = url end
    if options.password_file then defaults.password_file = options.password_file end
end

-- Runs fn in a coroutine that may wait.
function M.spawn(fn, ...)
    return require("clouds").spawn(fn, ...)
end

local ending = false

-- Ends the program with `status` once every node is closed; `drain` seconds for what was accepted.
function M.finish(status, drain)
    host.stop_reading()
    if ending then return end
    ending = true
    M.spawn(function()
        pcall(require("clouds").shutdown, drain or 0)
        host.finish(status)
    end)
end

-- The first SIGINT or SIGTERM closes the nodes in order, and then the program ends with 0.
function M.stop_on_signal(drain)
    host.on_stop(function() M.finish(M.OK, drain) end)
end

-- A new node of the given type; a URL or an option that it cannot take is wrong usage.
function M.open(command, kind, settings)
    local ok, node, err = pcall(require("clouds")[kind], settings)
    if ok and node then return node end
    local problem = ok and err or node
    args.fail(command, "%s", type(problem) == "table" and problem.message or tostring(problem))
end

-- Runs a short command in a coroutine: what it returns is the exit code. A usage error inside it is one of the command line.
function M.command(name, options, body)
    M.settle_url(name, options)
    M.spawn(function()
        local ok, status = xpcall(body, function(problem)
            return args.is_usage(problem) and problem or host.traceback(problem)
        end)
        if not ok then
            local usage = args.is_usage(status)
            io.stderr:write(("clouds %s: %s\n"):format(name, usage and status.text or status))
            status = usage and M.USAGE or M.ERROR
        end
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

-- Reports a failed operation and returns its exit code.
function M.fail(err, as_json)
    if as_json then
        local clouds = require "clouds"
        require("clouds.cli.output").write(clouds.json.encode({ error = M.error_table(err) }), "\n")
    end
    io.stderr:write(("%s: %s\n"):format(tostring(err.code or "error"), tostring(err.message)))
    return M.exit_code(err)
end

-- Ends the program when the cluster cannot be reached before the first connection: nothing was done, so say so at once
-- instead of at the deadline.
function M.fail_fast(node, as_json)
    local connected = false
    node:on("bus_up", function() connected = true end)
    node:on("bus_down", function(err)
        if not connected then M.finish(M.fail(err, as_json)) end
    end)
end

return M
