"""The synchronous face: calls, timeouts, retries, over each way to travel."""
import asyncio
import concurrent.futures
import threading
import time
import unittest
from unittest import mock

from support import BOUND, PythonCase, over_each_bus, wait_until

import clouds


class Serving(PythonCase):
    """A server with a method that waits, and a client."""

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", workers=20)
        self.client = self.node("Client", timeout=20)
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.runs = []
        self.server.register("add", lambda a, b: a + b)
        self.server.register("wait", self._wait)
        self.server.ready()

    def _wait(self, *arguments):
        self.runs.append(arguments)
        self.release.wait(BOUND)
        return "late"


class Calls(Serving):

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

    def test_nobody_there(self):
        self.raises(clouds.NoAvailableServer, "", self.client.call, "elsewhere")
        for function in (self.client.call, self.client.notify, self.client.bind):
            self.raises(ValueError, "server: expected the id of a node, and not an empty text", function, "add", server="")
        problem = self.raises(clouds.Error, "", self.client.call, "add", 1, 2, server="s.nobody.1.1", timeout=10)
        self.assertEqual(problem.outcome, "NOT_DONE")

    def test_a_call_that_failed_is_not_cancelled(self):
        with mock.patch("clouds._sync.lib", wraps=clouds._sync.lib) as library:
            self.assertRaises(clouds.NoAvailableServer, self.client.call, "elsewhere")
            self.assertRaises(clouds.InvalidArgument, self.client.call, "")
        library.clouds_cancel.assert_not_called()

    def test_on_retry_that_fails(self):
        def hook(*_):
            raise RuntimeError("no more")
        self.raises(RuntimeError, "no more", self.client.bind("add", on_retry=hook), 1, 2)
        twice = self.client.bind("add", on_retry=lambda a, b: (a * 2, b * 2))
        self.assertEqual(twice(1, 2), 6)
        for bad in (3, "ab", {"a": 1}):
            self.raises(TypeError, f"on_retry gave {bad!r}: expected a list or tuple of arguments, or None",
                        self.client.bind("add", on_retry=lambda *_, bad=bad: bad), 1, 2)

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

    def test_close_that_is_refused(self):
        client = self.node("Client", timeout=20)
        for bad, kind in ((float("nan"), ValueError), (-1, ValueError), ("5", TypeError)):
            self.raises(kind, "drain: expected a number of seconds", client.close, bad)
        self.raises(clouds.InvalidArgument, "drain is not a number", client._handle.close, float("nan"))
        self.assertFalse(client.closed)
        self.assertEqual(client.call("add", 1, 2), 3)
        client.close(float("inf"))

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
        thread.join(BOUND)
        self.assertIn(type(got[0]), (clouds.Canceled, clouds.Closed))


