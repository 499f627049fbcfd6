-- Services that call services. Each handler runs in a coroutine of its own, so that waiting is just calling; and what a
-- handler calls inherits the time that its own caller has left.
--
--   clouds run chain.lua
local clouds = require("clouds")

local server = clouds.server()
local client = clouds.client({ timeout = 5 })

local price_of = client:bind("shop.price")
local rate_of = client:bind("bank.rate")

assert(server:register("shop.price", function(article)
  local prices = { tea = 4, cake = 6 }
  return prices[article] or error({ message = "no such article: " .. article, code = "E_ARTICLE" })
end))

assert(server:register("bank.rate", function(currency)
  clouds.sleep(0.05) -- others are served meanwhile
  return currency == "EUR" and 1 or 1.1
end))

assert(server:register("shop.order", function(article, currency)
  print(("ordering %s, %.1f s left"):format(article, clouds.request().time_left()))
  -- Both at the same time.
  local results = clouds.wait_all({
    function()
      return price_of(article)
    end,
    function()
      return rate_of(currency)
    end,
  })
  local price, price_error = unpack(results[1], 1, results[1].n)
  local rate = assert(results[2][1])
  if not price then
    error(price_error) -- goes on to our caller as it is
  end
  return price * rate
end))

local order = client:bind("shop.order")
print("tea:", order("tea", "EUR"))
print("cake:", order("cake", "USD"))
local _, err = order("coffee", "EUR")
print("coffee:", err.code, err.message)

server:close()
