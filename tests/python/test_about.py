"""Who answered: the keyword `about` of a call, on every bus."""
import threading
import unittest

from support import BOUND, AsyncCase, PythonCase, over_each_bus, wait_until

import clouds
from clouds import aio

IDS = ["s.first", "s.second"]


def serve(server):
    """A method that gives the id of its server, and one that fails with it."""
    def refuse():
        raise clouds.ServiceError(server.id, code="E_NO", more={"server": "mine"})
    server.register("who", lambda: server.id)
    server.register("refuse", refuse)


class About(PythonCase):

    def open(self):
        servers = [self.node("Server", id=id) for id in IDS]
        for server in servers:
            serve(server)
            server.ready()
        return (*servers, self.node("Client", timeout=20))

    def test_results_and_errors(self):
        _, _, client = self.open()
        seen = set()

        def both():
            about = {"server": "s.old", "other": 1}
            answered = client.call("who", about=about)
            self.assertEqual(about, {"server": answered, "other": 1})
            error = self.raises(clouds.ServiceError, "s.", client.call, "refuse", about=about)
            self.assertEqual((about["server"], error.server, error.more), (error.message, error.message, {"server": "mine"}))
            seen.add(answered)
            return len(seen) == 2
        wait_until(both)
        about = {}
        client.notify("who", server="s.second", about=about)
        self.assertEqual(about, {"server": "s.second"})
        self.raises(clouds.NoAvailableServer, "", client.call, "nobody", about=about)
        self.assertEqual(about, {"server": None})
        self.raises(TypeError, "about: expected a dict", client.call, "who", about=[])

    def test_who_did_not_answer_and_who_did_then(self):
        first, second, client = self.open()
        release = threading.Event()
        self.addCleanup(release.set)
        first.register("either", lambda: release.wait(BOUND))
        first.ready()
        about = {}
        self.raises(clouds.CallTimeout, "", client.call, "either", timeout=2, about=about)
        self.assertEqual(about["server"], "s.first")
        second.register("either", lambda: "answered")
        second.ready()
        wait_until(lambda: client.call("either", timeout=2, retry=5, about=about) == "answered")
        self.assertEqual(about["server"], "s.second")


over_each_bus(globals(), About)


class Asyncio(AsyncCase):

    async def test_results_and_errors(self):
        async with aio.Server(self.url, id=IDS[0]) as first, aio.Server(self.url, id=IDS[1]) as second:
            async with aio.Client(self.url, timeout=20) as client:
                for server in (first, second):
                    serve(server)
                    await server.ready()
                abouts = [{} for _ in range(20)]
                calls = [client.call("who", about=about) for about in abouts]
                self.assertEqual(abouts[0], {"server": None})
                answered = [await call for call in calls]
                self.assertEqual([about["server"] for about in abouts], answered)
                self.assertEqual(sorted(set(answered)), IDS)
                about = {}
                error = await self.raises_in(clouds.ServiceError, "s.", client.call("refuse", about=about))
                self.assertEqual((about["server"], error.server), (error.message, error.message))
                await client.notify("who", server="s.second", about=about)
                self.assertEqual(about["server"], "s.second")
                await self.raises_in(clouds.NoAvailableServer, "", client.call("nobody", about=about))
                self.assertIsNone(about["server"])


if __name__ == "__main__":
    unittest.main()
