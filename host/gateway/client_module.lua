-- GET /clouds.js: the client for browsers, bindings/web/clouds.js.
local clouds = require "clouds"
local host = require "clouds.host"
local M = {}

local text = host.embedded "web/clouds.js"
local tag = ('"%s-%d"'):format(clouds.version, #text)

--- The handler.
function M.handler(request)
  local fields = { ["Content-Type"] = "text/javascript; charset=utf-8", ["Cache-Control"] = "no-cache", ETag = tag }
  if request.headers["if-none-match"] == tag then return 304, nil, fields end
  return 200, text, fields
end

return M
