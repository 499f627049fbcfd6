-- Sources are text: what loads code takes no bytecode, which nothing verifies and which can crash the process.
local load, loadfile, searchpath = load, loadfile, package.searchpath

local function only_text(mode)
  if mode and not mode:find("t", 1, true) then return nil, "bytecode is not loaded (mode is '" .. mode .. "')" end
  return true
end

-- What LuaJIT says of bytecode speaks of a "mode".
local function in_words(path, chunk, problem)
  if chunk then return chunk end
  if problem == "attempt to load chunk with wrong mode" then
    problem = (path and path .. ": " or "") .. "this is bytecode; only source text is loaded"
  end
  return nil, problem
end

local function text_load(chunk, name, mode, environment)
  local ok, problem = only_text(mode)
  if not ok then return nil, problem end
  return in_words(nil, load(chunk, name, "t", environment))
end

local function text_loadfile(path, mode, environment)
  local ok, problem = only_text(mode)
  if not ok then return nil, problem end
  return in_words(path, loadfile(path, "t", environment))
end

local function text_dofile(path)
  local chunk, problem = in_words(path, loadfile(path, "t"))
  if not chunk then error(problem, 0) end
  return chunk()
end

local function load_module(name)
  local path, tried = searchpath(name, package.path)
  if not path then return tried end
  local chunk, problem = in_words(path, loadfile(path, "t"))
  if chunk then return chunk end
  error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, problem), 0)
end

_G.load, _G.loadstring = text_load, text_load
_G.loadfile, _G.dofile = text_loadfile, text_dofile
package.loaders[2] = load_module
return true
