"""What handlers can do, in both faces."""
import asyncio
import gc
import logging
import threading
import time
import unittest

from support import BOUND, AsyncCase, PythonCase, wait_until

import clouds
from clouds import _abi, aio
from clouds._threads import Limits


class Sync(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", workers=4)
        self.client = self.node("Client", timeout=20)

    def offer(self, **methods):
        for name, handler in methods.items():
            self.server.register(name, handler)
        self.server.ready()

    def test_decorator(self):
        @self.server.register("test.hello")
        def hello(name, msg):
            return f"Hello {name}, {msg}"
        self.server.ready()
        self.assertEqual(self.client.call("test.hello", "Glen", "hi"), "Hello Glen, hi")
        self.assertEqual(hello("a", "b"), "Hello a, b")

    def test_a_decorator_without_a_name(self):
        with self.assertRaisesRegex(TypeError, "the name of a method"):
            @self.server.register
            def hello():
                pass

    def test_async_def(self):
        async def slow(x):
            await asyncio.sleep(0.001)
            return x, clouds.request().method, threading.current_thread().name

        async def fail():
            raise clouds.ServiceError("no", code="E_NO")
        self.offer(slow=slow, fail=fail)
        self.assertEqual(self.client.call("slow", 1), [1, "slow", "clouds-async"])
        self.raises(clouds.ServiceError, "E_NO", self.client.call, "fail")

    def test_replaced_and_taken_back(self):
        self.offer(one=lambda: 1)
        self.assertEqual(self.client.call("one"), 1)
        self.offer(one=lambda: 2)
        self.assertEqual(self.client.call("one"), 2)
        self.server.unregister("one")
        self.assertRaises((clouds.NoAvailableServer, clouds.NoSuchMethod), self.client.call, "one")
        self.assertRaises(clouds.InvalidArgument, self.server.unregister, "one")

    def test_handlers_run_side_by_side_in_at_most_so_many_threads(self):
        barrier, names, lock = threading.Barrier(4), set(), threading.Lock()

        def meet():
            with lock:
                names.add(threading.current_thread().name)
            barrier.wait(BOUND)
            return True
        self.offer(meet=meet)
        callers = [threading.Thread(target=self.client.call, args=("meet",)) for _ in range(12)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(BOUND)
        self.assertEqual(len(names), 4)

    def test_request(self):
        def look():
            request = clouds.request()
            return [request.caller, request.method, request.time_left, request.open, repr(request)]
        self.offer(look=look)
        caller, method, left, is_open, words = self.client.call("look", timeout=5)
        self.assertEqual((caller, method, is_open), (self.client.id, "look", True))
        self.assertTrue(0 < left <= 5, left)
        self.assertIn("look", words)
        self.assertIsNone(clouds.request())

    def test_reply_at_once_and_later(self):
        kept, late = [], []

        def now():
            request = clouds.request()
            request.reply("early")
            try:
                request.reply("again")
            except clouds.StaleId:
                late.append("stale")
            return "ignored"

        def later():
            kept.append(clouds.request().detach())
        self.offer(now=now, later=later, failing=later)
        self.assertEqual(self.client.call("now"), "early")
        wait_until(lambda: late, "what the handler did after its answer")
        self.assertEqual(late, ["stale"])
        threading.Thread(target=lambda: kept_one(kept).reply(clouds.Values(1, 2))).start()
        self.assertEqual(self.client.call("later"), (1, 2))
        kept.clear()
        threading.Thread(target=lambda: kept_one(kept).fail(clouds.ServiceError("x", code="E_X"))).start()
        self.raises(clouds.ServiceError, "E_X: x", self.client.call, "failing")
        self.assertFalse(kept[0].open)

    def test_a_forgotten_request_is_answered(self):
        def forget():
            clouds.request().detach()
        self.offer(forget=forget)
        self.raises(clouds.ServiceError, "the request was forgotten", self.client.call, "forget")

    def test_nested_calls_inherit_the_time_left(self):
        inner = self.node("Server")
        inner.register("inner", lambda: clouds.request().time_left)
        inner.ready()
        other = self.node("Client", timeout=60)
        self.offer(outer=lambda: [self.server.call("inner", timeout=60), other.call("inner", timeout=60)])
        for left in self.client.call("outer", timeout=3):
            self.assertTrue(0 < left <= 3, left)

    def test_what_has_expired_when_a_worker_is_free_is_not_started(self):
        for name, blocking in (("plain", lambda: release.wait(BOUND)), ("later", None)):
            with self.subTest(name):
                server, release, ran = self.node("Server", workers=1), threading.Event(), []
                self.client = self.node("Client", timeout=BOUND)
                server.register("block", lambda: release.wait(BOUND))

                async def later(number):
                    ran.append((number, clouds.request().time_left))
                server.register("work", later if blocking is None else
                                lambda number: ran.append((number, clouds.request().time_left)))
                server.ready()
                blocked = threading.Thread(target=self.client.call, args=("block",))
                blocked.start()
                wait_until(lambda: server._threads.handlers._load.unfinished == 1)

                def six_wait():
                    """Each of these has given up; on a slow machine not each has come that far."""
                    self.outcome("work", 1, timeout=0.2)
                    return server.counters()["overdue_requests"] >= 6
                wait_until(six_wait)
                came_late = server.counters()["expired_requests"]
                release.set()
                blocked.join(BOUND)
                self.client.call("work", 7)
                self.assertEqual(ran[-1][0], 7)
                for _, left in ran:  # the last before it may not have expired here yet
                    self.assertGreater(left, 0)
                self.assertGreaterEqual(server.counters()["expired_requests"], came_late + 6)
                server.close(0)

    def outcome(self, method, *arguments, timeout=None):
        *arguments, timeout = arguments if timeout is None else (*arguments, timeout)
        try:
            return self.client.call(method, *arguments, timeout=timeout)
        except clouds.Error as problem:
            return problem.code

    def test_what_waits_for_a_worker_is_limited(self):
        server, release, got = self.node("Server", workers=1), threading.Event(), []
        server._threads.handlers._limits = Limits(16, 1 << 20)  # fewer than those of the library, which is quicker
        server.register("block", lambda: release.wait(BOUND))
        server.ready()
        with self.assertLogs("clouds", "WARNING") as said:
            def call():
                try:
                    got.append(self.client.call("block", timeout=BOUND))
                except clouds.Error as problem:
                    got.append((type(problem), problem.outcome))
            callers = [threading.Thread(target=call) for _ in range(40)]
            for caller in callers:
                caller.start()
            wait_until(lambda: len(got) >= 20)
            self.assertLessEqual(len(server._threads.handlers._load.waiting), 16)
            release.set()
            for caller in callers:
                caller.join(BOUND)
        counters = server.counters()
        self.assertEqual(got.count((clouds.Overloaded, "NOT_DONE")), counters["queue_refusals"], got)
        self.assertEqual(counters["refused_requests"], counters["queue_refusals"])
        self.assertEqual(len(said.output), 1, said.output)
        self.assertIn("handlers are too slow", said.output[0])

    def test_a_key_is_free_again_when_there_was_no_room(self):
        """Nothing was done for it: a repeat is served, and not answered with the refusal."""
        server, release = self.node("Server", workers=1), threading.Event()
        server._threads.handlers._limits = Limits(1, 1 << 20)
        server.register("block", lambda: release.wait(BOUND))
        server.register("order", lambda: "done")
        server.ready()
        callers = [threading.Thread(target=self.client.call, args=("block",), kwargs={"timeout": BOUND}) for _ in range(2)]
        load = server._threads.handlers._load
        for i, caller in enumerate(callers):
            caller.start()
            wait_until(lambda: (load.unfinished, len(load.waiting)) == (i + 1, i))
        self.raises(clouds.Overloaded, "", self.client.call, "order", once="o7")
        release.set()
        for caller in callers:
            caller.join(BOUND)
        self.assertEqual(self.client.call("order", once="o7"), "done")

    def test_what_has_begun_is_not_refused_as_not_done(self):
        """A handler that gives something to be awaited, and is no async function, has done what it does."""
        server, begun, got, gate = self.node("Server", workers=8), [], [], threading.Event()
        server._most_requests = 1

        async def opened():
            while not gate.is_set():
                await asyncio.sleep(0.01)
            return "done"

        class Work:
            def __init__(self):
                begun.append(1)

            def __await__(self):
                return opened().__await__()

        async def waits():
            return await opened()
        server.register("work", Work)
        server.register("waits", waits)
        server.ready()

        def call(method):
            try:
                got.append(self.client.call(method, timeout=BOUND))
            except clouds.Error as problem:
                got.append((type(problem), problem.outcome))
        for method, refused in (("work", (clouds.ServiceError, "APP_ERROR")), ("waits", (clouds.Overloaded, "NOT_DONE"))):
            got.clear()
            gate.clear()
            callers = [threading.Thread(target=call, args=(method,)) for _ in range(6)]
            for caller in callers:
                caller.start()
            wait_until(lambda: len(got) == 5)
            gate.set()
            for caller in callers:
                caller.join(BOUND)
            self.assertEqual(got, 5 * [refused] + ["done"], method)
        self.assertEqual(len(begun), 6)

    def test_who_has_given_up_is_forgotten_with_its_request(self):
        server, kept = self.node("Server"), []
        server.register("keeps", lambda: kept.append(clouds.request().detach()))
        server.ready()
        for _ in range(5):
            self.raises(clouds.Timeout, "", self.client.call, "keeps", deadline=0.05)
        wait_until(lambda: len(server._canceled._ids) == 5)
        kept.clear()
        gc.collect()
        wait_until(lambda: not server._canceled._ids)

    def test_what_waits_for_its_turn_is_served_when_its_method_is_unregistered(self):
        server, got = self.node("Server"), []
        gate = threading.Event()
        server.register("slow", lambda i: gate.wait(BOUND) and i, concurrency=1, queue=10, queue_age=BOUND)
        server.ready()
        callers = [threading.Thread(target=lambda i=i: got.append(self.client.call("slow", i, timeout=BOUND))) for i in range(4)]
        for caller in callers:
            caller.start()
        wait_until(lambda: next(iter(server.status()["own"].values()))["methods"]["slow"].get("waiting") == 3)
        threading.Timer(0.02, gate.set).start()
        server.unregister("slow")
        for caller in callers:
            caller.join(BOUND)
        self.assertEqual(sorted(got), [0, 1, 2, 3])

    def test_behind_the_deadline_of_one_with_a_key_others_are_called(self):
        server, other = self.node("Server"), self.node("Client")
        server.register("put", lambda: time.sleep(0.05) or "put")

        def pay():
            time.sleep(0.4)
            return other.call("put")
        server.register("pay", pay)
        server.ready()
        other.call("put")
        self.raises(clouds.Timeout, "", self.client.call, "pay", once="pay 1", deadline=0.2)
        self.assertEqual(self.client.call("pay", once="pay 1", timeout=BOUND), "put")

    def test_who_has_given_up_is_known_until_it_is_answered(self):
        server, seen = self.node("Server", workers=4), []

        def waits():
            request = clouds.request()
            wait_until(lambda: request.canceled)
            seen.append(request)
        server.register("waits", waits)
        server.ready()

        def three_have_run():
            """On a slow machine one may have expired before it was begun."""
            self.raises(clouds.Timeout, "", self.client.call, "waits", deadline=0.1)
            return len(seen) >= 3
        wait_until(three_have_run)
        wait_until(lambda: not server._canceled._ids)
        self.assertTrue(all(request.canceled for request in seen))

    def test_meta_and_notify(self):
        seen = []
        self.offer(meta=lambda *arguments: seen.append((arguments, clouds.request().meta)))
        self.client.call("meta", 1, meta={"a": 1})
        self.assertIsNone(self.client.notify("meta", 2, meta={"b": 2}))
        wait_until(lambda: len(seen) == 2)
        self.assertEqual(seen, [((1,), {"a": 1}), ((2,), {"b": 2})])

    def give_up(self, method, running):
        """Calls a method, and leaves when it runs."""
        caller = self.node("Client", timeout=BOUND)
        calling = threading.Thread(target=lambda: self.raises(clouds.Canceled, "", caller.call, method))
        calling.start()
        wait_until(running)
        caller.close(0)
        calling.join(BOUND)

    def test_a_handler_whose_caller_gives_up(self):
        seen, ended = [], []

        def plain():
            request = clouds.request()
            seen.append(request.canceled)
            wait_until(lambda: request.canceled)
            ended.append("plain")

        async def later():
            seen.append("later")
            try:
                await asyncio.sleep(BOUND)
            except asyncio.CancelledError:
                ended.append("later")
                raise
        self.offer(plain=plain, later=later)
        for name in ("plain", "later"):
            del seen[:], ended[:]
            self.give_up(name, lambda: seen)
            wait_until(lambda: ended, name)
            self.assertEqual((seen, ended), ([False] if name == "plain" else ["later"], [name]))

    def test_what_was_canceled_when_a_worker_is_free_is_not_started(self):
        server, release, ran = self.node("Server", workers=1), threading.Event(), []
        server.register("block", lambda: release.wait(BOUND))
        server.register("work", lambda: ran.append(1))
        server.ready()
        blocked = threading.Thread(target=self.outcome, args=("block",), kwargs={"timeout": BOUND})
        blocked.start()
        wait_until(lambda: server._threads.handlers._load.unfinished == 1)
        self.give_up("work", lambda: server._threads.handlers._load.unfinished == 2)
        wait_until(lambda: server._canceled._ids)  # the event comes a little after it was counted
        self.assertEqual(server.counters()["canceled_requests"], 1)
        release.set()
        blocked.join(BOUND)
        server.close()
        self.assertEqual(ran, [])

    def test_a_request_that_nobody_answered(self):
        """At its deadline it is closed, and who holds it can see that."""
        kept = []

        def keep():
            kept.append(clouds.request().detach())
        self.offer(keep=keep)
        self.raises(clouds.CallTimeout, "", self.client.call, "keep", timeout=1)
        wait_until(lambda: not kept[0].open, "it is closed")
        self.raises(clouds.StaleId, "", kept[0].reply, 1)
        wait_until(lambda: self.server.counters()["overdue_requests"] == 1)

    def test_closed_by_its_own_handler(self):
        async def close_later():
            self.server.close(None)
            return "later"
        for handler, answer in ((lambda: self.server.close(None) or "closing", "closing"), (close_later, "later")):
            self.server = self.node("Server")
            self.offer(close=handler)
            self.assertEqual(self.client.call("close", server=self.server.id), answer)
            wait_until(self.server._handle.over.is_set)
            self.server.close()

    def test_an_answer_that_cannot_be_queued(self):
        """The request stays open, and the answer is tried again."""
        codes, tried = [_abi.CLOUDS_ELIMIT] * 3, []

        def refusing(function, *arguments):
            tried.append(function)
            return codes.pop() if codes else answer(function, *arguments)

        def reply():
            request = clouds.request()
            self.raises(clouds.LimitReached, "", request.reply, "first")
            return [request.open, "second"]
        self.offer(reply=reply)
        answer = self.server._answer
        self.server._answer = refusing
        self.assertEqual(self.client.call("reply"), [True, "second"])
        self.assertEqual(len(tried), 4)

    def test_drain(self):
        started, release, left = threading.Event(), threading.Event(), []

        def slow():
            started.set()
            release.wait(BOUND)
            return "done"
        self.offer(slow=slow)
        self.server.on("exit", left.append)
        got = []
        caller = threading.Thread(target=lambda: got.append(self.client.call("slow")))
        caller.start()
        started.wait(BOUND)
        closer = threading.Thread(target=self.server.close, args=(20,))
        closer.start()
        release.set()
        caller.join(BOUND)
        closer.join(BOUND)
        self.assertEqual(got, ["done"])
        wait_until(lambda: left == [0])

    def test_run(self):
        runner = threading.Thread(target=self.server.run)
        runner.start()
        self.offer(one=lambda: 1)
        self.assertEqual(self.client.call("one"), 1)
        self.server.close()
        runner.join(BOUND)
        self.assertFalse(runner.is_alive())


def kept_one(kept):
    return wait_until(lambda: kept)[0]


class Async(AsyncCase):

    async def pair(self, **methods):
        server, client = aio.Server(self.url), aio.Client(self.url, timeout=20)
        for name, handler in methods.items():
            server.register(name, handler)
        await server.ready()
        return server, client

    async def close(self, *nodes):
        await asyncio.gather(*(node.close(0) for node in nodes))

    async def test_tasks_run_side_by_side(self):
        met = asyncio.Event()

        async def meet(last):
            if last:
                met.set()
            await met.wait()
            return last
        server, client = await self.pair(meet=meet)
        got = await asyncio.gather(*(client.call("meet", i == 99) for i in range(100)))
        self.assertEqual(got, [False] * 99 + [True])
        self.assertEqual(server._tasks, set())
        await self.close(server, client)

    async def test_request(self):
        kept = []

        async def look():
            await asyncio.sleep(0)
            request = clouds.request()
            inner = await asyncio.ensure_future(self.method_of_request())
            return [request.caller, inner, request.time_left]

        async def later():
            kept.append(clouds.request().detach())

        async def forget():
            clouds.request().detach()
        server, client = await self.pair(look=look, later=later, forget=forget, plain=lambda: clouds.request().method)
        caller, method, left = await client.call("look", timeout=5)
        self.assertEqual((caller, method), (client.id, "look"))
        self.assertTrue(0 < left <= 5)
        self.assertEqual(await client.call("plain"), "plain")
        call = client.call("later")
        await self.eventually(lambda: kept)
        kept[0].reply("now")
        self.assertEqual(await call, "now")
        call = client.call("later")
        await self.eventually(lambda: len(kept) == 2)
        threading.Thread(target=kept[1].reply, args=("elsewhere",)).start()
        self.assertEqual(await call, "elsewhere")
        await self.raises_in(clouds.ServiceError, "forgotten", client.call("forget"))
        self.assertIsNone(clouds.request())
        await self.close(server, client)

    async def method_of_request(self):
        return clouds.request().method

    async def test_a_request_forgotten_on_another_thread(self):
        async def forget():
            box = [clouds.request().detach()]
            thread = threading.Thread(target=lambda: (time.sleep(0.05), box.clear(), gc.collect()))
            thread.start()
        server, client = await self.pair(forget=forget)
        await self.raises_in(clouds.ServiceError, "forgotten", client.call("forget"))
        await self.close(server, client)

    async def test_listeners_are_outside_of_the_request(self):
        seen = []

        async def send_to_self():
            await server.send(server.id, 1, confirm=True)
        server, client = await self.pair(send_to_self=send_to_self)
        server.on_message(lambda *_: seen.append(clouds.request()))
        await client.call("send_to_self")
        await self.eventually(lambda: seen)
        self.assertEqual(seen, [None])
        await self.close(server, client)

    async def test_a_node_that_a_handler_makes_is_outside_of_the_request(self):
        made, seen = [], []

        async def make():
            made.append(aio.Base(self.url))
            made[0].on_message(lambda *_: seen.append(clouds.request()))
            await made[0].ready()
        server, client = await self.pair(make=make)
        await client.call("make")
        await asyncio.sleep(0)  # what the handler's turn had begun
        await client.send(made[0].id, 1, confirm=True)
        await self.eventually(lambda: seen)
        self.assertEqual(seen, [None])
        await self.close(server, client, *made)

    async def test_nested_calls_inherit_the_time_left(self):
        async def inner():
            return clouds.request().time_left

        async def outer():
            return [await server.call("inner", timeout=60), await other.call("inner", timeout=60)]
        server, client = await self.pair(inner=inner, outer=outer)
        other = aio.Client(self.url)
        for left in await client.call("outer", timeout=3):
            self.assertTrue(0 < left <= 3, left)
        await self.close(server, client, other)

    async def test_faults_are_logged_and_answered(self):
        async def fault():
            return 1 / 0

        def plain_fault():
            return {}["x"]
        server, client = await self.pair(fault=fault, plain=plain_fault, unsendable=lambda: {1})
        with self.assertLogs("clouds", "ERROR") as said:
            problem = await self.raises_in(clouds.ServiceError, "division", client.call("fault"))
            self.assertEqual(problem.code, "ZeroDivisionError")
            await self.raises_in(clouds.ServiceError, "KeyError", client.call("plain"))
            await self.raises_in(clouds.ServiceError, "the result cannot be sent: cannot send an object",
                                 client.call("unsendable"))
        self.assertEqual(len(said.output), 3)
        self.assertNotIn("_request.py", said.output[0])
        await self.close(server, client)

    async def test_records_name_the_request_and_its_trace(self):
        trace, records = "4bf92f3577b34da6a3ce929d0e0e4736", []

        class Keep(logging.Handler):
            def emit(self, record):
                records.append(record)

        async def log():
            logging.getLogger("shop").warning("in it")
            return [clouds.request().trace, clouds.request().id, 1 / 0]
        handler = Keep()
        handler.addFilter(clouds.LogFilter())
        for name in ("shop", "clouds"):
            logging.getLogger(name).addHandler(handler)
            self.addCleanup(logging.getLogger(name).removeHandler, handler)
        server, client = await self.pair(log=log)
        meta = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        await self.raises_in(clouds.ServiceError, "division", client.call("log", meta=meta))
        logging.getLogger("shop").warning("outside")
        inside, failed, outside = records
        self.assertEqual([inside.method, inside.caller, inside.trace], ["log", client.id, trace])
        self.assertEqual(failed.clouds, {"method": "log", "caller": client.id, "trace": trace, "request": inside.request})
        self.assertEqual([outside.method, outside.request, outside.caller, outside.trace], ["", "", "", ""])
        await self.close(server, client)

    async def test_an_answer_that_cannot_be_queued(self):
        codes = [_abi.CLOUDS_ELIMIT] * 3

        async def later():
            return "later"
        server, client = await self.pair(plain=lambda: "plain", later=later)
        answer = server._answer
        server._answer = lambda *arguments: codes.pop() if codes else answer(*arguments)
        self.assertEqual(await client.call("plain"), "plain")
        codes.extend([_abi.CLOUDS_ELIMIT] * 3)
        self.assertEqual(await client.call("later"), "later")
        await self.close(server, client)

    async def test_closed_by_its_own_handler(self):
        async def close():
            await server.close()
            return "closing"
        server, client = await self.pair(close=close)
        running = asyncio.ensure_future(server.run())
        self.assertEqual(await client.call("close"), "closing")
        await running
        await self.close(server, client)

    async def test_listeners_run_in_order(self):
        server, client = await self.pair()
        heard, first = [], asyncio.Event()

        async def slow(sender, number):
            if number == 0:
                await first.wait()
            heard.append(number)
        server.on_message(slow)
        server.on_message(lambda sender, number: heard.append(-number))
        for number in range(4):
            await client.send(server.id, number, confirm=True)
        first.set()
        await self.eventually(lambda: len(heard) == 8)
        self.assertEqual(heard, [0, 0, 1, -1, 2, -2, 3, -3])
        await self.close(server, client)

    async def test_a_listener_may_close(self):
        server, client = await self.pair()
        heard = []

        async def close(*_):
            await server.close()
            heard.append("closed")

        async def ended(left):
            await asyncio.sleep(0)
            heard.append(left)
        server.on("exit", ended)
        server.on_message(close)
        await client.send(server.id, 1)
        await self.eventually(lambda: len(heard) == 2)
        self.assertEqual(heard, ["closed", 0])
        await self.close(server, client)

    async def test_what_waits_for_a_listener_is_limited(self):
        server = aio.Base(self.url, max_events=16, max_event_bytes=100000)
        client, heard, first = aio.Client(self.url), [], asyncio.Event()

        @server.on_message
        async def slow(sender, value):
            heard.append(value)
            await first.wait()
        await server.ready()
        with self.assertLogs("clouds", "WARNING") as said:
            for number in range(40):
                await client.send(server.id, number, confirm=True)
            first.set()
            await self.eventually(lambda: len(heard) == 17)
            self.assertEqual(server.counters()["dropped_events"], 23)
            self.assertEqual(len(said.output), 1)
        await self.close(server, client)

    async def test_sync_client_and_async_server(self):
        async def double(x):
            return x * 2
        server, client = await self.pair(double=double)
        sync = self.node("Client", timeout=20)
        self.assertEqual(await asyncio.to_thread(sync.call, "double", 4), 8)
        await self.close(server, client)


if __name__ == "__main__":
    unittest.main()
