"""One server of three is killed with -9 under load: no retriable call fails. A new one takes its share."""
import signal
import unittest

from support import BOUND, Case, CLOUDS, ECHO, Load, Process, wait_until


class Kill(Case):
    def go(self, url, mode="inline"):
        self.env["CLOUDS_URL"] = url
        services = [self.serve(ECHO) for _ in range(3)]
        load = Load(self, url, timeout=1, deadline=20, retries=10, mode=mode)
        for victim in services[:2]:
            load.goes_on()
            victim.signal(signal.SIGKILL)
            victim.wait()
            load.goes_on()
            self.serve(ECHO)
        load.goes_on()
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertEqual(books["latest"], 0, books)

    def test_over_redis(self):
        self.go(self.redis().url)

    def test_over_local(self):
        self.go("local:")

    def test_with_a_thread_of_the_library(self):
        self.go(self.redis().url, "thread")
        self.go("local:", "thread")

    def stop_in_order(self, url):
        self.env["CLOUDS_URL"] = url
        services = [self.serve(ECHO) for _ in range(2)]
        load = Load(self, url, timeout=10, deadline=20, retries=-1)
        load.goes_on()
        self.assertEqual(services[0].stop(), 0)
        load.goes_on()
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)

    def test_a_stop_in_order_costs_nobody_anything_over_redis(self):
        self.stop_in_order(self.redis().url)

    def test_a_stop_in_order_costs_nobody_anything_over_local(self):
        self.stop_in_order("local:")

    def test_a_stopped_server_beside_a_healthy_one(self):
        """It listens and never says hello: nothing was sent to it, so its calls go to the other within their time."""
        self.env["CLOUDS_URL"] = "local:"
        stopped = [self.serve(ECHO) for _ in range(3)]
        for service in stopped:
            service.signal(signal.SIGSTOP)
        self.serve(ECHO)
        calls = [Process([CLOUDS, "call", "--timeout", str(BOUND), "test.echo", "1"], self.env) for _ in range(4)]
        for call in calls:
            self.addCleanup(call.discard)
            self.assertEqual(call.wait(2 * BOUND), 0, call.err.text())
        for service in stopped:
            service.signal(signal.SIGCONT)

    def test_nobody_waits_for_a_stopped_server_at_the_end(self):
        self.env["CLOUDS_URL"] = "local:"
        service = self.serve(ECHO)
        service.signal(signal.SIGSTOP)
        result = self.run_clouds("call", "--timeout", "0.2", "test.echo", "1")
        self.assertEqual(result.returncode, 3, result.stderr)  # not done: it never left
        service.signal(signal.SIGCONT)

    def test_leftovers_of_a_kill_harm_nobody(self):
        """A registration without a process, in an otherwise empty cluster: refused quickly and safe to repeat."""
        for url in (self.redis().url, "local:"):
            self.env["CLOUDS_URL"] = url
            service = self.serve(ECHO)
            service.signal(signal.SIGKILL)
            service.wait()
            result = self.run_clouds("call", "--timeout", "20", "test.echo", "1")
            self.assertEqual(result.returncode, 3, result.stderr)
            self.serve(ECHO)
            wait_until(lambda: self.run_clouds("call", "test.echo", "1").returncode == 0, "the new one answers")


if __name__ == "__main__":
    unittest.main()
