"""What a node asks another, and what the other's program hears of it, in both faces."""
import asyncio
import os
import queue
import unittest

from support import AsyncCase, PythonCase

import clouds
from clouds import aio

WRONG = (((7, "ping"), TypeError, "expected the id of a node"), (("s.asked", "dance"), ValueError, "expected one of ping, info, status"),
         (("s.asked", "ping", []), TypeError, "expected a dict"), (("s.asked", "ping", {"drain": 1}), ValueError, "does not take 'drain'"),
         (("s.asked", "stop", {"drain": "1"}), TypeError, "drain: expected a number"),
         (("s.asked", "pause", {"method": 1}), TypeError, "method: expected a text"))


class Sync(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", id="s.asked")
        self.server.register("echo", lambda value: value)
        self.server.ready()
        self.client = self.node("Client", timeout=20)

    def test_ping_and_status(self):
        answer = self.client.ask("s.asked", "ping")
        self.assertRegex(answer.pop("version"), r"^\d+\.\d+\.\d+$")
        self.assertEqual(answer, {"id": "s.asked", "pid": os.getpid(), "state": "ready", "paused": False})
        answer = self.client.ask("s.asked", "status", timeout=10)
        self.assertEqual((answer["methods"], answer["requests"]), ({"echo": {"paused": False}}, 0))

    def test_info_and_methods(self):
        answer = self.client.ask("s.asked", "info")
        self.assertEqual((answer["type"], answer["weight"], answer["counts"]), ("server", 1, False))
        self.assertEqual(self.client.ask("s.asked", "methods")["methods"], {"echo": {"paused": False}})
        self.raises(clouds.NotSupported, "not counted by method", self.client.ask, "s.asked", "stats")

    def test_its_links(self):
        self.assertEqual(self.client.ask("s.asked", "links")["links"], [])  # it is a node of this process
        server, client = self.node("Server", id="s.far", url="local:links"), self.node("Client", url="local:links")
        server.register("echo", lambda value: value)
        server.ready()
        answer = client.ask("s.far", "links")
        by = [link for link in answer["links"] if link.get("asked")]
        self.assertEqual([(answer["id"], link["peer"], link["here"], link["ours"], link["state"]) for link in by],
                         [("s.far", client.id, "s.far", False, "open")])

    def test_pause_and_resume(self):
        heard = queue.Queue()
        self.server.on("paused", lambda *arguments: heard.put(arguments))
        self.client.ask("s.asked", "pause", {"method": "echo"})
        self.assertEqual(heard.get(timeout=60), (self.client.id, "echo", True))
        self.assertRaises(clouds.NoAvailableServer, self.client.call, "echo", 1)
        self.assertFalse(self.client.ask("s.asked", "resume")["paused"])
        self.assertEqual(heard.get(timeout=60), (self.client.id, None, False))
        self.assertEqual(self.client.bind("echo", retry=5)(1), 1)

    def test_what_cannot_be_asked(self):
        self.assertRaises(clouds.NoAvailableServer, self.client.ask, "s.nobody", "ping")
        self.raises(clouds.ServiceError, "no method 'nobody' is registered", self.client.ask, "s.asked", "pause", {"method": "nobody"})
        for arguments, kind, words in WRONG:
            with self.subTest(arguments), self.assertRaisesRegex(kind, words):
                self.client.ask(*arguments)
        self.assertRaises(TypeError, self.client.ask, "s.asked", "ping", tmeout=1)
        closed = self.node("Server", id="s.closed", admin="off")
        closed.ready()
        self.raises(clouds.NotSupported, "it answers no questions", self.client.ask, "s.closed", "stop")

    def test_stop(self):
        asked = queue.Queue()
        self.server.on("stop", lambda *arguments: asked.put(arguments))
        self.client.ask("s.asked", "stop", {"drain": 2.5})
        self.assertEqual(asked.get(timeout=60), (self.client.id, 2.5))
        self.assertEqual(self.client.call("echo", 1), 1)
        other, ended = self.node("Server", id="s.other"), queue.Queue()
        other.register("other", print)
        other.on("exit", ended.put)
        other.ready()
        self.client.ask("s.other", "stop")
        self.assertEqual(ended.get(timeout=60), 0)


class Aio(AsyncCase):

    async def test_all_of_it(self):
        server, client = aio.Server(id="s.asked"), aio.Client()
        server.register("echo", lambda value: value)
        await server.ready()
        heard = asyncio.Queue()
        server.on("paused", lambda *arguments: heard.put_nowait(arguments))
        self.assertEqual((await client.ask("s.asked", "ping"))["state"], "ready")
        self.assertEqual((await client.ask("s.asked", "status"))["methods"], {"echo": {"paused": False}})
        self.assertIsInstance((await client.ask("s.asked", "links"))["links"], list)
        await client.ask("s.asked", "pause", {"method": "echo"})
        self.assertEqual(await heard.get(), (client.id, "echo", True))
        await client.ask("s.asked", "resume")
        for arguments, kind, words in WRONG:
            with self.subTest(arguments), self.assertRaisesRegex(kind, words):
                await client.ask(*arguments)
        with self.assertRaises(clouds.NoAvailableServer):
            await client.ask("s.nobody", "ping")
        await client.ask("s.asked", "stop", {"drain": 0})
        await server.run()
        self.assertTrue(server.closed)
        await client.close()


if __name__ == "__main__":
    unittest.main()
