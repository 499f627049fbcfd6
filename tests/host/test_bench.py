"""clouds bench: with its own echo service and against a service; what it reports is consistent."""
import os
import signal
import unittest

from support import Case, gone, wait_until

KEYS = {"method", "concurrency", "seconds", "calls", "errors", "error_codes", "rate", "mean", "p50", "p99", "p99.9",
        "max"}


class Bench(Case):
    def check(self, result, concurrency):
        self.assertEqual(set(result), KEYS)
        self.assertEqual((result["errors"], result["error_codes"], result["concurrency"]), (0, {}, concurrency))
        self.assertGreater(result["calls"], 0)
        self.assertAlmostEqual(result["rate"], result["calls"] / result["seconds"], delta=result["rate"] * 1e-6)
        self.assertLessEqual(result["p50"], result["p99"])
        self.assertLessEqual(result["p99"], result["p99.9"])
        self.assertLessEqual(result["p99.9"], result["max"])

    def check_law(self, result):
        """Little's law, what is outstanding is rate times mean latency: holds for few outstanding over many latencies."""
        self.assertAlmostEqual(result["rate"] * result["mean"] / result["concurrency"], 1, delta=0.7)

    def children(self, pid):
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                return [int(word) for word in children.read().split()]
        except FileNotFoundError:
            return []

    def test_own_echo(self):
        for prepare in (lambda: None, self.redis):
            prepare()
            result = self.run_clouds("bench", "-c", "20", "-t", "1", "--warmup", "0.1", "--json")
            self.check(self.json(result), 20)
            self.check_law(self.json(result))
            wait_until(lambda: self.json(self.run_clouds("status", "--json"))["methods"] == {}, "the service is gone")

    def test_own_echo_in_one_process(self):
        result = self.run_clouds("bench", "-c", "20", "-t", "0.3", "--warmup", "0", "--json", "--url", "inproc:")
        self.check(self.json(result), 20)

    def test_more_outstanding_than_the_usual_limits_allow(self):
        result = self.run_clouds("bench", "-c", "20000", "-t", "1", "--warmup", "0", "--json")
        self.check(self.json(result), 20000)

    def test_text(self):
        result = self.run_clouds("bench", "-c", "4", "-t", "0.2", "--warmup", "0", "[1,2]", '"x"')
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for word in ("calls/s", "errors   0", "p50", "p99.9"):
            self.assertIn(word, result.stdout)

    def test_a_service(self):
        self.serve("require('clouds').server{}:register('m', function(x) assert(x == 7) return x end) print('ready')")
        result = self.run_clouds("bench", "-m", "m", "7", "-c", "1", "-t", "0.3", "--warmup", "0", "--json")
        self.check(self.json(result), 1)

    def test_a_service_that_fails(self):
        self.serve("""
            require("clouds").server{}:register("m", function() error{ message = "no", code = "E_NO" } end)
            print("ready")""")
        result = self.run_clouds("bench", "-m", "m", "-t", "0.2")
        self.assertEqual(result.returncode, 1)
        self.assertIn("E_NO: no", result.stderr)

    def test_no_service(self):
        result = self.run_clouds("bench", "-m", "nobody", "-t", "0.2")
        self.assertEqual(result.returncode, 3)

    def test_the_echo_service_ends_with_a_bench_that_is_killed(self):
        for number in (signal.SIGKILL, signal.SIGINT):
            bench = self.start("bench", "-t", "100")
            child = wait_until(lambda: self.children(bench.pid), "the echo service was started")[0]
            bench.signal(number)
            self.assertEqual(bench.wait(), -number)
            wait_until(lambda: gone(child), "the echo service ended")

    def test_an_echo_service_that_dies_is_told(self):
        bench = self.start("bench", "-t", "100")
        child = wait_until(lambda: self.children(bench.pid), "the echo service was started")[0]
        os.kill(child, signal.SIGKILL)
        self.assertEqual(bench.wait(), 1)
        self.assertIn("the echo service ended", bench.err.text())


if __name__ == "__main__":
    unittest.main()
