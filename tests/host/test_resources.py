"""clouds start --library: the library of an application, from outside."""
import http.client
import os
import re
import signal
import threading
import unittest

from support import SOURCE, Master, wait_until

LIBRARY = """
local clouds, library = require "clouds", require "clouds.library"
local watchers, hung = {}, 0
local db = {}
function db.get(key) return key end
function db.who() return require("luv").os_getpid() end
function db.fail() error { code = "E_DB", message = "no row" } end
function db.hang() hung = hung + 1 while true do clouds.sleep(1) end end
function db.hung() return hung end
function db.watch(fn)
  watchers[fn] = true
  library.on_close(fn, function() watchers[fn] = nil end)
  fn("begin")
end
function db.open() return library.subscriptions() end
clouds.once("job", function() print "the job runs" end)
library.serve { db = db, version = VERSION }
print("library " .. require("luv").os_getpid())
"""

WORKER = """
local clouds, agent, http = require "clouds", require "clouds.agent", require "clouds.http"
local app, agains, heard = http.server(), 0, 0
agent.db.watch(function(what) heard = heard + 1 end):on("again", function() agains = agains + 1 end)
local db = agent.with { timeout = 5 }.db
clouds.once("job", function() print "the job runs" end)
local function answer(value, err)
  return err and ("%s %s"):format(err.code, err.outcome) or tostring(value)
end
app:get("/get", function(request) return answer(db.get("v")) end)
app:get("/who", function() return answer(db.who()) end)
app:get("/fail", function() return answer(db.fail()) end)
app:get("/hang", function() return answer(agent.with { timeout = 2 }.db.hang()) end)
app:get("/hangs", function() return answer(db.hang()) end)
app:get("/version", function() return tostring(agent.version) end)
app:get("/hung", function() return answer(db.hung()) end)
app:get("/open", function() return answer(db.open()) end)
app:get("/agains", function() return agains .. " " .. heard end)
http.serve(app)
print("worker " .. require("luv").os_getpid())
"""


class Resources(Master):
    def open(self, library=LIBRARY, worker=WORKER, workers=2, options=()):
        self.library_file = self.file("resources.lua", library.replace("VERSION", "1"))
        self.master = self.start("start", "--listen", "127.0.0.1:0", "--workers", str(workers), "--library",
                                 self.library_file, *options, self.file("web.lua", worker))

    def ready(self, **words):
        self.open(**words)
        self.master.err.wait_for("web ready: ")
        wait_until(lambda: len(self.pids("worker")) == words.get("workers", 2) and self.pids("library"), "all have said it")
        self.port = self.ports()[0]

    def ask(self, target):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", target)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def pids(self, name):
        return [int(pid) for pid in re.findall(rf"\| {name} (\d+)", self.master.out.text())]


class Serving(Resources):
    def test_C23_values_over_http(self):
        """The library is there before the workers and after them; errors and hung functions reach the caller alone."""
        self.ready()
        err = self.master.err.text()
        self.assertIn("web ready: library 1, web 2", err)
        self.assertLess(err.index("worker library.1 ready"), err.index("worker web.1 ready"))
        self.assertEqual(self.ask("/get"), "v")
        self.assertEqual(self.ask("/fail"), "E_DB APP_ERROR")
        self.assertEqual(self.ask("/hang"), "CLOUDS_CALL_SERVICE_TIMEOUT UNKNOWN")
        self.assertEqual([int(self.ask("/who"))], self.pids("library"))
        wait_until(lambda: self.ask("/open") == "2", "both have subscribed")
        self.assertEqual(self.master.out.text().count("the job runs"), 1)
        self.end()
        self.assertFalse([pid for pid in self.pids("worker") + self.pids("library") if os.path.exists(f"/proc/{pid}")])

    def test_start_fails(self):
        """A library that does not start, or serves nothing, is the reason why the application does not."""
        for code, words in (("error 'no database'", "no database"),
                            ("local a = 1", "the script has not called library.serve")):
            self.open(library=code)
            self.assertEqual(self.master.wait(), 1)
            self.assertIn(words, self.master.err.text())
            self.assertNotIn("worker web.1 ready", self.master.err.text())
        missing = self.run_clouds("start", "--library", "/nowhere.lua", self.library_file)
        self.assertEqual(missing.returncode, 2)
        self.assertIn("cannot read the script /nowhere.lua", missing.stderr)

    def test_example(self):
        """examples/cluster/library.lua with pages.lua"""
        folder = os.path.join(SOURCE, "examples", "cluster")
        self.master = self.start("start", "--listen", "127.0.0.1:0", "--workers", "2", "--library",
                                 os.path.join(folder, "library.lua"), os.path.join(folder, "pages.lua"))
        self.master.err.wait_for("pages ready: library 1, pages 2")
        self.port = self.ports()[0]
        self.assertEqual(self.ask("/most"), "nothing yet\n")
        for number in range(1, 7):
            self.assertEqual(self.ask("/tea"), f"Pages: visit {number} of /tea\n")
        self.assertEqual(self.ask("/most"), "/tea: 6 of 6\n")
        for _ in range(2):
            wait_until(lambda: self.ask("/heard") == '{"/tea":6}', "a worker hears of the visits")
        self.end()


