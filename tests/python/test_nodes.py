"""Messages, status, ready, close, up and down, and the choice of a server taken over, in the sync face."""
import asyncio
import json
import threading
import time
import unittest
from concurrent.futures import Future
from types import SimpleNamespace

from support import BOUND, PythonCase, over_each_bus, wait_until

import clouds
from clouds import _abi
from clouds._library import lib
from clouds._operations import Operation, Operations


class Nodes(PythonCase):

    def test_messages(self):
        one, two = self.node("Base"), self.node("Client")
        got = []

        @two.on_message
        def listen(sender, value):
            got.append((sender, value))

        two.ready(BOUND)
        one.ready(BOUND)
        self.assertIsNone(one.send(two.id, {"a": [None, 1.5]}))
        one.send(two.id)
        self.assertEqual(one.send(two.id, "last", confirm=True), 1)
        wait_until(lambda: len(got) == 3)
        self.assertEqual(got, [(one.id, {"a": [None, 1.5]}), (one.id, None), (one.id, "last")])
        self.assertEqual(one.send("b.nobody.1.1", 1, confirm=True), 0)
        self.raises(TypeError, "object of type set", one.send, two.id, {1})
        two.off("message", listen)
        one.send(two.id, 1, confirm=True)
        two.send(two.id, 1, confirm=True)
        self.assertEqual(len(got), 3)

    def test_a_listener_that_fails_and_an_async_one(self):
        node, got = self.node("Base"), []
        node.on("message", lambda *_: 1 / 0)

        @node.on_message
        async def listen(_, value):
            got.append((value, threading.current_thread().name))

        node.ready(BOUND)
        with self.assertLogs("clouds", "ERROR"):
            node.send(node.id, 1)
            wait_until(lambda: got)
        self.assertEqual(got, [(1, "clouds-async")])

    def test_a_listener_may_wait(self):
        server, node, got = self.node("Server"), self.node("Base"), []
        server.register("one", lambda: 1)
        server.ready(BOUND)
        node.on_message(lambda *_: got.append((node.call("one"), node.status()["methods"])))
        node.ready(BOUND)
        node.send(node.id)
        wait_until(lambda: got)
        self.assertEqual(got, [(1, {"one": [server.id]})])

    def test_status(self):
        server, monitor = self.node("Server"), self.node("Monitor")
        self.assertEqual(monitor.status(), {"servers": {}, "methods": {}})
        for name in ("a", "b"):
            server.register(name, print)
        server.ready(BOUND)
        status = monitor.status()
        self.assertEqual(status["methods"], {"a": [server.id], "b": [server.id]})
        self.assertEqual(sorted(status["servers"][server.id]), ["a", "b"])
        server.close()
        wait_until(lambda: not monitor.status()["servers"])

    def test_links(self):
        server, client = self.node("Server"), self.node("Client")
        server.register("linked", lambda: 1)
        server.ready(BOUND)
        self.assertEqual(client.call("linked"), 1)
        ours = [link for link in client.links(timeout=BOUND) if link["ours"] and link["peer"] == server.id]
        self.assertEqual(len(ours), self.url.startswith("local"))  # within a process there are links over local: only
        for link in ours:
            self.assertEqual((link["state"], link["security"], link["in_flight"], link["unwritten"]), ("open", "user", 0, 0))
            self.assertTrue(link["age"] >= 0 and link["address"].startswith("unix:/"), link)

    def test_stats(self):
        server, client = self.node("Server", stats=True), self.node("Client", stats=True)
        server.register("counted", lambda: 1)
        server.ready(BOUND)
        self.assertEqual(client.call("counted"), 1)
        with self.assertRaises(clouds.NoAvailableServer):
            client.call("nobody.has.this")
        stats = client.stats(timeout=BOUND)
        self.assertEqual((stats["bounds"][0], stats["bounds"][-1], len(stats["bounds"])), (0.0005, 10, 14))
        ended = {name: {kind: tally[kind] for kind in ("open", "ok", "app_error", "not_done", "unknown")}
                 for name, tally in ((name, found["calls"]) for name, found in stats["methods"].items())}
        nothing = {"open": 0, "ok": 0, "app_error": 0, "not_done": 0, "unknown": 0}
        self.assertEqual(ended, {"counted": {**nothing, "ok": 1}, "nobody.has.this": {**nothing, "not_done": 1}})
        wait_until(lambda: server.stats()["methods"]["counted"]["requests"]["ok"] == 1)
        self.assertEqual(sum(server.stats()["methods"]["counted"]["requests"]["took"]), 1)
        with self.assertRaisesRegex(clouds.NotSupported, "context option stats"):
            self.node("Client").stats()

    def test_ready(self):
        node, told = self.node("Base"), []
        node.on("ready", lambda: told.append("before"))
        node.ready()
        node.ready(BOUND)
        wait_until(lambda: told)
        node.on("ready", lambda: told.append("after"))
        wait_until(lambda: len(told) == 2)
        self.assertEqual(told, ["before", "after"])

    def test_exit(self):
        node, told = self.node("Server"), []
        node.on("exit", told.append)
        node.ready(BOUND)
        node.close()
        wait_until(lambda: told == [0])

    def test_find_server(self):
        servers = [self.node("Server", id=f"s.{i}") for i in range(3)]
        for server in servers:
            server.register("who", lambda server=server: server.id)
            server.ready(BOUND)
        asked, saved = [], []

        def find_server(method, known):
            asked.append((method, sorted(known)))
            return "s.1"

        async def later(*_):
            return "s.2"

        client = self.node("Client", find_server=find_server, save_servers=lambda *what: saved.append(what), timeout=20)
        self.assertEqual([client.call("who") for _ in range(5)], ["s.1"] * 5)
        self.assertEqual(asked[-1], ("who", ["s.0", "s.1", "s.2"]))
        wait_until(lambda: saved)
        self.assertEqual((saved[0][0], sorted(saved[0][1])), ("who", ["s.0", "s.1", "s.2"]))
        client.configure(find_server=lambda *_: "s.2")
        self.assertEqual(client.call("who"), "s.2")
        client.configure(find_server=later)
        self.assertEqual(client.call("who"), "s.2")
        client.configure(find_server=None)
        self.assertEqual({client.call("who") for _ in range(6)}, {"s.0", "s.1", "s.2"})
        client.configure(find_server=lambda *_: None)
        self.assertRaises(clouds.NoAvailableServer, client.call, "who")
        with self.assertLogs("clouds", "ERROR"):
            client.configure(find_server=lambda *_: 1 / 0)
            self.assertRaises(clouds.NoAvailableServer, client.call, "who")
        for bad in (5, b"s.1", "\ud800"):
            with self.assertLogs("clouds", "ERROR") as said:
                client.configure(find_server=lambda *_, bad=bad: bad)
                self.assertRaises(clouds.NoAvailableServer, client.call, "who")
            self.assertIn(f"find_server gave {bad!r}: expected the id of a node, or None", said.output[0])

    def test_an_operation_in_the_middle_of_another(self):
        """As a signal's handler or a finalizer begins it."""
        node, inner = self.node("Base"), []

        def interrupted(*arguments):
            inner.append(node.status())
            node.ready()
            return lib.clouds_node_status(*arguments)
        node.ready()
        self.assertEqual(node._begin(interrupted).result(BOUND), {"servers": {}, "methods": {}})
        self.assertEqual(inner, [{"servers": {}, "methods": {}}])

    def test_an_operation_that_ends_before_it_is_noted(self):
        node = self.node("Base")
        node.ready()

        def slow(*arguments):
            code = lib.clouds_node_status(*arguments)
            wait_until(lambda: node._operations._pending, "its event")
            return code
        self.assertEqual(node._begin(slow).result(BOUND), {"servers": {}, "methods": {}})
        self.assertEqual(node._operations._pending, {})

    def test_an_operation_that_meets_its_event_while_all_of_them_end(self):
        operations, future = Operations(), Future()

        class Pending(dict):
            def setdefault(self, number, mine):
                other = super().setdefault(number, mine)
                operations.fail(clouds.Closed())  # as another thread does it just now
                return other
        operations._pending = Pending({1: SimpleNamespace(id=1, code=0, type=_abi.CLOUDS_EVENT_UNREGISTERED)})
        operations.begun(1, Operation(future))
        self.assertTrue(future.done())


