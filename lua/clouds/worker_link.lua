--- What a worker of `clouds start` is told by its master, and tells it (docs/CHANNEL.md). A program without a master,
-- as `clouds run` starts it, is the only worker of its group, and says nothing.
local core = require("clouds.core")

local found, host = pcall(require, "clouds.host")
if not found then
  error("clouds.worker is part of the program clouds: clouds run SCRIPT", 0)
end

local M = { host = host }

--- Whether there is no master.
function M.is_solo()
  return not host.is_worker
end

local function from_master(name, otherwise)
  return host.is_worker and os.getenv(name) or otherwise
end

local facts = {}

function facts.index()
  return tonumber(from_master("CLOUDS_WORKER", 1))
end

function facts.count()
  return tonumber(from_master("CLOUDS_WORKERS", 1))
end

function facts.generation()
  return tonumber(from_master("CLOUDS_GENERATION", 1))
end

-- Without a master as that would call it, by the script.
function facts.group()
  return from_master("CLOUDS_GROUP") or require("clouds.master.plan").name_of(arg and arg[0] or "")
end

--- One of index, count, generation and group; nil for anything else.
function M.fact(name)
  local fact = facts[name]
  return fact and fact()
end

--- What the listeners are told apart by, by their numbers: ports, and addresses of unix sockets.
function M.listeners()
  local text = from_master("CLOUDS_LISTEN", "")
  local ports = {}
  for number, port in pairs(text ~= "" and core.decode(text) or {}) do
    ports[tonumber(number)] = port
  end
  return ports
end

-- The port of an address of --listen, or the address of a unix socket.
local function port_of(address)
  return tonumber(address:match("^%d+$") or address:match(":(%d+)$")) or (address:gsub("%?mode=%d+$", ""))
end

M.port_of = port_of

local own_ports = {} -- without a master: those that were 0 before

function M.has_port(place, port)
  own_ports[place] = port
end

--- The same as a list, in their order. Without a master those of --listen.
function M.ports()
  local list = {}
  if M.is_solo() then
    for i, address in ipairs(host.listen_at or {}) do
      list[i] = own_ports[i] or port_of(address)
    end
    return list
  end
  local numbers, ports = {}, M.listeners()
  for number in pairs(ports) do
    numbers[#numbers + 1] = number
  end
  table.sort(numbers)
  for i, number in ipairs(numbers) do
    list[i] = ports[number]
  end
  return list
end

--- Says it to the master; false when that cannot be told, or is not there.
function M.tell(kind, text)
  return host.is_worker and host.cluster.tell(kind, text) or false
end

---- what the master says ----

local takers = {} -- type of a message -> function

--- fn(text) is called for each message of this type. One that has none is passed over.
function M.on(kind, fn)
  takers[kind] = fn
end

--- For the program: a message has come.
function M.deliver(kind, text)
  if takers[kind] then
    takers[kind](text)
  end
end

---- ready ----

local is_ready = false
local on_ready = {}

--- Calls fn when the worker is ready, or the main chunk of the script has ended.
function M.when_ready(fn)
  table.insert(on_ready, fn)
end

--- Says that this worker is ready, once.
function M.say_ready()
  if is_ready then
    return
  end
  is_ready = true
  M.tell("R")
  for _, fn in ipairs(on_ready) do
    fn()
  end
end

return M
