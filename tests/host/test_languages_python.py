"""clouds start with workers in Python, from outside: what they serve survives reloads, failures and the end."""
import unittest

from language_life import Failing, Workers
from language_support import Languages

# Each serves `where`; `wait`, which prints and answers when a file is there; and `loop`, which never comes back.
SYNC = """
import os, time, clouds
server, worker = clouds.Server(), clouds.worker

@server.register("where")
def where():
    return f"{worker.group}.{worker.index} of {worker.count}, {worker.generation}"

@server.register("wait")
def wait(path):
    print("waits")
    while not os.path.exists(path):
        time.sleep(0.01)
    return "waited"

worker.on("drain", lambda reason, seconds: print("drain", reason, seconds))
worker.on("stop", lambda: print("stop"))
server.run()
print("ran")
"""

ASYNC = """
import asyncio, os, clouds
from clouds import aio, worker

async def main():
    server = aio.Server()

    @server.register("where")
    async def where():
        return f"{worker.group}.{worker.index} of {worker.count}, {worker.generation}"

    @server.register("wait")
    async def wait(path):
        print("waits")
        while not os.path.exists(path):
            await asyncio.sleep(0.01)
        return "waited"

    @server.register("loop")
    def endless():
        while True:
            pass

    @worker.on("drain")
    async def drain(reason, seconds):
        await asyncio.sleep(0)
        print("drain", reason, seconds)
    worker.on("stop", lambda: print("stop"))
    await server.run()
    print("ran")

asyncio.run(main())
"""


class Python(Workers, Languages):
    script, code = "svc.py", SYNC

    def test_ready_by_its_own_word(self):
        """A program without a node; nothing of it looks for the end, and it ends by SystemExit in its main thread."""
        self.ready("svc.py", """
            import threading, clouds
            print("solo", clouds.worker.solo, clouds.worker)
            clouds.worker.ready()
            try:
                threading.Event().wait()
            finally:
                print("cleaned up")
        """)
        self.master.out.wait_for("solo False <clouds.worker svc.1>")
        self.end()
        self.assertIn("cleaned up", self.master.out.text())
        self.assertNotIn("did not end", self.master.err.text())

    def test_what_fails(self):
        for code, words in (("raise ValueError('boom')", "exit 1: ValueError: boom"),
                            ("import clouds", "exit 0: the worker has ended before it was ready: no node runs"),
                            ("import sys; sys.exit('no')", "exit 1: no"),
                            ("import clouds\nserver = clouds.Server(id='a')\nserver.register('x', print)\nserver.ready()\n"
                             "other = clouds.Server(id='a')\nother.register('x', print)\nother.run()",
                             "exit 1: the worker cannot serve: CLOUDS_EXISTS: ")):
            with self.subTest(code=code):
                self.assertEqual(self.open("svc.py", code).wait(), 1)
                self.assertIn(f"svc does not start: worker svc.1: {words}", self.master.err.text())


class Asyncio(Failing, Workers, Languages):
    script, code, says_where = "svc.py", ASYNC, "in endless"

    def test_enough_requests(self):
        self.begin("--max-requests", "5")
        for _ in range(6):
            self.call("where")
        self.lines(2, " ready in ")
        self.assertRegex(self.master.err.text(), r"worker svc\.1 is replaced: it has begun \d requests")
        self.end()

if __name__ == "__main__":
    unittest.main()
