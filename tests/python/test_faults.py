"""What goes wrong in code of the program: who is answered, what is told, and that everything else goes on."""
import asyncio
import gc
import logging
import signal
import sys
import threading
import time
import unittest

from support import BOUND, AsyncCase, PythonCase, wait_until

import clouds
from clouds import aio

EXITS = (SystemExit(3), KeyboardInterrupt("own"), type("Odd", (BaseException,), {})("odd"))


class Spoiled(Exception):
    """It cannot say what it is."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__

    @property
    def code(self):
        raise ValueError("no code")


class Sync(PythonCase):

    def setUp(self):
        super().setUp()
        self.server, self.client = self.node("Server", workers=2), self.node("Client", timeout=BOUND)

    def offer(self, **methods):
        for name, handler in methods.items():
            self.server.register(name, handler)
        self.server.ready()

    def test_what_would_end_a_process_ends_one_request(self):
        async def later(number):
            await asyncio.sleep(0)
            raise EXITS[number]

        def now(number):
            raise EXITS[number]

        async def alive():
            return "alive"
        self.offer(later=later, now=now, alive=alive)
        for method in ("now", "later"):
            for number, problem in enumerate(EXITS):
                with self.assertLogs("clouds", "ERROR") as said:
                    got = self.raises(clouds.ServiceError, "", self.client.call, method, number)
                self.assertEqual(got.code, type(problem).__name__)
                self.assertIn(f"the handler of '{method}' failed: caller {self.client.id}, request ", said.output[0])
                self.assertEqual(self.client.call("alive"), "alive")

    def test_in_listeners_and_tasks(self):
        heard = []

        async def end(sender, value):
            heard.append(value)
            if value == "task":
                asyncio.ensure_future(self.fail_with(SystemExit(3)))
            elif value != "plain":
                raise EXITS[value]
        self.server.on_message(end)
        self.server.on_message(lambda *_: sys.exit(4))
        self.offer(alive=self.alive)
        with self.assertLogs("clouds", "ERROR"):
            for value in (0, 1, 2, "task", "plain"):
                self.client.send(self.server.id, value, confirm=True)
            wait_until(lambda: len(heard) == 5)
            self.assertEqual(self.client.call("alive"), "alive")
        self.assertEqual(heard, [0, 1, 2, "task", "plain"])

    async def alive(self):
        return "alive"

    async def fail_with(self, problem):
        raise problem

    def test_in_hooks(self):
        async def find(method, known):
            raise SystemExit(3)
        for hook in (find, lambda method, known: sys.exit(3)):
            self.offer(alive=self.alive)
            client = self.node("Client", find_server=hook)
            with self.assertLogs("clouds", "ERROR"):
                self.raises(clouds.NoAvailableServer, "", client.call, "alive")
            client.configure(find_server=lambda method, known: known[0])
            self.assertEqual(client.call("alive"), "alive")

    def test_what_cannot_say_what_it_is(self):
        def fail():
            raise Spoiled()

        def fail_with_it():
            raise clouds.ServiceError(Spoiled(), code=Spoiled(), more={"bad": Spoiled(), "good": 1}, values=[Spoiled()])
        self.offer(fail=fail, inside=fail_with_it)
        with self.assertLogs("clouds", "ERROR"):
            got = self.raises(clouds.ServiceError, "Spoiled", self.client.call, "fail")
        self.assertEqual((got.message, got.code), ("Spoiled", "Spoiled"))
        got = self.raises(clouds.ServiceError, "Spoiled", self.client.call, "inside")
        self.assertEqual((got.message, got.more, got.values), ("Spoiled", {"good": 1}, ()))

    def test_what_is_told_of_each(self):
        class Coded(Exception):
            code = "gkpj"
        calls = {"coded": Coded("database is gone"), "meant": clouds.ServiceError("no", code="E_NO"), "plain": None}

        def fail(name):
            if calls[name] is not None:
                raise calls[name]
            return self.server.call("nobody")
        self.offer(fail=fail)
        for name, level, words in (("coded", "ERROR", "database is gone"), ("meant", "DEBUG", "refused: caller "),
                                   ("plain", "INFO", "passed an error on: caller ")):
            with self.assertLogs("clouds", "DEBUG") as said:
                self.raises(clouds.Error, "", self.client.call, "fail", name)
                about = [line for line in said.output if f"caller {self.client.id}, request " in line]
            self.assertEqual(len(about), 1, said.output)
            self.assertTrue(about[0].startswith(level), about)
            self.assertIn(words, about[0])

    def test_what_others_sent_is_escaped(self):
        told, method = [], "m\x1b[2J\nforged"

        class Handler(logging.Handler):
            def emit(self, record):
                told.append(self.format(record))
        handler, logger = Handler(), logging.getLogger("clouds")
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)

        def fail(text):
            try:
                raise KeyError(text)
            except KeyError as inner:
                raise ValueError(text) from inner
        self.offer(**{method: fail})
        self.raises(clouds.ServiceError, "", self.client.call, method, "x\x1b[31m\nERROR:root:forged\u2028y")
        wait_until(lambda: told)
        self.assertNotIn("\x1b", told[0])
        self.assertFalse([line for line in told[0].splitlines() if "forged" in line[:20]], told[0])
        self.assertIn("ValueError: x\\x1b[31m\\nERROR:root:forged\\u2028y", told[0])
        self.assertIn("direct cause", told[0])
        self.assertIn("in fail", told[0])

    def test_listeners_are_limited(self):
        node, release, heard = self.node("Base", max_events=50, max_event_bytes=200000), threading.Event(), []

        def slow(sender, value):
            heard.append(value)
            release.wait(BOUND)
        node.on_message(slow)
        node.ready()

        def send(*values):
            """One after the other, so that only the queue of the listeners gets full, not the one before it."""
            for value in values:
                before = taken()
                self.client.send(node.id, value, confirm=True)
                wait_until(lambda: taken() == before + 1)

        def taken():
            return node.counters()["dropped_events"] + node._threads.listeners._load.unfinished
        with self.assertLogs("clouds", "WARNING") as said:
            send(*range(200))
            self.assertEqual(len(said.output), 1, said.output)
            self.assertIn("listeners are too slow", said.output[0])
            release.set()
            wait_until(lambda: node._threads.listeners._load.unfinished == 0)
            self.assertEqual(len(heard) + node.counters()["dropped_events"], 200)
            self.assertTrue(1 < len(heard) <= 51 and heard == sorted(heard), heard)
            release.clear()
            send(*["x" * 40000] * 20)
            wait_until(lambda: len(said.output) == 2)
            self.assertLessEqual(node._threads.listeners._load.bytes, 200000)
            release.set()


class Async(AsyncCase):

    async def test_what_would_end_a_process_ends_one_request(self):
        async def later(number):
            await asyncio.sleep(0)
            raise EXITS[number]

        def now(number):
            raise EXITS[number]
        heard = []

        async def end(sender, value):
            heard.append(value)
            raise SystemExit(3)
        server, client = aio.Server(self.url), aio.Client(self.url, timeout=BOUND)
        server.register("later", later)
        server.register("now", now)
        server.on_message(end)
        server.on_message(lambda *_: sys.exit(4))
        await server.ready()
        with self.assertLogs("clouds", "ERROR"):
            for method in ("now", "later"):
                for number in (0, 2):
                    got = await self.raises_in(clouds.ServiceError, "", client.call(method, number))
                    self.assertEqual(got.code, type(EXITS[number]).__name__)
            for _ in range(3):
                await client.send(server.id, 1, confirm=True)
            await self.eventually(lambda: len(heard) == 3)
        await server.close(0)
        await client.close()

    def test_ctrl_c_in_a_plain_handler(self):
        """Its caller is answered, the others of the same turn too, and then it is raised."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        server, client = aio.Server(self.url), aio.Client(self.url, timeout=BOUND)

        def interrupted():
            signal.raise_signal(signal.SIGINT)
            time.sleep(BOUND)

        async def begin():
            server.register("interrupted", interrupted)
            server.register("other", lambda: "other")
            await server.ready()
            calls.extend([client.call("interrupted"), client.call("other")])
            await asyncio.sleep(BOUND)

        async def end():
            ends = await asyncio.gather(*calls, return_exceptions=True)
            await server.close(0)
            await client.close()
            return ends
        calls = []
        with self.assertLogs("clouds", "ERROR"):
            main = loop.create_task(begin())
            self.assertRaises(KeyboardInterrupt, loop.run_until_complete, main)
            main.cancel()
            first, second = loop.run_until_complete(end())
        self.assertEqual((type(first), first.code, second), (clouds.ServiceError, "KeyboardInterrupt", "other"))
        gc.collect()

    async def test_faults_of_listeners_are_told(self):
        server = aio.Base(self.url)

        async def fail():
            raise ValueError("later")
        server.on("ready", fail)
        server.on("ready", lambda: 1 / 0)
        with self.assertLogs("clouds", "ERROR") as said:
            await server.ready()
            await self.eventually(lambda: len(said.output) == 2)
        self.assertIn("ValueError: later", said.output[0])
        self.assertIn("ZeroDivisionError", said.output[1])
        await server.close()


if __name__ == "__main__":
    unittest.main()
