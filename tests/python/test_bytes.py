"""Bytes as arguments, results, messages and what is published, in both faces."""
import asyncio
import unittest

from support import BOUND, AsyncCase, PythonCase, over_each_bus, wait_until

import clouds
from clouds import aio
from clouds._bytes import WithBytes
from clouds._values import decode_along, encode_list, with_bytes

BIG = bytes(range(256)) * 4000

# Each comes back as it was sent, what looks like bytes too.
LISTS = (
    (b"\0\1\xff\xfe",),
    (b"",),
    (b"", b""),
    (b"one", 1, b"two", "three", {"a": [b"four", {"b": b""}]}),
    ({"$bytes": [0, 3]},),
    ({"$$bytes": 1},),
    ({"$bytes": [0, 3]}, b"abc"),
    (b"abc", {"$bytes": [0, 3]}, {"$$$bytes": b"x"}, {"$bytes": {"$bytes": 1}}, {"$bytes": b"y"}),
    (b"abc", {"$bytes": [0, 3], "other": 1}, {"bytes": 1}, {"$": 1}, {"\ud800$bytes": 1}),
    (2 ** 60, b"abc", 0.5, None, True, "\ud800"),
    (BIG,),
)


class Codec(unittest.TestCase):
    def test_what_is_sent(self):
        for values, json, area in (
                ((b"ab", [b"", b"c"]), '[{"$bytes":[0,2]},[{"$bytes":[2,0]},{"$bytes":[2,1]}]]', b"abc"),
                ((b"",), '[{"$bytes":[0,0]}]', b"\0"),
                (({"$bytes": 1}, b"a"), '[{"$$bytes":1},{"$bytes":[0,1]}]', b"a")):
            text = encode_list(values, with_bytes)
            self.assertIsInstance(text, WithBytes)
            self.assertEqual((text.decode(), text.area), (json, area))
        for values in (({"$bytes": [0, 3]},), (1, "a"), (2 ** 60,)):
            self.assertIs(type(encode_list(values, with_bytes)), bytes)

    def test_every_kind_of_bytes(self):
        view = memoryview(b"abcdef")
        for value, arrives in ((bytearray(b"ab"), b"ab"), (view[1:3], b"bc"), (view[::2], b"ace"), (b"x", b"x")):
            text = encode_list((value,), with_bytes)
            self.assertEqual(decode_along(text.decode(), text.area), [arrives])
            self.assertIs(type(decode_along(text.decode(), text.area)[0]), bytes)

    def test_what_leads_nowhere_is_an_object(self):
        for text in ('{"$bytes":[0,4]}', '{"$bytes":[4,0]}', '{"$bytes":[0]}', '{"$bytes":[0,1,1]}', '{"$bytes":[-1,1]}',
                     '{"$bytes":[0.5,1]}', '{"$bytes":["0",1]}', '{"$bytes":[true,1]}', '{"$bytes":null}',
                     '{"$bytes":[0,1],"a":1}', '{"$bytes":[1e300,1]}'):
            self.assertEqual(decode_along(text, b"abc"), decode_along(text, b""))
        self.assertEqual(decode_along('{"$$bytes":[0,1]}', b"abc"), {"$bytes": [0, 1]})
        self.assertEqual(decode_along('{"$bytes":[3,0]}', b"abc"), b"")

    def test_where_bytes_cannot_be(self):
        for value in (b"x", bytearray(b"x"), memoryview(b"x")):
            with self.assertRaises(TypeError) as caught:
                encode_list([1, {"data": value}])
            self.assertEqual(str(caught.exception),
                             f"cannot send {type(value).__name__} at [1]['data']: only arguments, results, messages and what "
                             "is published may have bytes")


