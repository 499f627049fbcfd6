--- The loop that clouds runs on, behind one small interface.
--
-- A program that has a loop of its own offers a module `clouds.loop.host` (in package.preload, before `clouds` is
-- required) that returns a table with these functions. Without one, as in plain LuaJIT, `clouds.loop_plain` is taken,
-- which blocks in poll(2). Nothing but this interface stands between clouds and the loop.
--
--   loop.now() -> seconds
--       A monotonic clock with fractions.
--
--   loop.watch(fd, fn) -> watch
--       Calls fn() on the main thread of the Lua state whenever `fd` is readable. Level-triggered: fn is called again
--       as long as it is. The descriptor is never read or closed by the loop.
--         watch:hold(yes)   whether this watch alone keeps the loop running; false when it is new. Called often: cheap.
--         watch:stop()      ends it, at once and for good; a second time does nothing. The descriptor may be closed by
--                           the caller as soon as stop has returned.
--
--   loop.timer(seconds, fn) -> timer
--       Calls fn() once, not before `seconds` have passed (0: in the loop's next turn). A pending timer keeps the loop
--       running.
--         timer:stop()      it will not be called any more; does nothing when it was.
--
--   loop.before_sleep(fn)
--       fn() is called each time before the loop waits for something to happen, and once before the loop decides that
--       nothing is left to wait for. This is where clouds sends what was written since, and tells by watch:hold whether
--       it still waits for something. There is one such function; it is set once, when `clouds` is required.
--
--   loop.can_block
--       true: loop.run_until(done) may be called outside of a coroutine. It runs the loop until done() is true, and
--       returns true; or returns false when nothing is left that could make it true. This is how a main chunk waits in
--       plain LuaJIT. false: the program runs every script in a coroutine, so that nothing ever has to block; waiting
--       outside of a coroutine is an error that says so.
--
--   loop.run()
--       Only with can_block: runs the loop until nothing is left to wait for.
--
-- Functions given to the loop do not raise: clouds catches what its users' code raises. If one does all the same, the
-- loop reports it and goes on. They may call every function of the loop, and none of them ever yields.
--
-- What the program around a script does with clouds itself (all from the module "clouds"):
--
--   clouds.spawn(fn, ...)       runs fn in a coroutine that may wait, at once, until it first waits or ends; what it
--                               raises goes to clouds.on_error. A main chunk is run so. For its end and its error, let
--                               fn do its own pcall: waiting works inside pcall.
--   clouds.shutdown(drain)      in a coroutine: closes every node in order (drain seconds for what was accepted, nil:
--                               the option drain_timeout), returns true when everything is closed.
--   clouds.defaults.url         the address that is used when a script names none (--url; before that comes nothing).
--   clouds.on_error             function(err, traceback, what): see docs/LUA.md.

local found, host = pcall(require, "clouds.loop.host")
if found then
  return host
end
if not tostring(host):find("module 'clouds.loop.host' not found", 1, true) then
  error(host, 0)
end
return require("clouds.loop_plain")
