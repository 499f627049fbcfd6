-- A web server in several processes: each answers with who it is.
local http = require "clouds.http"
local word = ...

http.serve(function(request)
  if request.method == "POST" then return request:body() end
  return ("%s %s: %s from worker %s\n"):format(request.method, request.path, word or "hello", os.getenv "CLOUDS_WORKER")
end)