class Limits(Serving):
    """Timeouts and retries. What waits does so beside the others."""

    def runs_of(self, name):
        return [arguments[1:] for arguments in self.runs if arguments[0] == name]

    def test_timeouts_and_retries(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for done in [pool.submit(part) for part in (self.timeout, self.retry, self.on_retry, self.retry_of_a_node,
                                                        self.configured, self.nobody_there)]:
                done.result()

    def timeout(self):
        begin = time.monotonic()
        problem = self.raises(clouds.CallTimeout, "timeout", self.client.call, "wait", "timeout", timeout=1)
        self.assertGreaterEqual(time.monotonic() - begin, 0.99)
        self.assertEqual((problem.outcome, problem.retryable), ("UNKNOWN", False))
        self.assertRaises(TimeoutError, self.client.call, "wait", "deadline", deadline=0.1)

    def retry(self):
        self.assertRaises(clouds.Error, self.client.call, "wait", "retry", "x", timeout=1, retry=2)
        wait_until(lambda: len(self.runs_of("retry")) == 3, "three attempts")
        self.assertEqual(self.runs_of("retry"), [("x",)] * 3)

    def on_retry(self):
        seen = []

        def hook(*arguments):
            seen.append(arguments)
            return ["hook", len(seen)] if len(seen) > 1 else None

        call = self.client.bind("wait", retry=2, timeout=1, on_retry=hook)
        self.assertRaises(clouds.CallTimeout, call, "hook", 1)
        wait_until(lambda: len(self.runs_of("hook")) == 3, "three attempts")
        self.assertEqual(seen, [("hook", 1)] * 3)
        self.assertEqual(sorted(self.runs_of("hook")), [(1,), (2,), (3,)])

    def retry_of_a_node(self):
        client = self.node("Client", timeout=1, retry=1)
        self.assertRaises(clouds.CallTimeout, client.call, "wait", "node")
        wait_until(lambda: len(self.runs_of("node")) == 2, "two attempts")
        self.assertRaises(clouds.CallTimeout, client.call, "wait", "node", retry=0)
        wait_until(lambda: len(self.runs_of("node")) == 3, "one more")

    def configured(self):
        """A bound function with a hook goes by what its node says when it is called."""
        client, seen = self.node("Client", timeout=BOUND), []
        call = client.bind("wait", on_retry=lambda *arguments: seen.append(arguments))
        client.configure(timeout=1, retry=1)
        self.assertRaises(clouds.CallTimeout, call, "configured")
        self.assertEqual(len(seen), 2)
        client.configure(timeout=2 * BOUND, deadline=0.5, retry=5)
        begin = time.monotonic()
        self.assertRaises(clouds.Timeout, call, "configured")
        self.assertLess(time.monotonic() - begin, BOUND)

    def nobody_there(self):
        begin = time.monotonic()
        # Over Redis looking for it may have to wait for a second.
        call = self.client.bind("elsewhere", retry=1, timeout=2, on_retry=lambda: None)
        self.assertRaises(clouds.NoAvailableServer, call)
        self.assertGreaterEqual(time.monotonic() - begin, 1.99)

    def test_a_server_that_comes_later(self):
        def later():
            wait_until(lambda: self.client.counters()["retries"], "nobody was there")
            self.server.register("later", lambda: "here")
        thread = threading.Thread(target=later)
        thread.start()
        self.assertEqual(self.client.call("later", timeout=1, retry=100), "here")
        thread.join(BOUND)


class Hooks(PythonCase):
    """Whatever a hook does, deadline and close hold; and a call with a hook goes on as one without."""

    bus = "local"

    async def never(self, *_):
        await asyncio.sleep(1000)

    def test_a_hook_that_never_goes_on(self):
        client = self.node("Client")
        self.raises(clouds.Timeout, "", client.bind("x", deadline=0.1, on_retry=self.never))
        problems, bound = [], client.bind("x", on_retry=self.never)

        def call():
            try:
                bound()
            except clouds.Error as problem:
                problems.append(type(problem))
        thread = threading.Thread(target=call)
        thread.start()
        wait_until(lambda: client.counters()["calls"] == 2)
        client.close()
        thread.join(BOUND)
        self.assertIn(problems, ([clouds.Closed], [clouds.Canceled]))

    def test_a_server_that_comes_up(self):
        client, asked = self.node("Client", timeout=1000), []
        bound = client.bind("late", retry=3, on_retry=lambda *arguments: asked.append(arguments))

        def later():
            wait_until(lambda: asked)
            server = self.node("Server")
            server.register("late", lambda number: number)
        thread = threading.Thread(target=later)
        thread.start()
        self.assertEqual(bound(7), 7)  # not only after the timeout
        thread.join(BOUND)
        self.assertIn(asked, ([(7,)], [(7,)] * 2))

    def test_an_async_hook(self):
        server = self.node("Server")
        server.register("add", lambda a, b: a + b)
        server.ready()

        async def hook(a, b):
            await asyncio.sleep(0)
            if a < 0:
                raise SystemExit("no")
            return (a, b * 10)
        bound = self.node("Client", timeout=BOUND).bind("add", server=server.id, on_retry=hook)
        self.assertEqual(bound(1, 2), 21)
        self.assertRaises(SystemExit, bound, -1, 2)
        self.assertEqual(bound(1, 2), 21)

    def test_arguments_of_one_attempt(self):
        """What a hook gave once holds for that attempt; the next is asked with those of the call."""
        seen, release = [], threading.Event()
        server = self.node("Server")
        server.register("wait", lambda *arguments: seen.append(arguments) or release.wait(BOUND))
        self.addCleanup(release.set)
        server.ready()
        answers = [["once"], None]
        bound = self.node("Client", timeout=2).bind("wait", retry=1, on_retry=lambda *_: answers.pop(0))
        self.raises(clouds.CallTimeout, "", bound, "own")
        wait_until(lambda: len(seen) == 2)
        self.assertEqual(seen, [("once",), ("own",)])


over_each_bus(globals(), Calls)
over_each_bus(globals(), Limits, ("inproc", "redis"))
del Serving

if __name__ == "__main__":
    unittest.main()
