"""SIGINT, SIGTERM and SIGHUP: the first stops in order, the second at once; under load nothing accepted is lost."""
import json
import os
import shutil
import signal
import subprocess
import unittest

from support import CLOUDS, Case, Process, pending, wait_until

SLOW = """
    local clouds = require "clouds"
    local server = clouds.server{}
    server:register("slow", function(seconds)
        io.stderr:write("accepted\\n")
        clouds.sleep(seconds)
        return "finished"
    end)
    print("ready")
"""


class Stop(Case):
    def test_each_signal_stops_an_idle_service(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            service = self.serve("require('clouds').server{}:register('m', function() end) print('ready')")
            service.signal(number)
            self.assertEqual(service.wait(), 0)
            self.assertEqual(service.err.text(), "")

    def test_registrations_are_gone_afterwards(self):
        for cluster in ("local", "redis"):
            if cluster == "redis":
                self.redis()
            service = self.serve("require('clouds').server{}:register('m', function() end) print('ready')")
            self.assertIn("m", self.json(self.run_clouds("status", "--json"))["methods"])
            self.assertEqual(service.stop(), 0)
            self.assertEqual(self.json(self.run_clouds("status", "--json")), {"servers": {}, "methods": {}})

    def test_accepted_requests_are_finished(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            service = self.serve(SLOW)
            call = self.start("call", "slow", "0.5", "--json", "--retry", "5")
            service.err.wait_for("accepted")
            service.signal(number)
            self.assertEqual(service.wait(), 0)
            self.assertEqual(call.wait(), 0, call.err.text())
            self.assertEqual(call.out.text(), '["finished"]\n')

    def test_a_hangup_that_was_ignored_stays_so(self):
        script = self.file("s.lua", "require('clouds').server{}:register('m', function() return 1 end) print('ready')")
        service = Process(["nohup", CLOUDS, "run", script], self.env)
        self.addCleanup(service.discard)
        service.out.wait_for("ready")
        service.signal(signal.SIGHUP)
        wait_until(lambda: not pending(service.pid, signal.SIGHUP), "the signal was taken")
        self.assertEqual(self.json(self.run_clouds("call", "m", "--json")), [1])
        self.assertEqual(service.stop(), 0)

    def test_the_drain_time_limits_that(self):
        service = self.start("run", "--drain", "0.2", self.file("slow.lua", SLOW.replace("slow", "slower")))
        service.out.wait_for("ready")
        call = self.start("call", "slower", "1000", "--timeout", "60")
        service.err.wait_for("accepted")
        self.assertEqual(service.stop(), 0)
        self.assertIn(call.wait(), (1, 3, 4))
        self.assertRegex(call.err.text(), r"^CLOUDS_\w+: ")

    def test_a_main_chunk_that_waits_is_ended(self):
        process = self.start("run", "-e", "print('ready') require('clouds').sleep(1000)")
        process.out.wait_for("ready")
        self.assertEqual(process.stop(), 0)

    def under_load(self):
        """Two servers under load; one is stopped and started again and again."""
        code = SLOW.replace('io.stderr:write("accepted\\n")', "")
        self.serve(code)
        load = self.start("bench", "-m", "slow", "0.02", "-c", "50", "-t", "2", "--warmup", "0", "--json")
        for _ in range(3):
            second = self.serve(code)
            self.assertEqual(second.stop(), 0)
        self.assertEqual(load.wait(), 0, load.err.text())
        result = json.loads(load.out.text())
        self.assertEqual(result["error_codes"], {}, result)
        self.assertGreater(result["calls"], 100)

    def test_under_load_no_call_fails(self):
        self.under_load()

    def test_under_load_no_call_fails_over_redis(self):
        self.redis()
        self.under_load()


class Limit(Case):
    """A script that keeps the loop from its turn, or goes on after the stop, is ended."""

    def expect_ended(self, code):
        process = self.start("run", "--drain", "0", "-e", code)
        process.out.wait_for("ready")
        process.signal(signal.SIGTERM)
        return process.wait(), process.err.text()

    def test_what_keeps_the_loop_from_its_turn(self):
        nobody_writes = os.path.join(self.folder, "fifo")
        os.mkfifo(nobody_writes)
        for code in ("while true do end", f"io.open('{nobody_writes}')"):
            status, text = self.expect_ended("print('ready') " + code)
            self.assertEqual(status, 128 + signal.SIGTERM)
            self.assertIn("beyond the time that a stop may take", text)

    def test_a_loop_that_waits_is_no_hindrance(self):
        self.serve("require('clouds').server{}:register('m', function() return 1 end) print('ready')")
        start = "clouds = require 'clouds' c, s = clouds.client{}, clouds.server{} c:call('m') print('ready') "
        for body in ("clouds.sleep(0)", "c:call('m')", "c:bind('m')()", "c:call('nobody')", "s:status()", "s:register('n', print)",
                     "clouds.client():call('m')"):
            for loop in ("while true do %s end", "clouds.spawn(function() while true do pcall(function() %s end) end end)"):
                self.assertEqual(self.expect_ended(start + loop % body), (0, ""), body)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


@unittest.skipUnless(subprocess.run(["unshare", "-p", "--fork", "true"], stderr=subprocess.DEVNULL).returncode == 0
                     if shutil.which("unshare") else False, "no process namespaces here")
class FirstProcess(Case):
    """As process 1 of a container."""

    def start_outer(self, *words):
        outer = Process(["unshare", "-p", "--fork", "--kill-child", CLOUDS, *words], self.env)
        self.addCleanup(outer.discard)
        return outer

    def start_first(self, *words):
        outer = self.start_outer(*words)
        return outer, wait_until(lambda: children(outer.pid), "the first process")[0]

    def test_the_first_signal_stops_in_order_and_the_second_at_once(self):
        script = self.file("slow.lua", SLOW)
        for signals, code in (([signal.SIGTERM], 0), ([signal.SIGTERM, signal.SIGTERM], 143),
                              ([signal.SIGTERM, signal.SIGINT], 130)):
            outer, first = self.start_first("run", "--drain", "1000", script)
            outer.out.wait_for("ready")
            if len(signals) > 1:
                self.start("call", "slow", "1000")
                outer.err.wait_for("accepted")
            os.kill(first, signals[0])
            if len(signals) > 1:
                wait_until(lambda: self.json(self.run_clouds("status", "--json"))["methods"] == {}, "it stops")
                os.kill(first, signals[1])
            self.assertEqual(outer.wait(), code)

    def test_a_short_command_ends_by_the_signal(self):
        self.serve(SLOW)
        outer, first = self.start_first("call", "slow", "1000")
        wait_until(lambda: children(first), "the program")
        os.kill(first, signal.SIGTERM)
        self.assertEqual(outer.wait(), 143)

    def test_orphans_are_collected_and_own_children_keep_their_status(self):
        outer, first = self.start_first("run", "-e", """
            os.execute("(sleep 0.01 &)")
            local pipe = io.popen("exit 3")
            require("clouds").sleep(0.1)
            print(pipe:close(), os.execute("exit 4"))
            print("ready")
            require("clouds").sleep(1000)""")
        outer.out.wait_for("ready")
        program = children(first)[0]
        wait_until(lambda: children(first) == [program], "no other is left")
        self.assertEqual(children(program), [])
        self.assertIn("true\t1024", outer.out.text())
        os.kill(first, signal.SIGTERM)
        self.assertEqual(outer.wait(), 0)

    def test_the_status_of_the_program_is_that_of_the_container(self):
        outer = self.start_outer("run", "-e", "print(1) return 7")
        self.assertEqual((outer.wait(), outer.out.text()), (7, "1\n"))


class AtOnce(Case):
    def expect_killed(self, process, first, second):
        process.signal(first)
        wait_until(lambda: not pending(process.pid, first), "the first signal was taken")
        process.signal(second)
        self.assertEqual(process.wait(), -second)

    def test_a_second_signal_while_draining(self):
        for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT),
                              (signal.SIGHUP, signal.SIGTERM)):
            service = self.serve(SLOW)
            self.start("call", "slow", "100")
            service.err.wait_for("accepted")
            self.expect_killed(service, first, second)

    def test_a_second_signal_in_an_endless_loop(self):
        process = self.start("run", "-e", "print('ready') while true do end")
        process.out.wait_for("ready")
        self.expect_killed(process, signal.SIGINT, signal.SIGTERM)

    def test_a_handler_in_an_endless_loop(self):
        service = self.serve("""
            require("clouds").server{}:register("hang", function() io.stderr:write("in it\\n") while true do end end)
            print("ready")""")
        self.start("call", "hang", "--timeout", "100")
        service.err.wait_for("in it")
        self.expect_killed(service, signal.SIGTERM, signal.SIGTERM)

    def test_a_short_command_ends_by_the_signal(self):
        service = self.serve(SLOW)
        call = self.start("call", "slow", "100")
        service.err.wait_for("accepted")
        call.signal(signal.SIGINT)
        self.assertEqual(call.wait(), -signal.SIGINT)


if __name__ == "__main__":
    unittest.main()
