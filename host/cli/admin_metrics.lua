-- What the admin endpoint tells of this process to Prometheus.
local host = require "clouds.host"
local about = require "clouds.cli.admin_about"
local counts = require "clouds.cli.counts"
local Text = require "clouds.cli.metrics_text"
local process = require "clouds.cli.metrics_process"
local M = { TYPE = Text.TYPE }

--- The versions of the program.
function M.add_build(text)
  local versions = host.versions()
  text:add("build_info", "gauge", "Versions.", 1,
    text.labels("version", versions.clouds, "luajit", versions.luajit))
end

function M.text()
  local text = Text.new()
  M.add_build(text)
  text:add("ready", "gauge", "1 when /readyz says so.", about.reasons()[1] and 0 or 1)
  text:add("uptime_seconds", "gauge", "Since the program was started.", about.uptime())
  text:add("lua_memory_bytes", "gauge", "Of the Lua state.", collectgarbage("count") * 1024)
  process.add(text, host.pid())
  text:counts(counts.own())
  return text:all()
end

return M
