"""Which server is called: weights, tags, on every bus."""
import unittest

from support import AsyncCase, PythonCase, over_each_bus, wait_until

import clouds
from clouds import aio


class Choosing(PythonCase):

    def serve(self, name, **options):
        server = self.node("Server", id=f"s.{name}", **options)
        server.register("who", lambda: name)
        server.ready()
        return server

    def caller(self, *known, **options):
        """A client that knows these servers."""
        client = self.node("Client", timeout=20, **options)
        missing = set(known)

        def seen():
            missing.discard(client.call("who"))
            return not missing
        wait_until(seen)
        return client

    def shares(self, client, calls):
        shares = {}
        for _ in range(calls):
            name = client.call("who")
            shares[name] = shares.get(name, 0) + 1
        return shares

    def test_turns_go_by_weight(self):
        heavy = self.serve("heavy", weight=3)
        self.serve("light")
        client = self.caller("heavy", "light")
        self.assertEqual(self.shares(client, 200), {"heavy": 150, "light": 50})
        heavy.configure(weight=9)
        wait_until(lambda: self.shares(client, 10) == {"heavy": 9, "light": 1})
        heavy.configure(weight=1)
        wait_until(lambda: self.shares(client, 10) == {"heavy": 5, "light": 5})

    def test_who_is_near(self):
        near = self.serve("near", tags="zone=a,host=x")
        self.serve("far", tags="zone=b,host=y", weight=50)
        self.serve("nowhere")
        self.caller("near", "far", "nowhere")
        client = self.node("Client", timeout=20, tags="zone=a", prefer="zone")
        wait_until(lambda: self.shares(client, 1) == {"near": 1})
        self.assertEqual(self.shares(client, 50), {"near": 50})
        near.pause()
        wait_until(lambda: "near" not in self.shares(client, 1))
        self.assertNotIn("near", self.shares(client, 50))
        near.resume()
        wait_until(lambda: "near" in self.shares(client, 1))
        self.assertEqual(self.shares(client, 50), {"near": 50})


    def says_host(self):
        """Where all are on one machine anyway, nobody says on which."""
        return not self.url.startswith(("inproc", "local"))

    def test_who_is_on_the_same_machine(self):
        here = self.serve("here")
        self.serve("there", tags="host=another")
        client = self.caller("here", prefer="host") if self.says_host() else self.caller("here", "there", prefer="host")
        tags = {one["id"]: one["tags"] for one in client.explain("who")["servers"]}
        self.assertEqual(tags["s.there"], {"host": "another"})
        if self.says_host():
            self.assertRegex(tags["s.here"]["host"], "^[0-9a-f]{12}$")
            self.assertEqual(self.shares(client, 20), {"here": 20})
            self.assertNotIn("states", client.status())
        else:
            self.assertEqual(tags["s.here"], {})
        here.close()
        wait_until(lambda: self.shares(client, 1) == {"there": 1})

    def test_status(self):
        heavy = self.serve("heavy", weight=3, tags="zone=a,host=x")
        self.serve("light")
        server = self.node("Server", id="s.limits")
        server.register("limited", lambda: 1, concurrency=2, rate=100, burst=10)
        server.ready()
        heavy.pause("who")
        monitor = self.node("Monitor")
        expected = {"s.heavy": {"paused": ["who"], "weight": 3, "tags": {"zone": "a", "host": "x"}}}
        found = wait_until(lambda: (lambda f: f.get("states") == expected and f)(monitor.status()))
        self.assertEqual(sorted(found["methods"]["who"]), ["s.heavy", "s.light"])
        self.assertNotIn("own", found)
        own = server.status()["own"]
        self.assertEqual(own, {"s.limits": {"state": "ready", "methods": {"limited": {
            "paused": False, "running": 0, "waiting": 0, "concurrency": 2, "queue": 1000, "rate": 100, "burst": 10,
            "tokens": 10}}}})
        self.assertEqual(heavy.status()["own"]["s.heavy"]["methods"], {"who": {"paused": True}})

    def test_peer_events(self):
        one, two = self.serve("one"), self.serve("two")
        told = []
        client = self.caller("one", "two", peer_events=True)
        client.on("peer", lambda *what: told.append(what))
        one.pause("who")
        wait_until(lambda: ("s.one", "paused", "who") in told)
        one.resume("who")
        wait_until(lambda: ("s.one", "well", "who") in told)
        two.unregister("who")
        wait_until(lambda: ("s.two", "gone", "who") in told)
        one.close()
        wait_until(lambda: told[-1][:2] in (("s.one", "draining"), ("s.one", "gone")))
        self.assertEqual({state for name, state, method in told if name == "s.two"}, {"gone"})
        quiet = []
        other = self.node("Client")
        other.on("peer", quiet.append)
        self.assertEqual(quiet, [])

    def test_throttle(self):
        server = self.node("Server")
        server.register("rated", lambda: "done", rate=0.001, burst=1)
        server.ready()
        client = self.node("Client", timeout=20, throttle=True)
        self.assertEqual(wait_until(lambda: client.call("rated", retry=5)), "done")
        reasons = set()

        def refused():
            with self.assertRaises(clouds.Overloaded) as caught:
                client.call("rated")
            self.assertEqual(caught.exception.outcome, "NOT_DONE")
            reasons.add(caught.exception.reason)
            return "throttle" in reasons
        wait_until(refused)
        self.assertEqual(reasons, {"rate", "throttle"})
        wait_until(lambda: client.counters()["throttled_calls"] >= 1)

    def test_explain(self):
        self.serve("near", tags="zone=a,host=x", weight=2)
        far = self.serve("far")
        self.caller("near", "far")
        client = self.caller("near", tags="zone=a", prefer="zone", balance="least")
        far.pause("who")
        found = wait_until(lambda: (lambda f: len(f["servers"]) == 2 and "paused" in str(f) and f)(client.explain("who")))
        self.assertEqual((found["method"], found["bus"], found["balance"], found["prefer"]), ("who", "up", "least", "zone=a"))
        self.assertEqual(found["choice"], {"server": "s.near", "rule": "near", "among": 1})
        near, other = found["servers"]
        self.assertEqual((near["id"], near["state"], near["breaker"], near["in_flight"], near["strikes"], near["weight"],
                          near["tags"], near["near"]),
                         ("s.near", "well", "closed", 0, 0, 2, {"zone": "a", "host": "x"}, True))
        self.assertGreater(near["latency"], 0)
        self.assertEqual((other["id"], other["state"], other["weight"], sorted(other["tags"]), other["near"]),
                         ("s.far", "paused", 1, ["host"] if self.says_host() else [], False))
        self.assertEqual(client.explain("nobody")["choice"], {"rule": "none", "among": 0})


