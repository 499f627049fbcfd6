-- The server that web.py measures: a text, and a file.
local http = require("clouds.http")

local app = http.server()
app:get("/", function()
  return "Hello, world\n"
end)
app:get("/users/:id", function(request)
  return { id = request.params.id }
end)
app:static("/files", arg[1])
http.serve(app)
io.stderr:write("ready\n")