class Sync(PythonCase):
    def pair(self):
        server, client = self.node("Server"), self.node("Client")
        server.register("echo", lambda *values: clouds.Values(*values))
        server.ready(BOUND)
        client.ready(BOUND)
        return server, client

    def same(self, given, values):
        self.assertEqual(given if isinstance(given, clouds.Values) else (given,), values)

    def test_arguments_and_results(self):
        server, client = self.pair()
        bound = client.bind("echo", timeout=BOUND)
        for values in LISTS:
            self.same(client.call("echo", *values), values)
            self.same(client.call("echo", *values, meta={"a": 1}), values)
            self.same(bound(*values), values)
        self.assertEqual(client.call("echo", bytearray(b"ab"), memoryview(b"cd")), clouds.Values(b"ab", b"cd"))

    def test_on_behalf_of_a_request_and_answered_later(self):
        server, client = self.pair()
        server.register("through", lambda *values: server.call("echo", *values))
        kept = []
        server.register("later", lambda: kept.append(clouds.request().detach()))
        server.ready(BOUND)
        self.same(client.call("through", b"x", {"$bytes": 1}), (b"x", {"$bytes": 1}))

        async def wait(*values):
            await asyncio.sleep(0)
            return clouds.Values(*values)
        server.register("waits", wait)
        server.ready(BOUND)
        self.same(client.call("waits", b"x", 1), (b"x", 1))

    def test_a_hook_gives_bytes_or_takes_them_away(self):
        server, client = self.pair()
        for given, values in ((None, (b"own", 1)), ([b"other", b""], (b"other", b"")), ([{"$bytes": [0, 1]}],) * 2):
            echo = client.bind("echo", on_retry=lambda *_: given)
            self.same(echo(b"own", 1), tuple(values))

    def test_messages_and_what_is_published(self):
        server, client = self.pair()
        got, heard = [], []
        server.on_message(lambda sender, value: got.append(value))
        server.subscribe("a", handler=lambda value, message: heard.append((value, message.meta)))
        server.ready(BOUND)
        for values in LISTS:
            client.send(server.id, list(values))
            client.publish("a", list(values), meta={"m": 1})
        wait_until(lambda: len(got) == len(heard) == len(LISTS))
        self.assertEqual(got, [list(values) for values in LISTS])
        self.assertEqual(heard, [(list(values), {"m": 1}) for values in LISTS])
        self.assertEqual(client.send(server.id, b"x", confirm=True), 1)
        self.assertEqual(client.publish("a", b"x", confirm=True), 1)
        with server.watch("w") as watch:
            server.ready(BOUND)
            client.publish("w", b"seen")
            self.assertEqual(watch.get(BOUND).value, b"seen")

    def test_all_of_several_topics(self):
        server, client = self.pair()
        got = []
        server.subscribe("x", "y", handler=lambda values, _: got.append(values), all=True)
        server.ready(BOUND)
        client.publish("x", {"$bytes": [0, 1]})
        client.publish("y", b"why")
        wait_until(lambda: got)
        self.assertEqual(got, [[{"$bytes": [0, 1]}, b"why"]])

    def test_errors_have_none(self):
        server, client = self.pair()

        def fail():
            raise clouds.ServiceError("with bytes", code="E_BYTES", more={"data": b"x", "kept": 1}, values=(b"x",))
        server.register("fails", fail)
        server.ready(BOUND)
        problem = self.raises(clouds.ServiceError, "with bytes", client.call, "fails")
        self.assertEqual((problem.code, problem.more, problem.values), ("E_BYTES", {"kept": 1}, ()))
        self.raises(TypeError, "cannot send bytes at [0]['a']", client.call, "echo", meta={"a": b"x"})

    def test_too_many(self):
        server, client = self.pair()
        problem = self.raises(clouds.TooBig, "max_message", client.call, "echo", b"x" * 5000000)
        self.assertEqual(problem.outcome, "NOT_DONE")
        server.register("big", lambda: b"x" * 5000000)
        server.ready(BOUND)
        problem = self.raises(clouds.ServiceError, "max_message", client.call, "big")
        self.assertEqual((problem.code, problem.outcome), ("CLOUDS_TOO_BIG", "APP_ERROR"))
        self.assertEqual(client.call("echo", b"still"), b"still")


class Async(AsyncCase):
    async def test_arguments_results_and_hooks(self):
        async with aio.Server(self.url) as server, aio.Client(self.url) as client:
            server.register("echo", lambda *values: clouds.Values(*values))

            async def later(*values):
                await asyncio.sleep(0)
                return clouds.Values(*values)
            server.register("later", later)
            await server.ready()
            for values in LISTS:
                for method in ("echo", "later"):
                    given = await client.call(method, *values)
                    self.assertEqual(given if isinstance(given, clouds.Values) else (given,), values)
            mixed = await asyncio.gather(*(client.call("echo", [i, b"%d" % i if i % 2 else i]) for i in range(200)))
            self.assertEqual(mixed, [[i, b"%d" % i if i % 2 else i] for i in range(200)])
            echo = client.bind("echo", on_retry=lambda *_: [b"other"])
            self.assertEqual(await echo(b"own"), b"other")

    async def test_messages_and_what_is_published(self):
        async with aio.Base(self.url) as here, aio.Base(self.url) as there:
            got = []
            here.on_message(lambda sender, value: got.append(value))
            await here.ready()
            async with here.watch("a") as watch:
                await here.ready()
                for values in LISTS:
                    await there.send(here.id, list(values), confirm=True)
                    await there.publish("a", list(values))
                    self.assertEqual((await watch.get()).value, list(values))
            await self.eventually(lambda: len(got) == len(LISTS))
            self.assertEqual(got, [list(values) for values in LISTS])


over_each_bus(globals(), Sync)
over_each_bus(globals(), Async)

if __name__ == "__main__":
    unittest.main()
