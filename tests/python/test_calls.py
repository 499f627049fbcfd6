"""The synchronous face: calls, timeouts, retries, over each way to travel."""
import threading
import time
import unittest

from support import PythonCase, over_each_bus, wait_until

import clouds


class Calls(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server")
        self.client = self.node("Client", timeout=20)
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.runs = []
        self.server.register("add", lambda a, b: a + b)
        self.server.register("wait", self._wait)
        self.server.ready()

    def _wait(self, *arguments):
        self.runs.append(arguments)
        self.release.wait(20)
        return "late"

    def test_call(self):
        self.assertEqual(self.client.call("add", 1, 2), 3)
        self.assertEqual(self.client.call("add", "a", "b", timeout=10, deadline=20, retry=1), "ab")
        self.assertEqual(self.client.call("add", 1, 2, server=self.server.id), 3)
        self.assertEqual(self.server.call("add", 2, 2), 4)

    def test_bind(self):
        add = self.client.bind("add", 5)
        self.assertEqual(add(1, 2), 3)
        self.assertEqual(add.__name__, "add")
        self.assertEqual(self.client.bind("add", retry=1, timeout=5, deadline=9, server=self.server.id)(3, 4), 7)

    def test_timeout(self):
        begin = time.monotonic()
        problem = self.raises(clouds.CallTimeout, "timeout", self.client.call, "wait", timeout=0.5)
        self.assertGreaterEqual(time.monotonic() - begin, 0.09)
        self.assertEqual((problem.outcome, problem.retryable), ("UNKNOWN", False))
        self.assertRaises(TimeoutError, self.client.call, "wait", deadline=0.1)

    def test_retry_after_a_timeout(self):
        self.assertRaises(clouds.Error, self.client.call, "wait", "x", timeout=0.5, retry=2)
        wait_until(lambda: len(self.runs) == 3, "three attempts")
        self.assertEqual(self.runs, [("x",)] * 3)

    def test_nobody_there(self):
        self.raises(clouds.NoAvailableServer, "", self.client.call, "elsewhere")
        problem = self.raises(clouds.Error, "", self.client.call, "add", 1, 2, server="s.nobody.1.1", timeout=0.2)
        self.assertEqual(problem.outcome, "NOT_DONE")

    def test_a_server_that_comes_later(self):
        def later():
            self.server.register("later", lambda: "here")
        threading.Timer(0.1, later).start()
        self.assertEqual(self.client.call("later", timeout=0.2, retry=50), "here")

    def test_on_retry(self):
        seen = []

        def hook(*arguments):
            seen.append(arguments)
            return [len(seen)] if len(seen) > 1 else None

        call = self.client.bind("wait", retry=2, timeout=0.5, on_retry=hook)
        self.assertRaises(clouds.CallTimeout, call, "first")
        wait_until(lambda: len(self.runs) == 3, "three attempts")
        self.assertEqual(seen, [("first",)] * 3)
        self.assertEqual(sorted(self.runs, key=str), [("first",), (2,), (3,)])

    def test_on_retry_that_fails(self):
        def hook(*_):
            raise RuntimeError("no more")
        self.raises(RuntimeError, "no more", self.client.bind("add", on_retry=hook), 1, 2)
        twice = self.client.bind("add", on_retry=lambda a, b: (a * 2, b * 2))
        self.assertEqual(twice(1, 2), 6)

    def test_on_retry_and_nobody_there(self):
        begin = time.monotonic()
        call = self.client.bind("elsewhere", retry=1, timeout=0.2, on_retry=lambda: None)
        self.assertRaises(clouds.NoAvailableServer, call)
        self.assertGreaterEqual(time.monotonic() - begin, 0.19)
        call = self.client.bind("elsewhere", retry=100, timeout=0.2, deadline=0.3, on_retry=lambda: None)
        self.assertRaises(clouds.Error, call)

    def test_retry_of_the_node(self):
        client = self.node("Client", timeout=0.5, retry=1)
        self.assertRaises(clouds.CallTimeout, client.call, "wait")
        wait_until(lambda: len(self.runs) == 2, "two attempts")
        self.assertRaises(clouds.CallTimeout, client.call, "wait", retry=0)
        wait_until(lambda: len(self.runs) == 3, "one more")

    def test_counters(self):
        before = self.client.counters()["calls"]
        self.client.call("add", 1, 2)
        self.assertEqual(self.client.counters()["calls"], before + 1)

    def test_closed(self):
        client = self.node("Client")
        bound = client.bind("add")
        client.close()
        client.close()
        self.assertTrue(client.closed)
        self.assertIn("closed", repr(client))
        for use in (lambda: client.call("add", 1, 2), lambda: bound(1, 2), client.status, client.ready, client.counters,
                    lambda: client.send("c.x", 1), lambda: client.send("c.x", 1, confirm=True),
                    lambda: client.configure(timeout=1)):
            self.raises(clouds.Closed, "the node is closed", use)

    def test_close_ends_a_call_of_another_thread(self):
        client, got = self.node("Client"), []

        def call():
            try:
                client.call("wait")
            except clouds.Error as problem:
                got.append(problem)

        thread = threading.Thread(target=call)
        thread.start()
        wait_until(lambda: self.runs, "it runs")
        client.close()
        thread.join(20)
        self.assertIn(type(got[0]), (clouds.Canceled, clouds.Closed))


over_each_bus(globals(), Calls)

if __name__ == "__main__":
    unittest.main()
