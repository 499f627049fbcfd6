-- The built-in echo service that clouds bench starts in a process of its own.
local host = require "clouds.host"
local node = require "clouds.cli.node"
local M = {}

-- Serves `method` until the process `parent` ends or stops it.
function M.serve(method, parent)
    node.stop_on_signal(0)
    if not host.follow(parent) then return host.finish(0) end
    local server = require("clouds").server {}
    server:register(method, function(...) return ... end)
end

return M
