"""cluster.lua: what is said in it, what is wrong with it, and an application that follows it over reloads."""
import http.client
import os
import re
import signal
import socket
import unittest

from support import SOURCE, Case, Master, Unix, wait_until

WEB = """
local http = require "clouds.http"
local words = table.concat({ os.getenv "CLOUDS_GROUP", ... }, " ")
http.serve(function(request) return words .. " GREETING" end)
"""

HEAD = 'local cluster = require "clouds.cluster"\nlocal app = cluster.master { name = "shop" }\n'


class File(Case):
    def setUp(self):
        super().setUp()
        self.file("web.lua", WEB)

    def write(self, text, name="cluster.lua", head=HEAD):
        return self.file(name, head + text)

    def check(self, text, *options, env=None):
        return self.run_clouds("check", self.write(text), *options, env=env)

    def plan(self, text, env=None):
        return self.json(self.check(text, "--json", env=env))

    def group(self, text, env=None):
        return self.plan(text, env)["groups"][0]


class Check(File):
    def test_a_plan(self):
        plan = self.plan('app:register(8080, "web.lua", { workers = 2, args = { "a", 1 }, env = { X = "y" } })\n'
                         'app:register("mailer", "web.lua", { drain = 3 }):dispatch()\n'
                         'app:library("web.lua")')
        self.assertEqual((plan["name"], plan["base"]), ("shop", os.path.realpath(self.folder)))
        library, web, mailer = plan["groups"]
        self.assertEqual((library["name"], library["workers"], library["listen"]), ("library", 1, []))
        self.assertEqual((web["name"], web["listen"], web["workers"]), ("web", ["8080"], 2))
        self.assertEqual((web["arguments"], web["env"]), (["a", "1"], {"X": "y"}))
        self.assertEqual((mailer["name"], mailer["listen"], mailer["drain"]), ("mailer", [], 3))
        self.assertEqual(web["where"], os.path.join(self.folder, "cluster.lua") + ":3")
        self.assertEqual(web["script"], os.path.join(os.path.realpath(self.folder), "web.lua"))

    def test_as_text(self):
        result = self.check('app:register(8080, "web.lua", { workers = 2, drain = 3 })')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("shop: 1 group, in ", result.stdout)
        self.assertRegex(result.stdout, r"web: 2 workers of \S+/web.lua, at 8080  drain=3")

    def test_C1_as_many_workers_as_processors(self):
        def counts():
            return [self.group('app:register("a", "web.lua"%s)' % more)["workers"] for more in ("", ', { workers = "200%" }')]
        processors = os.sched_getaffinity(0)
        count, twice = counts()
        self.assertEqual(twice, 2 * count)
        self.assertIn(count, range(1, len(processors) + 1))  # fewer where the time of the tests is limited: tests/cluster
        os.sched_setaffinity(0, {min(processors)})
        self.addCleanup(os.sched_setaffinity, 0, processors)
        self.assertEqual(counts(), [1, 2])

    def test_workers_by_the_environment(self):
        text = 'app:register("a", "web.lua", { workers = { production = 8, default = 3 } })'
        self.assertEqual(self.group(text)["workers"], 3)
        self.assertEqual(self.group(text, {"CLOUDS_ENV": "production"})["workers"], 8)

    def test_C22_listeners_as_one_text(self):
        group = self.group('app:register("8080,, unix:web.sock?mode=0660 ,", "web.lua")')
        path = os.path.join(os.path.realpath(self.folder), "web.sock")
        self.assertEqual(group["listen"], ["8080", f"unix:{path}?mode=0660"])
        group = self.group('app:register({ 8080, "127.0.0.1:8081" }, "web.lua")')
        self.assertEqual(group["listen"], ["8080", "127.0.0.1:8081"])

    WRONG = (
        ('app:register(1, "web.lua", { worker = 1 })', "unknown key 'worker' of a group; did you mean 'workers'?"),
        ('app:register(1, "web.lua", { zzzzzzz = 1 })', "unknown key 'zzzzzzz' of a group; expected one of name, listen"),
        ('app:register(1, "web.lua", { 5 })', "unknown key 1 of a group"),
        ('app:register(1, "web.lua", { umask = "999" })', "'umask': expected octal digits as 027, got \"999\""),
        ('app:register(1, "web.lua", { listen = "" })', "'listen': expected a port"),
        ('app:register(1, "web.lua", { workers = 0 })', "'workers': expected a whole number from 1 to 1024"),
        ('app:register(1, "web.lua", { workers = "many" })', 'got "many"'),
        ('app:register(1, "web.lua", { workers = { production = 2 } })', "'workers': expected a default"),
        ('app:register(1, "web.lua", { drain = -1 })', "'drain': expected a number from 0 to 86400, got -1"),
        ('app:register(1, "web.lua", { drain = 0/0 })', "'drain': expected a number"),
        ('app:register(1, "web.lua", { drain = print })', "'drain': expected a number from 0 to 86400, got a function"),
        ('app:register(1, "web.lua", { backlog = 1.5 })', "'backlog': expected a whole number from 1 to 65535, got 1.5"),
        ('app:register(1, "web.lua", { reload = 1 })', "'reload': expected true or false, got 1"),
        ('app:register(1, "web.lua", { args = "a" })', "'args': expected a list of texts"),
        ('app:register(1, "web.lua", { env = { "a" } })', "'env': expected texts by name"),
        ('app:register(1, "web.lua", { name = "a b" })', "'name': expected 1 to 64 letters, digits, "),
        ('app:register(1, "web.lua", 7)', "expected a table of the keys of a group, got 7"),
        ('app:register(1, "web.lua", { listen = 2 })', "'listen' is said twice"),
        ('app:register("somewhere:1", "web.lua")', 'cannot listen at "somewhere:1": expected PORT'),
        ('app:register(70000, "web.lua")', 'cannot listen at "70000": expected PORT'),
        ('app:register({}, "none.lua")', "there is no script "),
        ('app:register({}, nil)', "expected the file of a script, got a nil"),
        ('app:register(nil, "web.lua")', "expected where to listen, or a name"),
        ('app:register("library", "web.lua")', 'the name "library" is that of app:library'),
        ('app:register(8080, "web.lua")', 'there is a group "web" already, of '),
        ('app:register("other", "web.lua", { listen = 8080 })', "a group listens at 8080 already, at "),
        ('app.register(8080, "web.lua")', "expected a colon: app:register(...)"),
        ('app:library("web.lua", { workers = 2 })', "unknown key 'workers' of the library"),
        ('app:on("exits", print)', "unknown event 'exits'; did you mean 'exit'?"),
        ('app:on("exit", 1)', "app:on: expected a function for 'exit', got a number"),
        ('app:on { giveup = 1 }', "app:on: expected a function for 'giveup'"),
        ('cluster.master {}', "cluster.master is called a second time; the first was at "),
        ('cluster:master {}', "expected cluster.master { ... }, with a dot"),
    )

    def test_wrong_calls(self):
        """Each is an error of the line that makes it; so that all fit into one file, each is caught there."""
        lines = ['app:register({ 8080 }, "web.lua")']
        for number, (call, _) in enumerate(self.WRONG):
            lines.append(f'print({number}, select(2, pcall(function() {call} end)))')
        result = self.check("\n".join(lines))
        self.assertEqual(result.returncode, 0, result.stderr)
        said = dict(line.split("\t", 1) for line in result.stderr.replace("\\t", "\t").splitlines() if "\t" in line)
        for number, (call, expected) in enumerate(self.WRONG):
            self.assertIn(expected, said[str(number)], call)
            self.assertIn(f"cluster.lua:{number + 4}: ", said[str(number)], call)

    def test_wrong_files(self):
        whole = {
            "local = 1": "cluster.lua:1:",
            'error "boom"': "cluster.lua:1: boom",
            HEAD: "it registers nothing; expected app:register(...)",
            'require("clouds.cluster").master { nam = "x" }': "unknown key 'nam' of cluster.master; did you mean 'name'?",
            'require("clouds.cluster").master { base = "none" }': "'base': there is no folder ",
            'require("clouds.cluster").master { ready_timeout = 0 }': "'ready_timeout': expected a number of 0.01 or more",
            HEAD + 'app:register("a", "broken.lua")': "cluster.lua:3: the script is no Lua: ",
            "os.exit(3)": "no plan: exit 3",
        }
        self.file("broken.lua", "local = 1")
        for text, expected in whole.items():
            result = self.run_clouds("check", self.file("cluster.lua", text))
            self.assertEqual((result.returncode, result.stdout), (2, ""), text)
            self.assertIn(expected, result.stderr)

    def test_wrong_use(self):
        missing = self.run_clouds("check", os.path.join(self.folder, "none.lua"))
        self.assertEqual(missing.returncode, 2)
        self.assertIn("there is no file ", missing.stderr)
        alone = self.run_clouds("run", self.write('app:register("a", "web.lua")'))
        self.assertEqual(alone.returncode, 1)
        self.assertIn("cluster.lua:2: cluster.master is for a file that `clouds start -c FILE`", alone.stderr)
        manager = self.run_clouds("manager", self.write(""))
        self.assertEqual(manager.returncode, 2)
        self.assertIn("it is started by clouds start -c FILE", manager.stderr)
        both = self.run_clouds("start", "-c", self.write(""), "--workers", "2")
        self.assertEqual(both.returncode, 2)
        self.assertIn("--workers is for a script; with -c FILE say it there", both.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root is refused")
    def test_a_file_that_everybody_may_write(self):
        path = self.write('app:register("a", "web.lua")')
        os.chmod(path, 0o666)
        for words in (("check", path), ("start", "-c", path)):
            result = self.run_clouds(*words)
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"everybody may write {path}, so root does not run it", result.stderr)

    def test_one_that_does_not_end(self):
        result = self.check('app:register("a", "web.lua") while true do end')
        self.assertEqual(result.returncode, 2)
        self.assertIn("no plan: it did not say all within 5 s", result.stderr)


    def test_the_annotations_say_what_there_is(self):
        with open(os.path.join(SOURCE, "lua/meta/cluster.lua"), encoding="utf-8") as file:
            said = set(re.findall(r"^function App:(\w+)", file.read(), re.M))
        result = self.check('for name, fn in pairs(getmetatable(app)) do\n'
                            'if type(fn) == "function" then print("has " .. name) end end app:register("a", "web.lua")')
        self.assertEqual(set(re.findall(r"has (\w+)", result.stderr)), said)


