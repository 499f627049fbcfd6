-- A broker of messages, made of calls and messages: nodes subscribe to a topic by a call, and get what is published to
-- it as messages. One process plays all the parts here; they could as well be many.
--
--   clouds run broker.lua
local clouds = require("clouds")

---- the broker ----

local broker = clouds.server()
local topics = {} -- name -> id of a node -> true

assert(broker:register("broker.subscribe", function(topic)
  topics[topic] = topics[topic] or {}
  topics[topic][clouds.request().caller] = true
  return true
end))

assert(broker:register("broker.publish", function(topic, value)
  local reached = 0
  for id in pairs(topics[topic] or {}) do
    if broker:send(id, { topic = topic, value = value }, { confirm = true }) == 0 then
      topics[topic][id] = nil -- it is gone
    else
      reached = reached + 1
    end
  end
  return reached
end))

---- two subscribers ----

local heard = 0

local function subscriber(name)
  local node = clouds.client({ timeout = 2 })
  node:on("message", function(_, message)
    print(name, message.topic, message.value.text)
    heard = heard + 1
  end)
  assert(node:call("broker.subscribe", { "news" }))
  return node
end

local nodes = { subscriber("left"), subscriber("right") }

---- a publisher ----

local publish = clouds.client({ timeout = 2 }):bind("broker.publish")
print("reached", publish("news", { text = "it works" }))
print("reached", publish("weather", { text = "nobody cares" }))

while heard < 2 do
  clouds.sleep(0.01)
end
for _, node in ipairs(nodes) do
  node:close()
end
broker:close()
