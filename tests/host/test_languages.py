"""clouds start with workers in Python and in Node, from outside: what they serve survives reloads, failures and the end."""
import os
import re
import signal
import unittest

from support import SOURCE, Caller, Master, gone, wait_until

BUILD = os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev"))
NODE = os.path.join(BUILD, "bindings", "node")

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

worker.on("drain", lambda seconds: print("drain", seconds))
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
    async def drain(seconds):
        await asyncio.sleep(0)
        print("drain", seconds)
    worker.on("stop", lambda: print("stop"))
    await server.run()
    print("ran")

asyncio.run(main())
"""

JAVASCRIPT = """
const fs = require('fs');
const clouds = require(process.env.CLOUDS_TEST_PACKAGE);
const { worker } = clouds;
const server = clouds.createServer();
server.registerP('where', () => `${worker.group}.${worker.index} of ${worker.count}, ${worker.generation}`);
server.registerP('wait', async (path) => {
  console.log('waits');
  while (!fs.existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  return 'waited';
});
server.registerP('loop', () => {
  for (;;);
});
worker.on('drain', async (seconds) => console.log(`drain ${seconds.toFixed(1)}`));
worker.on('stop', () => console.log('stop'));
"""


class Languages(Master):
    def setUp(self):
        super().setUp()
        self.env.update(PYTHONPATH=os.path.join(SOURCE, "bindings", "python"), PYTHONDONTWRITEBYTECODE="1",
                        CLOUDS_LIBRARY=os.path.join(BUILD, "capi", "libclouds.so"), CLOUDS_TEST_PACKAGE=NODE)

    def open(self, name, code, *options, workers=1):
        self.file(name, code)
        self.master = self.start("start", "--workers", str(workers), *options, name, cwd=self.folder)
        return self.master

    def ready(self, *rest, **words):
        self.open(*rest, **words)
        self.master.err.wait_for(" ready: ")

    def call(self, *words):
        """The words that a call printed."""
        found = self.run_clouds("call", *words)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout.strip()

    def worker(self, index):
        """The process of a worker."""
        return next(row["pid"] for row in self.workers("svc") if row["index"] == index and row["state"] == "ready")

    def lines(self, count, text, output=None):
        output = output or self.master.err
        wait_until(lambda: output.text().count(text) >= count, f"{count} times {text!r}")

class Workers:
    """What is so in each language: `script` is its name, `code` what it has."""

    def begin(self, *options, workers=1):
        self.ready(self.script, self.code, *options, workers=workers)

    def begin_to_wait(self):
        """A call that ends when there is a file `go`."""
        caller = self.start("call", "--string", "wait", os.path.join(self.folder, "go"))
        self.master.out.wait_for("waits")
        return caller

    def assert_waited(self, caller):
        self.file("go", "")
        self.assertEqual((caller.wait(), caller.out.text()), (0, '"waited"\n'), caller.err.text())

    def be_quiet(self):
        self.assertEqual(self.run_clouds("quiet").returncode, 0)
        wait_until(lambda: re.search(r"where .*\(paused\) .*\(paused\)", self.run_clouds("status").stdout), "both are paused")
        self.assertEqual(self.run_clouds("call", "-t", "1", "where").returncode, 3)
        self.assertEqual(self.run_clouds("resume").returncode, 0)
        self.assertIn("of 2, 1", self.call("--retry", "5", "where"))

    def test_a_life(self):
        """Calls go on over a reload and the end of a worker by a signal, and none is lost; one that is killed is followed; a stop
        waits for what was accepted. All end in order."""
        self.begin(workers=2)
        self.be_quiet()
        caller = Caller(self, "where")
        self.assertEqual(self.run_clouds("reload").returncode, 0, self.master.err.text())
        self.assertRegex(self.call("where"), r"svc\.[12] of 2, 2")
        os.kill(self.worker(1), signal.SIGTERM)
        self.lines(5, " ready in ")
        self.assertIn("worker svc.1 stops: it was told to", self.master.err.text())
        caller.finish()
        os.kill(self.worker(2), signal.SIGKILL)
        self.lines(6, " ready in ")
        self.assertIn("worker svc.2 ended: SIGKILL", self.master.err.text())
        caller = self.begin_to_wait()
        self.master.signal(signal.SIGTERM)
        self.lines(5, "drain 8", self.master.out)
        self.assert_waited(caller)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertEqual([self.master.out.text().count(word) for word in ("| drain 8", "| stop")], [5, 5])
        self.assertNotIn("did not end", self.master.err.text())

    def test_the_end_of_the_master(self):
        """Workers finish what they have accepted, and end."""
        self.begin()
        worker, caller = self.worker(1), self.begin_to_wait()
        self.master.popen.kill()
        self.assert_waited(caller)
        wait_until(lambda: gone(worker), "the worker ends")


class Failing:
    def test_one_that_hangs_is_killed(self):
        """And so is, in the end, one that does not drain."""
        self.ready(self.script, self.code, "--hang-timeout", "0.5", "--drain", "0.2")
        caller = self.start("call", "loop")
        self.master.err.wait_for("worker svc.1 hangs: busy for ")
        self.lines(2, " ready in ")
        self.master.err.wait_for("worker svc.1 ended: SIGKILL: it hung, busy for ")
        self.assertEqual(caller.wait(), 4)
        if self.says_where:
            self.assertIn(self.says_where, self.master.err.text())
        caller = self.begin_to_wait()
        self.end()
        self.assertNotEqual(caller.wait(), 0)


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
        """.replace("\n            ", "\n"))
        self.master.out.wait_for("solo False <clouds.worker svc.1>")
        self.end()
        self.assertIn("cleaned up", self.master.out.text())
        self.assertNotIn("did not end", self.master.err.text())

    def test_what_fails(self):
        for code, words in ((b"raise ValueError('boom')", "exit 1: ValueError: boom"),
                            (b"import clouds", "exit 0: the worker has ended before it was ready: no node runs"),
                            (b"import sys; sys.exit('no')", "exit 1: no"),
                            (b"import clouds\nserver = clouds.Server(id='a')\nserver.register('x', print)\nserver.ready()\n"
                             b"other = clouds.Server(id='a')\nother.register('x', print)\nother.run()",
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


@unittest.skipUnless(os.path.exists(os.path.join(NODE, "clouds.node")), "the Node package was not built")
class Node(Failing, Workers, Languages):
    script, code, says_where = "svc.js", JAVASCRIPT, None

    def test_ready_by_its_own_word(self):
        self.open("svc.js", """
            const { worker, createServer } = require(process.env.CLOUDS_TEST_PACKAGE);
            worker.hold();
            createServer().registerP('where', () => 1).then(() => {
              console.log('registered');
              setInterval(() => require('fs').existsSync('go') && worker.ready(), 10);
            });
        """)
        self.master.out.wait_for("registered")
        self.assertNotIn(" ready in ", self.master.err.text())
        self.file("go", "")
        self.master.err.wait_for("svc ready: ")
        self.end()

    def test_what_fails(self):
        package = "require(process.env.CLOUDS_TEST_PACKAGE)"
        for code, words in (("throw new Error('boom')", "exit 1: Error: boom"),
                            (package, "exit 1: the worker has ended before it was ready: it registers nothing"),
                            (f"const {{ createServer }} = {package};\n"
                             "createServer({ id: 'a' }).registerP('x', () => 1)\n"
                             ".then(() => createServer({ id: 'a' }).register('x', () => 1));",
                             "exit 1: the worker cannot serve: CLOUDS_EXISTS: ")):
            with self.subTest(code=code):
                self.assertEqual(self.open("svc.js", code).wait(), 1)
                self.assertIn(f"svc does not start: worker svc.1: {words}", self.master.err.text())


@unittest.skipUnless(os.path.exists(os.path.join(NODE, "clouds.node")), "the Node package was not built")
class Messages(Languages):
    def test_words(self):
        """Workers of two languages send each other values, and say of themselves what `clouds ps` shows."""
        self.file("py.py", """
            import asyncio, clouds
            from clouds import aio, worker
            async def main():
                server, heard = aio.Server(), []
                worker.on("message", lambda value, group, index: heard.append([value, group, index]))
                server.register("heard", lambda: heard)
                server.register("retire", worker.retire)
                server.register("reload", lambda: worker.reload("js"))
                server.register("say", lambda: worker.send("js", {"a": [1, None]}, 1))
                worker.set(color="red", size=1)
                worker.set(size=None)
                await server.run()
            asyncio.run(main())
        """.replace("\n            ", "\n"))
        self.file("js.js", """
            const { worker, createServer } = require(process.env.CLOUDS_TEST_PACKAGE);
            worker.on('message', (value, group, index) => worker.send(group, { back: value, from: worker.index }));
            worker.set('shape', { round: true });
            createServer().registerP('wrong', () => worker.send('no name', 1));
        """)
        path = self.file("cluster.lua", """
            local app = require("clouds.cluster").master {}
            app:register("py", "py.py", { workers = 1 })
            app:register("js", "js.js", { workers = 1 })
        """)
        self.master = self.start("start", "-c", path)
        self.master.err.wait_for("cluster ready: ")
        self.call("say")
        wait_until(lambda: self.call("heard") == '[[{"back":{"a":[1,null]},"from":1},"js",1]]', "it hears an answer")
        wait_until(lambda: self.variables() == [{"color": "red"}, {"shape": {"round": True}}], "their variables are shown")
        self.assertIn("expected the name of a group", self.run_clouds("call", "wrong").stderr)
        self.call("retire")
        self.master.err.wait_for("worker py.1 is replaced: its script asks for that")
        self.lines(3, " ready in ")
        self.call("reload")
        self.master.err.wait_for("cluster reloaded: js 1, generation 2")
        self.end()

    def test_the_example(self):
        modules = os.path.join(self.folder, "modules")
        os.mkdir(modules)
        os.symlink(NODE, os.path.join(modules, "clouds"))
        self.env["NODE_PATH"] = modules
        self.env["HTTP_LISTEN"] = "127.0.0.1:0"
        self.master = self.start("start", "-c", os.path.join(SOURCE, "examples", "cluster", "languages.lua"))
        self.master.err.wait_for("languages ready: http 1, python 2, node 2")
        self.assertRegex(self.call("hello.python", '"Glen"'), r"Hello Glen, from python\.[12]")
        self.assertRegex(self.call("hello.node", '"Glen"'), r"Hello Glen, from node\.[12]")
        self.end()
        self.assertEqual(self.master.out.text().count("no further calls; 8 s"), 4)

    def variables(self):
        groups = self.json(self.run_clouds("ps", "--json"))["groups"]
        return [row.get("variables") for group in groups for row in group["workers"]]


class Plans(Languages):
    def check(self, text, *options):
        self.file("svc.py", SYNC)
        return self.run_clouds("check", self.file("cluster.lua", text), *options)

    def test_a_file(self):
        """Groups in several languages, one by a command of its own, that one reload renews."""
        self.file("svc.py", SYNC)
        self.file("other.lua", 'require("clouds").server {}:register("lua", function() return "Lua" end)')
        path = self.file("cluster.lua", """
            local app = require("clouds.cluster").master {}
            app:register("python", "svc.py", { workers = 1, command = { "python3", "-X", "dev" }, args = { "a" } })
            app:register("lua", "other.lua", { workers = 1 })
            app:register("bare", nil, { workers = 1, command = { "python3", "-c",
              "import sys, clouds; print(sys.flags.dev_mode, sys.argv); s = clouds.Server();"
              .. "s.register('bare', lambda: sys.argv[1]); s.run()" }, args = { "word" } })
        """)
        self.master = self.start("start", "-c", path)
        self.master.err.wait_for("cluster ready: python 1, lua 1, bare 1")
        self.assertIn("python.1 of 1, 1", self.call("where"))
        self.assertEqual((self.call("lua"), self.call("bare")), ('"Lua"', '"word"'))
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.assertIn("python.1 of 1, 2", self.call("where"))
        self.end()

    def test_a_check(self):
        found = self.check('require("clouds.cluster").master {}:register("web", "svc.py", { workers = 1 })')
        self.assertIn("web: 1 worker of python3 ", found.stdout)
        for register, words in (
                ('(8080, "svc.py")', "svc.py: a program in another language takes no connections from the master"),
                ('("web", "svc.py", { command = {} })', "'command': expected a program"),
                ('("web", "svc.py", { command = "python3" })', "'command': expected a list of texts"),
                ('("web", "none.py")', "there is no script "),
                ('("web")', "expected the file of a script, got a nil")):
            found = self.check(f'require("clouds.cluster").master {{}}:register{register}')
            self.assertEqual(found.returncode, 2, register)
            self.assertIn(words, found.stderr)
        found = self.check('require("clouds.cluster").master {}:library("svc.py")')
        self.assertIn("svc.py is none", found.stderr)

    def test_no_such_program(self):
        path = self.file("cluster.lua", 'require("clouds.cluster").master {}:register("web", nil, { command = { "./none" } })')
        master = self.start("start", "-c", path)
        self.assertEqual(master.wait(), 1)
        self.assertRegex(master.err.text(), r"cluster does not start: worker web\.\d+: cannot start /.*/none: No such file")


if __name__ == "__main__":
    unittest.main()
