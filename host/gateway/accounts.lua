-- How much each of those who ask may do: requests in a second, calls at a time, subscriptions. Who has a token is
-- counted by its name, everybody else by address.
local loop = require "clouds.loop"
local memo = require "clouds.memo"
local M = {}

local MOST = 100000 -- accounts; past that, new ones share one
local FIRST_SWEEP = 1024

local Accounts = {}
Accounts.__index = Accounts

function M.new()
  return setmetatable({ by_key = {}, count = 0, sweep_at = FIRST_SWEEP }, Accounts)
end

-- The first four groups of an address of IPv6: what one subscriber has.
local function network_of(address)
  local head, tail = address:match("^(.-)::(.*)$")
  local groups = {}
  for group in (head or address):gmatch("%x+") do groups[#groups + 1] = group end
  local behind = 0
  for _ in (tail or ""):gmatch("%x+") do behind = behind + 1 end
  for _ = #groups + 1, 8 - behind do groups[#groups + 1] = "0" end
  for group in (tail or ""):gmatch("%x+") do groups[#groups + 1] = group end
  return table.concat(groups, ":", 1, math.min(4, #groups)) .. "::/64"
end

--- What an address is counted by: of IPv6 its network, since one subscriber has all of that.
M.key_of_address = memo(10000, function(address)
  local plain = address:match("^::ffff:(%d+%.%d+%.%d+%.%d+)$")
  if plain or not address:find(":", 1, true) then return "address " .. (plain or address) end
  return "address " .. network_of(address)
end)

local function refill(account)
  local now = loop.now()
  account.left = math.min(account.burst, account.left + (now - account.at) * account.rate)
  account.at = now
end

-- Forgets accounts that are as new ones would be.
local function sweep(self)
  local count = 0
  for key, account in pairs(self.by_key) do
    refill(account)
    if account.left >= account.burst and account.in_flight == 0 and account.subscriptions == 0 then
      self.by_key[key] = nil
    else
      count = count + 1
    end
  end
  self.count, self.sweep_at = count, math.max(FIRST_SWEEP, 2 * count)
end

local function open(self, key, limits)
  if self.count >= self.sweep_at then sweep(self) end
  if self.count >= MOST then
    key = "others"
    if self.by_key[key] then return self.by_key[key] end
  end
  local account = { left = limits.burst, at = loop.now(), in_flight = 0, subscriptions = 0 }
  self.by_key[key], self.count = account, self.count + 1
  return account
end

--- The account of a key, with the limits that count now: { rate =, burst =, in_flight =, subscriptions = }.
function Accounts:of(key, limits)
  local account = self.by_key[key] or open(self, key, limits)
  account.rate, account.burst = limits.rate, limits.burst
  account.most_in_flight, account.most_subscriptions = limits.in_flight, limits.subscriptions
  return account
end

--- Takes one request from the account: true; or nil and the seconds until there is one again.
function M.take(account)
  refill(account)
  if account.left >= 1 then
    account.left = account.left - 1
    return true
  end
  return nil, (1 - account.left) / account.rate
end

local most = { in_flight = "most_in_flight", subscriptions = "most_subscriptions" }

--- Begins what may be there only so many times, "in_flight" or "subscriptions": whether it may. M.finish ends it.
function M.begin(account, what)
  if account[what] >= account[most[what]] then return false end
  account[what] = account[what] + 1
  return true
end

function M.finish(account, what)
  account[what] = account[what] - 1
end

return M
