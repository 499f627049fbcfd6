-- A web server: pages, JSON, a service of the cluster behind a path, an answer that goes on, and an upload that is
-- larger than memory.
--
--   clouds run --listen 8080 web.lua
--   curl 'http://localhost:8080/hello/Glen?msg=hey'
local clouds = require("clouds")
local http = require("clouds.http")

local client = clouds.client({ timeout = 2 })
local app = http.server({ body = 100000, server = "clouds example" })

app:get("/", function()
  return "<!doctype html><title>clouds</title><p>It works.\n", { ["Content-Type"] = "text/html; charset=utf-8" }
end)

-- What the service answers; 503 while nobody serves it, 504 when it does not answer.
app:get("/hello/:name", function(request)
  return client:call("test.hello", { request.params.name, request.query.msg or "hi" })
end)

app:post("/sum", function(request)
  local sum = 0
  for _, n in ipairs(request:json()) do
    sum = sum + (tonumber(n) or http.raise(400, "expected an array of numbers"))
  end
  return { sum = sum }
end)

-- A line each tenth of a second, for as long as somebody reads.
app:get("/ticks", function(request, response)
  for i = 1, tonumber(request.query.count) or 10 do
    if not response:write(i .. "\n") then
      return
    end
    clouds.sleep(0.1)
  end
end)

app:put("/upload", function(request)
  local bytes = 0
  for piece in
    function()
      return request:read()
    end
  do
    bytes = bytes + #piece
  end
  return 201, { bytes = bytes }
end, { body = 1e12 })

http.serve(app)
