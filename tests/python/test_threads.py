"""Any number of threads share a node."""
import sys
import threading
import unittest

from support import BOUND, PythonCase, over_each_bus

import clouds
from clouds._threads import Limits, Pool


class Threads(PythonCase):

    def together(self, count, work):
        """Runs work(number) in so many threads at the same time; what went wrong in any of them fails the test."""
        problems = []

        def guarded(number):
            try:
                work(number)
            except BaseException as problem:
                problems.append(problem)
        running = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(BOUND)
        self.assertFalse(any(thread.is_alive() for thread in running), "a thread hangs")
        self.assertEqual(problems, [])

    def setUp(self):
        super().setUp()
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # the lock changes hands as often as it can
        self.addCleanup(sys.setswitchinterval, before)
        self.server = self.node("Server")
        self.server.register("add", lambda a, b: a + b)
        self.server.register("nested", lambda a: self.server.call("add", a, 1))
        self.server.ready()

    def test_calls(self):
        client = self.node("Client", timeout=60)

        def work(number):
            for i in range(60):
                self.assertEqual(client.call("add", number, i), number + i)
        self.together(24, work)

    def test_handlers_that_call(self):
        client = self.node("Client", timeout=60)
        self.together(4, lambda number: [self.assertEqual(client.call("nested", i), i + 1) for i in range(30)])

    def test_everything_at_once(self):
        node = self.node("Base", timeout=60)
        node.on_message(lambda *_: None)
        node.ready()

        def work(number):
            for i in range(10):
                if number % 4 == 0:
                    self.assertEqual(node.send(node.id, i, confirm=True), 1)
                elif number % 4 == 1:
                    self.assertIn("add", node.status()["methods"]) if i < 2 else None  # over Redis it is one a second
                elif number % 4 == 2:
                    name = f"own{number}.{i}"
                    node.register(name, lambda: 1)
                    node.ready()
                    self.assertEqual(node.call(name), 1)
                    node.unregister(name)
                else:
                    self.assertEqual(node.call("add", i, i), 2 * i)
        self.together(8, work)

    def test_closed_under_them(self):
        client, begun = self.node("Client", timeout=60), threading.Barrier(9)

        def work(_):
            begun.wait(BOUND)
            try:
                for i in range(100000):
                    client.call("add", i, i)
            except clouds.Error as problem:
                self.assertIn(type(problem), (clouds.Closed, clouds.Canceled))

        def close(_):
            begun.wait(BOUND)
            client.close()
        self.together(9, lambda number: close(number) if number == 8 else work(number))

    def test_closed_by_several(self):
        node = self.node("Server")
        node.register("x", print)
        self.together(6, lambda _: node.close())


over_each_bus(globals(), Threads)


class Pools(unittest.TestCase):

    def test_as_many_threads_as_there_is_work(self):
        pool, size = Pool(6, "test", Limits(100, 1000), self.fail), 6
        self.addCleanup(pool.stop)
        for _ in range(2000):  # threads that are just becoming free are no reason to start none
            done = threading.Event()
            pool.submit(done.set)
            done.wait(BOUND)
        together = threading.Barrier(size + 1)
        for _ in range(size):
            pool.submit(together.wait, BOUND)
        together.wait(BOUND)

if __name__ == "__main__":
    unittest.main()
