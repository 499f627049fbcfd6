-- A server of lines in several processes: clouds start --listen 7000 echo.lua, then: nc localhost 7000
--
-- What is said comes back from the worker that has the connection. "bye" closes it, "who" says how many workers there
-- are, "news TEXT" is heard by everybody on all workers.
local worker = require "clouds.worker"

local clients, count = {}, 0

worker.on("message", function(text, group, index)
  for client in pairs(clients) do client:write(("%s.%d says: %s\n"):format(group, index, text)) end
end)

worker.on("drain", function(reason)
  for client in pairs(clients) do client:write(("this worker ends: %s\n"):format(reason)) end
end)

local function answer(line)
  local news = line:match("^news (.+)$")
  if news then
    worker.send(worker.group, news)
    return nil
  end
  if line == "who" then return ("worker %d of %d"):format(worker.index, worker.count) end
  return line
end

worker.ready(function(client)
  clients[client], count = true, count + 1
  worker.set("clients", count)
  for line in client:lines() do
    if line == "bye" or worker.draining then break end
    worker.transact() -- a worker that has something to do gets no further connections while others have less
    local text = answer(line)
    worker.release()
    if text and not client:write(text, "\n") then break end
  end
  clients[client], count = nil, count - 1
  worker.set("clients", count)
end)
