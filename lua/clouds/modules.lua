--- `require` and `dofile` for programs whose modules wait while they are loaded: LuaJIT's own are C functions, through
-- which nothing can yield. Otherwise they do what those do.
local scheduler = require("clouds.scheduler")

local M = {}

local running = coroutine.running
local RETRY_DELAY = 0.01

local loading = {} -- name -> { owner = the coroutine (or "main"), frame = the function that loads it }
local blocked = setmetatable({}, { __mode = "k" }) -- owner -> the entry that it waits for

local function me()
  return running() or "main"
end

-- Is it still being loaded? An error that left the module leaves its entry behind.
local function is_active(entry)
  local owner = entry.owner
  if owner == "main" and me() ~= "main" then
    return true
  end
  for level = 0, math.huge do
    local info
    if owner == me() then
      info = debug.getinfo(level, "f")
    else
      info = debug.getinfo(owner, level, "f")
    end
    if not info then
      return false
    end
    if info.func == entry.frame then
      return true
    end
  end
end

-- Does who loads it wait, in the end, for what this coroutine loads?
local function waits_for_me(entry)
  while entry and entry.owner ~= me() do
    entry = blocked[entry.owner]
  end
  return entry ~= nil
end

local function wait_for(name, level)
  while loading[name] and is_active(loading[name]) do
    if waits_for_me(loading[name]) then
      error(("loop or previous error loading module '%s'"):format(name), level + 1)
    end
    blocked[me()] = loading[name]
    scheduler.sleep(RETRY_DELAY)
    blocked[me()] = nil
  end
end

local function find(name, level)
  local told = {}
  for _, searcher in ipairs(package.loaders) do
    local loader = searcher(name)
    if type(loader) == "function" then
      return loader
    end
    told[#told + 1] = type(loader) == "string" and loader or nil
  end
  error(("module '%s' not found:%s"):format(name, table.concat(told)), level + 1)
end

local function load(name, level)
  local loader = find(name, level + 1)
  local entry = { owner = me() }
  function entry.frame()
    local result = loader(name) -- no tail call: the frame says that it is being loaded
    return result
  end
  loading[name] = entry
  local result = entry.frame()
  loading[name] = nil
  if result ~= nil then
    package.loaded[name] = result
  elseif not package.loaded[name] then
    package.loaded[name] = true
  end
  return package.loaded[name]
end

function M.require(name)
  if type(name) == "number" then
    name = tostring(name)
  end
  if type(name) ~= "string" then
    local got = name == nil and "no value" or type(name)
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(got), 2)
  end
  if not package.loaded[name] and loading[name] then
    wait_for(name, 2)
  end
  return package.loaded[name] or load(name, 2)
end

function M.dofile(name)
  local chunk, problem = loadfile(name)
  if not chunk then
    error(problem, 0)
  end
  return chunk()
end

function M.install()
  _G.require, _G.dofile = M.require, M.dofile
end

return M
