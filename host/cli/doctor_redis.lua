-- What `clouds doctor` looks for at a Redis: it asks it in its own protocol, beside the connections of the library.
local M = {}

local LONGEST = 1000000 -- bytes of an answer
local PUBSUB_HARD, PUBSUB_SOFT = 8 * 1048576, 1048576 -- what is too little for a process that is busy for a moment
local MOST_SKEW = 1 -- seconds

---- the protocol ----

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Where it is and who we are there; nil: sentinels lead to it, or TLS does, which sockets of Lua do not have.
local function place_of(url)
  local scheme, rest = url:match("^(redis[%w+]*)://(.*)$")
  if scheme ~= "redis" and scheme ~= "redis+unix" then return nil end
  local login, at = rest:match("^([^/?]*)@(.*)$")
  at = at or rest
  local user, password = (login or ""):match("^([^:]*):(.*)$")
  local place = { user = user and unescape(user), password = password and unescape(password) }
  if scheme == "redis+unix" then
    place.address = "unix:" .. unescape(at:match("^[^?]*"))
  else
    local host = at:match("^[^/?]*")
    if host == "" then host = "127.0.0.1" end
    place.address = host:match(":%d+$") and host or host .. ":6379"
  end
  return place
end

local function read_reply(socket)
  local line, problem = socket:read("line", LONGEST)
  if not line then return nil, tostring(problem.message or problem) end
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then return nil, rest end
  local n = tonumber(rest)
  if not n or n > LONGEST then return nil, "this is no Redis" end
  if kind == ":" then return n end
  if n < 0 then return false end
  if kind == "$" then
    local text = socket:read(n + 2)
    return text and text:sub(1, n) or nil, "the connection was lost"
  end
  if kind ~= "*" then return nil, "this is no Redis" end
  local list = {}
  for i = 1, n do
    local value, why = read_reply(socket)
    if value == nil then return nil, why end
    list[i] = value
  end
  return list
end

-- What it answers; or nil and its words.
local function ask(socket, ...)
  local words = { "*" .. select("#", ...) .. "\r\n" }
  for _, word in ipairs({ ... }) do words[#words + 1] = ("$%d\r\n%s\r\n"):format(#word, word) end
  local ok, problem = socket:write(table.concat(words))
  if not ok then return nil, problem.message end
  return read_reply(socket)
end

local function connect(place, seconds)
  local socket, problem = require("clouds.socket").connect(place.address, { timeout = seconds })
  if not socket then return nil, tostring(problem.message or problem) end
  socket:timeout(seconds)
  if not place.password then return socket end
  local ok, words
  if place.user ~= "" then
    ok, words = ask(socket, "AUTH", place.user, place.password)
  else
    ok, words = ask(socket, "AUTH", place.password)
  end
  if ok then return socket end
  socket:close()
  return nil, words
end

local function facts_of(text)
  local facts = {}
  for name, value in (text or ""):gmatch("([%w_]+):([^\r\n]*)") do facts[name] = value end
  return facts
end

---- what is looked for ----

-- No right to ask is no fault: the rights that clouds needs do not contain these questions.
local function unknown(report, name, words)
  report("unknown", name, "not known: " .. words)
end

local function check_version(report, facts)
  local version = facts.redis_version
  if not version then return unknown(report, "Redis", "it does not say its version") end
  local major = tonumber(version:match("^%d+"))
  if major < 6 then
    return report("wrong", "Redis", "version " .. version, "clouds needs Redis 6 or later")
  end
  report("ok", "Redis", "version " .. version)
end

local function check_role(report, facts)
  if facts.role == "slave" then
    return report("wrong", "role", "a replica", "clouds works with the primary only; the address must lead there")
  end
  if facts.cluster_enabled == "1" then
    return report("wrong", "role", "in cluster mode", "clouds works with one Redis that is not in cluster mode")
  end
  report("ok", "role", "primary")
end

local function check_eviction(report, facts)
  local most, policy = tonumber(facts.maxmemory), facts.maxmemory_policy
  if not most or not policy then return unknown(report, "eviction", "it does not say its limit of memory") end
  local text = most == 0 and "no limit of memory" or ("%s at %d MB"):format(policy, most / 1048576)
  if most == 0 or policy == "noeviction" then return report("ok", "eviction", text) end
  report("warning", "eviction", text,
    "registrations may be dropped when it is full; expected maxmemory-policy noeviction")
end

local function check_clients(report, facts)
  local now, most = tonumber(facts.connected_clients), tonumber(facts.maxclients)
  if not now or not most then return unknown(report, "clients", "it does not say how many there may be") end
  local text = ("%d of %d"):format(now, most)
  if now * 10 < most * 9 then return report("ok", "clients", text) end
  report("warning", "clients", text, "each context takes two; raise maxclients")
end

-- "normal 0 0 0 slave ... pubsub HARD SOFT SECONDS", in bytes; a limit of 0 is none.
local function check_buffers(report, socket)
  local answer, words = ask(socket, "CONFIG", "GET", "client-output-buffer-limit")
  if not answer or not answer[2] then return unknown(report, "output buffers", words or "no such setting") end
  local hard, soft, seconds = answer[2]:match("pubsub (%d+) (%d+) (%d+)")
  hard, soft = tonumber(hard), tonumber(soft)
  if not hard then return unknown(report, "output buffers", "no limit for pubsub") end
  local text = ("pubsub %d MB, %d MB for %s s"):format(hard / 1048576, soft / 1048576, seconds)
  if (hard == 0 or hard >= PUBSUB_HARD) and (soft == 0 or soft >= PUBSUB_SOFT) then
    return report("ok", "output buffers", text)
  end
  report("warning", "output buffers", text,
    "a process that is busy for a moment is disconnected; expected client-output-buffer-limit pubsub 32mb 8mb 60")
end

local function check_clock(report, socket)
  local before, mono = os.time(), require("clouds.host").clock()
  local answer, words = ask(socket, "TIME")
  if not answer then return unknown(report, "clock", words) end
  local took = require("clouds.host").clock() - mono
  local ahead = tonumber(answer[1]) - before
  local text = ("%s of this machine's, asked in %.1f ms"):format(
    math.abs(ahead) <= MOST_SKEW and "within a second" or ("%d s %s"):format(math.abs(ahead),
      ahead > 0 and "ahead" or "behind"), took * 1000)
  if math.abs(ahead) <= MOST_SKEW + took then return report("ok", "clock", text) end
  report("warning", "clock", text, "nodes find the difference out and go by Redis' time; logs of machines differ by it")
end

local function check_user(report, socket)
  local name, words = ask(socket, "ACL", "WHOAMI")
  if not name then return unknown(report, "user", words) end
  report("ok", "user", name)
end

-- Why nobody looks at the Redis of this address.
local function reason_of(url)
  return url:match("^rediss?%+sentinel:") and "since sentinels lead to it; give its own address to --url"
    or "since it is reached over TLS"
end

-- Looks, as far as the address is that of one Redis without TLS.
function M.check(url, seconds, report)
  local place = place_of(url)
  if not place then return report("unknown", "Redis", "not looked at, " .. reason_of(url)) end
  local socket, problem = connect(place, seconds)
  if not socket then return report("wrong", "Redis", problem) end
  local text, words = ask(socket, "INFO")
  if text then
    local facts = facts_of(text)
    check_version(report, facts)
    check_role(report, facts)
    check_eviction(report, facts)
    check_clients(report, facts)
  else
    unknown(report, "Redis", words)
  end
  check_buffers(report, socket)
  check_clock(report, socket)
  check_user(report, socket)
  socket:close()
end

return M
