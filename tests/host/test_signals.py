"""SIGINT and SIGTERM: the first stops in order, the second at once; under load nothing accepted is lost."""
import json
import signal
import unittest

from support import Case, wait_until

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
    def test_both_signals_stop_an_idle_service(self):
        for number in (signal.SIGINT, signal.SIGTERM):
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
        service = self.serve(SLOW)
        call = self.start("call", "slow", "1", "--json", "--retry", "5")
        service.err.wait_for("accepted")
        self.assertEqual(service.stop(), 0)
        self.assertEqual(call.wait(), 0, call.err.text())
        self.assertEqual(call.out.text(), '["finished"]\n')

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


class AtOnce(Case):
    def expect_killed(self, process, first, second):
        process.signal(first)
        # The handler restores the default action of both before anything else: seen in the mask of caught signals.
        wait_until(lambda: not caught(process.pid) & (1 << (second - 1)), "the first signal was taken")
        process.signal(second)
        self.assertEqual(process.wait(), -second)

    def test_a_second_signal_while_draining(self):
        for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT),
                              (signal.SIGINT, signal.SIGTERM)):
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


def caught(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16)
    return 0


if __name__ == "__main__":
    unittest.main()
