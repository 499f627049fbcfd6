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
  local form = options.json and '{"clouds":"%s","luajit":"%s","libuv":"%s"}\n' or "clouds %s\n%s\nlibuv %s\n"
  output.write(form:format(versions.clouds, versions.luajit, versions.libuv))
end

return M
