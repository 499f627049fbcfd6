-- Answering later: a handler takes its request away, and somebody else answers it. Here callers wait in a queue for a
-- number that is drawn every now and then.
--
--   clouds run later.lua
local clouds = require("clouds")

local server = clouds.server()
local waiting = {}

assert(server:register("lottery.draw", function(name)
  local request = clouds.request():detach() -- our return is not the answer
  table.insert(waiting, { request = request, name = name })
end))

clouds.spawn(function()
  for number = 1, 3 do
    clouds.sleep(0.1)
    for place, player in ipairs(waiting) do
      if place % 2 == 1 then
        player.request:reply(player.name .. " wins with " .. number)
      else
        player.request:fail({ message = player.name .. " loses", code = "E_LOST" })
      end
    end
    waiting = {}
  end
end)

local draw = clouds.client({ timeout = 5 }):bind("lottery.draw")
for _, names in ipairs({ { "Ann", "Bob" }, { "Cid", "Dan" } }) do
  local results = clouds.wait_all({
    function()
      return draw(names[1])
    end,
    function()
      return draw(names[2])
    end,
  })
  for _, result in ipairs(results) do
    print(result[1] or tostring(result[2]))
  end
end

server:close()
