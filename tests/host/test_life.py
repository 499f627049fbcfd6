"""clouds start: how long a worker lives, and what follows it."""
import contextlib
import http.client
import os
import re
import signal
import unittest

from support import SANITIZED, freeze, gone, wait_until
from test_start import WEB, TELLS_PID, Load, Start


class Life(Start):
    def log(self):
        return self.master.err.text()

    def ready_in_log(self, name):
        return len(re.findall(rf"worker {re.escape(name)} ready in", self.log()))

    def assert_one_at_a_time(self):
        """Between two that are replaced the successor of the first is ready."""
        replaced = False
        for line in self.log().splitlines():
            if "is replaced: " in line:
                self.assertFalse(replaced, self.log())
                replaced = True
            elif " ready in " in line:
                replaced = False


class Replaced(Life):
    def test_H11_so_many_requests(self):
        """Each worker serves about so many, not all as many; nobody notices; one is replaced at a time."""
        self.ready(workers=4, options=("--max-requests", "100"))
        load = Load(self)
        wait_until(lambda: self.log().count("is replaced: ") >= 8, "eight are replaced")
        load.finish()
        lives = [int(n) for n in re.findall(r"is replaced: it has begun (\d+) requests", self.log())]
        self.assertGreaterEqual(min(lives), 90)
        self.assertGreater(max(lives), min(lives))
        self.assert_one_at_a_time()
        self.assertNotIn("ended: ", self.log())
        self.end()

    def test_H11_calls_count_too(self):
        code = """
            local clouds = require "clouds"
            local server = clouds.server {}
            server:register("who", function() return os.getenv "CLOUDS_WORKER" end)
        """
        self.ready(code, workers=1, listen=False, options=("--max-requests", "3"))
        for _ in range(5):
            caller = self.start("call", "who")
            self.assertEqual((caller.wait(), caller.out.text()), (0, '"1"\n'))
        self.master.err.wait_for("worker web.1 is replaced: it has begun ")
        wait_until(lambda: self.ready_in_log("web.1") >= 2, "its successor is ready")
        self.end()

    def test_one_that_is_old(self):
        self.ready(workers=2, options=("--max-age", "1"))
        load = Load(self, threads=2)
        wait_until(lambda: self.log().count("is replaced: it has served for ") >= 4, "four are replaced")
        load.finish()
        self.assert_one_at_a_time()
        self.end()

    def test_its_successor_fails(self):
        """The one that was to be replaced serves on, until there is a successor that does."""
        self.ready(TELLS_PID, workers=1, options=("--max-age", "1"))
        first = self.pids(1)[1]
        self.file("web.lua", "error 'boom'")
        self.master.err.wait_for("web.lua:1: boom")
        wait_until(lambda: self.log().count("worker web.1 ended: exit 1: web.lua:1: boom".replace("web.lua", self.script)) > 1, "two failures")
        self.assertIn("1/1", self.ask())
        self.assertFalse(gone(first))
        self.file("web.lua", TELLS_PID)
        wait_until(lambda: gone(first), "it is replaced")
        self.assertIn("1/1", self.ask())
        self.end()

    def test_a_signal_by_hand(self):
        """It finishes what it has; meanwhile another serves in its place. That is no failure."""
        self.ready(TELLS_PID, workers=1, options=("--max-restarts", "0"))
        first = self.pids(1)[1]
        connection = self.connect()
        connection.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: self.ready_in_log("web.1") == 2, "another in its place")
        self.assertFalse(gone(first))
        self.assertIn("1/1", self.ask())
        self.file("now", "")
        self.assertIn("1/1", connection.getresponse().read().decode())
        wait_until(lambda: gone(first), "it has ended")
        self.assertIn("worker web.1 stops: it was told to", self.log())
        self.assertNotIn("given up", self.log())
        self.end()

    @unittest.skipIf(SANITIZED, "a sanitizer takes memory of its own")
    def test_H12_memory(self):
        """Too much for a while: it is replaced, and nobody notices. Far too much: it is killed."""
        code = WEB.replace("  return me", """
            local size = request.path:match "^/use/(.*)$"
            kept = kept or {}
            for i = 1, size or 0 do kept[#kept + 1] = ("x"):rep(1e6 + #kept) end
            return me""")
        self.ready(code, workers=2, options=("--max-memory", "60000000"))
        who = self.ask("/use/70").split("/")[0]
        load = Load(self, threads=2)
        self.master.err.wait_for(f"worker web.{who} is replaced: it uses ")
        wait_until(lambda: self.ready_in_log(f"web.{who}") == 2, "its successor is ready")
        load.finish()
        with contextlib.suppress(ConnectionError, http.client.HTTPException):  # it may be killed before it answers
            self.ask("/use/150")
        self.master.err.wait_for(" ended: SIGKILL: killed: it used ")
        self.assertIn("at most 120.0 MB are allowed", self.log())
        self.assertIn("/1", self.ask())
        self.end()


