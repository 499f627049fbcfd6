-- A gateway from plain TCP, with luv on the host's own loop: each line is a method and its arguments as JSON, each
-- answer a line of JSON.
--
--   clouds run gateway.lua [port]
--   echo 'test.hello ["Glen", "hi"]' | nc -q 1 127.0.0.1 7000
local clouds = require("clouds")
local uv = require("luv")

local client = clouds.client({ timeout = 2 })

local function answer(socket, line)
  local method, text = line:match("^(%S+)%s*(.*)$")
  local args, problem = clouds.json.decode(text ~= "" and text or "[]")
  local reply
  if type(args) ~= "table" then
    reply = { error = problem or "expected an array" }
  else
    local results = { client:call(method, args) }
    local failed = clouds.is_error(results[2])
    reply = failed and { error = tostring(results[2]) } or { result = clouds.array(results) }
  end
  socket:write((clouds.json.encode(reply) or "{}") .. "\n")
end

local listener = uv.new_tcp()
assert(listener:bind("127.0.0.1", tonumber(arg[1]) or 7000))
listener:listen(64, function()
  local socket, buffered = uv.new_tcp(), ""
  listener:accept(socket)
  socket:read_start(function(_, data)
    if not data then
      return socket:close()
    end
    buffered = (buffered .. data):gsub("([^\n]*)\n", function(line)
      -- The callbacks of luv are no place to wait: a coroutine is.
      clouds.spawn(answer, socket, line)
      return ""
    end)
  end)
end)

print("listening on port " .. listener:getsockname().port)
