"""Channels: publish, subscribe, watch, in both faces."""
import asyncio
import threading
import unittest

from support import BOUND, PythonCase, over_each_bus, wait_until

import clouds


class Channels(PythonCase):

    def pair(self):
        here, there = self.node("Base"), self.node("Base")
        there.ready(BOUND)
        return here, there

    def until_known(self, node, topic, seen):
        """Over Redis who publishes knows patterns and groups a moment later."""
        def known():
            node.publish(topic, "known?")
            return seen()
        wait_until(known)

    def test_a_value_reaches_who_subscribed(self):
        here, there = self.pair()
        got = []

        @here.subscribe("chat.room")
        def listen(value, message):
            got.append((value, message))

        here.ready(BOUND)
        self.assertEqual(repr(listen), "<clouds.Subscription chat.room>")
        self.assertIsNone(there.publish("chat.room", {"text": "hello"}))
        there.publish("chat.other", 1)
        there.publish("chat.room", None, meta={"trace": "t"})
        wait_until(lambda: len(got) == 2)
        self.assertEqual(got[0], ({"text": "hello"}, clouds.Message({"text": "hello"}, "chat.room", there.id, 0, False, 1,
                                                                    None)))
        self.assertEqual(got[1][1], clouds.Message(None, "chat.room", there.id, 0, False, 2, {"trace": "t"}))
        self.assertEqual(there.publish("chat.room", 3, confirm=True), 1)
        wait_until(lambda: len(got) == 3)
        listen.close()
        listen.close()
        self.assertTrue(listen.closed)
        wait_until(lambda: there.publish("chat.room", 4, confirm=True) == 0)
        self.assertEqual(len(got), 3)

    def test_patterns_and_any_of_several(self):
        here, there = self.pair()
        got = []
        here.subscribe("a.*", "b.>", handler=lambda value, message: got.append((value, message.topic)))
        here.ready(BOUND)
        self.until_known(there, "a.x", lambda: got)
        there.publish("a.y", 1)
        there.publish("a", 2)
        there.publish("b.y.z", 3)
        wait_until(lambda: got[-1] == (3, "b.y.z"))
        self.assertEqual([one for one in got if one[0] != "known?"], [(1, "a.y"), (3, "b.y.z")])

    def test_all_of_several(self):
        here, there = self.pair()
        got = []
        here.subscribe("x", "y", all=True, handler=lambda values, _: got.append(values))
        here.ready(BOUND)
        for i in range(3):
            there.publish("x", i)
        there.publish("y", "a")
        there.publish("y", "b")
        wait_until(lambda: len(got) == 2)
        self.assertEqual(got, [[0, "a"], [1, "b"]])

    def test_one_of_a_group(self):
        here, there = self.pair()
        got = {here: [], there: []}
        for node in got:
            node.subscribe("job", group="workers", handler=lambda value, _, node=node: got[node].append(value))
            node.ready(BOUND)
        self.until_known(there, "job", lambda: all(got.values()))
        for i in range(10):
            there.publish("job", i)
        wait_until(lambda: sum(isinstance(value, int) for values in got.values() for value in values) == 10)
        for values in got.values():
            self.assertEqual(sum(isinstance(value, int) for value in values), 5)

    def test_watch(self):
        here, there = self.pair()
        with here.watch("w", queue=3) as watch:
            here.ready(BOUND)
            for i in range(3):
                there.publish("w", i)
            got = []
            for message in watch:
                got.append((message.value, message.topic, message.sender))
                if len(got) == 3:
                    break
            self.assertEqual(got, [(i, "w", there.id) for i in range(3)])
            self.assertIsNone(watch.get(timeout=0))
            for i in range(5):
                there.publish("w", i)
            wait_until(lambda: len(watch._waiting) == 3 and watch._waiting._events[-1][0].data == "4")
            first = watch.get()
            self.assertEqual((first.value, first.missed, first.lagged), (2, 2, True))
            self.assertEqual([watch.get().missed, watch.get().missed], [0, 0])
            closer = threading.Timer(0.05, watch.close)
            closer.start()
            self.assertEqual(list(watch), [])
            closer.join()

    def slow(self, text="x" * 1000, **options):
        """What a function gets that is at work with the first of six, and is told of a seventh later; and what is missing."""
        here, there = self.pair()
        got, release = [], threading.Event()

        def handler(value, message):
            release.wait(BOUND)
            got.append((value[0], message.missed))
            self.assertEqual(message.lagged, message.missed > 0)
        subscription = here.subscribe("slow", handler=handler, **options)
        here.ready(BOUND)

        def publish(i):
            before = here.counters()["delivered"]
            there.publish("slow", [i, text])
            wait_until(lambda: here.counters()["delivered"] > before)
            wait_until(lambda: subscription._seen == i)
        put, subscription._seen = subscription._put, 0

        def counted(event):
            put(event)
            subscription._seen += 1
        subscription._put = counted
        for i in range(1, 7):
            publish(i)
            if i == 1:
                wait_until(lambda: not len(subscription._waiting))  # it is at work
        release.set()
        wait_until(lambda: not subscription._turns)
        publish(7)
        wait_until(lambda: got[-1][0] == 7)
        subscription.close()
        return got

    def test_what_waits_is_the_newest_or_the_oldest(self):
        self.assertEqual(self.slow(queue=2), [(1, 0), (5, 3), (6, 0), (7, 0)])
        self.assertEqual(self.slow(queue=2, keep_oldest=True), [(1, 0), (2, 0), (3, 0), (7, 3)])
        self.assertEqual(self.slow(queue_bytes=2500), [(1, 0), (5, 3), (6, 0), (7, 0)])
        self.assertEqual(self.slow("\u6f22" * 333, queue_bytes=2500), [(1, 0), (5, 3), (6, 0), (7, 0)])

    def test_a_watch_has_a_limit_in_bytes(self):
        here, there = self.pair()
        with here.watch("large", queue_bytes=1000) as watch:
            here.ready(BOUND)
            there.publish("large", "x" * 2000)
            there.publish("large", "small")
            message = watch.get(BOUND)
            self.assertEqual((message.value, message.missed, message.lagged), ("small", 1, True))

    def test_the_end_of_the_node_ends_it(self):
        here, _ = self.pair()
        watch = here.watch("w")
        here.ready(BOUND)
        closer = threading.Timer(0.05, here.close)
        closer.start()
        self.assertEqual(list(watch), [])
        closer.join()
        self.raises(clouds.Closed, "closed", here.subscribe("w"), print)

    def test_what_is_wrong_is_said(self):
        node = self.node("Base")
        self.raises(clouds.InvalidArgument, "has an empty token", node.subscribe("a..b"), print)
        self.raises(clouds.InvalidArgument, "there is no topic", node.subscribe(), print)
        self.raises(clouds.InvalidArgument, "a group takes topics only", node.subscribe("a.*", group="g"), print)
        self.raises(clouds.InvalidArgument, "only a subscription may have one", node.publish, "a.*", 1)
        self.raises(TypeError, "expected a topic", node.subscribe, 1)
        self.raises(TypeError, "expected a topic", node.publish, None)
        self.raises(TypeError, "expected a function", node.subscribe("a"), 5)
        self.raises(ValueError, "queue: expected a whole number", node.watch, "a", queue=-1)
        self.raises(TypeError, "cannot send", node.publish, "a", object())

    def test_a_function_that_fails_is_logged(self):
        here, there = self.pair()
        here.subscribe("a", handler=lambda *_: 1 / 0)
        here.ready(BOUND)
        with self.assertLogs("clouds", "ERROR") as logs:
            there.publish("a", 1)
            wait_until(lambda: logs.output)