class GivenUp(Life):
    CODE = 'if os.getenv "CLOUDS_WORKER" == "1" and io.open("%s/broken") then dofile("%s/broken") end\n' + WEB

    @unittest.skipIf(SANITIZED, "a sanitizer has exit codes of its own")
    def test_H8_each_kind_of_failure(self):
        """The others serve; it is told once, with the reason; it is tried after each pause; mended, it serves again."""
        for broken, why in (("os.exit(7)", "exit 7"),
                            ('os.execute "kill -SEGV $PPID" require("clouds").sleep(60)', "SIGSEGV"),
                            ("this is no Lua", "exit 1: .*broken:1: "),
                            ("io.stderr:write('clouds: no such thing\\nclouds run --help says more\\n') os.exit(2)",
                             "exit 2: no such thing"),
                            ("error 'boom'", "exit 1: .*broken:1: boom")):
            with self.subTest(why):
                self.ready(self.CODE % (self.folder, self.folder), workers=2,
                           options=("--max-restarts", "1", "--giveup-pause", "1"))
                self.file("broken", broken)
                load = Load(self, threads=2)
                self.kill_first()
                self.master.err.wait_for("given up")
                begin = self.log().count("worker web.1 ended")
                wait_until(lambda: self.log().count("worker web.1 ended") >= begin + 2, "it is tried again")
                os.unlink(os.path.join(self.folder, "broken"))
                wait_until(lambda: self.ready_in_log("web.1") == 2, "it serves again")
                load.stopping = True
                for thread in load.threads:
                    thread.join(60)
                self.assertLessEqual(len(load.failed), 2, load.failed)  # what it had when it was killed
                self.assertEqual(self.log().count("given up"), 1)
                self.assertRegex(self.log(), rf"group web: given up: 3 failures in 60 s: {why}.*; the next try is in 1 s")
                self.end()

    def kill_first(self):
        os.kill(self.first(), signal.SIGKILL)

    def first(self):
        """The process in the first place."""
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{pid}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.master.pid and b"CLOUDS_WORKER=1" in words:
                return pid
        raise AssertionError("there is none")

    @unittest.skipIf(SANITIZED, "a sanitizer has exit codes of its own")
    def test_it_is_not_started_again(self):
        self.ready(workers=2, options=("--no-restart",))
        connection = self.connect()
        connection.request("GET", "/exit")
        self.master.err.wait_for("ended: exit 7")
        for _ in range(5):
            self.assertIn("/1", self.ask())
        self.assertEqual(self.log().count(" ready in "), 2)
        self.reload(2)
        self.end()