class Restarts(Resources):
    def load(self, stop, results):
        while not stop.is_set():
            try:
                results.append(self.ask("/get"))
            except (OSError, http.client.HTTPException) as problem:
                results.append(repr(problem))

    def under_load(self, what, threads=4):
        """The answers of several clients while what() is done."""
        stop, results = threading.Event(), []
        clients = [threading.Thread(target=self.load, args=(stop, results)) for _ in range(threads)]
        for client in clients:
            client.start()
        try:
            what()
            count = len(results)
            wait_until(lambda: len(results) > count + 50, "answers afterwards")
        finally:
            stop.set()
            for client in clients:
                client.join()
        return results

    def test_H21_C32_killed_under_calls(self):
        """Every call ends, workers go on, subscriptions are made again."""
        self.ready()
        workers = self.pids("worker")

        def kill():
            for number in range(3):
                os.kill(self.pids("library")[-1], signal.SIGKILL)
                wait_until(lambda: len(self.pids("library")) == number + 2, "another library")
        results = self.under_load(kill)
        self.assertEqual(set(results) - {"v", "CLOUDS_CONNECTION_LOST UNKNOWN"}, set())
        self.assertGreater(results.count("v"), 50)
        self.assertEqual(self.pids("worker"), workers)
        wait_until(lambda: self.ask("/open") == "2", "subscriptions are made again")
        seen = {self.ask("/agains").split()[0] for _ in range(8)}
        self.assertNotIn("0", seen)
        self.end()

    def test_H21_killed_with_a_hung_call(self):
        """A call that the library never answers ends with it."""
        self.ready()
        answers = []
        client = threading.Thread(target=lambda: answers.append(self.ask("/hangs")))
        client.start()
        wait_until(lambda: self.ask("/hung") == "1", "the call has come")
        os.kill(self.pids("library")[0], signal.SIGKILL)
        client.join(60)
        self.assertEqual(answers, ["CLOUDS_CONNECTION_LOST UNKNOWN"])
        self.end()

    def test_told_to_stop(self):
        """The next library starts when the old one has ended: there are never two."""
        self.ready(options=("--drain", "1"))
        old = self.pids("library")[0]
        client = threading.Thread(target=self.ask, args=("/hangs",))
        client.start()
        self.addCleanup(client.join, 60)
        wait_until(lambda: self.ask("/hung") == "1", "the call has come")
        os.kill(old, signal.SIGTERM)
        wait_until(lambda: len(self.pids("library")) == 2, "another library")
        self.assertFalse(os.path.exists(f"/proc/{old}"))
        self.assertEqual(self.ask("/get"), "v")
        self.end()

    def test_reload(self):
        """The new library takes the place of the old, and no call fails: they wait."""
        self.ready()
        self.assertEqual(self.ask("/version"), "1")

        def reload():
            self.file("resources.lua", LIBRARY.replace("VERSION", "2"))
            self.master.signal(signal.SIGHUP)
            self.master.err.wait_for("web reloaded: library 1, generation 2, web 2, generation 2")
        results = self.under_load(reload)
        self.assertEqual(set(results), {"v"})
        self.assertEqual(self.ask("/version"), "2")
        self.assertEqual(len(self.pids("library")), 2)
        self.end()

    def test_reload_of_what_cannot_be_compiled(self):
        """Nothing is touched."""
        self.ready()
        self.file("resources.lua", "this is no Lua")
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for("reload failed")
        self.assertIn("resources.lua:1:", self.master.err.text())
        self.assertEqual([int(self.ask("/who"))], self.pids("library"))
        self.end()

    def test_reload_of_what_fails(self):
        """The workers stay; another library is tried until one comes."""
        self.ready()
        workers = self.pids("worker")
        self.file("resources.lua", "error 'no database'")
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for("reload failed, what served before goes on: worker library.1: ")
        self.file("resources.lua", LIBRARY.replace("VERSION", "3"))
        wait_until(lambda: self.ask("/get") == "v", "the next library")
        self.assertEqual(self.ask("/version"), "3")
        self.assertEqual(self.pids("worker"), workers)
        self.end()


if __name__ == "__main__":
    unittest.main()