class Connection(PythonCase):
    bus = "redis"

    def test_down_and_up(self):
        server = self.redis()
        node, told = self.node("Base", url=server.url, reconnect_max=0.2), []
        node.on("down", lambda problem: told.append(problem))
        node.on("up", lambda: told.append("up"))
        wait_until(lambda: told)
        self.assertEqual(told, ["up"])
        node.on("up", lambda: told.append("late"))
        wait_until(lambda: told == ["up", "late"])
        self.assertTrue(node.connected)
        told.clear()
        server.kill()
        wait_until(lambda: told)
        self.assertIsInstance(told[0], clouds.Error)
        self.assertFalse(node.connected)
        self.raises(clouds.Error, "", node.ping, 0.2)
        server.start()
        wait_until(lambda: "up" in told)
        self.assertTrue(node.connected)
        self.assertGreaterEqual(node.ping(BOUND), 0)
        node.close()
        self.assertFalse(node.connected)

    def test_down_is_logged_once(self):
        with self.assertLogs("clouds", "WARNING") as said:
            node = self.node("Client", url="redis+unix://" + self.folder + "/nothing", reconnect_max=0.05)
            wait_until(lambda: said.output, "it says so")
            self.raises(clouds.Timeout, "not ready within 0.5 s: CLOUDS_UNREACHABLE", node.ready, 0.5)
            problem = self.raises(clouds.Error, "", node.call, "x", timeout=0.2)
        self.assertEqual(len(said.output), 1, said.output)
        self.assertIn("/nothing: no such file or directory", said.output[0])
        self.assertEqual(problem.outcome, "NOT_DONE")

    def test_no_wait_is_without_a_limit(self):
        node = self.node("Server", url="redis+unix:///nowhere", operation_timeout=0.1, log_level="off")
        node.register("x", print)
        wait_until(lambda: "nowhere" in str(self.raises(clouds.Error, "", node.ping)), "it is known why")
        for wait in (node.ready, node.status, node.ping, lambda: node.send("c.x", 1, confirm=True)):
            self.raises(clouds.Error, "nowhere", wait)
        self.assertEqual(node._waiting, [])
        node.configure(operation_timeout=0.2)
        self.assertIn("not ready within 0.2 s", str(self.raises(clouds.Timeout, "nowhere", node.ready)))

        async def ready():
            async with clouds.aio.Client("redis+unix:///nowhere", operation_timeout=0.1, log_level="off") as own:
                known = asyncio.Event()
                own.on("down", lambda _: known.set())
                await asyncio.wait_for(known.wait(), BOUND)
                for wait in (own.ready, own.status, own.ping):
                    with self.assertRaisesRegex(clouds.Error, "nowhere"):
                        await wait()
                self.assertEqual(own._waiting, [])
        asyncio.run(ready())

    def test_a_loss_and_its_return_are_logged_once_each(self):
        server = self.redis()
        with self.assertLogs("clouds", "INFO") as said:
            node = self.node("Client", url=server.url, reconnect_max=0.05)
            node.ready(BOUND)
            wait_until(lambda: len(said.output) == 1)
            server.kill()
            wait_until(lambda: not node.connected)
            server.start()
            wait_until(lambda: "connected again" in said.output[-1])
        words = [line.partition(server.url.partition("//")[0])[2] for line in said.output]
        self.assertEqual(len([line for line in words if line.endswith("connected again")]), 1, words)
        self.assertEqual(len([line for line in words if "closed by the peer" in line]), 1, words)
        self.assertEqual(said.records[0].levelname, "INFO")
        self.assertIsInstance(said.records[0].clouds, dict)

    def test_redis_hangs(self):
        """Every wait ends when it should, and says what is known; so does closing."""
        server = self.redis()
        patient = {"url": server.url, "ping_interval": 1000, "ping_timeout": 1000, "connect_timeout": 1000}
        node, other = self.node("Server", **patient), self.node("Client", **patient)
        node.register("add", print)
        node.ready(BOUND)
        other.ready(BOUND)

        async def close():
            async with clouds.aio.Server(**patient) as own:
                own.register("own", print)
                await own.ready()
                server.pause()
                with self.assertRaises(clouds.Timeout):
                    await own.status(0.1)
                call = own.call("nobody")
                await own.close(0)
                return call.exception()
        self.addCleanup(server.resume)
        begin = time.monotonic()
        self.assertIsInstance(asyncio.run(close()), clouds.Error)
        for wait, words, about in (
                (node.status, "no status on redis", node.id),
                (node.ping, "the bus did not answer within 0.1 s", node.id),
                (lambda timeout: node.unregister("add", timeout=timeout), "cannot unregister add on redis", node.id)):
            problem = self.raises(clouds.Timeout, words, wait, 0.1)
            self.assertEqual(problem.node, about)
        self.assertIsNone(node.send(other.id, 1, confirm=True, timeout=1))  # sent; who got it is not known
        self.raises(clouds.InvalidArgument, "no method 'add' is registered", node.unregister, "add")
        node.close(0)
        other.close(0)
        self.assertLess(time.monotonic() - begin, BOUND)

    def test_what_a_user_of_redis_may_not_is_logged(self):
        server = self.redis()
        server.command("ACL", "SETUSER", "weak", "on", ">pw", "~*", "&*", "+@all", "-publish")
        self.node("Server", url=server.url).register("add", lambda a, b: a + b)
        with self.assertLogs("clouds", "WARNING") as said:
            client = self.node("Client", url=server.url.replace("//", "//weak:pw@"))
            self.raises(clouds.Error, "", client.call, "add", 1, 2, timeout=2, retry=1)
            wait_until(lambda: any("publish" in line.lower() for line in said.output), "a word of it")

    def test_the_level_of_the_log(self):
        with self.assertNoLogs("clouds"):
            node = self.node("Client", url="redis+unix:///nowhere", log_level="off")
            self.raises(clouds.Error, "", node.call, "x", timeout=0.2)

    def test_wrong_password(self):
        server = self.redis()
        server.command("CONFIG", "SET", "requirepass", "secret")
        with self.assertLogs("clouds", "WARNING") as said:
            self.node("Client", url=server.url)
            wait_until(lambda: said.output, "it says so")
        self.assertIn("NOAUTH", said.output[0])

        async def told():
            async with clouds.aio.Client(server.url) as node:  # nothing happens before this turn ends
                problem = asyncio.get_running_loop().create_future()
                node.on("down", lambda one: problem.done() or problem.set_result(one))
                return await asyncio.wait_for(problem, BOUND)
        problem = asyncio.run(told())
        self.assertIs(type(problem), clouds.AuthFailed)
        self.assertIn("NOAUTH", str(problem))

    def test_unknown_messages(self):
        server, got = self.redis(), []
        node = self.node("Base", url=server.url)
        node.on("unknown message", lambda *arguments: got.append(arguments))
        node.on("unknown_message", lambda *arguments: got.append(arguments))
        node.ready(BOUND)
        text = json.dumps({"t": "zz", "s": "c.somebody", "d": {"x": [1]}})
        self.assertEqual(server.command("PUBLISH", f"clouds:L:{node.id}", text), 1)
        wait_until(lambda: len(got) == 2)
        self.assertEqual(got, [("zz", "c.somebody", {"x": [1]}, text)] * 2)


over_each_bus(globals(), Nodes)

if __name__ == "__main__":
    unittest.main()
