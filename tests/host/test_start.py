"""clouds start: a script in several processes, from outside: who gets what, reloads, failures, the end."""
import http.client
import os
import re
import signal
import socket
import threading
import time
import unittest

from support import CLOUDS, Caller, Master, Process, freeze, gone, pending, wait_until

WEB = """
local clouds, http = require "clouds", require "clouds.http"
local me = os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION"
http.serve(function(request)
  local seconds = request.path:match("^/slow/(.*)$")
  if seconds then clouds.sleep(tonumber(seconds)) end
  if request.path == "/until" then repeat clouds.sleep(0.01) until io.open(request.query.file) end
  if request.path == "/exit" then os.exit(7) end
  if request.path == "/block" then os.execute("sleep 0.5") end
  return me .. " " .. table.concat(arg, ",")
end)
"""


class Start(Master):
    def open(self, code=WEB, workers=3, listen=True, options=(), arguments=()):
        self.script, self.count = self.file("web.lua", code), workers
        where = ("--listen", "127.0.0.1:0") if listen else ()
        self.master = self.start("start", *where, "--workers", str(workers), *options, self.script, *arguments)
        return self.master

    def ready(self, *rest, listen=True, **words):
        self.open(*rest, listen=listen, **words)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0] if listen else 0

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def ask(self, target="/", connection=None):
        """What is answered; without a connection over one that is closed then."""
        mine = connection or self.connect()
        mine.request("GET", target)
        text = mine.getresponse().read().decode()
        if not connection:
            mine.close()
        return text

    def until(self, name):
        """Where a request is answered when there is a file of this name."""
        return f"/until?file={os.path.join(self.folder, name)}"

    def connect_to(self, index):
        """A connection that the worker in this place has: on a busy machine who has no time is passed over, so one after the other."""
        def found():
            connection = self.connect()
            return self.ask(connection=connection).startswith(f"{index}/") and connection
        return wait_until(found, f"worker {index} has one")

    def pids(self, said=0):
        """index -> pid of the workers, the last in each place that has said it; so many lines of it are waited for."""
        def lines():
            return re.findall(r"web\.(\d+) (\d+) \| pid", self.master.out.text())
        wait_until(lambda: len(lines()) >= said, f"{said} pids")
        return {int(index): int(pid) for index, pid in lines()}

    def reload(self, generation):
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for(f"web reloaded: web {self.count}, generation {generation}")


TELLS_PID = WEB + 'print("pid")\n'


class Serving(Start):
    def test_H22_connections_go_round(self):
        """65 connections that stay, on four workers: 16, 16, 16 and 17."""
        self.ready(workers=4)

        def go_round():
            """On a busy machine who has no time is passed over, so again."""
            counts, connections = {}, [self.connect() for _ in range(65)]
            for connection in connections:
                who = self.ask(connection=connection).split("/")[0]
                counts[who] = counts.get(who, 0) + 1
            for connection in connections:
                connection.close()
            wait_until(lambda: not sum(row["board"]["open"] for row in self.workers()), "none is open")
            return sorted(counts.values()) == [16, 16, 16, 17]
        wait_until(go_round, "they go round")
        self.end()

    def test_arguments_and_several_listeners(self):
        path = os.path.join(self.folder, "web.sock")
        self.ready(options=("--listen", f"unix:{path}"), arguments=("a", "b"))
        self.assertIn("/1 a,b", self.ask())
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while piece := client.recv(4096):
            data += piece
        client.close()
        self.assertIn(b"/1 a,b", data)
        self.end()

    def test_services(self):
        """Without a listener: calls go on over reloads."""
        code = """
            local clouds = require "clouds"
            local server = clouds.server {}
            server:register("pid", function() return os.getenv "CLOUDS_WORKER" end)
        """
        self.ready(code, listen=False)
        caller = Caller(self, "pid")
        for generation in (2, 3, 4):
            self.reload(generation)
        caller.finish()
        self.end()


