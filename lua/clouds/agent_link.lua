--- How an agent reaches the library of its application: its signature, and calls until a deadline.
--
-- A call goes to the library whose signature is known. When that one is gone and has certainly not executed it, the
-- next one is waited for, and the call goes there; what a library may have executed is never repeated.
local core = require("clouds.core")
local errors = require("clouds.error")
local library_bus = require("clouds.library_bus")
local node = require("clouds.node")
local scheduler = require("clouds.scheduler")
local Client = require("clouds.client")

local loop = scheduler.loop

local M = { DEADLINE = 60 } -- seconds of a call

local ASK_TIMEOUT = 2 -- seconds of one attempt to get the signature; a library that comes up is asked at once
local ASK_RETRIES = 1000
local FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2 -- seconds between two tries at libraries that refuse

local GONE = {
  CLOUDS_NO_AVAILABLE_SERVER = true,
  CLOUDS_NO_SUCH_METHOD = true,
  CLOUDS_UNREACHABLE = true,
  CLOUDS_DRAINING = true,
}

local client -- on the private bus
local current -- the signature of the library that is there
local asking -- the handles of those who wait for a signature

--- The signature that was known last; nil at first.
M.known = nil

local function new_client(level)
  local url = library_bus.address()
  if url then
    local made = node.create(Client, "agent", { url = url }, level + 1)
    made.closes_last = true
    return made
  end
  if library_bus.is_in_application() then
    error("this application has no library: expected clouds start --library FILE", level + 1)
  end
  error(("there is no library here: its agents are for the workers of clouds start --library FILE "
    .. "(or the variable %s has the address)"):format(library_bus.VARIABLE), level + 1)
end

--- The node of this process on the private bus.
function M.client(level)
  if not client or client.closed then
    client = new_client(level + 1)
  end
  return client
end

--- Whether the results of a call are nil and an error.
function M.is_failure(results)
  return results[1] == nil and errors.is_error(results[2])
end

---- the signature ----

-- Not on behalf of a request that is served: others wait for it, too.
local function ask()
  asking = {}
  scheduler.defer(function()
    local signature, err = client:call(
      library_bus.method("hello"),
      {},
      { timeout = ASK_TIMEOUT, deadline = M.DEADLINE, retry = ASK_RETRIES }
    )
    local handles = asking
    asking = nil
    if signature then
      current, M.known = signature, signature
    end
    for _, handle in ipairs(handles) do
      core.wake(handle, signature, err)
    end
  end)
end

local function no_library(until_, begun)
  local words = "the library of the application was not there within %.3g s"
  return errors.new(core.EEXPIRED, words:format(until_ - begun))
end

--- The signature of the library that is there, for which it waits until then; or nil and an error.
function M.signature(until_)
  local begun = loop.now()
  M.client(3)
  if current then
    return current
  end
  core.check_wait()
  if not asking then
    ask()
  end
  local handle = core.slot(true)
  table.insert(asking, handle)
  local timer = loop.timer(math.max(0, until_ - begun), function()
    core.wake(handle, nil, no_library(until_, begun))
  end)
  local signature, err = core.wait(handle)
  timer:stop()
  return signature, err
end

--- What is known is not so any more, unless something newer is known already.
function M.forget(signature)
  if current == signature then
    current = nil
  end
end

---- calls ----

local function is_gone(results)
  local err = results[2]
  return results[1] == nil and errors.is_error(err) and err.outcome == "NOT_DONE" and GONE[err.code] == true
end

--- Calls this library and no other: results; or nil and an error.
function M.call_at(signature, method, args, seconds)
  return M.client(3):call(library_bus.method(method), args,
    { server = signature.id, timeout = seconds, deadline = seconds })
end

--- Calls the library that is there, until then: a list of the results with its length n, and the signature of who was
--- called, if anybody was. A failure is nil and an error in the list.
function M.call(method, args, until_)
  local pause, begun = FIRST_PAUSE, loop.now()
  while true do
    local signature, err = M.signature(until_)
    local left = until_ - loop.now()
    if not signature or left <= 0 then
      return { n = 2, nil, err or no_library(until_, begun) }
    end
    local results = scheduler.pack(M.call_at(signature, method, args, left))
    if not is_gone(results) then
      return results, signature
    end
    M.forget(signature)
    scheduler.sleep(math.max(0, math.min(pause, until_ - loop.now())))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

return M
