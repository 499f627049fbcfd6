"""clouds start: what the tests of node-cluster, pm, cluster-dispatch and cfork ask of those, where no other test asks it."""
import http.client
import os
import pwd
import re
import signal
import socket
import unittest

from support import SANITIZED, Caller, Master, gone, wait_until

# /hold is answered when there is the file `go`; /exit/CODE ends the worker.
WEB = """
local clouds, http = require "clouds", require "clouds.http"
local me = os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION"
http.serve(function(request)
  local code = request.path:match("^/exit/(%d)$")
  if code then os.exit(tonumber(code)) end
  if request.path == "/hold" then
    print "holds"
    while not io.open("GO") do clouds.sleep(0.01) end
  end
  return me .. " " .. request.method .. " " .. request.path .. " " .. request:body()
end)
"""


def children(pid):
    """All processes below this one."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            below = [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return []
    return below + [one for child in below for one in children(child)]


class Originals(Master):
    def web(self, more=""):
        self.go = os.path.join(self.folder, "go")
        return self.file("web.lua", WEB.replace("GO", self.go) + more)

    def open(self, *options, workers=3, more=""):
        self.script = self.web(more)
        self.master = self.start("start", "--listen", "127.0.0.1:0", "--workers", str(workers), *options, self.script)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0]

    def open_file(self, text):
        path = self.file("cluster.lua", f'local app = require "clouds.cluster".master {{ name = "web" }}\n{text}')
        self.master = self.start("start", "-c", path)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0] if self.ports() else 0

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method="GET", target="/", body=None):
        connection = self.connect()
        connection.request(method, target, body)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def exit(self, code):
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionResetError)):
            self.ask(target=f"/exit/{code}")

    def hold(self, count):
        """Connections with a request that waits for `go`, until so many workers have one: who has no time is passed over."""
        held = []

        def holding():
            return re.findall(r"web\.(\d+) \d+ \| holds", self.master.out.text())
        while len(set(holding())) < count:
            held.append(self.connect())
            held[-1].request("GET", "/hold")
            wait_until(lambda: len(holding()) == len(held), "it is under way")
        return held

    def pid(self, index=1, before=None):
        """The process of the worker in this place, when it is ready and another than before."""
        def found():
            rows = [row for row in self.workers() if row["index"] == index and row["state"] == "ready"]
            return rows and rows[0]["pid"] != before and rows[0]["pid"]
        return wait_until(found, "it is ready")


class Serving(Originals):
    def test_C2_so_many_workers(self):
        """One, three and two: that many there are, and are again when some were killed."""
        self.web()
        self.open_file("\n".join(f'app:register("127.0.0.1:0", "web.lua", {{ name = "g{count}", workers = {count} }})'
                                 for count in (1, 3, 2)))

        def counts():
            return [(group["name"], group["ready"], len(group["workers"])) for group in self.status()["groups"]]
        expected = [("g1", 1, 1), ("g3", 3, 3), ("g2", 2, 2)]
        self.assertEqual(counts(), expected)
        victims = [group["workers"][-1]["pid"] for group in self.status()["groups"]]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(victims) & set(children(self.master.pid)) and counts() == expected, "as many as before")
        self.end()

    def test_C3_C4_method_path_and_body(self):
        self.open()
        self.assertRegex(self.ask(target="/some/where"), r"^[123]/1 GET /some/where $")
        for method in ("POST", "PUT"):
            body = "".join(f"{n:08d}" for n in range(100000))
            self.assertEqual(self.ask(method, "/put", body)[3:], f" {method} /put {body}")
        self.end()

    @unittest.skipUnless(os.geteuid() == 0, "needs root: workers become another user")
    def test_C7_as_another_user(self):
        os.chmod(self.folder, 0o755)
        self.open("--user", "nobody", "--url", "inproc:a", workers=1)
        self.assertEqual(os.stat(f"/proc/{self.pid()}").st_uid, pwd.getpwnam("nobody").pw_uid)
        self.assertEqual(self.ask(), "1/1 GET / ")
        self.end()

    def test_C33_who_comes_later_is_ready_too(self):
        """A worker that was started again is told of as those of the start were, and gets connections."""
        self.web()
        self.open_file('app:register("127.0.0.1:0", "web.lua", { workers = 2 })\n'
                       'app:on("worker_ready", function(...) print("ready", ...) end)')
        self.master.out.wait_for("ready\\tweb\\t1\\t")
        first = self.pid()
        os.kill(first, signal.SIGKILL)
        second = self.pid(before=first)
        self.master.out.wait_for(f"ready\\tweb\\t1\\t{second}\\t1")
        seen = set()
        wait_until(lambda: seen.add(self.ask()) or seen == {"1/1 GET / ", "2/1 GET / "}, "both are asked")
        self.end()

    def test_C34_a_port_in_use(self):
        script = self.web()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            where = "127.0.0.1:%d" % taken.getsockname()[1]
            plan = self.file("cluster.lua", 'require "clouds.cluster".master { name = "web" }'
                             f':register("{where}", "web.lua")')
            for words in (("--listen", where, script), ("-c", plan)):
                result = self.run_clouds("start", *words)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertIn(f"cannot listen at {where}: address already in use", result.stderr.lower())


class Generations(Originals):
    def counts(self):
        """How many workers of each generation are in each state."""
        counts = {}
        for row in self.workers():
            key = f"{row['state']} {row['generation']}"
            counts[key] = counts.get(key, 0) + 1
        return counts

    def test_C8_C9_two_generations(self):
        """While the old have something to finish both are there, three and three; when they have, the new alone."""
        self.open("--drain", "60")
        held = self.hold(3)
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for("web reloaded: web 3, generation 2")
        self.assertEqual(self.counts(), {"draining 1": 3, "ready 2": 3})
        self.assertIn("/2 ", self.ask())
        self.file("go", "")
        for connection in held:
            self.assertIn("/1 ", connection.getresponse().read().decode())
            connection.close()
        wait_until(lambda: self.counts() == {"ready 2": 3}, "the old are gone")
        self.end()

    def test_C10_a_stop_within_a_reload(self):
        """Those of both generations end; what the old had is answered."""
        self.open("--drain", "60")
        held = self.hold(3)
        self.file("web.lua", 'print "begins" require("clouds").sleep(1000)')
        self.master.signal(signal.SIGHUP)
        wait_until(lambda: self.master.out.text().count("| begins") == 3, "the new have begun")
        pids = children(self.master.pid)
        self.assertEqual(self.counts(), {"ready 1": 3, "starting 2": 3})
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        self.file("go", "")
        for connection in held:
            self.assertIn("/1 ", connection.getresponse().read().decode())
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertEqual([pid for pid in pids if not gone(pid)], [])

    def test_C21_an_end_that_comes_late(self):
        """A worker that fails while all of it stops is not started again."""
        self.open("--drain", "60", workers=2)
        held = self.hold(2)
        victim = self.pid()
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        os.kill(victim, signal.SIGKILL)
        self.master.err.wait_for("worker web.1 did not end in order: SIGKILL")
        self.file("go", "")
        answers = []
        for connection in held:
            try:
                answers.append(connection.getresponse().read().decode()[:4])
            except (http.client.HTTPException, OSError):
                answers.append("lost")
        self.assertEqual(set(answers), {"2/1 ", "lost"})
        self.master.wait()
        self.assertEqual(self.master.err.text().count(" ready in "), 2)


class Failures(Originals):
    @unittest.skipIf(SANITIZED, "a sanitizer has exit codes of its own")
    def test_C13_what_counts_as_a_failure(self):
        """Not an exit with 0, nor one that was asked for; KILL and exit 1. Given up, it is tried again after the pause."""
        self.open("--max-restarts", "1", "--giveup-pause", "1", workers=1)
        pid = self.pid()
        self.exit(0)
        pid = self.pid(before=pid)
        for _ in range(2):
            os.kill(pid, signal.SIGTERM)
            pid = self.pid(before=pid)
        os.kill(pid, signal.SIGKILL)
        pid = self.pid(before=pid)
        self.assertNotIn("given up", self.master.err.text())
        self.exit(1)
        self.master.err.wait_for("group web: given up: 2 failures in 60 s: exit 1; the next try is in 1 s")
        self.pid(before=pid)
        self.assertEqual(self.ask(), "1/1 GET / ")
        self.end()

    def test_C35_given_up(self):
        """That is told once; none is started any more, and the other group serves on."""
        self.web()
        self.file("fails.lua", 'require("clouds").server {}:register("x", function() end)\n'
                  'if io.open("broken") then error "boom" end')
        self.open_file("""
            app:register("fails", "fails.lua", { workers = 1, max_restarts = 1, giveup_pause = 0 })
            app:register("127.0.0.1:0", "web.lua", { workers = 1 })
            app:on("fork", function(group) print("fork " .. group) end)
            app:on("giveup", function(group, text) print("giveup " .. group .. ": " .. text) end)
        """)
        self.file("broken", "")
        os.kill(self.pid(), signal.SIGKILL)
        said = self.master.out.wait_for("giveup fails: 2 failures in 60 s: exit 1: ")
        self.assertIn("fails.lua:2: boom", said)
        os.kill(self.status()["groups"][1]["workers"][0]["pid"], signal.SIGKILL)
        begin = self.master.out.text().count("fork web")
        wait_until(lambda: self.master.out.text().count("fork web") > begin, "the other is started again")
        wait_until(lambda: self.status()["groups"][1]["ready"] == 1, "and is ready")
        said = self.master.out.text()
        self.assertNotIn("fork fails", said[said.index("giveup fails"):])
        self.assertEqual(said.count("giveup "), 1)
        self.assertEqual([row["state"] for row in self.workers()], ["given up"])
        self.assertEqual(self.ask(), "1/1 GET / ")
        self.end()


class TheEnd(Originals):
    def test_C27_the_master_is_killed(self):
        """Nothing is left of the workers, the library and the manager."""
        self.web()
        self.file("resources.lua", 'require("clouds.library").serve { db = {} }')
        self.open_file('app:library("resources.lua")\napp:register("127.0.0.1:0", "web.lua", { workers = 2 })')
        pids = children(self.master.pid)
        self.assertGreaterEqual(len(pids), 4)
        self.end(code=-signal.SIGKILL, number=signal.SIGKILL)
        wait_until(lambda: all(gone(pid) for pid in pids), "all are gone")

    def test_C29_children_of_workers(self):
        """A stop in order ends them, too."""
        self.open(workers=2, more='os.execute "sleep 1000 & echo child $!"')
        wait_until(lambda: self.master.out.text().count("| child ") == 2, "they have started one each")
        pids = [int(pid) for pid in re.findall(r"\| child (\d+)", self.master.out.text())]
        self.assertFalse([pid for pid in pids if gone(pid)])
        self.end()
        wait_until(lambda: all(gone(pid) for pid in pids), "they are gone")


class Services(Originals):
    CODE = """
        local worker = require "clouds.worker"
        require("clouds").server {}:register("who", function() return worker.index end)
    """

    def test_C31_same_index(self):
        """What follows a worker that was killed has its place."""
        self.file("who.lua", self.CODE)
        self.open_file('app:register("who", "who.lua", { workers = 2 })')
        before = {row["index"]: row["pid"] for row in self.workers()}
        caller = Caller(self, "who")
        os.kill(before[2], signal.SIGTERM)
        after = {1: self.pid(1), 2: self.pid(2, before=before[2])}
        self.assertEqual(after[1], before[1])
        caller.finish()
        self.end()


if __name__ == "__main__":
    unittest.main()
