"""Wrong input of every kind says what is wrong, before anything is sent."""
import asyncio
import inspect
import math
import os
import unittest

from support import PythonCase

import clouds

FACES = ((clouds.Client, clouds.Server, clouds.Monitor, clouds.Base),
         (clouds.aio.Client, clouds.aio.Server, clouds.aio.Monitor, clouds.aio.Base))


NO_OPTIONS = ("value", "fn", "handler")  # a default makes no option of it
NOT_WALKED = ("configure",)  # as a node is made: test_unknown


class Options(PythonCase):

    def refused(self, kind, words, *arguments, **options):
        for face in FACES:
            for node in face:
                self.raises(kind, words, node, *arguments, **options)

    def test_unknown(self):
        self.refused(TypeError, "unknown option 'hartbeat'; did you mean 'heartbeat'?", self.url, hartbeat=1)
        self.refused(TypeError, "docs/CONFIGURATION.md lists them", self.url, zzzz=1)
        for hidden in ("mode", "retries", "user_data"):
            self.refused(TypeError, "unknown option", self.url, **{hidden: 1})

    def test_unknown_of_functions(self):
        """Every function with options refuses one that it has not, by name, with the one that was meant."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        walked = set()

        async def awaited(result):
            await result

        def use(node, name, arguments, options):
            result = getattr(node, name)(*arguments, **options)
            if inspect.isawaitable(result):
                loop.run_until_complete(awaited(result))

        async def make(kind):
            return kind(self.url)

        nodes = [self.node("Server")] + [loop.run_until_complete(make(clouds.aio.Server))]
        for node in nodes:
            for name, function in inspect.getmembers(type(node), inspect.isfunction):
                parameters = inspect.signature(function).parameters.values()
                known = [one.name for one in parameters if one.default is not one.empty and one.name not in NO_OPTIONS]
                if name.startswith("_") or not known or name in NOT_WALKED:
                    continue
                walked.add(name)
                needed = [one for one in parameters
                          if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD][1:]
                for option in known:
                    self.raises(TypeError, f"unknown option '{option}s'; did you mean '{option}'?", use,
                                node, name, ["x"] * len(needed), {option + "s": 1})
                self.raises(TypeError, "unknown option 'zzzz'; expected", use, node, name, ["x"] * len(needed), {"zzzz": 1})
        self.assertEqual(walked, {"call", "bind", "notify", "send", "publish", "subscribe", "watch", "status", "links", "stats",
                                  "explain", "ask", "ping", "ready", "close", "register", "unregister", "pause", "resume"})
        self.raises(TypeError, "unknown option 'worker'; did you mean 'workers'?", clouds.Client, self.url, worker=1)
        loop.run_until_complete(nodes[1].close())

    def test_types(self):
        self.refused(TypeError, "option 'timeout': expected a number, got 'x'", self.url, timeout="x")
        self.refused(TypeError, "option 'timeout': expected a number, got True", self.url, timeout=True)
        self.refused(TypeError, "option 'auto_clean': expected True or False", self.url, auto_clean=1)
        self.refused(TypeError, "option 'id': expected text", self.url, id=5)
        self.refused(TypeError, "option 'find_server': expected a function, got True", self.url, find_server=True)
        self.refused(TypeError, "expected an address as text, got 5", 5)

    def test_values(self):
        self.refused(clouds.InvalidUrl, "not a valid url", "nonsense")
        self.refused(clouds.InvalidOption, "a:b", self.url, id="a:b")
        self.refused(TypeError, "option 'timeout': expected a number, got nan", self.url, timeout=math.nan)
        self.refused(clouds.InvalidOption, "max_in_flight", self.url, max_in_flight=-1)
        self.refused(ValueError, "retry: expected a whole number from 0", self.url, retry=-1)
        self.refused(ValueError, "NUL", self.url, id="a\0b")

    def test_workers(self):
        for bad in (0, -1, "4", 1.5, True):
            self.raises(ValueError, "workers: expected a whole number", clouds.Server, self.url, workers=bad)

    def test_good_ones(self):
        node = self.node("Client", id="c.mine", timeout=3, retry=2, heartbeat=None, prefix="other", auto_clean=False)
        self.assertEqual(node.id, "c.mine")
        self.assertEqual(self.node("Base", type="worker").id[0], "w")
        for kind, letter in (("Client", "c"), ("Server", "s"), ("Monitor", "m"), ("Base", "b")):
            self.assertEqual(self.node(kind).id[:2], letter + ".")
        self.assertIn("c.mine", repr(node))

    def test_address(self):
        server = self.node("Server", url=self.url)
        server.register("here", lambda: "yes")
        server.ready()
        os.environ["CLOUDS_URL"] = self.url
        try:
            with clouds.Client() as client:
                self.assertEqual(client.call("here"), "yes")
            with clouds.Client(url=None) as client:
                self.assertEqual(client.call("here"), "yes")
        finally:
            del os.environ["CLOUDS_URL"]
        with clouds.Client(url=self.url) as client:
            self.assertEqual(client.call("here"), "yes")
        with clouds.Client("inproc:another") as client:
            self.assertRaises(clouds.NoAvailableServer, client.call, "here")

    def test_of_a_call(self):
        for node in (self.node("Client"), clouds.aio.Client(self.url)):
            for fn in (node.call, node.bind):
                self.raises(TypeError, "expected the name of a method, got 5", fn, 5)
                self.raises(TypeError, "expected the name of a method, got b'x'", fn, b"x")
                self.raises(TypeError, "timeout: expected a number of seconds", fn, "m", timeout="1")
                self.raises(TypeError, "deadline: expected a number of seconds", fn, "m", deadline=True)
                self.raises(ValueError, "timeout: expected a number of seconds, 0 or more", fn, "m", timeout=-1)
                self.raises(ValueError, "timeout: expected", fn, "m", timeout=math.nan)
                self.raises(TypeError, "retry: expected a whole number", fn, "m", retry=1.5)
                self.raises(ValueError, "retry: expected a whole number from 0", fn, "m", retry=-1)
                self.raises(TypeError, "server: expected the id of a node", fn, "m", server=5)
                self.raises(TypeError, "unknown option 'timeuot'; did you mean 'timeout'?", fn, "m", timeuot=1)
            self.raises(TypeError, "on_retry: expected a function", node.bind, "m", on_retry=5)
            node._handle.destroy()

    def test_of_a_handler_and_a_listener(self):
        for node in (self.node("Server"), clouds.aio.Server(self.url)):
            self.raises(TypeError, "expected a function, got 5", node.register, "m", 5)
            self.raises(TypeError, "expected the name of a method", node.register, 5, print)
            self.raises(clouds.InvalidArgument, "", node.register, "", print)
            self.raises(clouds.InvalidArgument, "", node.register, "x" * 200, print)
            self.raises(ValueError, "no such event: 'massage'; expected one of message", node.on, "massage")
            self.raises(TypeError, "expected a function", node.on, "message", 5)
            self.assertEqual(node._methods, {})
            node._handle.destroy()
        for client in (clouds.Client, clouds.aio.Client):
            self.assertFalse(hasattr(client, "register"))

    def test_empty_names(self):
        client = self.node("Client")
        self.assertRaises(clouds.InvalidArgument, client.call, "")
        self.assertRaises(clouds.InvalidArgument, client.send, "", 1)
        self.raises(TypeError, "expected the id of a node", client.send, None, 1)

    def test_configure(self):
        client = self.node("Client")
        client.configure(timeout=1, retry=1)
        self.assertRaises(clouds.NoAvailableServer, client.call, "nobody")
        self.assertEqual(client.counters()["retries"], 1)
        self.raises(TypeError, "unknown option", client.configure, nonsense=1)
        self.raises(TypeError, "belongs to the connection", client.configure, prefix="x")
        self.raises(TypeError, "belongs to the connection", client.configure, url="local:")
        self.assertRaises(clouds.InvalidOption, client.configure, id="x")


if __name__ == "__main__":
    unittest.main()
