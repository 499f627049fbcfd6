-- A worker that counts its pages in the library (library.lua), together with all other workers.
local agent, http = require "clouds.agent", require "clouds.http"

local app = http.server()
local last = {} -- page -> its count, as far as this worker has heard

agent.pages.watch(function(path, count) last[path] = count end)

app:get("/most", function()
  local path, count = agent.pages:most()
  return path and ("%s: %d of %d\n"):format(path, count, agent.pages.total) or "nothing yet\n"
end)

app:get("/heard", function() return last end)

app:get("/*path", function(request)
  local count, err = agent.with { timeout = 5 }.pages.visit(request.path)
  if not count then return 503, tostring(err) .. "\n" end
  return ("%s: visit %d of %s\n"):format(agent.settings.title, count, request.path)
end)

http.serve(app)
