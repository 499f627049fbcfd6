-- Serves, calls itself through the bus, and ends.
local clouds = require "clouds"
clouds.server():register("bench.first", function(a, b) return a + b end)
assert(clouds.client():call("bench.first", { 1, 2 }) == 3)
os.exit(0)
