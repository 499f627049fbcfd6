-- A histogram of durations: exact to a microsecond up to 16 ms, and to one percent above.
local ffi = require "ffi"
local M = {}
M.__index = M

local FINE = 16384                      -- microseconds kept one by one
local STEP = 1 / math.log(1.01)         -- buckets above, each one percent wide
local COARSE = 2048                     -- up to FINE * 1.01^2048: beyond any timeout

local floor, log, min = math.floor, math.log, math.min

function M.new()
  return setmetatable({ counts = ffi.new("uint32_t[?]", FINE + COARSE), total = 0, sum = 0, max = 0 }, M)
end

local function bucket_of(microseconds)
  if microseconds < FINE then return floor(microseconds) end
  return FINE + min(COARSE - 1, floor(log(microseconds / FINE) * STEP))
end

-- The upper edge of a bucket, in seconds.
local function edge_of(bucket)
  if bucket < FINE then return (bucket + 1) / 1e6 end
  return FINE * 1.01 ^ (bucket - FINE + 1) / 1e6
end

-- A duration that was seen so many times.
function M:add(seconds, times)
  local bucket = bucket_of(seconds * 1e6)
  self.counts[bucket] = self.counts[bucket] + times
  self.total = self.total + times
  self.sum = self.sum + seconds * times
  if seconds > self.max then self.max = seconds end
end

function M:mean()
  return self.total > 0 and self.sum / self.total or 0
end

-- The duration that a share `q` of all stayed below; 0 when there are none.
function M:quantile(q)
  local wanted, seen = q * self.total, 0
  if self.total == 0 then return 0 end
  for bucket = 0, FINE + COARSE - 1 do
    seen = seen + self.counts[bucket]
    if seen >= wanted and seen > 0 then return min(edge_of(bucket), self.max) end
  end
  return self.max
end

return M