over_each_bus(globals(), Choosing)


class Asyncio(AsyncCase):

    async def test_explain(self):
        async with aio.Server(self.url, id="s.one") as server, aio.Client(self.url) as client:
            server.register("who", lambda: "one")
            await server.ready()
            found = await client.explain("who", timeout=20)
            self.assertEqual(found["choice"], {"server": "s.one", "rule": "well", "among": 1})
            with self.assertRaises(TypeError):
                await client.explain(7)


class Options(PythonCase):

    def test_what_no_option_can_be(self):
        for options, words in (({"weight": 0}, "weight"), ({"weight": 1001}, "weight"), ({"weight": 1.5}, "weight"),
                               ({"tags": "zone"}, "name=value"), ({"tags": "zone=a,zone=b"}, "none twice"),
                               ({"tags": "zone=a b"}, "option 'tags'"), ({"tags": "z=" + "v" * 65}, "option 'tags'"),
                               ({"prefer": "zone"}, "among the node's own tags"),
                               ({"prefer": "zone", "tags": "host=x"}, "option 'prefer'")):
            with self.subTest(options=options):
                self.raises(clouds.InvalidOption, words, self.node, "Client", **options)
        client = self.node("Client")
        self.raises(clouds.InvalidOption, "tags", client.configure, tags="zone=a")


if __name__ == "__main__":
    unittest.main()
