"""The asyncio face: calls, cancellation, loops, over each way to travel."""
import asyncio
import contextvars
import gc
import unittest
import warnings

from support import BOUND, AsyncCase, over_each_bus

import clouds
from clouds import aio


class Serving(AsyncCase):

    async def nodes(self):
        """A server with methods, and a client."""
        server, client = aio.Server(self.url), aio.Client(self.url, timeout=20)
        self.runs, self.release = [], asyncio.Event()

        @server.register("add")
        async def add(a, b):
            return a + b

        @server.register("wait")
        async def wait(*arguments):
            self.runs.append(arguments)
            await self.release.wait()
            return "late"

        server.register("plain", lambda *arguments: clouds.Values(*arguments))
        await server.ready()
        return server, client

    async def close(self, *nodes):
        await asyncio.gather(*(node.close(0) for node in nodes))


class Calls(Serving):

    async def test_call(self):
        server, client = await self.nodes()
        self.assertEqual(await client.call("add", 1, 2), 3)
        self.assertEqual(await client.call("add", 1, 2, timeout=5, deadline=9, retry=1, server=server.id), 3)
        self.assertEqual(await client.bind("add", 5)(2, 2), 4)
        self.assertEqual(await client.call("plain", 1, None), (1, None))
        self.assertEqual(await server.call("add", "a", "b"), "ab")
        await self.close(server, client)

    async def test_a_thousand(self):
        server, client = await self.nodes()
        got = await asyncio.gather(*(client.call("add", i, 1) for i in range(1000)))
        self.assertEqual(got, list(range(1, 1001)))
        await self.close(server, client)

    async def test_errors(self):
        server, client = await self.nodes()

        async def fail():
            raise clouds.ServiceError("no", code="E_NO", more={"x": 1})

        server.register("fail", fail)
        await server.ready()
        problem = await self.raises_in(clouds.ServiceError, "E_NO: no", client.call("fail"))
        self.assertEqual(problem.more, {"x": 1})
        await self.raises_in(clouds.NoAvailableServer, "", client.call("elsewhere"))
        self.raises(TypeError, "object of type set", client.call, "add", {1})
        await self.close(server, client)

    async def test_cancelling_a_task_cancels_the_call(self):
        server, client = await self.nodes()
        task = asyncio.ensure_future(self.await_it(client.call("wait")))
        await self.eventually(lambda: self.runs)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(client._calls, {})
        await self.eventually(lambda: client.counters()["results"] == client.counters()["calls"], "the call has ended")
        call = client.call("wait")
        self.assertTrue(call.cancel())
        self.assertFalse(call.cancel())
        done = client.call("add", 1, 2)
        await done
        self.assertFalse(done.cancel())
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.call("wait"), 0.05)
        self.assertEqual(client._calls, {})
        await self.close(server, client)

    async def await_it(self, awaitable):
        return await awaitable

    async def give_up(self, client, method, running):
        call = client.call(method)
        await asyncio.wait_for(running.wait(), BOUND)
        call.cancel()

    async def test_a_handler_whose_caller_gives_up_is_cancelled(self):
        server, client = await self.nodes()
        inner = aio.Server(self.url)
        running, ended, seen = asyncio.Event(), asyncio.Queue(), []

        @inner.register("inner")
        async def work():
            running.set()
            try:
                await asyncio.sleep(BOUND)
            except asyncio.CancelledError:
                ended.put_nowait(clouds.request().canceled)
                raise

        @server.register("outer")
        async def outer():
            try:
                await server.call("inner")
            except asyncio.CancelledError:
                try:
                    await server.call("inner")
                except clouds.Canceled:
                    seen.append("nobody is called any more")
                ended.put_nowait("outer")
                raise
        await asyncio.gather(server.ready(), inner.ready())
        await self.give_up(client, "inner", running)
        self.assertIs(await asyncio.wait_for(ended.get(), BOUND), True)
        running.clear()
        await self.give_up(client, "outer", running)
        got = {await asyncio.wait_for(ended.get(), BOUND) for _ in range(2)}
        self.assertEqual((got, seen), ({True, "outer"}, ["nobody is called any more"]))
        self.assertEqual((await client.call("add", 1, 1)), 2)
        await self.close(server, inner, client)

    async def test_a_server_may_leave_its_handlers_alone(self):
        server, client = aio.Server(self.url, cancel_events=False), aio.Client(self.url)
        running, ended = asyncio.Event(), asyncio.Event()

        @server.register("alone")
        async def work():
            running.set()
            await asyncio.sleep(0.2)
            ended.set()
        await server.ready()
        await self.give_up(client, "alone", running)
        await asyncio.wait_for(ended.wait(), BOUND)
        await self.close(server, client)

    async def test_meta_and_notify(self):
        server, client = await self.nodes()
        got = asyncio.Queue()

        @server.register("meta")
        async def meta(*arguments):
            got.put_nowait((arguments, clouds.request().meta))
            return clouds.request().meta

        @server.register("through")
        async def through():
            return await server.call("meta", meta={"own": 1})
        await server.ready()
        self.assertEqual(await client.call("through", meta={"a": [1], "-b": 2}), {"a": [1], "own": 1})
        self.assertEqual(await client.call("meta"), {})
        while not got.empty():
            got.get_nowait()
        self.assertIsNone(await client.notify("meta", 7, meta={"x": 1}))
        self.assertEqual(await asyncio.wait_for(got.get(), BOUND), ((7,), {"x": 1}))
        with self.assertRaises(clouds.NoAvailableServer):
            await client.notify("nobody.has.this")
        with self.assertRaises(TypeError):
            client.call("meta", meta=[1])
        await self.close(server, client)

    async def test_a_call_that_nobody_awaits(self):
        server, client = await self.nodes()
        client.call("wait", 1)
        await self.eventually(lambda: self.runs == [(1,)])
        self.release.set()
        await self.eventually(lambda: not client._calls)
        await self.close(server, client)

    async def test_nodes(self):
        server, client = await self.nodes()
        status = await client.status()
        self.assertEqual(status["methods"]["add"], [server.id])
        self.assertEqual({link["state"] for link in await client.links()} - {"open", "dialling"}, set())
        with self.assertRaisesRegex(clouds.NotSupported, "context option stats"):
            await client.stats()
        counting = clouds.aio.Client(self.url, stats=True)
        self.assertEqual(await counting.call("add", 1, 2), 3)
        self.assertEqual((await counting.stats())["methods"]["add"]["calls"]["ok"], 1)
        await counting.close()
        got = []
        client.on_message(lambda sender, value: got.append((sender, value)))

        @client.on("message")
        async def later(sender, value):
            await asyncio.sleep(0)
            got.append(value)

        await client.ready()
        self.assertEqual(await server.send(client.id, {"a": [None]}, confirm=True), 1)
        server.send(client.id)
        await self.eventually(lambda: len(got) == 4)
        self.assertEqual(got[0], (server.id, {"a": [None]}))
        self.assertIn(None, got)
        client.off("message")
        self.assertEqual(await client.send("c.nobody.1.1", 1, confirm=True), 0)
        await server.unregister("add")
        self.assertNotIn("add", (await client.status())["methods"])
        await self.close(server, client)

    async def test_a_method_is_taken_back_while_it_is_called(self):
        """What was accepted before is answered, by the handler that was there."""
        server, client = await self.nodes()
        back = []

        def once(i):
            back.append(i)
            if len(back) == 1:
                back.append(server.unregister("once"))
            return i

        server.register("once", once)
        await server.ready()
        got = await asyncio.gather(*(client.call("once", i) for i in range(50)), return_exceptions=True)
        await back[1]
        self.assertEqual([one for one in got if isinstance(one, clouds.Error) and not one.retryable], [])
        self.assertEqual(server._methods.keys(), {"add", "wait", "plain"})
        await self.close(server, client)

    async def test_a_method_is_offered_anew_while_it_is_taken_back(self):
        server, client = await self.nodes()
        add = server._methods["add"].handler
        gone = server.unregister("add")
        server.register("add", add)
        await gone
        await server.ready()
        self.assertEqual(await client.call("add", 1, 2), 3)
        await self.close(server, client)

    async def test_close_that_is_refused(self):
        server, client = await self.nodes()
        for bad, kind in ((float("nan"), ValueError), (-1, ValueError), ("5", TypeError)):
            await self.raises_in(kind, "drain: expected a number of seconds", client.close(bad))
        self.assertEqual(await client.call("add", 1, 2), 3)
        await self.close(server, client)
        await client.close(float("nan"))

    async def test_who_waits_for_an_operation_holds_its_node(self):
        server, client = await self.nodes()
        await client.ready()
        going = [aio.Monitor(self.url).status(), aio.Base(self.url).send(client.id, 1, confirm=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # that nobody closes them is meant
            for _ in range(3):
                await asyncio.sleep(0)
                gc.collect()
            status, sent = await asyncio.gather(*going)
            self.assertIn(server.id, status["servers"])
            self.assertEqual(sent, 1)
            going.clear()
            gc.collect()
        await self.close(server, client)

    async def test_close(self):
        server, client = await self.nodes()
        waiting = client.call("wait")
        await self.eventually(lambda: self.runs)
        await asyncio.gather(client.close(), client.close())
        self.assertIn(type(waiting.exception()), (clouds.Canceled, clouds.Closed))
        await client.close()
        await self.raises_in(clouds.Closed, "the node is closed", client.call("add", 1, 2))
        self.raises(clouds.Closed, "", client.status)
        await self.raises_in(clouds.Closed, "", client.ready())
        await server.close(0)  # its handler is still at it
        await self.eventually(lambda: not server._tasks, "the handler was cancelled")

    async def test_drain(self):
        server, client = await self.nodes()
        left = []
        server.on("exit", left.append)
        calls = [client.call("wait", i) for i in range(3)]
        await self.eventually(lambda: len(self.runs) == 3)
        closing = asyncio.ensure_future(server.close(20))
        await asyncio.sleep(0.05)
        self.assertFalse(closing.done())
        self.release.set()
        self.assertEqual(await asyncio.gather(*calls), ["late"] * 3)
        await closing
        self.assertEqual(left, [0])
        await self.close(client)

    async def test_with(self):
        async with aio.Server(self.url) as server, aio.Client(self.url, timeout=20) as client:
            server.register("one", lambda: 1)
            await server.ready()
            self.assertEqual(await client.call("one"), 1)
        self.assertTrue(server.closed and client.closed)


class Limits(Serving):
    """Timeouts and retries. What waits does so beside the others."""

    async def test_timeouts_and_retries(self):
        server, client = await self.nodes()
        seen = []

        async def hook(*arguments):
            seen.append(arguments)
            return ("hook", len(seen))

        await asyncio.gather(
            self.raises_in(clouds.CallTimeout, "", client.call("wait", timeout=1)),
            self.raises_in(asyncio.TimeoutError, "", client.call("wait", deadline=0.1)),
            self.raises_in(clouds.Error, "", client.call("wait", "retry", timeout=1, retry=2)),
            self.raises_in(clouds.CallTimeout, "", client.bind("wait", retry=1, timeout=1, on_retry=hook)("x")),
            self.raises_in(TypeError, "on_retry gave 3", client.bind("wait", on_retry=lambda: 3)()))
        await self.eventually(lambda: len([one for one in self.runs if one]) == 5)
        self.assertEqual(seen, [("x",)] * 2)
        self.assertEqual(sorted(one for one in self.runs if one), [("hook", 1), ("hook", 2)] + [("retry",)] * 3)
        await self.close(server, client)


class Hooks(AsyncCase):

    async def test_a_hook_that_never_goes_on(self):
        async def never():
            await asyncio.sleep(1000)
        client = aio.Client(self.url)
        await self.raises_in(clouds.Timeout, "", client.bind("x", deadline=0.1, on_retry=never)())
        self.assertEqual(client._hooked_calls, {})
        call = client.bind("x", on_retry=never)()
        self.assertIs(type(call), aio.Call)
        await self.eventually(lambda: client.counters()["calls"] == 2)
        await client.close()
        self.assertIn(type(call.exception()), (clouds.Closed, clouds.Canceled))
        await self.eventually(lambda: len(asyncio.all_tasks()) == 2, "the hooks have ended")

    async def test_cancelled_while_the_hook_runs(self):
        ended = []

        async def never():
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append(True)
        async with aio.Client(self.url) as client:
            task = asyncio.create_task(client.bind("x", on_retry=never)())
            await self.eventually(lambda: client._hooked_calls and next(iter(client._hooked_calls.values())).going)
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await self.eventually(lambda: ended)


class Coroutines(AsyncCase):
    """A call is a future that has begun, and whoever insists on a coroutine may take it for one."""

    async def asyncSetUp(self):
        self.server, self.client = aio.Server(self.url), aio.Client(self.url, timeout=BOUND)
        self.release = asyncio.Event()
        self.server.register("add", lambda a, b: a + b)
        self.server.register("wait", self.release.wait)
        await self.server.ready()

    async def test_tasks(self):
        await self.asyncSetUp()
        add, loop = self.client.bind("add", on_retry=lambda *_: None), asyncio.get_running_loop()
        self.assertTrue(asyncio.iscoroutine(self.client.call("add", 0, 0)))
        self.assertEqual(await asyncio.create_task(self.client.call("add", 1, 2), name="sum"), 3)
        self.assertEqual(await asyncio.create_task(add(1, 2)), 3)
        self.assertEqual(await asyncio.gather(self.client.call("add", 1, 1), add(2, 2)), [2, 4])
        self.assertEqual(await asyncio.wait_for(self.client.call("add", 1, 1), BOUND), 2)
        if hasattr(asyncio, "TaskGroup"):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self.client.call("add", 2, 3))
            self.assertEqual(task.result(), 5)
        await self.raises_in(clouds.NoAvailableServer, "", asyncio.create_task(self.client.call("nobody")))
        task = asyncio.create_task(self.client.call("wait"))
        await asyncio.sleep(0)
        self.assertIn("Call", repr(task))
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(self.client._calls, {})
        elsewhere = await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(self.client.call("add", 3, 4), loop).result(BOUND))
        self.assertEqual(elsewhere, 7)
        done, _ = await asyncio.wait([asyncio.create_task(self.client.call("add", number, 1)) for number in range(3)])
        self.assertEqual({task.result() for task in done}, {1, 2, 3})
        begun = self.client.call("wait")
        begun.close()
        self.assertTrue(begun.cancelled())
        await self.server.close(0)
        await self.client.close()


