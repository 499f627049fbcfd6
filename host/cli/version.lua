-- clouds version
local host = require "clouds.host"
local output = require "clouds.cli.output"
local M = {}

M.command = {
    name = "version",
    usage = "version [--json]",
    summary = "Show the versions of the library, LuaJIT and libuv.",
    options = { { long = "json", help = "as one JSON object" } },
    without_common = true,
}

function M.main(options)
    local versions = host.versions()
    if options.json then
        output.write(('{"clouds":"%s","luajit":"%s","libuv":"%s"}\n'):format(versions.clouds, versions.luajit, versions.libuv))
    else
        output.write(("clouds %s\n%s\nlibuv %s\n"):format(versions.clouds, versions.luajit, versions.libuv))
    end
end

return M
