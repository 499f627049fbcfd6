-- The metrics that Prometheus knows of every process, of /proc.
local host = require "clouds.host"
local M = {}

local TICKS = 100 -- in a second, as Linux tells programs of time on all machines

local function read(path)
  local file = io.open(path, "r")
  local text = file and file:read("*a")
  if file then file:close() end
  return text or ""
end

-- Behind the name, which may have anything in it; from the third field on.
local function fields_of(pid)
  local list = {}
  local text = read(("/proc/%d/stat"):format(pid)):match("%)([^)]*)$") or ""
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local function started(fields)
  local booted = tonumber(read("/proc/stat"):match("\nbtime (%d+)"))
  local ticks = tonumber(fields[20])
  return booted and ticks and booted + ticks / TICKS
end

local function bytes(pid, name)
  local kilobytes = read(("/proc/%d/status"):format(pid)):match("\n" .. name .. ":%s*(%d+) kB")
  return kilobytes and kilobytes * 1024
end

local function descriptors(pid)
  local list = host.cluster.files(("/proc/%d/fd"):format(pid))
  return list[1] and #list
end

local function limit(pid)
  return tonumber((read(("/proc/%d/limits"):format(pid)):match("\nMax open files%s+(%d+)")))
end

local function add(text, name, kind, help, value)
  if value then text:add(name, kind, help, value, "", "process_") end
end

--- Of the process of this number, as far as it may be looked at.
function M.add(text, pid)
  local fields = fields_of(pid)
  local user, system = tonumber(fields[12]), tonumber(fields[13])
  add(text, "cpu_seconds_total", "counter", "Time of processors, in seconds.", user and (user + system) / TICKS)
  add(text, "resident_memory_bytes", "gauge", "Resident memory.", bytes(pid, "VmRSS"))
  add(text, "virtual_memory_bytes", "gauge", "Virtual memory.", bytes(pid, "VmSize"))
  add(text, "start_time_seconds", "gauge", "When it was started, in seconds since 1970.", started(fields))
  add(text, "open_fds", "gauge", "Open descriptors.", descriptors(pid))
  add(text, "max_fds", "gauge", "Descriptors that it may have.", limit(pid))
end

return M