class Load:
    """Asks again and again in threads, each request by a connection of its own."""

    def __init__(self, case, threads=4):
        self.case, self.stopping, self.count, self.failed = case, False, 0, []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopping:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.case.port, timeout=60)
                connection.request("GET", "/slow/0.002")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failed.append(answer.status)
                connection.close()
            except OSError as problem:
                self.failed.append(repr(problem))
            self.count += 1

    def goes_on(self, more=30):
        begin = self.count
        wait_until(lambda: self.count >= begin + more, "requests are answered")

    def finish(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(60)
        self.case.assertEqual(self.failed, [])


class Reloads(Start):
    def test_no_request_is_lost(self):
        self.ready()
        load = Load(self)
        for generation in range(2, 7):
            load.goes_on()
            self.reload(generation)
        load.goes_on()
        load.finish()
        self.assertIn("/6", self.ask())
        self.end()

    def test_what_is_slow_is_finished_by_the_old(self):
        self.ready()
        connection = self.connect()
        connection.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        self.reload(2)
        self.file("now", "")
        self.assertIn("/1", connection.getresponse().read().decode())
        self.end()

    def test_something_broken(self):
        """The old go on, with the same processes, and it is said why; the mended script is taken."""
        self.ready(TELLS_PID)
        before = self.pids(3)
        for code, why in (("this is no Lua", "web.lua:1:"), ("error 'boom'", "boom"), ("os.exit(3)", "exit 3"),
                          ("x = 1", "has not called http.serve")):
            self.file("web.lua", code)
            begin = len(self.master.err.text())
            self.master.signal(signal.SIGHUP)
            wait_until(lambda: "reload failed, what served before goes on: " in self.master.err.text()[begin:], "the failure")
            self.assertIn(why, self.master.err.text()[begin:])
            self.assertIn("/1", self.ask())
        for pid in before.values():
            self.assertFalse(gone(pid))
        self.file("web.lua", WEB)
        self.reload(2)
        wait_until(lambda: all(gone(pid) for pid in before.values()), "the old are gone")
        self.assertIn("/2", self.ask())
        self.end()


class Failures(Start):
    def test_C31_one_that_is_killed(self):
        """Replaced, in the same place; nobody who connects meanwhile notices."""
        self.ready(TELLS_PID)
        self.pids(3)
        load = Load(self)
        for _ in range(3):
            load.goes_on()
            victim = self.pids()[2]
            freeze(victim)  # it accepts what it is given no more
            load.goes_on()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: self.pids()[2] != victim, "another in its place")
        load.stopping = True
        for thread in load.threads:
            thread.join(60)
        # What it had acknowledged when it was stopped is lost with it, never what it had not.
        self.assertLessEqual(len(load.failed), 3 * len(load.threads), load.failed)
        self.assertIn("worker web.2 ended: SIGKILL", self.master.err.text())
        self.end()

    def test_one_that_is_stopped_by_hand(self):
        self.ready(TELLS_PID)
        self.pids(3)
        load = Load(self)
        load.goes_on()
        victim = self.pids()[1]
        os.kill(victim, signal.SIGTERM)
        wait_until(lambda: self.pids()[1] != victim, "another in its place")
        load.goes_on()
        load.finish()
        self.end()

    def test_H8_C35_one_that_ends_at_once_each_time(self):
        """Pauses that grow, then it is left alone for long; the others serve."""
        code = 'if os.getenv "CLOUDS_WORKER" == "1" and io.open("%s/broken") then error "boom" end\n' + WEB
        self.ready(code % self.folder, workers=2)
        self.file("broken", "")
        begin = time.monotonic()
        self.connect_to(1).request("GET", "/exit")
        self.master.err.wait_for("group web: given up: 11 failures in 60 s: exit 1: ", bound=120)
        self.assertGreater(time.monotonic() - begin, 5)
        self.assertIn("boom", self.master.err.text())
        self.assertIn("2/1", self.ask())
        self.end()

    def test_C30_it_does_not_start(self):
        for code, why in (("no Lua", "web.lua:1:"), ("error 'boom'", "boom"), ("x = 1", "has not called http.serve")):
            self.open(code)
            self.assertEqual(self.master.wait(), 1)
            self.assertIn("web does not start: worker web.", self.master.err.text())
            self.assertIn(why, self.master.err.text())

    def test_wrong_use(self):
        script = self.file("web.lua", WEB)
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for words, code, text in (((), 2, "nothing given; expected: clouds start"),
                                  (("nowhere.lua",), 2, "cannot read the script nowhere.lua"),
                                  (("--workers", "0", script), 2, "--workers: expected a whole number from 1 to 1024"),
                                  (("--worker", "1", script), 2, "did you mean --workers?"),
                                  (("--listen", "", script), 2, "--listen: expected a port"),
                                  (("--listen", "here", script), 2, "--listen: expected PORT"),
                                  (("--listen", f"127.0.0.1:{port}", script), 3, "address already in use")):
            process = self.start("start", *words)
            self.assertEqual(process.wait(), code, words)
            self.assertIn(text.lower(), process.err.text().lower())


    def test_descriptors(self):
        """Who has none left takes no more, for as long; afterwards all is as before."""
        script = self.file("web.lua", WEB)
        self.master = Process(["sh", "-c", 'ulimit -n 90; exec "$0" "$@"', CLOUDS, "start", "--listen", "127.0.0.1:0",
                               "--workers", "2", script], self.env)
        self.addCleanup(self.master.discard)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0]
        for _ in range(3):
            clients = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(200)]
            for client in clients:
                client.close()
            for _ in range(20):
                self.assertIn("/1", self.ask())
        self.end()

    def test_C29_what_a_worker_leaves_behind(self):
        """It ends with the worker, also when it writes without end."""
        self.ready(WEB + 'print("pid")\nos.execute("yes y & sleep 1000 & true")\n', workers=1)
        self.master.out.wait_for("| y")
        victim = self.pids(1)[1]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: self.master.err.text().count("worker web.1 ready") == 2, "another in its place")
        self.assertIn("/1", self.ask())

        def group():
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/stat") as stat:
                        fields = stat.read().rpartition(")")[2].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if int(fields[2]) == victim and fields[0] != "Z":
                    found.append(pid)
            return found
        wait_until(lambda: not group(), "the rest of its group is gone")
        self.end()

    def test_a_server_that_is_closed(self):
        """Its worker goes on, and gets no connections any more."""
        code = """
            local clouds, http = require "clouds", require "clouds.http"
            local me = os.getenv "CLOUDS_WORKER"
            local app
            app = http.serve(function(request)
              if request.path == "/close" then clouds.spawn(function() app:close(0) print("closed " .. me) end) end
              return me
            end)
            local keep = clouds.server {}
            keep:register("me" .. me, function() return me end)
        """
        self.ready(code, workers=2)
        first = self.ask("/close")
        self.master.out.wait_for("closed " + first)
        others = {self.ask() for _ in range(20)}
        self.assertEqual(others, {"1", "2"} - {first})
        process = self.start("call", "me" + first)
        self.assertEqual((process.wait(), process.out.text().strip()), (0, f'"{first}"'))
        self.end()


