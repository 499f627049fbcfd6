"""require "luv" on the host's loop, together with services; and when it is not there."""
import os
import unittest

from support import Case


class Luv(Case):
    def output(self, code, *arguments, **options):
        result = self.run_clouds("run", self.file("luv.lua", code), *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_timers_and_sockets(self):
        result = self.output("""
            local uv = require "luv"
            local timer = uv.new_timer()
            timer:start(20, 0, function() print("timer") timer:close() end)
            local listener = uv.new_tcp()
            listener:bind("127.0.0.1", 0)
            listener:listen(10, function()
                local peer = uv.new_tcp()
                listener:accept(peer)
                peer:read_start(function(err, data)
                    if data then peer:write(data:upper()) else peer:close() listener:close() end
                end)
            end)
            local client = uv.new_tcp()
            client:connect("127.0.0.1", listener:getsockname().port, function()
                client:write("hello")
                client:read_start(function(err, data) print(data) client:close() end)
            end)
            print("main")
            print(uv.run())
            print(uv.run("nowait"))""")
        lines = result.stdout.split()
        self.assertEqual(lines[:3], ["main", "false", "false"])
        self.assertEqual(sorted(lines[3:]), ["HELLO", "timer"])
        self.assertEqual(result.stderr, "")

    def test_files_and_processes(self):
        result = self.output("""
            local uv = require "luv"
            local fd = assert(uv.fs_open(arg[1], "r", 0))
            uv.fs_read(fd, 100, 0, function(err, data) print(data) uv.fs_close(fd) end)
            local handle
            handle = uv.spawn("sh", { args = { "-c", "exit 7" } }, function(code)
                print("code " .. code)
                handle:close()
            end)""", self.file("data", "content"))
        self.assertEqual(sorted(result.stdout.splitlines()), ["code 7", "content"])

    def test_an_error_in_a_callback_is_reported_and_the_loop_goes_on(self):
        result = self.output("""
            local uv = require "luv"
            local n, t = 0, uv.new_timer()
            t:start(5, 5, function()
                n = n + 1
                if n == 3 then t:close() print("went on") end
                error("in callback " .. n)
            end)""")
        self.assertEqual(result.stdout, "went on\n")
        for n in (1, 2, 3):
            self.assertIn(f"luv.lua:7: in callback {n}", result.stderr)
        self.assertIn("stack traceback", result.stderr)

    def test_errors_reach_on_error(self):
        result = self.output("""
            local clouds, uv = require "clouds", require "luv"
            clouds.on_error = function(err) print("caught " .. tostring(err)) end
            local t = uv.new_timer()
            t:start(5, 0, function() t:close() error("x", 0) end)""")
        self.assertEqual(result.stdout, "caught x\n")

    def test_a_callback_may_wait_and_call(self):
        result = self.output("""
            local clouds, uv = require "clouds", require "luv"
            local server, client = clouds.server{}, clouds.client{}
            server:register("double", function(x) clouds.sleep(0.01) return 2 * x end)
            local t = uv.new_timer()
            t:start(10, 0, function()
                t:close()
                print(client:call("double", { 21 }, { retry = 10 }))
                server:close()
            end)""", env={"CLOUDS_URL": "inproc:"})
        self.assertEqual(result.stdout, "42\n")

    def test_an_error_in_a_thread_ends_only_that(self):
        result = self.output("""
            local uv = require "luv"
            uv.new_thread(function() error("in a thread") end):join()
            local work = uv.new_work(function(x) if x == 1 then error("in work") end return x * 2 end, print)
            work:queue(1)
            work:queue(21)""")
        self.assertIn("42", result.stdout.split())
        self.assertIn("in a thread", result.stderr)
        self.assertIn("in work", result.stderr)

    def test_luv_first_required_in_a_coroutine_that_is_gone(self):
        result = self.output("""
            local clouds = require "clouds"
            local uv
            clouds.spawn(function() uv = require "luv" end)
            collectgarbage()
            collectgarbage()
            for i = 1, 100 do
                local t = uv.new_timer()
                t:start(i % 10, 0, function() t:close() if i == 100 then print("all") end end)
            end""")
        self.assertEqual(result.stdout, "all\n")

    def test_services_and_a_busy_luv_timer_share_the_loop(self):
        service = self.serve("""
            local uv = require "luv"
            local ticks, t = 0, uv.new_timer()
            t:start(0, 1, function() ticks = ticks + 1 end)
            require("clouds").server{}:register("ticks", function() return ticks end)
            print("ready")""")
        first = self.json(self.run_clouds("call", "ticks", "--json"))[0]
        second = self.json(self.run_clouds("call", "ticks", "--json"))[0]
        self.assertGreater(second, first)
        self.assertEqual(service.stop(), 0)

    def test_stop_ends_in_order(self):
        result = self.output("""
            local uv = require "luv"
            require("clouds").server{}:register("m", function() end)
            local t = uv.new_timer()
            t:start(20, 0, function() uv.stop() end)
            uv.new_timer():start(1e6, 0, function() end)""")
        self.assertEqual((result.stdout, result.stderr), ("", ""))

    def test_open_handles_at_the_end_are_no_trouble(self):
        result = self.output("""
            local uv = require "luv"
            keep = { uv.new_tcp(), uv.new_timer(), uv.new_pipe(false), uv.new_async(function() end), uv.new_idle() }
            keep[1]:bind("127.0.0.1", 0)
            keep[1]:listen(1, function() end)
            local t = uv.new_timer()
            t:start(10, 0, function() uv.stop() end)""")
        self.assertEqual(result.stderr, "")

    def test_not_installed(self):
        result = self.run_clouds("run", "-e", "package.cpath = './nowhere/?.so' require 'luv'")
        self.assertEqual(result.returncode, 1)
        self.assertIn("apt install lua-luv", result.stderr)

    def test_a_file_that_is_no_luv(self):
        self.file("luv.so", "not a library")
        result = self.run_clouds("run", "-e", f"package.cpath = '{self.folder}/?.so' require 'luv'")
        self.assertEqual(result.returncode, 1)
        self.assertIn("module 'luv'", result.stderr)
        self.assertIn(os.path.join(self.folder, "luv.so"), result.stderr)


if __name__ == "__main__":
    unittest.main()
