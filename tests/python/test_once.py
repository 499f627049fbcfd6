"""Idempotency keys, hedging, answers that are published, versions of a service, on every bus."""
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from support import BOUND, AsyncCase, PythonCase, over_each_bus, wait_until

import clouds
from clouds import aio


class Once(PythonCase):

    def open(self):
        server, client = self.node("Server"), self.node("Client", timeout=20)
        runs = []

        def count(*args):
            runs.append(args)
            return len(runs)
        server.register("count", count)
        server.ready()
        wait_until(lambda: client.call("count"))
        runs.clear()
        return server, client, runs

    def test_a_key_runs_once(self):
        _, client, runs = self.open()
        for key in ("order 7", b"order 7") * 3:
            self.assertEqual(client.call("count", "x", once=key, retry=2), 1)
        self.assertEqual(runs, [("x",)])
        error = self.raises(clouds.KeyConflict, "other content", client.call, "count", "y", once="order 7")
        self.assertEqual(error.outcome, "NOT_DONE")
        self.assertEqual(client.call("count", "y", once="order 8"), 2)
        client.notify("count", "z", once="order 9")
        self.assertEqual(client.call("count", "z", once="order 9"), 3)
        self.raises(TypeError, "once: expected a str or bytes", client.call, "count", once=7)
        self.raises(ValueError, "once: expected a text, and not an empty one", client.call, "count", once=b"")
        self.raises(clouds.TooBig, "idempotency key", client.call, "count", once="x" * 256)

    def test_late_answers_are_kept(self):
        server, client, _ = self.open()
        runs, release = [], threading.Event()
        self.addCleanup(release.set)

        def slow():
            runs.append(1)
            release.wait(BOUND)
            return "done"
        server.register("slow", slow)
        server.ready()
        self.raises(clouds.CallTimeout, "", client.call, "slow", once="k", timeout=2)
        with ThreadPoolExecutor(1) as pool:
            again = pool.submit(client.call, "slow", once="k")
            wait_until(lambda: server.counters()["once_hits"] == 1, "it is asked for again while it runs")
            release.set()
            self.assertEqual(again.result(BOUND), "done")
        self.assertEqual(client.call("slow", once="k"), "done")
        self.assertEqual(len(runs), 1)

    def test_hedge_and_key(self):
        first, second, client = self.node("Server"), self.node("Server"), self.node("Client", timeout=20)
        pause = [5]

        def slow():
            time.sleep(pause[0])
            return "second"
        first.register("who", lambda: "first")
        second.register("who", slow)
        first.ready(), second.ready()
        wait_until(lambda: len(client.status()["methods"].get("who", ())) == 2)
        for _ in range(4):
            self.assertEqual(client.call("who", hedge=0.05, idempotent=True), "first")
        pause[0] = 0
        self.assertEqual(len({client.call("who", key="a") for _ in range(6)}), 1)
        self.raises(clouds.InvalidArgument, "idempotent", client.call, "who", hedge=1)
        self.raises(TypeError, "hedge", client.call, "who", hedge="1", idempotent=True)

    def test_an_answer_is_published(self):
        server, client, _ = self.open()
        came = {}

        @client.subscribe("answers")
        def heard(value, message):
            came[(message.meta or {}).get("in-reply-to")] = value

        def probed():
            server.publish("answers", "probe")
            return None in came
        wait_until(probed)
        client.notify("count", "x", reply_to="answers", correlation="1")
        self.assertEqual(wait_until(lambda: came.get("1")), {"result": [1]})
        client.call("count", "x", reply_to="answers", correlation="2")
        self.assertEqual(wait_until(lambda: came.get("2")), {"result": [2]})
        self.raises(clouds.InvalidArgument, "reply_to", client.notify, "count", correlation="3")
        self.raises(ValueError, "reply_to: expected a text, and not an empty one", client.call, "count", reply_to="")

    def test_versions_are_names(self):
        server, client, _ = self.open()
        server.register("price", lambda: 1)
        server.register("price@2", lambda: 2)
        server.ready()
        self.assertEqual([client.call("price"), client.call("price@2")], [1, 2])
        self.raises(clouds.NoAvailableServer, "", client.call, "price@3")
        self.assertEqual(len(client.status()["methods"]["price@2"]), 1)


over_each_bus(globals(), Once)


class Asyncio(AsyncCase):

    async def test_a_key_runs_once(self):
        async with aio.Server(self.url) as server, aio.Client(self.url) as client:
            runs = []
            server.register("count", lambda *args: runs.append(args) or len(runs))
            await server.ready()
            for _ in range(3):
                self.assertEqual(await client.call("count", 1, once="k", hedge=5), 1)
            await self.raises_in(clouds.KeyConflict, "", client.call("count", 2, once="k"))
            await client.notify("count", 1, once="k")
            self.assertEqual(len(runs), 1)


if __name__ == "__main__":
    unittest.main()