class TheEnd(Start):
    def test_what_waits_is_served(self):
        """Connections that were made before the stop, more than are given to a worker at a time."""
        self.ready(workers=1)
        block = self.connect()
        block.request("GET", "/block")
        clients = []
        for _ in range(40):
            connection = self.connect()
            connection.request("GET", "/")
            clients.append(connection)
        self.master.signal(signal.SIGTERM)
        for connection in [block, *clients]:
            self.assertIn("/1", connection.getresponse().read().decode())
        self.assertEqual(self.master.wait(), 0)

    def test_a_reload_while_it_stops(self):
        self.ready()
        connection = self.connect()
        connection.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        self.master.signal(signal.SIGHUP)
        self.master.signal(signal.SIGHUP)
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        self.master.signal(signal.SIGHUP)
        self.file("now", "")
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertIn("/1", connection.getresponse().read().decode())

    def test_a_reload_while_it_starts(self):
        """It is made behind the start."""
        self.open('require("clouds").sleep(0.5)\n' + WEB)
        self.master.err.wait_for("listening")
        self.reload(2)
        self.end()

    def test_requests_are_finished(self):
        self.ready()
        connection = self.connect()
        connection.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        self.file("now", "")
        self.assertIn("/1", connection.getresponse().read().decode())
        self.assertEqual(self.master.wait(), 0, self.master.err.text())

    def test_H14_one_that_does_not_end(self):
        """It hears nothing of the stop, so it is killed."""
        self.ready(WEB.replace("clouds.sleep(tonumber(seconds))", 'print("begins") while seconds do end'),
                   workers=2, options=("--drain", "0.5"))
        self.connect().request("GET", "/slow/1")
        self.master.out.wait_for("begins")
        self.end(code=4)
        self.assertIn("did not end within 0.5 s: killed", self.master.err.text())

    def test_one_that_ends_itself(self):
        """It hears of the stop and hangs then: the limit of the worker itself comes first."""
        code = WEB.replace("clouds.sleep(tonumber(seconds))", 'print("begins") while not require("clouds.worker").draining do clouds.sleep(0.01) end '
                           "while seconds do end")
        self.ready(code, workers=2, options=("--drain", "1"))
        self.connect().request("GET", "/slow/1")
        self.master.out.wait_for("begins")
        self.end(code=4)
        self.assertRegex(self.master.err.text(), r"worker web\.\d did not end in order: exit \d+: the script went on")

    def test_H14_the_second_signal(self):
        """Both groups end at once, the one whose turn had not come, too; nothing is left."""
        self.file("web.lua", TELLS_PID)
        self.file("other.lua", 'require("clouds").server {}:register("x", function() end) print("pid")')
        pidfile = os.path.join(self.folder, "web.pid")
        self.file("cluster.lua", f"""
            local app = require("clouds.cluster").master {{ name = "web", pidfile = "{pidfile}" }}
            app:register("127.0.0.1:0", "web.lua", {{ workers = 2 }})
            app:register("other", "other.lua", {{ workers = 2 }})
        """)
        self.master = self.start("start", "-c", os.path.join(self.folder, "cluster.lua"))
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0]
        wait_until(lambda: self.master.out.text().count("| pid") == 4, "four pids")
        pids = [int(pid) for pid in re.findall(r" (\d+) \| pid", self.master.out.text())]
        other = int(re.search(r"other\.1 (\d+) \| pid", self.master.out.text()).group(1))
        freeze(other)  # so that its group does not end in order
        connection = self.connect()
        connection.request("GET", "/slow/60")
        self.wait_until_under_way(1)
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        self.end(code=4)
        self.assertEqual([pid for pid in pids if not gone(pid)], [])
        self.assertEqual(self.master.err.text().count(" ready in "), 4)
        self.assertFalse(os.path.exists(pidfile))
        self.assertEqual(os.listdir(os.path.join(self.env["CLOUDS_RUNTIME_DIR"], "apps")), [])

    def test_two_signals_at_once(self):
        """The second comes before the master has done anything about the first."""
        self.ready(TELLS_PID, workers=1)
        pid = self.pids(1)[1]
        self.master.signal(signal.SIGSTOP)
        self.master.signal(signal.SIGTERM)
        self.master.signal(signal.SIGINT)
        self.end(code=4, number=signal.SIGCONT)
        wait_until(lambda: gone(pid), "the worker is gone")

    def test_the_third_signal(self):
        """Ends what stops as a master does, and whose loop gets no turn."""
        process = self.start("run", "-e", 'require("clouds.host").on_stop(print, 60, 60, print) print "ready" while true do end')
        process.out.wait_for("ready")
        for _ in range(2):
            process.signal(signal.SIGTERM)
            wait_until(lambda: not pending(process.pid, signal.SIGTERM), "it was taken")
        self.assertIsNone(process.popen.poll())
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), -signal.SIGTERM)

    def test_a_worker_is_told_twice(self):
        """As by the kernel, which sends one for each thread of a master that is killed: what was begun is served all the same."""
        self.ready(TELLS_PID, workers=1)
        connection = self.connect()
        connection.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        pid = self.pids(1)[1]
        os.kill(pid, signal.SIGTERM)
        self.master.err.wait_for("it was told to")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not pending(pid, signal.SIGTERM), "the second was taken")
        self.file("now", "")
        self.assertIn("/1", connection.getresponse().read().decode())

    def test_H13_C27_the_master_is_killed(self):
        """Nothing of it is left, and it can be started again at once."""
        self.ready(TELLS_PID.replace("clouds.sleep(", 'print("begins") clouds.sleep('))
        pids = self.pids(3)
        connection = self.connect()
        connection.request("GET", "/slow/0.3")
        self.master.out.wait_for("begins")
        self.end(code=-signal.SIGKILL, number=signal.SIGKILL)
        again = Process([CLOUDS, "start", "--listen", f"127.0.0.1:{self.port}", "-w", "1", self.script], self.env)
        self.addCleanup(again.discard)
        again.err.wait_for("web ready: ")
        self.assertIn("/1", connection.getresponse().read().decode())
        wait_until(lambda: all(gone(pid) for pid in pids.values()), "all are gone")
        again.stop()


if __name__ == "__main__":
    unittest.main()
