"""What ends something and finds no room in the library is handed in again, and not lost."""
import asyncio
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from support import BOUND, AsyncCase, wait_until

import clouds
from clouds import _abi, aio
from clouds._again import hand_in

LONG_TIME = 600  # seconds: longer than the test may take


def pauses(count):
    """That many, of 10 ms each, and something to do before each."""
    for number in range(count):
        yield number
        time.sleep(0.01)


class Again(AsyncCase):

    bus = "local"

    async def full(self, **options):
        """A server, its client, and what makes the server's queue full: until the client's loop goes on."""
        server = self.node("Server", write_soft=20000, write_hard=40000, max_event_bytes=100000, workers=16, **options)
        client, began, answer = aio.Client(self.url, timeout=LONG_TIME), [], threading.Event()

        @server.register("large")
        def large(number):
            began.append(number)
            answer.wait(BOUND)
            return "x" * 200000
        server.ready(BOUND)
        await client.ready()
        calls = [client.call("large", number) for number in range(12)]
        await self.eventually(lambda: len(began) == len(calls))

        def refused():
            try:
                server.publish("nobody", 1)
            except clouds.LimitReached:
                return True
            return False

        def fill():
            """Longer than the longest pause between two tries: no answer that is tried again makes room any more."""
            answer.set()
            wait_until(lambda: all(refused() for _ in pauses(30)))
        return server, client, calls, fill

    def refusals(self, node):
        """A list that has something as soon as an order of the node was refused."""
        found, later = [], node._finish_later

        def finish_later(rest):
            found.append(rest)
            later(rest)
        node._finish_later = finish_later
        return found

    async def answered(self, client, calls):
        self.assertEqual([len(text) for text in await asyncio.gather(*calls)], [200000] * len(calls))
        await client.close()

    async def test_an_error_that_a_handler_raises(self):
        server, client, calls, fill = await self.full()
        begun, fail = threading.Event(), threading.Event()

        @server.register("broken")
        def broken():
            begun.set()
            fail.wait(BOUND)
            raise clouds.ServiceError("it broke", code="E_BROKEN")
        server.ready(BOUND)
        call = client.call("broken")
        await self.eventually(begun.is_set)
        refused = self.refusals(server)
        fill()
        fail.set()
        wait_until(lambda: refused)
        error = await self.raises_in(clouds.ServiceError, "it broke", call)
        self.assertEqual(error.code, "E_BROKEN")
        await self.answered(client, calls)

    async def test_the_end_of_a_subscription(self):
        server, client, calls, fill = await self.full()
        subscription = server.subscribe("news", handler=lambda value, _: None)
        server.ready(BOUND)
        while await client.publish("news", 0, confirm=True) != 1:
            await asyncio.sleep(0.005)
        refused = self.refusals(server)
        fill()
        subscription.close()
        self.assertEqual(refused, [])  # the end of a subscription needs no room
        while await client.publish("news", 1, confirm=True) != 0:
            await asyncio.sleep(0.005)
        await self.answered(client, calls)

    async def test_the_end_of_a_call(self):
        server, client, calls, fill = await self.full()
        asked, fail = threading.Event(), threading.Event()

        async def hook(*_):
            asked.set()
            await asyncio.to_thread(fail.wait, BOUND)
            raise ValueError("no attempt")
        refused = self.refusals(server)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(server.bind("large", deadline=LONG_TIME, on_retry=hook), 0)
            await self.eventually(asked.is_set)
            fill()
            fail.set()
            wait_until(lambda: refused)
            await self.answered(client, calls)
            self.assertEqual(str(await asyncio.to_thread(call.exception, BOUND)), "no attempt")

    async def test_a_choice(self):
        asked, choose, other = threading.Event(), threading.Event(), self.node("Server")
        other.register("who", lambda: "other")
        other.ready(BOUND)

        def find_server(method, servers):
            asked.set()
            choose.wait(BOUND)
            return other.id
        server, client, calls, fill = await self.full(find_server=find_server)
        refused = self.refusals(server)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(server.call, "who", timeout=LONG_TIME)
            await self.eventually(asked.is_set)
            fill()
            choose.set()
            wait_until(lambda: refused)
            await self.answered(client, calls)
            self.assertEqual(await asyncio.to_thread(call.result, BOUND), "other")

    async def test_with_asyncio(self):
        """Where only memory may be lacking."""
        client, codes, given = aio.Client(self.url), [_abi.CLOUDS_ENOMEM, _abi.CLOUDS_ENOMEM, 0, 0], []

        def order(context, *arguments):
            given.append((context is client._context, *arguments))
            return codes[len(given) - 1]
        await client.ready()
        self.assertEqual(hand_in(client, order, 7), 0)
        self.assertEqual(len(given), 1)
        await self.eventually(lambda: len(given) == 3)
        threading.Thread(target=hand_in, args=(client, order, 8)).start()
        await self.eventually(lambda: len(given) == 4)
        self.assertEqual(given, [(True, 7)] * 3 + [(True, 8)])
        await client.close()

    async def test_what_has_ended_is_not_tried_again(self):
        client, given = aio.Client(self.url), []

        def order(_):
            given.append(1)
            return _abi.CLOUDS_ESTALE
        await client.ready()
        self.assertEqual(hand_in(client, order), _abi.CLOUDS_ESTALE)
        await asyncio.sleep(0)
        self.assertEqual(given, [1])
        await client.close()


if __name__ == "__main__":
    unittest.main()
