--- The two commands that both sides know, for a node.
local clouds = require("clouds")
local canonical = require("canonical")

return function(node)
  local heard = {}
  node:on("message", function(from, value)
    heard[from] = heard[from] or clouds.array({})
    table.insert(heard[from], canonical.of(value))
  end)
  return {
    messages = function(line)
      return { values = heard[line.from] or clouds.array({}) }
    end,
    send = function(line)
      for _, value in ipairs(line.values) do
        assert(node:send(line.to, value))
      end
      return {}
    end,
  }
end