class AsyncChannels(PythonCase):

    def test_all_of_it(self):
        asyncio.run(asyncio.wait_for(self.walk(), BOUND))

    async def walk(self):
        async with clouds.aio.Base(self.url) as here, clouds.aio.Base(self.url) as there:
            got = []

            @here.subscribe("a.b")
            async def listen(value, message):
                await asyncio.sleep(0)
                got.append((value, message.topic))

            async with here.watch("a.b") as watch:
                await here.ready(BOUND)
                await there.ready(BOUND)
                there.publish("a.b", 1)
                self.assertEqual(await there.publish("a.b", 2, confirm=True), 1)
                values = []
                async for message in watch:
                    values.append(message.value)
                    if len(values) == 2:
                        break
                self.assertEqual(values, [1, 2])
            self.assertTrue(watch.closed)
            while len(got) < 2:
                await asyncio.sleep(0.01)
            self.assertEqual(got, [(1, "a.b"), (2, "a.b")])
            listen.close()
            watch = here.watch("c")
            waiting = asyncio.ensure_future(watch.get())
            await asyncio.sleep(0)
            await here.close()
            self.assertIsNone(await waiting)

    def test_a_call_that_a_listener_gives_is_not_waited_for(self):
        """Also where what came is in a trace."""
        asyncio.run(asyncio.wait_for(self.let_go(), BOUND))

    async def let_go(self):
        meta = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        async with clouds.aio.Server(self.url) as here, clouds.aio.Base(self.url) as there:
            calls, release, both = [], asyncio.Event(), asyncio.Event()

            @here.register("wait")
            async def wait():
                await release.wait()

            def listen(value, message):
                calls.append(here.call("wait"))
                if len(calls) == 2:
                    both.set()
                return calls[-1]

            here.subscribe("a.b", handler=listen)
            await here.ready(BOUND)
            await there.ready(BOUND)
            for value in range(2):
                self.assertEqual(await there.publish("a.b", value, confirm=True, meta=meta), 1)
            await both.wait()
            release.set()
            await asyncio.gather(*calls)


over_each_bus(globals(), Channels)
over_each_bus(globals(), AsyncChannels)

if __name__ == "__main__":
    unittest.main()