class Served(File, Master):
    def open(self, text, head=HEAD, **words):
        self.path = self.write(text, head=head)
        self.master = self.start("start", "-c", self.path, **words)
        self.master.err.wait_for("shop ready: ")

    def ask(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60) if isinstance(port, int) else Unix(port)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def worker(self):
        """The process id of the first worker of a script that tells "pid"."""
        self.master.err.wait_for("| pid")
        return self.pids()[0]

    def pids(self):
        return [int(pid) for pid in re.findall(r"web\.\d (\d+) \| pid", self.master.err.text())]

    def reload(self, text, seen):
        """A reload by what is written now; what the master says from then on, when `seen` is in it."""
        self.write(text)
        begin = len(self.master.err.text())
        self.master.signal(signal.SIGHUP)
        wait_until(lambda: seen in self.master.err.text()[begin:], seen)
        return self.master.err.text()[begin:]

    def takes(self, path):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(path) == 0


class Running(Served):
    def test_C5_C6_C20_listeners_and_arguments(self):
        self.open('app:register({ "127.0.0.1:0", "127.0.0.1:0", "unix:web.sock" }, "web.lua", { workers = 1, '
                  'args = { "x", "y" } })')
        first, second = self.ports()
        for where in (first, second, os.path.join(self.folder, "web.sock")):
            self.assertEqual(self.ask(where), "web x y GREETING")
        self.end()

    def test_environment_and_folder(self):
        self.file("web.lua", 'print(os.getenv "WORD", io.open("here") ~= nil) ' + WEB)
        os.mkdir(os.path.join(self.folder, "inner"))
        self.file("inner/here", "")
        self.open('app:register("127.0.0.1:0", "web.lua", { workers = 1, cwd = "inner", env = { WORD = "w" } })')
        self.master.out.wait_for("w\\ttrue")
        self.end()

    def test_it_does_not_start(self):
        for text, code, expected in (('app:register("a", "none.lua")', 2, "cluster.lua:3: there is no script "),
                                     ('app:register("a", "fails.lua")', 1, "boom")):
            self.file("fails.lua", 'error "boom"')
            result = self.run_clouds("start", "-c", self.write(text))
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(expected, result.stderr)

    def test_C17_reloads_by_a_new_plan(self):
        """Groups that are new, gone and changed, and listeners, each with what the others go on doing."""
        sockets = {name: os.path.join(self.folder, name) for name in ("a", "b", "c")}
        self.open('app:register("unix:a", "web.lua", { workers = 1 })\n'
                  'app:register("unix:b", "web.lua", { name = "old", workers = 1 })')
        self.assertEqual(self.ask(sockets["a"]), "web GREETING")
        text = self.reload('app:register({ "unix:c", "unix:a" }, "web.lua", { workers = 2, args = { "new" } })\n'
                           'app:register("unix:b", "web.lua", { name = "young", workers = 1 })', "shop reloaded: ")
        self.assertIn("shop reloaded: web 2, generation 2, young 1, generation 1", text)
        self.master.err.wait_for("group old is in the plan no longer: it ends")
        self.assertEqual([self.ask(sockets[name]) for name in "abc"],
                         ["web new GREETING", "young GREETING", "web new GREETING"])
        self.reload('app:register("unix:c", "web.lua", { workers = 1 })', "web 1, generation 3")
        self.assertEqual(self.ask(sockets["c"]), "web GREETING")
        wait_until(lambda: not self.takes(sockets["a"]), "nobody listens at what is gone")
        self.end()

    def test_H9_reloads_that_fail(self):
        """Each says why, with the line; what served serves on, by the same processes."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            good = 'app:register("unix:web.sock", "web.lua", { workers = 2 })\n'
            self.file("web.lua", 'io.stderr:write("pid\\n")' + WEB)
            self.open(good)
            path = os.path.join(self.folder, "web.sock")
            wait_until(lambda: len(self.pids()) == 2, "both have told who they are")
            workers = self.pids()
            self.file("syntax.lua", "local = 1")
            self.file("throws.lua", 'error "boom"')
            self.file("never.lua", 'require("clouds").sleep(100)')
            for text, expected in (
                    ("local = 1", "cluster.lua:3:"),
                    ('error "no"', "cluster.lua:3: no"),
                    (good + 'app:register("a", "syntax.lua")', "cluster.lua:4: the script is no Lua: "),
                    (good + 'app:register("a", "none.lua")', "cluster.lua:4: there is no script "),
                    (good + 'app:register("a", "web.lua", { worker = 1 })', "cluster.lua:4: unknown key 'worker'"),
                    (good + f'app:register("127.0.0.1:{port}", "web.lua", {{ name = "b" }})', "Address already in use"),
                    (good + 'app:register("a", "throws.lua", { workers = 1 })', "worker a.1: exit 1: "),
                    (good + 'app:register("a", "never.lua", { workers = 1, ready_timeout = 0.5 })', "not ready within"),
                    (good.replace("workers = 2", "workers = 1") + 'app:register("a", "throws.lua", { workers = 1 })', "a.1"),
                    (good.replace("web.sock", "other.sock") + 'app:register("a", "throws.lua", { workers = 1 })', "a.1")):
                said = self.reload(text, "reload failed, what served before goes on: ")
                self.assertIn(expected, said)
                self.assertEqual(self.ask(path), "web GREETING")
                for worker in workers:
                    os.kill(worker, 0)
            self.assertNotIn("is in the plan no longer", self.master.err.text())
            self.assertFalse(self.takes(os.path.join(self.folder, "other.sock")))
            self.reload(good, "shop reloaded: web 2, generation 2")
            self.assertEqual(self.ask(path), "web GREETING")
            self.end()

    def test_a_reload_that_takes_too_long(self):
        """Of a worker, or of the library, that is never ready: what served goes on, and the next reload is taken."""
        self.file("library.lua", 'require("clouds.library").serve { x = {} }')
        self.file("never.lua", 'require("clouds").sleep(1000)')
        good = 'app:register("unix:web.sock", "web.lua", { workers = 1 })\n'
        library = 'app:library("%s", { ready_timeout = 1000 })\n'
        head = HEAD.replace("master {", "master { reload_timeout = 1.5, ")
        self.open(library % "library.lua" + good, head=head)
        path = os.path.join(self.folder, "web.sock")
        for n, text in enumerate((library % "library.lua" + good + 'app:register("a", "never.lua", { ready_timeout = 1000 })',
                                  library % "never.lua" + good), 1):
            self.write(text, head=head)
            self.master.signal(signal.SIGHUP)
            wait_until(lambda: self.master.err.text().count("what served before goes on: it took more than 1.5 s") == n,
                       "it is given up")
            self.assertEqual(self.ask(path), "web GREETING")
        self.write(library % "library.lua" + good)

        def reloads():
            """The time that it has is what served before says, which may be too little now and then."""
            failed = self.master.err.text().count("reload failed")
            self.master.signal(signal.SIGHUP)
            wait_until(lambda: "shop reloaded: " in self.master.err.text() or self.master.err.text().count("reload failed") > failed)
            return "shop reloaded: " in self.master.err.text()
        wait_until(reloads, "it is reloaded")
        self.end()

    def test_a_deployed_link_is_followed_again(self):
        path = os.path.join(self.folder, "sock")
        for release in ("1", "2"):
            os.mkdir(os.path.join(self.folder, release))
            self.file(release + "/cluster.lua", HEAD + f'app:register("unix:{path}", "web.lua", {{ workers = 1 }})')
            self.file(release + "/web.lua", WEB.replace("GREETING", "release " + release))
        current = os.path.join(self.folder, "current")
        os.symlink("1", current)
        self.master = self.start("start", "-c", "cluster.lua", cwd=current, env={"PWD": current})
        self.master.err.wait_for("shop ready: ")
        self.assertEqual(self.ask(path), "web release 1")
        os.symlink("2", current + ".new")
        os.rename(current + ".new", current)
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for("shop reloaded: ")
        self.assertEqual(self.ask(path), "web release 2")
        self.end()


EVENTS = """
for _, name in ipairs { "ready", "fork", "exit", "signal", "reload", "drain", "missed", "stop" } do
  app:on(name, function(...)
    local words = { ... }
    for i, word in ipairs(words) do
      words[i] = type(word) == "table" and ("%s.%d %s"):format(word.group, word.index, word.text) or tostring(word)
    end
    print("event " .. name .. " " .. table.concat(words, " "))
  end)
