-- The service that the benchmarks call.
local clouds = require "clouds"
local server = clouds.server()
server:register("bench.add", function(a, b)
  return a + b
end)
print("ready")