class Waking(AsyncCase):
    """Who waits for a call goes on when it ends, whoever that is and however it ends."""

    async def asyncSetUp(self):
        self.server, self.client = aio.Server(self.url), aio.Client(self.url, timeout=BOUND)
        self.server.register("add", lambda a, b: a + b)
        self.server.register("wait", asyncio.Event().wait)
        await self.server.ready()

    async def asyncTearDown(self):
        await self.server.close(0)
        await self.client.close()

    async def test_several_wait(self):
        await self.asyncSetUp()
        call, heard = self.client.call("add", 1, 2), []

        async def waiter(name):
            heard.append((name, await call, asyncio.current_task().get_name()))

        call.add_done_callback(lambda future: heard.append(("callback", future.result(), "")))
        removed = heard.append
        call.add_done_callback(removed)
        self.assertEqual(call.remove_done_callback(removed), 1)
        tasks = [asyncio.create_task(waiter(name), name=name) for name in ("a", "b", "c")]
        await asyncio.gather(*tasks, asyncio.shield(call))
        self.assertEqual(sorted(heard), [("a", 3, "a"), ("b", 3, "b"), ("c", 3, "c"), ("callback", 3, "")])
        self.assertEqual(await call, 3)  # again
        late = self.loop_future()
        call.add_done_callback(late.set_result)
        self.assertIs(await late, call)
        await self.asyncTearDown()

    def loop_future(self):
        return asyncio.get_running_loop().create_future()

    async def test_a_task_keeps_its_context(self):
        await self.asyncSetUp()
        variable = contextvars.ContextVar("variable", default="none")

        async def waiter(value):
            variable.set(value)
            await self.client.call("add", 1, 2)
            return variable.get(), asyncio.current_task() in asyncio.all_tasks()

        got = await asyncio.gather(*(waiter(value) for value in range(100)))
        self.assertEqual(got, [(value, True) for value in range(100)])
        self.assertEqual(variable.get(), "none")
        await self.asyncTearDown()

    async def test_one_that_went_on_ends_others(self):
        await self.asyncSetUp()
        calls, ended = [], []

        async def first(call):
            await call
            for other in calls[1:]:
                other.cancel()
            raise ValueError("of the task")

        async def second(call):
            try:
                await call
            except asyncio.CancelledError:
                ended.append(call.cancelled())

        calls.extend(self.client.call("add", 1, number) for number in range(10))
        tasks = [asyncio.create_task((second if index else first)(call)) for index, call in enumerate(calls)]
        got = await asyncio.gather(*tasks, return_exceptions=True)
        self.assertEqual([repr(each) for each in got], ["ValueError('of the task')"] + ["None"] * 9)
        self.assertEqual([call.done() for call in calls], [True] * 10)
        self.assertEqual(self.client._calls, {})
        self.assertEqual(await self.client.call("add", 1, 2), 3)
        await self.asyncTearDown()

    async def test_a_task_that_is_cancelled(self):
        await self.asyncSetUp()
        call = self.client.call("wait")

        async def waiter():
            await call

        task = asyncio.create_task(waiter())
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertTrue(call.cancelled())
        self.assertEqual(self.client._calls, {})
        ended = asyncio.create_task(self.raises_in(clouds.Error, "", self.client.call("wait")))
        await asyncio.sleep(0)
        await self.client.close(0)
        await ended
        await self.asyncTearDown()

    def test_a_task_that_ends_the_loop(self):
        async def main():
            await self.asyncSetUp()
            ended = []

            async def waiter(number):
                await self.client.call("add", 1, number)
                ended.append(number)
                if number == 1:
                    raise SystemExit(7)

            tasks = [asyncio.create_task(waiter(number)) for number in range(10)]
            await asyncio.wait(tasks)
            return tasks

        loop = asyncio.new_event_loop()
        waiting = loop.create_task(main())
        with self.assertRaises(SystemExit):
            loop.run_until_complete(waiting)
        tasks = loop.run_until_complete(waiting)
        self.assertEqual([type(task.exception()) for task in tasks], [type(None), SystemExit] + [type(None)] * 8)
        loop.run_until_complete(self.asyncTearDown())
        loop.close()


