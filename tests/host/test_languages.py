"""clouds start with workers in several languages: plans with them, and what they say to each other."""
import os
import unittest

from language_support import HAS_NODE, WITHOUT_NODE, Languages
from support import SOURCE, wait_until

SERVICE = """
    import clouds
    server, worker = clouds.Server(), clouds.worker
    server.register("where", lambda: f"{worker.group}.{worker.index} of {worker.count}, {worker.generation}")
    server.run()
"""


@unittest.skipUnless(HAS_NODE, WITHOUT_NODE)
class Messages(Languages):
    def test_words(self):
        """Workers of two languages send each other values, and say of themselves what `clouds ps` shows."""
        self.write("py.py", """
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
        """)
        self.write("js.js", """
            const { worker, createServer } = require(process.env.CLOUDS_TEST_PACKAGE);
            worker.on('message', (value, group, index) => worker.send(group, { back: value, from: worker.index }));
            worker.set('shape', { round: true });
            createServer().registerP('wrong', () => worker.send('no name', 1));
        """)
        self.start_file("""
            local app = require("clouds.cluster").master {}
            app:register("py", "py.py", { workers = 1 })
            app:register("js", "js.js", { workers = 1 })
        """)
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
        self.use_package()
        self.env["HTTP_LISTEN"] = "127.0.0.1:0"
        self.master = self.start("start", "-c", os.path.join(SOURCE, "examples", "cluster", "languages.lua"))
        self.master.err.wait_for("languages ready: http 1, python 2, node 2")
        self.assertRegex(self.call("hello.python", '"Glen"'), r"Hello Glen, from python\.[12]")
        self.assertRegex(self.call("hello.node", '"Glen"'), r"Hello Glen, from node\.[12]")
        self.end()
        self.assertEqual(self.master.out.text().count("stop: no further calls; 8 s"), 4)

    def variables(self):
        groups = self.json(self.run_clouds("ps", "--json"))["groups"]
        return [row.get("variables") for group in groups for row in group["workers"]]


class Plans(Languages):
    def check(self, text, *options):
        self.write("svc.py", SERVICE)
        return self.run_clouds("check", self.file("cluster.lua", text), *options)

    def test_a_file(self):
        """Groups in several languages, one by a command of its own, that one reload renews."""
        self.write("svc.py", SERVICE)
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
        wait_until(lambda: "python.1 of 1, 2" in self.call("where"), "nobody is called any more that leaves")
        self.end()

    def test_a_check(self):
        found = self.check('require("clouds.cluster").master {}:register("web", "svc.py", { workers = 1 })')
        self.assertIn("web: 1 worker of python3 ", found.stdout)
        for register, words in (
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
