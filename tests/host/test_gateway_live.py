"""clouds gateway: clients that stay, by WebSocket and as event streams."""
import asyncio
import http.client
import json
import signal
import socket
import time
import unittest

import websockets

from gateway_support import ALLOW, JSON, SERVICES, Gateway, digest
from load import Load
from support import LONG, SANITIZED, free_port, wait_until


class Socket:
    """A WebSocket of the gateway: says objects, and hears them."""

    def __init__(self, port, **options):
        self.opening = websockets.connect(f"ws://127.0.0.1:{port}/ws", **{"subprotocols": ["clouds.v1"], **options})

    async def __aenter__(self):
        self.ws = await self.opening
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def say(self, **message):
        await self.ws.send(json.dumps(message))

    async def hear(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), 60))

    async def ask(self, **message):
        await self.say(**message)
        return await self.hear()

    async def closed(self):
        """The code and the reason of its end."""
        await asyncio.wait_for(self.ws.wait_closed(), 60)
        return self.ws.close_code, self.ws.close_reason


class Live(Gateway):
    def run_async(self, body):
        asyncio.run(body())

    def publish(self, topic, value):
        published = self.run_clouds("publish", topic, json.dumps(value))
        self.assertEqual(published.returncode, 0, published.stderr)


class Calls(Live):
    def test_answers_say_their_server_where_that_is_wanted(self):
        self.open(*ALLOW, "--tell-server", services=SERVICES.replace("clouds.server()", "clouds.server { id = 's.shop' }"))

        async def body():
            async with Socket(self.port) as client:
                self.assertEqual(await client.ask(id=1, call="shop.add", args=[1, 2]), {"id": 1, "results": [3], "server": "s.shop"})
                answer = await client.ask(id=2, call="shop.fail")
                self.assertEqual((answer["error"]["code"], answer["server"]), ("E_SOLD", "s.shop"))
                self.assertNotIn("server", await client.ask(id=3, call="secret.add"))
        self.run_async(body)

    def test_calls_are_answered_as_they_end(self):
        self.open(*ALLOW)

        async def body():
            async with Socket(self.port) as client:
                await client.say(id=1, call="shop.sleep", args=[0.3])
                await client.say(id="two", call="shop.add", args=[1, 2])
                self.assertEqual(await client.hear(), {"id": "two", "results": [3]})
                self.assertEqual(await client.hear(), {"id": 1, "results": ["slept"]})
                self.assertEqual(await client.ask(id=1, call="shop.nothing"), {"id": 1, "results": []})
                self.assertEqual(await client.ask(id=1.5, call="shop.echo", args=[None, {"$base64": "AP8="}]),
                                 {"id": 1.5, "results": [None, {"$base64": "AP8="}]})
                answer = await client.ask(id=2, call="shop.fail")
                self.assertEqual((answer["error"]["code"], answer["error"]["left"]), ("E_SOLD", 0))
                answer = await client.ask(id=3, call="secret.add", args=[1, 2])
                self.assertEqual((answer["error"]["code"], answer["error"]["outcome"]), ("CLOUDS_NO_SUCH_METHOD", "NOT_DONE"))
                answer = await client.ask(id=4, call="shop.sleep", args=[30], timeout=1)
                self.assertEqual(answer["error"]["outcome"], "UNKNOWN")
                self.assertNotIn("server", answer)
                first = await client.ask(id=5, call="shop.meta", key="k", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-00")
                self.assertEqual(first["results"][0]["traceparent"][:5], "00-aa")
                self.assertEqual((await client.ask(id=6, call="shop.meta", key="k"))["results"], first["results"])
        self.run_async(body)

    def test_a_call_that_is_canceled_and_one_whose_client_leaves(self):
        self.open(*ALLOW)

        async def body():
            async with Socket(self.port) as client:
                await client.say(id=1, call="shop.sleep", args=[30])
                self.service.out.wait_for("begun")
                await client.say(id=1, cancel=True)
                self.assertEqual((await client.hear())["error"]["code"], "CLOUDS_CANCELED")
                self.service.out.wait_for("canceled")
                await client.say(id=1, cancel=True)  # nothing to cancel
                await client.say(id=1, call="shop.sleep", args=[30])
                wait_until(lambda: self.service.out.text().count("begun") == 2)
            wait_until(lambda: self.service.out.text().count("canceled") == 2)
            async with Socket(self.port) as client:
                await client.say(id=1, call="shop.sleep", args=[30])
                wait_until(lambda: self.service.out.text().count("begun") == 3)
                client.ws.transport.abort()
            wait_until(lambda: self.service.out.text().count("canceled") == 3)
        self.run_async(body)

    def test_what_is_wrong_is_said(self):
        self.open(*ALLOW)

        async def body():
            async with Socket(self.port) as client:
                for message, words in (({"id": 1}, "expected one of call"), ({"call": "shop.add"}, "needs an id"), ({"id": 1, "call": 7}, "name of a method"),
                                       ({"id": 1, "call": "shop.add", "args": {}}, "expected a list"), ({"id": 1, "call": "shop.add", "arg": []}, "'arg'"),
                                       ({"id": [1], "call": "shop.add"}, "expected a number"), ({"id": "x" * 65, "call": "shop.add"}, "64 bytes"),
                                       ({"id": 1, "call": "shop.add", "send": "a"}, "expected one of"), ({"id": 1, "call": "shop.add", "timeout": 0}, "seconds"),
                                       ({"id": 1, "unsubscribe": True}, "no such subscription"), ({"id": 1, "subscribe": 5}, "expected a text"),
                                       ({"id": 1, "subscribe": "chat..x"}, "expected|allowed|empty"), ({"auth": "later"}, "expected one of")):
                    answer = await client.ask(**message)
                    self.assertRegex(answer["error"]["message"], words, message)
                    self.assertEqual(answer["error"]["outcome"], "NOT_DONE")
                await client.say(id=1, call="shop.sleep", args=[30])
                answer = await client.ask(id=1, call="shop.add", args=[1, 2])
                self.assertNotIn("id", answer)
                self.assertIn("in use", answer["error"]["message"])
                await client.say(id=1, cancel=True)
                await client.hear()
            for text, code in (("no JSON", 1008), ("[1]", 1008), ("7", 1008), (b"{}", 1003), ('"' + "x" * 1100000 + '"', 1009)):
                async with Socket(self.port) as client:
                    await client.ws.send(text)
                    self.assertEqual((await client.closed())[0], code, text[:20])
        self.run_async(body)

    def test_who_may_upgrade(self):
        self.open(*ALLOW, "--origin", "https://app.example")

        async def status(**options):
            try:
                async with websockets.connect(f"ws://127.0.0.1:{self.port}/ws", **{"subprotocols": ["clouds.v1"], **options}):
                    return 101
            except websockets.InvalidStatusCode as refused:
                return refused.status_code

        async def body():
            self.assertEqual(await status(), 101)
            self.assertEqual(await status(subprotocols=["other", "clouds.v1"], origin="https://app.example"), 101)
            self.assertEqual(await status(origin=f"http://127.0.0.1:{self.port}"), 101)
            self.assertEqual(await status(origin="https://evil.example"), 403)
            self.assertEqual(await status(origin="null"), 403)
            self.assertEqual(await status(subprotocols=["other"]), 400)
            self.assertEqual(await status(subprotocols=None), 400)
            self.assertEqual(self.ask("GET", "/ws")[0], 426)
        self.run_async(body)


class Published(Live):
    def test_what_is_published_comes_to_who_may_hear_it(self):
        self.open(*ALLOW)

        async def body():
            async with Socket(self.port) as one, Socket(self.port) as two:
                self.assertEqual(await one.ask(id=1, subscribe="chat.*"), {"id": 1, "ok": True})
                self.assertEqual(await two.ask(id="all", subscribe="chat.>"), {"id": "all", "ok": True})
                self.assertEqual(await two.ask(id=2, subscribe="chat.*"), {"id": 2, "ok": True})
                self.publish("chat.a", {"x": [1, None]})
                self.assertEqual(await one.hear(), {"sub": 1, "topic": "chat.a", "value": {"x": [1, None]}})
                heard = [await two.hear() for _ in range(2)]
                self.assertEqual(sorted(str(message["sub"]) for message in heard), ["2", "all"])
                await one.say(publish="chat.b", value="hi")
                self.assertEqual(await one.hear(), {"sub": 1, "topic": "chat.b", "value": "hi"})
                self.assertEqual([(await two.hear())["value"] for _ in range(2)], ["hi", "hi"])
                self.assertEqual(await two.ask(id=2, unsubscribe=True), {"id": 2, "ok": True})
                self.assertEqual(await two.ask(id=2, publish="chat.c"), {"id": 2, "ok": True})
                self.assertEqual(await two.hear(), {"sub": "all", "topic": "chat.c", "value": None})
                for message in ({"subscribe": ">"}, {"subscribe": "secret.a"}, {"subscribe": "*.a"}, {"publish": "chat.a.b"}, {"publish": "secret"},
                                {"publish": "chat.*"}, {"send": "s.other"}):
                    answer = await two.ask(id=9, **message)
                    self.assertIn("error", answer, message)
        self.run_async(body)

    def test_a_node_is_sent_what_is_for_it(self):
        node = self.serve("""
            local clouds = require "clouds"
            local node = clouds.server { id = "s.known" }
            node:on("message", function(from, value) print("got " .. value.text) end)
            node:ready()
            print("ready")
        """)
        self.open(*ALLOW)

        async def body():
            async with Socket(self.port) as client:
                self.assertEqual(await client.ask(id=1, send="s.known", value={"text": "hi"}), {"id": 1, "ok": True})
                node.out.wait_for("got hi")
        self.run_async(body)

    def test_so_many_subscriptions(self):
        self.open(*ALLOW, *self.config("return { subscriptions = 2 }"))

        async def body():
            async with Socket(self.port) as one, Socket(self.port) as two:
                self.assertTrue((await one.ask(id=1, subscribe="chat.a"))["ok"])
                self.assertTrue((await two.ask(id=1, subscribe="chat.a"))["ok"])
                self.assertEqual((await two.ask(id=2, subscribe="chat.b"))["error"]["code"], "CLOUDS_OVERLOADED")
                self.assertEqual(self.ask("GET", "/events?subscribe=chat.a")[0], 429)
                await one.ws.close()
                answer = {"error": {}}
                while "error" in answer:
                    answer = await two.ask(id=2, subscribe="chat.b")
        self.run_async(body)

    def test_requests_are_counted_here_too(self):
        self.open(*ALLOW, *self.config("return { rate = 0.01, burst = 3 }"))

        async def body():
            async with Socket(self.port) as client:  # one of the three
                answers = [await client.ask(id=1, call="shop.add", args=[1, 2]) for _ in range(3)]
                self.assertEqual([answer.get("results") for answer in answers], [[3], [3], None])
                self.assertGreater(answers[2]["error"]["retry_after"], 10)
        self.run_async(body)


class Tokens(Live):
    def test_who_has_a_token_says_it_in_the_head_or_first(self):
        self.open(*ALLOW, "--token-file", self.tokens(f"front {digest('t-front')} shop.meta"), *self.config("return { auth_timeout = 3 }"))

        async def body():
            async with Socket(self.port, extra_headers={"Authorization": "Bearer t-front"}) as client:
                self.assertEqual((await client.ask(id=1, call="shop.meta"))["results"][0]["caller"], "front")
            async with Socket(self.port) as client:
                await client.say(auth="t-front")
                await client.say(id=1, call="shop.meta")
                self.assertEqual(await client.hear(), {"auth": "front"})
                self.assertEqual((await client.hear())["results"][0]["caller"], "front")
                self.assertEqual((await client.ask(id=2, call="shop.add", args=[1, 2]))["error"]["code"], "CLOUDS_NO_SUCH_METHOD")
            before = self.executed()
            for first in ({"auth": "wrong"}, {"auth": 7}, {"auth": "x" * 5000}, {"id": 1, "call": "shop.meta"}, {}):
                async with Socket(self.port) as client:
                    await client.say(**first)
                    self.assertEqual((await client.closed())[0], 4401, str(first)[:50])
            async with Socket(self.port) as client:  # says nothing
                self.assertEqual((await client.closed())[0], 4401)
            with self.assertRaises(websockets.InvalidStatusCode) as refused:
                async with Socket(self.port, extra_headers={"Authorization": "Bearer wrong"}):
                    pass
            self.assertEqual(refused.exception.status_code, 401)
            self.assertEqual(self.executed(), before)
        self.run_async(body)

    def test_E2_whose_token_is_taken_back_is_let_go(self):
        lines = [f"front {digest('t-front')}", f"desk {digest('t-desk')}"]
        self.open(*ALLOW, "--token-file", self.tokens(*lines))

        async def body():
            async with Socket(self.port) as gone, Socket(self.port) as stays:
                await gone.ask(auth="t-front")
                await stays.ask(auth="t-desk")
                await gone.ask(id=1, subscribe="chat.a")
                await gone.say(id=2, call="shop.sleep", args=[30])
                self.service.out.wait_for("begun")
                stream = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                stream.request("GET", "/events?subscribe=chat.a", headers={"Authorization": "Bearer t-front"})
                answer = stream.getresponse()
                self.tokens(lines[1])
                begun = time.monotonic()
                code, reason = await gone.closed()
                self.assertEqual((code, reason), (4401, "this token was taken back"))
                if not SANITIZED:
                    self.assertLess(time.monotonic() - begun, 20)
                answer.read()  # it ends
                stream.close()
                self.service.out.wait_for("canceled")
                self.assertEqual((await stays.ask(id=1, call="shop.add", args=[1, 2]))["results"], [3])
        self.run_async(body)


class Slow(Live):
    def flood(self, topic, count):
        """Publishes so many values of 10 kB, and then on and on the numbers of what was published."""
        flood = self.start("run", "-e", f"""
            local clouds = require "clouds"
            local node = clouds.client()
            node:ready()
            for i = 1, {count} do
                assert(node:publish("{topic}", ("x"):rep(10000), {{ confirm = true }}))
            end
            print("flooded")
            for i = {count} + 1, math.huge do
                assert(node:publish("{topic}", i))
                clouds.sleep(0.02)
            end
        """)
        flood.out.wait_for("flooded")
        return flood

    def slow(self):
        """A client with little room for what it does not read."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # before it is connected, or TCP takes long to go on
        connection.connect(("127.0.0.1", self.port))
        return Socket(self.port, sock=connection, max_queue=1, close_timeout=0.1)

    async def hear_all(self, client):
        """Whether some are missing until the first number; each came, or it was said that it is missing."""
        got = missed = 0
        while True:
            message = await client.hear()
            got, missed = got + ("value" in message), missed + message.get("gap", 0)
            if isinstance(message.get("value"), int):
                self.assertEqual(got + missed, message["value"])
                return missed > 0

    def test_who_reads_late_misses_some_and_is_told_how_many(self):
        self.open(*ALLOW, *self.config("return { unsent = 20000, stall = 60 }"))

        async def body():
            async with self.slow() as slow, Socket(self.port, max_queue=None) as quick:
                await slow.ask(id=1, subscribe="chat.a")
                await quick.ask(id=1, subscribe="chat.a")
                await asyncio.get_running_loop().run_in_executor(None, self.flood, "chat.a", 1000)
                await self.hear_all(quick)
                self.assertTrue(await self.hear_all(slow))
                self.assertEqual((await slow.hear())["topic"], "chat.a")  # and it goes on
        self.run_async(body)

    def test_E3_who_never_reads_is_let_go_and_nobody_else_notices(self):
        count = 1000 if LONG else 150
        self.open(*ALLOW, *self.config(f"return {{ stall = 0.3, rate = 1e6, subscriptions = {count + 1} }}"))

        async def body():
            sockets = [Socket(self.port) for _ in range(count)]
            for client in sockets:
                await client.__aenter__()
                await client.ask(id=1, subscribe="chat.a")
            async with self.slow() as slow:
                await slow.ask(id=1, subscribe="chat.slow")
                before = self.gateway.resident_kb()
                self.flood("chat.slow", 1500)
                self.publish("chat.a", "all")
                for client in sockets:
                    self.assertEqual((await client.hear())["value"], "all")
                if not SANITIZED:
                    self.assertLess(self.gateway.resident_kb() - before, 64 * 1024)
                while "error" in await sockets[0].ask(id=2, subscribe="chat.b"):  # its place is free when it has gone
                    await asyncio.sleep(0.05)
                slow.ws.transport.abort()
            for client in sockets:
                client.ws.transport.abort()
        self.run_async(body)

    def test_who_is_let_go_is_told_if_it_reads_then(self):
        self.open(*ALLOW, *self.config("return { unsent = 20000, stall = 0.3 }"))

        async def code():
            async with self.slow() as slow:
                await slow.ask(id=1, subscribe="chat.slow")
                flood = self.flood("chat.slow", 1000)
                await asyncio.sleep(0.5)
                try:
                    while not isinstance((await slow.hear()).get("value"), int):
                        pass
                except websockets.ConnectionClosed:
                    return (await slow.closed())[0]
                finally:
                    flood.discard()
        wait_until(lambda: asyncio.run(code()) == 1013, "the code")  # it has two seconds to read as far as that


    def test_results_that_nobody_takes_are_calls_at_a_time(self):
        self.open(*ALLOW, *self.config("return { unsent = 20000, stall = 60, in_flight = 4, rate = 1e6 }"))

        async def body():
            async with self.slow() as slow:
                for i in range(200):
                    await slow.say(id=i, call="shop.echo", args=["x" * 100000])
                before = self.executed()
                answers = [await slow.hear() for _ in range(200)]
                refused = [answer for answer in answers if "error" in answer]
                self.assertEqual({answer["error"]["code"] for answer in refused}, {"CLOUDS_OVERLOADED"})  # and there are some
                self.assertEqual({len(answer["results"][0]) for answer in answers if "results" in answer}, {100000})
                self.assertEqual(sorted(answer["id"] for answer in answers), list(range(200)))
                self.assertLessEqual(before, 200 - len(refused))
        self.run_async(body)


class Streams(Live):
    def stream(self, target, **headers):
        """A stream of events: its answer, of which lines can be read."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(client.close)
        client.request("GET", target, headers=headers)
        answer = client.getresponse()
        self.addCleanup(answer.close)
        return answer

    def event(self, answer):
        """The next event: its fields by name; comments are left out."""
        fields = {}
        while True:
            line = answer.readline().decode().rstrip("\n")
            if not line and fields:
                return fields
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def test_what_is_published_comes_as_events(self):
        self.open(*ALLOW)
        answer = self.stream("/events?subscribe=chat.*&subscribe=chat.x.%3E")
        self.assertEqual((answer.status, answer.headers["Content-Type"], answer.headers["Cache-Control"]), (200, "text/event-stream", "no-store"))
        self.assertEqual(answer.readline(), b": here\n")
        self.publish("chat.a", {"x": "two\nlines"})
        event = self.event(answer)
        self.assertEqual((event["id"], json.loads(event["data"])), ("1", {"topic": "chat.a", "value": {"x": "two\nlines"}}))
        self.publish("chat.x.y", None)
        self.assertEqual(json.loads(self.event(answer)["data"]), {"topic": "chat.x.y", "value": None})
        again = self.stream("/events?subscribe=chat.a", **{"Last-Event-ID": "7"})
        self.assertEqual(self.event(again), {"event": "gap", "data": '{"missed":null}'})

    def test_what_is_refused(self):
        self.open(*ALLOW, "--origin", "https://app.example")
        for target, status in (("/events", 400), ("/events?subscribe=secret", 403), ("/events?subscribe=%3E", 403), ("/events?topic=chat.a", 400),
                               ("/events?subscribe=chat.%zz", 400), ("/events?subscribe=chat.a&subscribe=b", 403), ("/events?subscribe=chat..a", 400)):
            self.assertEqual(self.ask("GET", target)[0], status, target)
        self.assertEqual(self.ask("GET", "/events?subscribe=chat.a", headers={"Origin": "https://evil.example"})[0], 403)

    def test_a_stop_ends_streams_and_sockets_in_order(self):
        self.open(*ALLOW)
        answer = self.stream("/events?subscribe=chat.a")
        answer.readline()

        async def body():
            async with Socket(self.port) as client:
                await client.ask(id=1, subscribe="chat.a")
                self.gateway.signal(signal.SIGTERM)
                self.assertEqual((await client.closed())[0], 1012)
        self.run_async(body)
        answer.read()
        self.assertEqual(self.gateway.wait(), 0)
        self.assertEqual(self.gateway.err.text(), "")

    def test_who_leaves_is_forgotten(self):
        self.open(*ALLOW, *self.config("return { subscriptions = 1 }"))

        def is_taken():
            client = socket.create_connection(("127.0.0.1", self.port))
            client.sendall(b"GET /events?subscribe=chat.a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status = client.recv(65536).split(b" ")[1]
            client.close()
            return status == b"200"
        for _ in range(3):
            wait_until(is_taken, "the place of the one before")


class Cluster(Live):
    def open_workers(self, *options):
        self.service = self.serve(SERVICES)
        self.port = free_port()
        self.gateway = self.start("start", "--gateway", "--listen", f"127.0.0.1:{self.port}", "--workers", "2", "--", *options)
        self.gateway.err.wait_for(" ready: ")  # it listens before, and says 503 when its workers take long to begin

    def test_workers_are_gateways(self):
        self.open_workers(*ALLOW)
        self.assertEqual({str(self.post("shop.add", 1, i)[:2]) for i in range(10)}, {f"(200, [{1 + i}])" for i in range(10)})
        self.assertEqual(self.post("secret.add", 1, 2)[0], 404)
        self.assertIn("clouds:gateway", self.run_clouds("ps", "--json").stdout)
        self.assertEqual(self.gateway.stop(), 0, self.gateway.err.text())

    def test_E4_a_reload_loses_no_request_and_sockets_come_back(self):
        self.open_workers(*ALLOW, *self.config("return { rate = 1e6 }"))
        text = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", "Content-Length": 5, **JSON}.items())
        load = Load(self, self.port, 4, request=lambda _: f"POST /call/shop.add HTTP/1.1\r\n{text}\r\n[1,2]".encode(),
                    check=lambda _, body: body == b"[3]\n")

        async def body():
            sockets = [Socket(self.port) for _ in range(100)]
            for client in sockets:
                await client.__aenter__()
                self.assertEqual((await client.ask(id=1, call="shop.add", args=[1, 2]))["results"], [3])
            await asyncio.to_thread(load.goes_on, 100)
            reload = await asyncio.to_thread(self.run_clouds, "reload")
            self.assertEqual(reload.returncode, 0, reload.stderr)
            self.assertEqual({(await client.closed())[0] for client in sockets}, {1012})
            await asyncio.to_thread(load.goes_on, 100)
            async with Socket(self.port) as client:
                self.assertEqual((await client.ask(id=1, call="shop.add", args=[1, 2]))["results"], [3])
        self.run_async(body)
        load.stop()
        self.assertEqual((load.failed, load.connects), ({}, 4))

    def test_what_cannot_start(self):
        for options, words in ((("--",), "--allow"), (("--", "--allow", "a", "--listen", "1"), "before the --"),
                               (("--listen", "0", "--", "--allow", "a"), "others than this machine"), (("--", "--alow", "a"), "--allow"),
                               (("-c", "x.lua"), "--gateway")):
            ended = self.run_clouds("start", "--gateway", *options)
            self.assertEqual(ended.returncode, 2, ended.stderr)
            self.assertIn(words, ended.stderr)
        ended = self.run_clouds("start", "--gateway", "--listen", "0.0.0.0:0", "--workers", "1", "--", *self.config("return { allow = { 'a' } }"))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("others than this machine", ended.stderr)

    def test_in_a_cluster_lua(self):
        self.service = self.serve(SERVICES)
        self.port = free_port()
        file = self.file("cluster.lua", f"""
            local cluster = require "clouds.cluster"
            local app = cluster.master {{ name = "shop" }}
            app:register("127.0.0.1:{self.port}", "clouds:gateway", {{ workers = 1, args = {{ "--allow", "shop.*" }} }})
        """)
        self.gateway = self.start("start", "-c", file)
        self.gateway.err.wait_for(" ready: ")
        self.assertEqual(self.post("shop.add", 1, 2)[:2], (200, [3]))
        self.assertEqual(self.gateway.stop(), 0, self.gateway.err.text())


if __name__ == "__main__":
    unittest.main()
