--- Commands on standard input, answers on standard output, JSON lines both; in the host and in plain LuaJIT.
local clouds = require("clouds")

local M = {}

function M.say(line)
  io.stdout:write(assert(clouds.json.encode(line)), "\n")
  io.stdout:flush()
end

local function obey(commands, text)
  local line = assert(clouds.json.decode(text))
  local ok, answer = xpcall(commands[line["do"]], debug.traceback, line)
  if not ok then
    answer = { problem = tostring(answer) }
  end
  answer.n = line.n
  M.say(answer)
end

-- A function that takes what was read, and nil at the end.
local function taker(commands)
  local rest = {}
  return function(data)
    if not data then
      return clouds.spawn(clouds.shutdown, 0)
    end
    for piece, newline in data:gmatch("([^\n]*)(\n?)") do
      rest[#rest + 1] = piece
      if newline == "\n" then
        clouds.spawn(obey, commands, table.concat(rest))
        rest = {}
      end
    end
  end
end

local function read_in_host(take)
  local input = require("luv").new_pipe(false)
  input:open(0)
  input:read_start(function(_, data)
    if not data then
      input:close()
    end
    take(data)
  end)
end

local function read_in_plain_luajit(take)
  local ffi = require("ffi")
  ffi.cdef("ssize_t read(int fd, void *buffer, size_t size);")
  local buffer = ffi.new("char[65536]")
  local watch
  watch = require("clouds.loop").watch(0, function()
    local count = tonumber(ffi.C.read(0, buffer, 65536))
    if count <= 0 then
      watch:stop()
    end
    take(count > 0 and ffi.string(buffer, count) or nil)
  end)
  watch:hold(true)
end

--- Does the commands until the input ends.
function M.serve(commands)
  local take = taker(commands)
  if package.preload["clouds.loop.host"] then
    return read_in_host(take)
  end
  read_in_plain_luajit(take)
  clouds.run()
end

return M