end
app:register("unix:web.sock", "web.lua", { workers = 1 })
"""


class Events(Served):
    def manager(self):
        """The process id of the manager that spoke last."""
        return int(re.findall(r"manager (\d+) \| ", self.master.out.text())[-1])

    def test_C16_events(self):
        self.file("web.lua", 'io.stderr:write("pid\\n")' + WEB)
        self.open(EVENTS)
        self.master.out.wait_for("event ready")
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        self.master.out.wait_for("event exit web.1 SIGKILL")
        self.assertIn(f"event fork web 1 {worker}", self.master.out.text())
        self.reload(EVENTS, "shop reloaded: ")
        self.master.out.wait_for("event signal reload")
        self.end()

    def test_the_manager_ends(self):
        """Another takes its place, and hears how much it has missed; the workers notice nothing."""
        self.file("web.lua", 'io.stderr:write("pid\\n")' + WEB)
        self.open(EVENTS + 'print("here")')
        self.master.out.wait_for("event ready")
        first, worker = self.manager(), self.worker()
        os.kill(first, signal.SIGKILL)
        self.master.err.wait_for("the manager ended: SIGKILL")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.manager() != first, "another")
        self.master.out.wait_for("event missed ")
        self.assertEqual(self.ask(os.path.join(self.folder, "web.sock")), "web GREETING")
        self.end()

    def test_one_that_does_not_come_back(self):
        self.open(EVENTS + 'app:on("ready", function() while true do end end)')
        self.master.err.wait_for("the manager ended: it did not come back to its loop within 10 s")
        self.assertEqual(self.ask(os.path.join(self.folder, "web.sock")), "web GREETING")
        self.end()

    def test_commands(self):
        """The file asks for a reload when all is ready, and for the end after it."""
        self.open(EVENTS + 'app:on { ready = function() app:reload() end, reload = function() app:stop() end }')
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertIn("shop reloaded: web 1, generation 2", self.master.err.text())


class Examples(Served):
    def test_a_server_and_files(self):
        env = {"HTTP_LISTEN": "unix:" + os.path.join(self.folder, "a"),
               "STATIC_LISTEN": "unix:" + os.path.join(self.folder, "b")}
        self.master = self.start("start", "-c", os.path.join(SOURCE, "examples/cluster/cluster.lua"), env=env)
        self.master.err.wait_for("example ready: http 2, static 1")
        self.assertRegex(self.ask(os.path.join(self.folder, "a")), "GET /: hello from worker [12]")
        self.assertIn("<p>Served from a file.", self.ask(os.path.join(self.folder, "b")))
        self.end()


if __name__ == "__main__":
    unittest.main()
