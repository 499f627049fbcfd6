--- The connection of a socket as a handle of luv.
local core = require("clouds.core")
local errors = require("clouds.error")

-- For a descriptor, which is its own then.
local function open(fd, is_unix)
  local uv = require("luv")
  local handle = is_unix and uv.new_pipe(false) or uv.new_tcp()
  local ok, why = handle:open(fd)
  if ok then
    return handle
  end
  handle:close()
  uv.fs_close(fd)
  return nil, why
end

local function failure(why)
  return errors.new(core.ECLOSED, why)
end

-- Until all that the socket has written has gone out.
local function wait_until_written(self, wait_for)
  local unsent, why = self.box:write("")
  if unsent and unsent > 0 then
    local ok, err = wait_for(self, "writer")
    return ok, err
  end
  return unsent, not unsent and failure(why) or nil
end

--- A handle over a copy of its descriptor; or nil and an error. wait_for(socket, "writer") waits for what is written.
return function(self, wait_for)
  if not self.box then
    return nil, failure("the socket is closed")
  end
  local ok, err = wait_until_written(self, wait_for)
  if not ok or self.problem then
    return nil, err or failure(self.problem)
  end
  local fd, why = self.box:copy()
  local handle
  if fd then
    handle, why = open(fd, self.box:peer() == "unix")
  end
  return handle, not handle and failure(why) or nil
end
