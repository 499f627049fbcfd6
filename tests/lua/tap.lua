-- A small TAP harness: tests run one after the other, each may wait, and what it raises fails it alone.
local clouds_loaded, clouds = pcall(require, "clouds")

local M = { clouds = clouds_loaded and clouds or nil }

-- CLOUDS_TEST_GC: everything that can be collected is, all the time: in each step of the collector, and in a hook after
-- so many instructions. Compiled code has no hooks.
local gc = tonumber(os.getenv("CLOUDS_TEST_GC"))
if gc then
  collectgarbage("setpause", gc < 10000 and 1 or 150) -- some tests have so much memory that not even this is little
  collectgarbage("setstepmul", 10000)
  jit.off()
  debug.sethook(function()
    collectgarbage()
  end, "", os.getenv("CLOUDS_LONG") and gc / 10 or gc)
end

local number, failed, bad = 0, 0, 0

local function note(text)
  io.stdout:write("# ", (tostring(text):gsub("\n", "\n# ")), "\n")
end

local function fail(text)
  bad = bad + 1
  note(debug.traceback(text, 3))
end

function M.show(value, depth)
  if type(value) == "string" then
    return ("%q"):format(value)
  end
  if type(value) ~= "table" or (depth or 0) > 3 then
    return tostring(value)
  end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = ("[%s]=%s"):format(tostring(key), M.show(item, (depth or 0) + 1))
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- Interpreted: Debian's LuaJIT (2.1.0-beta3 of March 2022) now and then crashes in traces of such recursion, in plain
-- Lua too.
function M.equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b or (a ~= a and b ~= b)
  end
  for key, value in pairs(a) do
    if not M.equal(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end
jit.off(M.equal)

function M.ok(value, what)
  if not value then
    fail("failed: " .. (what or "not true"))
  end
  return value
end

function M.is(got, want, what)
  if not M.equal(got, want) then
    fail(("%s: got %s, wanted %s"):format(what or "value", M.show(got), M.show(want)))
  end
end

--- The text contains (plain) what is wanted.
function M.has(text, want, what)
  if type(text) ~= "string" or not text:find(want, 1, true) then
    fail(("%s: got %s, wanted something with %s"):format(what or "text", M.show(text), M.show(want)))
  end
end

--- fn raises something whose text contains `want`.
function M.raises(fn, want, what)
  local ok, problem = pcall(fn)
  if ok then
    fail((what or "call") .. ": nothing was raised")
  else
    M.has(tostring(problem), want, what)
  end
end

--- Waits until done() is true, up to a generous bound.
function M.eventually(done, what)
  local stop = M.clouds.now() + 60
  while not done() do
    if M.clouds.now() > stop then
      return fail("never came: " .. (what or "condition"))
    end
    M.clouds.sleep(0.005)
  end
end

function M.test(name, fn)
  bad = 0
  local ok, problem = xpcall(fn, debug.traceback)
  if not ok then
    bad = bad + 1
    note(problem)
  end
  number = number + 1
  failed = failed + (bad > 0 and 1 or 0)
  io.stdout:write(("%sok %d - %s\n"):format(bad > 0 and "not " or "", number, name))
  io.stdout:flush()
end

function M.skip(name, why)
  number = number + 1
  io.stdout:write(("ok %d - %s # SKIP %s\n"):format(number, name, why))
end

--- The last line of a test script.
function M.done()
  if M.clouds then
    M.clouds.shutdown(0)
  end
  io.stdout:write(("1..%d\n"):format(number))
  if failed > 0 then
    error(("%d of %d tests failed"):format(failed, number), 0)
  end
end

--- The address of this run: each script is run over several.
M.url = os.getenv("CLOUDS_TEST_URL") or "inproc:test"

return M
