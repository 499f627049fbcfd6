--- The commands that both sides know, for a node.
local clouds = require("clouds")
local canonical = require("canonical")
local real = require("real")

return function(node)
  local heard = {}
  local function hear(key, value)
    heard[key] = heard[key] or clouds.array({})
    table.insert(heard[key], canonical.of(value))
  end
  node:on("message", hear)
  return {
    messages = function(line)
      return { values = heard[line.from] or clouds.array({}) }
    end,
    send = function(line)
      for _, value in ipairs(line.values) do
        assert(node:send(line.to, real(value)))
      end
      return {}
    end,
    subscribe = function(line)
      assert(node:subscribe(line.topics, function(value, message)
        hear(line.key, line.meta and clouds.array({ value, message.meta or clouds.null }) or value)
      end, { all = line.all, group = line.group }))
      return {}
    end,
    publish = function(line)
      for _, value in ipairs(line.values) do
        assert(node:publish(line.topic, real(value)))
      end
      return {}
    end,
  }
end
