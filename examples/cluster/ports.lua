-- One group of workers behind two ports, each with a site of its own:
--
--   clouds start --listen 33750 --listen 33751 ports.lua
local worker, http = require "clouds.worker", require "clouds.http"

local shop = http.server(function(request) return "the shop, at " .. request.port .. "\n" end)
local office = http.server(function(request) return "the office, at " .. request.port .. "\n" end)

worker.ready(function(socket, port)
  local site = port == worker.ports[1] and shop or office
  site:serve(socket, port)
end)
