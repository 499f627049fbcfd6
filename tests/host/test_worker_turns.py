"""clouds start with workers in Python and in Node: what is done by one worker at a time, and again and again."""
import os
import signal
import unittest

from language_support import HAS_NODE, WITHOUT_NODE, Languages
from support import gone, wait_until

# `turn` notes its begin and its end, `hold` keeps the turn until there is a file, `fail` ends it by an error.
THREADS = """
    import os, time, clouds
    from clouds import worker
    server = clouds.Server()

    def say(text):  # in one piece: threads that print get into each other's lines
        os.write(1, f"{text}\\n".encode())

    def note(text):
        with open("notes", "a") as file:
            file.write(f"{text} {worker.index}\\n")

    @server.register("turn")
    def turn():
        with worker.serial():
            note("begin")
            time.sleep(0.005)
            note("end")

    @server.register("hold")
    def hold():
        with worker.serial():
            print("holds", worker.index)
            while not os.path.exists("go"):
                time.sleep(0.01)

    @server.register("fail")
    def fail():
        with worker.serial():
            raise ValueError("it failed")

    def slow():
        say("slow begins")
        while not os.path.exists("slow"):
            time.sleep(0.01)
        say("slow ends")

    worker.every(0.01, lambda: say("tick"))
    worker.every(0.01, slow)
    worker.on("drain", lambda *_: say("drain"))
    worker.on("stop", lambda: say("stop"))
    server.run()
"""

ASYNC = """
    import asyncio, os
    from clouds import aio, worker

    def note(text):
        with open("notes", "a") as file:
            file.write(f"{text} {worker.index}\\n")

    async def wait_for(name):
        while not os.path.exists(name):
            await asyncio.sleep(0.01)

    async def main():
        server = aio.Server()

        @server.register("turn")
        async def turn():
            async with worker.serial():
                note("begin")
                await asyncio.sleep(0.005)
                note("end")

        @server.register("hold")
        async def hold():
            async with worker.serial():
                print("holds", worker.index)
                await wait_for("go")

        @server.register("fail")
        async def fail():
            async with worker.serial():
                raise ValueError("it failed")

        async def slow():
            print("slow begins")
            await wait_for("slow")
            print("slow ends")

        worker.every(0.01, lambda: print("tick"))
        worker.every(0.01, slow)
        worker.on("drain", lambda *_: print("drain"))
        worker.on("stop", lambda: print("stop"))
        await server.run()

    asyncio.run(main())
"""

JAVASCRIPT = """
    const fs = require('fs');
    const { createServer, worker } = require(process.env.CLOUDS_TEST_PACKAGE);
    const note = (text) => fs.appendFileSync('notes', `${text} ${worker.index}\\n`);
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const waitFor = async (name) => {
      while (!fs.existsSync(name)) await sleep(10);
    };
    const server = createServer();
    server.registerP('turn', () => worker.serial(async () => {
      note('begin');
      await sleep(5);
      note('end');
    }));
    server.registerP('hold', () => worker.serial(async () => {
      console.log('holds', worker.index);
      await waitFor('go');
    }));
    server.registerP('fail', () => worker.serial(() => {
      throw new Error('it failed');
    }));
    worker.every(0.01, () => console.log('tick'));
    worker.every(0.01, async () => {
      console.log('slow begins');
      await waitFor('slow');
      console.log('slow ends');
    });
    worker.on('drain', () => console.log('drain'));
    worker.on('stop', () => console.log('stop'));
"""

CALLER = """
    local clouds = require "clouds"
    local client, calls = clouds.client { timeout = 60 }, {}
    for i = 1, 20 do
      calls[i] = clouds.spawn(function() assert(select(2, client:call("turn")) == nil) end)
    end
    for i = 1, 20 do calls[i]:wait() end
    client:close()
"""


class Turns:
    """What is so in each language: `name` is that of its script, `code` what it has."""

    def test_one_worker_at_a_time(self):
        self.ready(self.name, self.code, "--drain", "20", workers=2)
        self.assertIn("it failed", self.run_clouds("call", "fail").stderr)
        done = self.run_clouds("run", "-e", CALLER)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.folder, "notes")) as file:
            notes = file.read().splitlines()
        self.assertEqual([f"begin {line.split()[1]}" for line in notes[1::2]], notes[::2])
        self.assertEqual([line.split()[0] for line in notes], ["begin", "end"] * 20)
        self.assertEqual({line.split()[1] for line in notes}, {"1", "2"})
        self.file("slow", "")
        self.end()

    def test_the_end_of_a_worker_ends_its_turn(self):
        self.ready(self.name, self.code, "--drain", "20", workers=2)
        holder = self.start("call", "hold")
        self.master.out.wait_for("holds ")
        waiting = self.start("call", "-t", "60", "turn")
        first = int(self.master.out.text().split("holds ")[1][0])
        worker = self.worker(first)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gone(worker), "it is gone")
        self.assertNotEqual(holder.wait(), 0)
        waiting.wait()  # it was for the one that was killed, or for the other
        self.assertEqual(self.run_clouds("call", "-t", "60", "turn").returncode, 0)
        self.file("slow", "")
        self.end()

    def test_again_and_again(self):
        """Until nobody is served; what runs then is waited for."""
        self.ready(self.name, self.code, "--drain", "20")
        self.lines(3, "| tick", self.master.out)
        self.master.out.wait_for("| slow begins")
        self.master.signal(signal.SIGTERM)
        self.master.out.wait_for("| drain")
        self.file("slow", "")
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        said = [line.split(" | ")[1] for line in self.master.out.text().splitlines() if "tick" not in line]
        self.assertEqual((said[-1], said.count("slow begins")), ("stop", said.count("slow ends")))
        self.assertLess(said.index("drain"), said.index("slow ends"))


class Threads(Turns, Languages):
    name, code = "svc.py", THREADS


class Asyncio(Turns, Languages):
    name, code = "svc.py", ASYNC


@unittest.skipUnless(HAS_NODE, WITHOUT_NODE)
class Node(Turns, Languages):
    name, code = "svc.js", JAVASCRIPT


if __name__ == "__main__":
    unittest.main()
