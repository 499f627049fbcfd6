"""clouds.worker of a program that runs by itself: it is the only one of its group, and what it is told is checked."""
import asyncio
import threading
import time
import unittest

from support import PythonCase

from clouds import worker


class Solo(PythonCase):
    def test_what_it_is(self):
        self.assertEqual((worker.solo, worker.index, worker.count, worker.ports, worker.draining), (True, 1, 1, [], False))
        self.assertEqual(worker.listeners(), [])
        worker.ready(print)

    def test_what_is_wrong(self):
        for wrong, problem, words in ((lambda: worker.ready(5), TypeError, "a function of a socket and a port, got 5"),
                                      (lambda: worker.release(-1), TypeError, "how many things remain, got -1"),
                                      (lambda: worker.release(True), TypeError, "got True"),
                                      (lambda: worker.every(0, print), ValueError, "more than 0, got 0"),
                                      (lambda: worker.every(1, 5), TypeError, "expected a function, got 5"),
                                      (lambda: worker.on("dain", print), ValueError, "no such event: 'dain'")):
            with self.assertRaisesRegex(problem, words):
                wrong()

    def test_turns_of_threads(self):
        """One after the other, also behind one that fails."""
        inside, most, order = [0], [0], []

        def run(number):
            try:
                with worker.serial():
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.001)
                    order.append(number)
                    inside[0] -= 1
                    raise ValueError(number)
            except ValueError:
                pass
        threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((sorted(order), most[0]), (list(range(10)), 1))

    def test_turns_of_tasks(self):
        async def hold(begun, end):
            async with worker.serial():
                begun.set()
                await end.wait()

        async def main():
            begun, end, order = asyncio.Event(), asyncio.Event(), []
            holder = asyncio.create_task(hold(begun, end))
            await begun.wait()

            async def run(number):
                async with worker.serial():
                    order.append(number)
            waiting = [asyncio.create_task(run(number)) for number in range(4)]
            await asyncio.sleep(0)
            waiting[1].cancel()  # it is passed over
            await asyncio.sleep(0)
            self.assertEqual(order, [])
            with self.assertRaisesRegex(RuntimeError, "async with worker.serial"):
                with worker.serial():
                    pass
            with self.assertRaisesRegex(RuntimeError, "asyncio.to_thread"):
                worker.listeners()
            end.set()
            waiting[2].cancel()  # with its turn on the way
            await asyncio.gather(holder, *waiting, return_exceptions=True)
            async with worker.serial():
                return order
        self.assertEqual(asyncio.run(main()), [0, 3])

    def test_again_and_again(self):
        runs, enough = [], threading.Event()

        def run():
            runs.append(threading.current_thread())
            if len(runs) == 3:
                enough.set()
            raise ValueError("it goes on")
        with self.assertLogs("clouds", "ERROR"):
            one = worker.every(0.001, run)
            self.assertTrue(enough.wait(60))
            one.stop()
        self.assertNotIn(threading.current_thread(), runs)

        async def main():
            seen, third = [], asyncio.Event()

            async def run():
                seen.append(threading.current_thread())
                await asyncio.sleep(0)
                if len(seen) == 3:
                    third.set()
            one = worker.every(0.001, run)
            await third.wait()
            one.stop()
            return set(seen)
        self.assertEqual(asyncio.run(main()), {threading.current_thread()})

    def test_what_is_under_way(self):
        with worker.transact():
            worker.transact()
            worker.release()
        worker.release(3)
        worker.release(0)
        worker.release()  # below none there is nothing


if __name__ == "__main__":
    unittest.main()