class Loops(AsyncCase):
    """A node belongs to the loop that uses it first."""

    def test_made_outside_of_a_loop(self):
        server = aio.Server(self.url)

        @server.register("early")
        async def early():
            return "bird"

        async def main():
            async with aio.Client(self.url) as client:
                await server.ready()
                return await client.call("early")

        async def both():
            try:
                return await main()
            finally:
                await server.close()

        self.assertEqual(asyncio.run(both()), "bird")

    def test_wrong_loop(self):
        async def make():
            return aio.Client(self.url)
        client = asyncio.run(make())

        async def use():
            self.raises(RuntimeError, "belongs to an event loop, and that is closed", client.call, "x")
            self.raises(RuntimeError, "belongs to an event loop", client.send, "c.x", 1)
            with self.assertRaises(RuntimeError):
                await client.ready()
        asyncio.run(use())
        self.raises(RuntimeError, "no running event loop", client.call, "x")
        with self.assertWarns(ResourceWarning):
            del client

    async def test_other_threads_may_not(self):
        client = clouds.aio.Client(self.url)
        for use in (client.counters, lambda: client.configure(timeout=1)):
            with self.assertRaisesRegex(RuntimeError, "on the thread of"):
                await asyncio.to_thread(use)
        self.assertEqual(client.counters()["calls"], 0)
        await client.close()

    def test_no_loop(self):
        client = aio.Client(self.url)
        self.raises(RuntimeError, "no running event loop", client.call, "x")
        client._handle.destroy()

    async def test_many_nodes_in_one_loop(self):
        servers = [aio.Server(self.url) for _ in range(5)]
        for server in servers:
            server.register("who", lambda: clouds.request().method)
        await asyncio.gather(*(server.ready() for server in servers))
        async with aio.Client(self.url) as client:
            for server in servers:
                self.assertEqual(await client.call("who", server=server.id), "who")
        await asyncio.gather(*(server.close() for server in servers))

    async def test_in_flight_limit(self):
        async with aio.Client(self.url, max_in_flight=10) as client:
            calls = [client.call("nobody", timeout=5, retry=1) for _ in range(12)]
            await self.raises_in(clouds.LimitReached, "", calls[11])
            for call in calls:
                call.cancel()


over_each_bus(globals(), Calls)
over_each_bus(globals(), Waking, ("inproc", "redis"))
over_each_bus(globals(), Limits, ("inproc", "redis"))
del Serving

if __name__ == "__main__":
    unittest.main()
