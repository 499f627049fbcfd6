"""The limits of a method, in both faces."""
import asyncio
import math
import threading
import unittest

from support import AsyncCase, PythonCase

import clouds
from clouds import aio


class Sync(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", workers=8)
        self.client = self.node("Client", timeout=20)

    def call_all(self, calls):
        problems = []

        def run(call):
            try:
                call()
            except Exception as problem:
                problems.append(problem)
        threads = [threading.Thread(target=run, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def test_serial(self):
        running, most = [], []

        @self.server.register("serial", serial=True)
        def serial(i):
            running.append(i)
            most.append(len(running))
            threading.Event().wait(0.002)
            running.remove(i)
            return i
        self.server.ready()
        self.call_all([lambda i=i: self.assertEqual(self.client.call("serial", i), i) for i in range(20)])
        self.assertEqual(max(most), 1)

    def test_keys(self):
        lock, running, most = threading.Lock(), [], []
        pair = threading.Barrier(2, timeout=20)

        @self.server.register("keyed", key=1)
        def keyed(i, key):
            with lock:
                self.assertNotIn(key, running)
                running.append(key)
                most.append(len(running))
            pair.wait()  # one of each key
            with lock:
                running.remove(key)
            return i
        self.server.ready()
        self.call_all([lambda i=i: self.assertEqual(self.client.call("keyed", i, "ab"[i % 2]), i) for i in range(20)])
        self.assertEqual(max(most), 2)

    def test_rate(self):
        self.server.register("rated", lambda: "done", rate=0.001, burst=2)
        self.server.ready()
        self.assertEqual([self.client.call("rated") for _ in range(2)], ["done", "done"])
        with self.assertRaises(clouds.Overloaded) as caught:
            self.client.call("rated")
        self.assertEqual((caught.exception.outcome, caught.exception.reason), ("NOT_DONE", "rate"))
        self.assertGreater(caught.exception.retry_after, 100)
        self.assertEqual(self.server.counters()["rate_refusals"], 1)
        self.server.register("rated", lambda: "free")
        self.server.ready()
        self.assertEqual(self.client.call("rated"), "free")

    def test_no_queue(self):
        begun, go = threading.Event(), threading.Event()

        @self.server.register("one", concurrency=1, queue=0)
        def one():
            begun.set()
            return go.wait(20)
        self.server.ready()
        thread = threading.Thread(target=self.client.call, args=("one",))
        thread.start()
        begun.wait(20)
        try:
            with self.assertRaises(clouds.Overloaded) as caught:
                self.client.call("one")
            self.assertEqual(caught.exception.reason, "concurrency")
        finally:
            go.set()
            thread.join()

    def test_what_no_option_can_be(self):
        for options, words in (({"seriall": True}, "seriall"), ({"serial": 1}, "serial: expected True or False"),
                               ({"key": -1}, "key: expected the number of an argument"), ({"key": True}, "key"),
                               ({"concurrency": 0}, "concurrency: expected a whole number above 0, or 'auto'"),
                               ({"concurrency": -1}, "concurrency: expected a whole number above 0, or 'auto'"),
                               ({"concurrency": "many"}, "concurrency: expected a whole number above 0, or 'auto'"),
                               ({"queue": -1}, "queue: expected a whole number, 0 or more"),
                               ({"rate": 0}, "rate: expected a number above 0"), ({"burst": math.inf}, "burst"),
                               ({"queue_age": 0}, "queue_age: expected a number of seconds above 0")):
            with self.subTest(options), self.assertRaisesRegex((TypeError, ValueError), words):
                self.server.register("m", print, **options)
        self.assertRaises(clouds.InvalidArgument, self.server.register, "m", print, serial=True, concurrency=2)
        self.assertRaises(clouds.InvalidArgument, self.server.register, "m", print, serial=True, concurrency="auto")
        self.server.register("m", print, concurrency=2, queue_age=math.inf, queue_target=0.01)
        self.server.ready()


    def test_paused(self):
        self.server.register("paused", lambda: "here")
        self.server.ready()
        self.assertEqual(self.client.call("paused"), "here")
        self.server.pause("paused")
        problem = self.raises(clouds.NoAvailableServer, ": 1 server is paused", self.client.call, "paused")
        self.assertEqual(problem.outcome, "NOT_DONE")
        found = []
        thread = threading.Thread(target=lambda: found.append(self.client.bind("paused", retry=5)()))
        thread.start()
        self.server.resume("paused")
        thread.join()
        self.assertEqual(found, ["here"])
        self.server.pause()
        self.assertRaises(clouds.NoAvailableServer, self.client.call, "paused")
        self.server.resume()
        self.assertEqual(self.client.bind("paused", retry=5)(), "here")
        self.assertRaises(clouds.InvalidArgument, self.server.pause, "never")
        self.assertRaises(TypeError, self.server.pause, 7)


class Aio(AsyncCase):

    async def test_serial_and_a_rate(self):
        async with aio.Server(self.url) as server, aio.Client(self.url, timeout=20) as client:
            await self.serial_and_a_rate(server, client)

    async def serial_and_a_rate(self, server, client):
        running, order = [], []

        @server.register("serial", serial=True)
        async def serial(i):
            running.append(i)
            self.assertEqual(len(running), 1)
            await asyncio.sleep(0.001)
            running.remove(i)
            order.append(i)
            return i
        server.register("rated", lambda: 1, rate=0.001)
        await server.ready()
        self.assertEqual(await asyncio.gather(*(client.call("serial", i) for i in range(20))), list(range(20)))
        self.assertEqual(order, list(range(20)))
        self.assertEqual(await client.call("rated"), 1)
        with self.assertRaises(clouds.Overloaded) as caught:
            await client.call("rated")
        self.assertEqual(caught.exception.reason, "rate")
        await server.pause("serial")
        with self.assertRaisesRegex(clouds.NoAvailableServer, ": 1 server is paused"):
            await client.call("serial", 1)
        await server.resume()
        await server.resume("serial")
        self.assertEqual(await client.bind("serial", retry=5)(1), 1)

    async def test_a_concurrency_that_is_found(self):
        async with aio.Server(self.url) as server, aio.Client(self.url, timeout=20) as client:
            await self.a_concurrency_that_is_found(server, client)

    async def a_concurrency_that_is_found(self, server, client):
        running, most = [], [0]

        @server.register("found", concurrency="auto", queue_age=math.inf)
        async def found():
            running.append(1)
            most[0] = max(most[0], len(running))
            await asyncio.sleep(0.01)
            running.pop()
        await server.ready()

        async def own():
            return next(node["methods"]["found"] for node in (await server.status())["own"].values() if "found" in node["methods"])
        self.assertEqual(await own(), {"paused": False, "running": 0, "waiting": 0, "concurrency": 4, "queue": 1000, "adaptive": True})

        async def call_on():
            while most[0] <= 16:  # a handler that only waits does as many as there are
                await client.call("found")
        callers = [asyncio.ensure_future(call_on()) for _ in range(40)]
        await asyncio.wait(callers)
        later = await own()
        self.assertGreater(later["concurrency"], 16 / 2)
        self.assertGreaterEqual(min(later["latency"], later["unqueued"]), 0.005)
        self.assertGreaterEqual(server.counters()["limit_changes"], 2)


if __name__ == "__main__":
    unittest.main()
