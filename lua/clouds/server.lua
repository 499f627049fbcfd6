--- Serving: functions that answer calls.
local core = require("clouds.core")
local client = require("clouds.client")
local errors = require("clouds.error")
local node = require("clouds.node")

local Server = node.class()

-- Every node can call; a service does so from its handlers.
Server.call, Server.bind = client.call, client.bind

--- Offers a method. true; or nil and an error. Waits for the registration where that is possible.
function Server:register(name, handler)
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if type(handler) ~= "function" then
    error("expected a function as the handler", 2)
  end
  self.methods = self.methods or {}
  local before = self.methods[name]
  self.methods[name] = handler
  local ok, problem = self.core:register(name, handler)
  if not ok then
    self.methods[name] = before
  end
  return ok, problem
end

--- Takes a method back; requests it has accepted are still answered.
function Server:unregister(name)
  if type(name) ~= "string" then
    error("expected the name of a method", 2)
  end
  if not self.closed and not (self.methods and self.methods[name]) then
    return nil, errors.new(core.EINVAL, ("no method '%s' is registered"):format(name))
  end
  local ok, problem = self.core:unregister(name)
  if ok then
    self.methods[name] = nil
  end
  return ok, problem
end

return Server
