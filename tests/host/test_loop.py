"""The loop that the host gives to the module clouds (the interface at the head of lua/clouds/loop.lua)."""
import unittest

from support import Case

HEAD = """
local loop = require "clouds.loop"
local uv = require "luv"
assert(loop == require "clouds.loop.host" and loop.can_block == false)
local function later(seconds, fn) return loop.timer(seconds, fn) end
"""


class Loop(Case):
    def output(self, code, errors=""):
        result = self.run_clouds("run", self.file("loop.lua", HEAD + code))
        self.assertEqual(result.returncode, 0, result.stderr)
        if errors is not None:
            self.assertEqual(result.stderr, errors)
        return result

    def test_timers_are_never_early(self):
        result = self.output("""
            local early, fired = 0, 0
            for i = 1, 500 do
                local seconds, start = (i % 37) / 1000 + i / 1e5, loop.now()
                later(seconds, function()
                    fired = fired + 1
                    if loop.now() - start < seconds then early = early + 1 end
                    if fired == 500 then print(fired, early) end
                end)
            end""")
        self.assertEqual(result.stdout, "500\t0\n")

    def test_timers_fire_in_order_and_once(self):
        result = self.output("""
            for _, ms in ipairs{ 30, 10, 20 } do later(ms / 1000, function() io.write(ms, " ") end) end""")
        self.assertEqual(result.stdout, "10 20 30 ")

    def test_stopped_timers_do_not_fire(self):
        result = self.output("""
            for i = 1, 50 do
                local t = later(i % 2 == 0 and 0 or 0.005, function() print("fired") end)
                t:stop()
                t:stop()
            end
            local t
            t = later(0, function() t:stop() end)
            later(0.02, function() t:stop() print("end") end)""")
        self.assertEqual(result.stdout, "end\n")

    def test_a_stale_timer_does_not_stop_its_successor(self):
        result = self.output("""
            local old = later(0, function() end)
            later(0.005, function()
                local new = {}
                for i = 1, 10 do new[i] = later(0.005, function() io.write(".") end) end
                old:stop()
            end)""")
        self.assertEqual(result.stdout, "." * 10)

    def test_zero_timers_do_not_starve_the_rest(self):
        result = self.output("""
            local turns, stop = 0, false
            local function again() turns = turns + 1 if not stop then later(0, again) end end
            again()
            local fds = uv.pipe()
            local watch
            watch = loop.watch(fds.read, function()
                watch:stop()
                stop = true
                print("seen", turns > 10)
            end)
            watch:hold(true)
            later(0.02, function() uv.fs_write(fds.write, "x") end)""")
        self.assertEqual(result.stdout, "seen\ttrue\n")

    def test_a_watch_is_level_triggered_and_holds_only_when_told(self):
        result = self.output("""
            local fds, count, watch = uv.pipe(), 0, nil
            uv.fs_write(fds.write, "abc")
            watch = loop.watch(fds.read, function()
                count = count + 1
                if count < 3 then return end
                watch:stop()
                watch:stop()
                watch:hold(true)
                print(uv.fs_read(fds.read, 10))
            end)
            watch:hold(true)
            local other = uv.pipe()
            loop.watch(other.read, function() print("never") end)""")
        self.assertEqual(result.stdout, "abc\n")

    def test_a_stopped_descriptor_may_be_closed_and_watched_again(self):
        result = self.output("""
            for i = 1, 20 do
                local fds = uv.pipe()
                loop.watch(fds.read, function() end):stop()
                uv.fs_close(fds.read)
                uv.fs_close(fds.write)
            end
            print(pcall(loop.watch, 9999, function() end))""")
        self.assertTrue(result.stdout.startswith("false\tcannot watch descriptor 9999: "), result.stdout)

    def test_errors_are_reported_and_the_loop_goes_on(self):
        result = self.output("""
            later(0, function() error("in zero") end)
            later(0.001, function() error("in timer") end)
            later(0.01, function() print("on") end)""", None)
        self.assertEqual(result.stdout, "on\n")
        for text in ("in zero", "in timer"):
            self.assertIn(text, result.stderr)

    def test_wrong_arguments_raise(self):
        result = self.output("""
            for _, bad in ipairs{ { "x" }, { 1 }, { 1, 2 } } do assert(not pcall(loop.timer, unpack(bad))) end
            assert(not pcall(loop.watch, 0))
            assert(not pcall(loop.before_sleep))
            loop.timer(0 / 0, function() print("nan") os.exit(0) end)
            later(0.01, function() print("ok") require("clouds.host").finish(0) end)""")
        self.assertIn("ok", result.stdout)

    def test_many_timers_reuse_memory(self):
        result = self.output("""
            local function rss()
                local pages = io.open("/proc/self/statm"):read("*a"):match("%d+ (%d+)")
                return tonumber(pages) * 4
            end
            local function rounds(n, done)
                for i = 1, 1000 do later(0, function() end):stop() later(1, function() end):stop() end
                later(0, n > 0 and function() rounds(n - 1, done) end or done)
            end
            rounds(20, function()
                collectgarbage() collectgarbage()
                local before = rss()
                rounds(100, function() collectgarbage() collectgarbage() print(rss() - before < 4096) end)
            end)""")
        self.assertEqual(result.stdout, "true\n")


if __name__ == "__main__":
    unittest.main()
