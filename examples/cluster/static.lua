-- The files of the folder public/ beside cluster.lua, where the workers run.
local http = require "clouds.http"

local app = http.server()
app:static("/", "public")
http.serve(app)
