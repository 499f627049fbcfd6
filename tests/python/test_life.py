"""Leaks and lifetime: memory flat, descriptors and threads back to where they were. CLOUDS_LONG=1 for the long form."""
import asyncio
import gc
import unittest
import warnings
import weakref
from unittest import mock

from support import BOUND, LONG, SANITIZED, AsyncCase, PythonCase, descriptors, resident_kb, threads, wait_until

import clouds
from clouds import aio
from clouds._events import Records
from clouds._handle import poll_until_closed

CALLS = 100000 if LONG else 5000
ROUNDS = 200 if LONG else 60
SLACK_KB = 4000  # the first rounds fill caches and pools


class Life(AsyncCase):
    bus = "local"

    def setUp(self):
        super().setUp()
        gc.collect()
        self.before = descriptors(), threads()

    def all_back(self):
        gc.collect()
        wait_until(lambda: (descriptors(), threads()) <= self.before or
                   (descriptors() <= self.before[0] and threads() <= self.before[1]),
                   f"descriptors and threads are back to {self.before}: {descriptors()}, {threads()}")

    def flat(self, work, rounds=4):
        """work() is done several times, and takes no more memory after the first."""
        work()
        gc.collect()
        before = resident_kb()
        for _ in range(rounds):
            work()
        gc.collect()
        if not SANITIZED:  # which keeps what was freed
            self.assertLess(resident_kb() - before, SLACK_KB)

    def test_calls(self):
        with clouds.Server(self.url) as server, clouds.Client(self.url, timeout=20) as client:
            server.register("echo", lambda *values: clouds.Values(*values))
            server.ready()
            echo = client.bind("echo")

            def work():
                for i in range(CALLS // 5):
                    echo(i, "text" * 10)
            self.flat(work)
        self.all_back()

    def test_errors(self):
        with clouds.Client(self.url, timeout=20) as client:
            def work():
                for _ in range(CALLS // 5):
                    self.assertRaises(clouds.NoAvailableServer, client.call, "nobody")
            self.flat(work, 2)
        self.all_back()

    def test_async_calls(self):
        async def main():
            async with aio.Server(self.url) as server, aio.Client(self.url, timeout=20) as client:
                @server.register("echo")
                async def echo(*values):
                    return clouds.Values(*values)
                await server.ready()
                for _ in range(2):
                    before = resident_kb()
                    for _ in range(CALLS * 2 // 500):
                        await asyncio.gather(*(client.call("echo", i, "text" * 10) for i in range(500)))
                    gc.collect()
                if not SANITIZED:
                    self.assertLess(resident_kb() - before, SLACK_KB)
                self.assertEqual((client._calls, server._tasks), ({}, set()))
        asyncio.run(main())
        self.all_back()

    def test_nodes_come_and_go(self):
        def work():
            for _ in range(ROUNDS // 2):
                with clouds.Client(self.url) as client:
                    client.ready()
        self.flat(work, 1)
        self.all_back()

    def test_dropped_nodes(self):
        def work():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                for _ in range(ROUNDS // 2):
                    clouds.Client(self.url)
                for _ in range(5):
                    clouds.Server(self.url).register("x", print)
        self.flat(work, 1)
        self.all_back()

    def test_dropped_async_nodes(self):
        async def rounds():
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # their calls end in nobody
            for _ in range(ROUNDS):
                aio.Client(self.url).call("nobody")
                await asyncio.sleep(0)

        def work():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                asyncio.run(rounds())
                gc.collect()
        self.flat(work, 1)
        self.all_back()

    async def test_cancelled_tasks(self):
        async with aio.Server(self.url) as server, aio.Client(self.url, timeout=20) as client:
            release = asyncio.Event()

            @server.register("wait")
            async def wait():
                await release.wait()
            await server.ready()
            for _ in range(5):
                tasks = [asyncio.ensure_future(self.await_it(client.call("wait"))) for _ in range(200)]
                await asyncio.sleep(0.01)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.assertTrue(all(task.cancelled() for task in tasks))
            self.assertEqual(client._calls, {})
            release.set()
            await self.eventually(lambda: client.counters()["results"] == client.counters()["calls"], "all have ended")
            await self.eventually(lambda: not server._tasks)

    async def await_it(self, awaitable):
        return await awaitable


class Dropped(PythonCase):

    def dropped(self, box):
        """Empties the box of its node: there is a warning, and the node is collected. Its handle."""
        handle, ref = box[0]._handle, weakref.ref(box[0])
        with self.assertWarnsRegex(ResourceWarning, "unclosed <clouds") as caught:
            box.clear()
            # The thread that takes the events may hold the node for a moment.
            wait_until(lambda: gc.collect() >= 0 and caught.warnings, "a warning")
        del caught  # a warning refers to what it is about
        wait_until(lambda: gc.collect() >= 0 and ref() is None, "the node is collected")
        return handle

    def test_a_dropped_node_warns_and_is_closed(self):
        for face in (clouds.Server, aio.Server):
            box = [face(self.url)]
            box[0].register("gone", print)
            handle = self.dropped(box)
            wait_until(handle.over.is_set, "the end of the context")
            self.assertEqual(self.node("Monitor").status()["methods"], {})

    def test_a_node_in_a_circle(self):
        def make():
            node = clouds.Server(self.url)

            @node.register("circle")
            def circle():
                return node.id
            node.on_message(lambda *_: node)
            return [node]
        self.dropped(make())

    def test_the_end_of_a_busy_node_takes_its_time(self):
        """What comes in the meantime does not cut it short."""
        busy = [1] * 5000

        class Busy(Records):
            def poll(self, context, timeout):
                return busy.pop() if busy else super().poll(context, timeout)

        client = aio.Client(self.url)
        client._handle.close(0)
        with mock.patch("clouds._handle.Records", Busy):
            poll_until_closed(client._handle, BOUND)
        self.assertEqual(busy, [])
        client._handle.destroy()

    def test_a_closed_node_does_not_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            node = clouds.Client(self.url)
            node.close()
            del node
            gc.collect()

    def test_a_bound_function_keeps_its_node(self):
        server = self.node("Server")
        server.register("one", lambda: 1)
        server.ready()
        bound = clouds.Client(self.url).bind("one")
        gc.collect()
        self.assertEqual(bound(), 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del bound
            gc.collect()


if __name__ == "__main__":
    unittest.main()