class Hangs(Life):
    HANGS = """
        local function spin(n) local s = 0 while true do s = s + n % 7 end end
        local function outer() spin(3) end
        function hang(how)
          if how == "loop" then outer() end
          if how == "nested" then coroutine.wrap(function() coroutine.resume(coroutine.create(function() outer() end)) end)() end
          if how == "blocked" then os.execute "sleep 60" end
        end
    """ + TELLS_PID.replace('if request.path == "/exit"', 'hang(request.path:match("^/hang/(.*)$"))\n  if request.path == "/exit"')

    def test_H10_without_end(self):
        """It is said where; another serves in its place before it is killed; the others serve on."""
        for how, where in (("loop", r"web.lua:2: in function 'spin'.*web.lua:3: in function 'outer'"),
                           ("nested", r"web.lua:2: in function 'spin'.*web.lua:3: in function 'outer'"),
                           ("blocked", r"web.lua:[78]: in function 'hang'")):
            with self.subTest(how):
                self.ready(self.HANGS, workers=2, options=("--hang-timeout", "1.5"))
                before = self.pids(2)
                connection = self.connect()
                connection.request("GET", f"/hang/{how}?secret")
                self.master.err.wait_for(" hangs: busy for ")
                load = Load(self, threads=2)
                text = self.master.err.wait_for(": SIGKILL: it hung, busy for ")
                load.finish()
                name = re.search(r"worker (\S+) hangs: busy for [\d.]+ s: /hang/", text).group(1)
                self.assertGreaterEqual(float(re.search(rf"worker {name} hangs: busy for ([\d.]+) s", text).group(1)), 1.5)
                self.assertIn(f"worker {name} is busy for ", text)
                self.assertNotIn("secret", text)
                self.assertRegex(re.sub(r"\n\S+ \S+ \d+ \|", "", text), rf"(?s)where it is:.*{where}")
                self.assertRegex(text, rf"(?s)worker {name} hangs: .*worker {name} ready in .*worker {name} ended: SIGKILL: it hung")
                victim = before[int(name[4:])]
                wait_until(lambda: gone(victim), "it is gone")
                self.end()

    def test_H10_interrupted(self):
        """Who asked gets an error, what else is under way is finished, and the worker is replaced in order."""
        for how in ("loop", "nested"):
            with self.subTest(how):
                self.ready(self.HANGS, workers=1, options=("--hang-timeout", "1", "--watchdog", "interrupt"))
                first = self.pids(1)[1]
                slow = [self.connect() for _ in range(20)]
                for connection in slow:
                    connection.request("GET", "/slow/0.3")
                wait_until(lambda: self.ask("/"), "they are under way")
                hanging = self.connect()
                hanging.request("GET", f"/hang/{how}")
                if how == "loop":
                    self.assertEqual(hanging.getresponse().status, 500)
                    self.assertIn("the worker ran longer than 1 s", self.master.err.wait_for("the worker ran longer than"))
                self.assertEqual([connection.getresponse().status for connection in slow], [200] * 20)
                for connection in slow + [hanging]:
                    connection.close()
                self.master.err.wait_for("worker web.1 is replaced: it was interrupted")
                wait_until(lambda: gone(first), "replaced")
                self.assertNotIn("SIGKILL", self.log())
                self.end()

    def test_H10_what_takes_the_error(self):
        """A loop that goes on after the error is killed."""
        code = self.HANGS.replace("function hang(how)", 'function hang(how)\n if how == "stubborn" then while true do pcall(outer) end end')
        self.ready(code, workers=1, options=("--hang-timeout", "0.5", "--watchdog", "interrupt"))
        connection = self.connect()
        connection.request("GET", "/hang/stubborn")
        self.master.err.wait_for(" is interrupted: busy for ")
        self.master.err.wait_for(": SIGKILL: it hung, busy for ")
        connection.close()
        self.end()

    def freeze_where_it_waits(self, pid):
        """Not within a turn of its loop, which would be another way to hang."""
        def is_between_turns():
            freeze(pid)
            if next(row["board"]["busy"] for row in self.workers() if row["pid"] == pid) == 0:
                return True
            os.kill(pid, signal.SIGCONT)

        wait_until(is_between_turns)

    def test_H7_one_that_is_stopped(self):
        """It takes no connections that it was given: it is killed, and others serve them."""
        self.ready(TELLS_PID, workers=2, options=("--hang-timeout", "1"))
        victim = self.pids(2)[1]
        self.freeze_where_it_waits(victim)
        load = Load(self, threads=12)
        self.master.err.wait_for("worker web.1 hangs: it took no connection for ")
        self.master.err.wait_for("worker web.1 ended: SIGKILL: it hung")
        load.goes_on()
        load.finish()
        self.assertTrue(gone(victim))
        self.end()

    def test_H13_the_master_is_killed(self):
        """Also a worker that hangs ends, not much later than a stop may take."""
        self.ready(self.HANGS, workers=2, options=("--hang-timeout", "0", "--drain", "1"))
        pids = self.pids(2)
        self.connect().request("GET", "/hang/loop")
        self.master.err.wait_for(" is busy for ")
        self.end(code=-signal.SIGKILL, number=signal.SIGKILL)
        wait_until(lambda: all(gone(pid) for pid in pids.values()), "all are gone", bound=20)

    def test_by_hand(self):
        """SIGUSR2 to a script says where it is, and changes nothing."""
        script = self.file("wait.lua", """
            local function spin() local s = 0 while not io.open(arg[1]) do for i = 1, 1e6 do s = s + i % 3 end end end
            print "spins"
            spin()
            print "waits"
            require "clouds".sleep(60)
        """)
        process = self.start("run", script, os.path.join(self.folder, "go"))
        process.out.wait_for("spins")

        def spins():
            process.signal(signal.SIGUSR2)
            return "wait.lua:2: in function 'spin'" in process.err.text()
        wait_until(spins, "it says where it is")
        self.file("go", "")
        process.out.wait_for("waits")

        def waits():
            process.signal(signal.SIGUSR2)
            return "where it is: nothing runs, the loop waits" in process.err.text()
        wait_until(waits, "it says that it waits")
        self.assertEqual(process.stop(), 0)


if __name__ == "__main__":
    unittest.main()
