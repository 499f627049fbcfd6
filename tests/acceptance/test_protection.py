#!/usr/bin/env python3
"""P3 to P7 and P9: what callers do when a server is ill or pauses, and servers when their callers give up. Times are never asserted,
only shares and orders; the same to the millisecond, over a clock that stands still: test_offer.c, test_breaker.c, test_pause.c and
test_cancel.c in tests/core."""
import asyncio
import os
import unittest

from support import BOUND, AsyncCase, Process, over_each_bus

import clouds
from clouds import aio
from harness import CLOUDS

HERE = os.path.dirname(os.path.abspath(__file__))


class Server:
    """A process of server.lua."""

    def __init__(self, case, *limits):
        self.process = Process([CLOUDS, "run", os.path.join(HERE, "server.lua"), *limits], case.env)
        case.addCleanup(self.process.discard)
        self.id = self.process.out.wait_for("\n").split()[1]
        self._client = case.client

    async def control(self, what, value=None):
        return await self._client.call(f"control.{self.id}", what, value, timeout=BOUND)

    async def count(self):
        return (await self.control("tell"))["count"]


class Protection(AsyncCase):

    def open(self, **options):
        """A client of asyncio, which is closed at the end of the test's coroutine."""
        self.client = aio.Client(self.url, **{"timeout": 0.2, **options})
        return self.client

    async def calls(self, n, each=0.005):
        """The results of n calls, one begun every so often: ids, or exceptions."""
        tasks = []
        for _ in range(n):
            tasks.append(asyncio.ensure_future(self.client.call("work")))
            await asyncio.sleep(each)
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, condition, what):
        """Calls until the coroutine function says so."""
        end = asyncio.get_running_loop().time() + BOUND
        while not await condition():
            self.assertLess(asyncio.get_running_loop().time(), end, f"never: {what}")
            await self.calls(20)

    # ---- servers that are ill

    async def test_P3_one_of_five_only_times_out(self):
        async with self.open(timeout=1):
            servers = [Server(self) for _ in range(5)]
            ill = servers[2]
            await self.until(lambda: self.all_served(servers, 1), "all are known")
            await ill.control("mode", "silent")
            await self.until(self.breaker_opened, "it is left alone")
            before = await ill.count()
            results = await self.calls(400)
            share = await ill.count() - before
            self.assertLessEqual(share, 0.05 * len(results))
            self.assertLessEqual(sum(isinstance(r, Exception) for r in results), 0.05 * len(results), "hardly a call fails")
            await ill.control("mode", "good")

            async def is_back():
                got = await self.calls(50)
                return got.count(ill.id) >= 8
            await self.until(is_back, "its share again")

    async def test_P4_all_are_bad_and_all_are_tried(self):
        async with self.open(timeout=1):
            servers = [Server(self) for _ in range(5)]
            await self.until(lambda: self.all_served(servers, 1), "all are known")
            for server in servers:
                await server.control("mode", "silent")
            await self.calls(100)
            before = [await server.count() for server in servers]
            results = await self.calls(100)
            self.assertTrue(all(isinstance(r, clouds.CallTimeout) for r in results), "none is refused by a breaker")
            for server, count in zip(servers, before):
                self.assertGreater(await server.count(), count, "each is tried")

    async def test_P5_errors_of_the_service_open_nothing(self):
        async with self.open(timeout=BOUND):
            servers = [Server(self) for _ in range(5)]
            await self.until(lambda: self.all_served(servers, 1), "all are known")
            for server in servers:
                await server.control("mode", "fails")
            before = [await server.count() for server in servers]
            results = await self.calls(300)
            self.assertTrue(all(isinstance(r, clouds.ServiceError) for r in results))
            self.assertEqual([await server.count() - count for server, count in zip(servers, before)], [60] * 5)
            self.assertEqual(self.client.counters()["breaker_opens"], 0)

    async def all_served(self, servers, n):
        return all([await server.count() >= n for server in servers])

    async def breaker_opened(self):
        return self.client.counters()["breaker_opens"] >= 1

    # ---- pauses

    async def test_P6_one_of_two_pauses_then_both(self):
        async with self.open(timeout=BOUND):
            one, other = servers = [Server(self) for _ in range(2)]
            await self.until(lambda: self.all_served(servers, 1), "both are known")
            load = asyncio.ensure_future(self.calls(200))
            await one.control("pause")
            results = await load
            self.assertEqual([r for r in results if isinstance(r, Exception)], [], "none fails")
            before = await one.count()
            self.assertEqual(set(await self.calls(50)), {other.id})
            self.assertEqual(await one.count(), before)
            await other.control("pause")
            with self.assertRaisesRegex(clouds.NoAvailableServer, "2 servers are paused") as caught:
                await self.client.call("work")
            self.assertEqual(caught.exception.outcome, "NOT_DONE")
            waits = asyncio.ensure_future(self.client.call("work", retry=10))
            await asyncio.sleep(0.1)
            self.assertFalse(waits.done())
            await one.control("resume")
            self.assertEqual(await waits, one.id)
            self.assertEqual(set(await self.calls(50)), {one.id})
            await other.control("resume")

            async def both():
                got = await self.calls(20)
                self.assertEqual([r for r in got if isinstance(r, Exception)], [])
                return set(got) == {one.id, other.id}
            await self.until(both, "both serve again")

    # ---- one after the other

    async def called(self, server, arguments):
        await server.control("mode", "slow")
        got = await asyncio.gather(*[self.client.call("work", *a) for a in arguments])
        self.assertEqual(got, [clouds.Values(*a) for a in arguments])
        return await server.control("tell")

    async def test_P7_serial_is_in_the_order_of_the_calls(self):
        async with self.open(timeout=4 * BOUND):
            server = Server(self, "serial=true")
            told = await self.called(server, [(i, 0) for i in range(1000)])
            self.assertEqual(told["order"], [[i, 0] for i in range(1000)])
            self.assertEqual(told["most"], 1)

    async def test_P7_keys_are_in_order_and_beside_each_other(self):
        async with self.open(timeout=4 * BOUND):
            server = Server(self, "key=1")
            told = await self.called(server, [(f"key {i % 10}", i) for i in range(1000)])
            for key in range(10):
                self.assertEqual([i for name, i in told["order"] if name == f"key {key}"], list(range(key, 1000, 10)))
            self.assertGreater(told["most"], 1, "others run beside")
            self.assertLessEqual(told["most"], 10)

    # ---- giving up

    async def test_P9_a_cancel_goes_through_a_chain(self):
        async with self.open(timeout=BOUND):
            middle, last = Server(self), Server(self)
            await middle.control("mode", "middle")
            await last.control("pause")  # `work` is the middle's, `last` that of both
            call = asyncio.ensure_future(self.client.call("work"))

            async def told(what):
                return sum([(await server.control("tell"))[what] for server in (middle, last)])

            async def reaches(what, n):
                end = asyncio.get_running_loop().time() + BOUND
                while await told(what) < n:
                    self.assertLess(asyncio.get_running_loop().time(), end, f"never: {what} {n}")
                    await asyncio.sleep(0.01)
            await reaches("count", 2)
            call.cancel()
            await reaches("canceled", 2)  # the middle, and who it has called
            end = asyncio.get_running_loop().time() + BOUND
            while not (order := (await middle.control("tell"))["order"]):
                self.assertLess(asyncio.get_running_loop().time(), end, "the middle ends")
                await asyncio.sleep(0.01)
            self.assertEqual(order, [["CLOUDS_CANCELED"]], "no further call starts")
            self.assertEqual(await told("count"), 2)


over_each_bus(globals(), Protection, ("local", "redis"))

if __name__ == "__main__":
    unittest.main()
