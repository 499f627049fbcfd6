-- Choosing the server yourself: the same user always goes to the same server, as long as it is there.
--
--   clouds run choose.lua
local clouds = require("clouds")

local servers = {}
for i = 1, 3 do
  servers[i] = clouds.server()
  assert(servers[i]:register("cart.add", function(user, article)
    return ("%s has %s on server %d"):format(user, article, i)
  end))
end

local function hash(text)
  local sum = 0
  for i = 1, #text do
    sum = (sum * 31 + text:byte(i)) % 65536
  end
  return sum
end

local current -- for whom the next call is made
local client = clouds.client({
  timeout = 2,
  find_server = function(method, known)
    table.sort(known)
    return known[hash(current .. method) % #known + 1]
  end,
})

for _, user in ipairs({ "ann", "bob", "ann", "bob" }) do
  current = user
  print(assert(client:call("cart.add", { user, "tea" })))
end

for _, server in ipairs(servers) do
  server:close(0)
end
