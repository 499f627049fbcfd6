"""clouds start: how long a worker lives, and what follows it."""
import os
import re
import signal
import unittest

from support import wait_until
from test_start import WEB, TELLS_PID, Load, Start, gone


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
        self.master.out.wait_for("| pid")
        first = self.pids()[1]
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
        self.master.out.wait_for("| pid")
        first = self.pids()[1]
        connection = self.connect()
        connection.request("GET", "/slow/1.5")
        wait_until(lambda: self.ask("/"), "it is under way")
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: self.pids()[1] != first, "another in its place")
        self.assertFalse(gone(first))
        self.assertIn("1/1", self.ask())
        self.assertIn("1/1", connection.getresponse().read().decode())
        wait_until(lambda: gone(first), "it has ended")
        self.assertIn("worker web.1 stops: it was told to", self.log())
        self.assertNotIn("given up", self.log())
        self.end()

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
        who = self.ask("/use/150").split("/")[0]
        self.master.err.wait_for(f"worker web.{who} ended: SIGKILL: killed: it used ")
        self.assertIn("at most 120.0 MB are allowed", self.log())
        self.assertIn("/1", self.ask())
        self.end()


class GivenUp(Life):
    CODE = 'if os.getenv "CLOUDS_WORKER" == "1" and io.open("%s/broken") then dofile("%s/broken") end\n' + WEB

    def test_H8_each_kind_of_failure(self):
        """The others serve; it is told once, with the reason; it is tried after each pause; mended, it serves again."""
        for broken, why in (("os.exit(7)", "exit 7"),
                            ('os.execute "kill -SEGV $PPID" require("clouds").sleep(60)', "SIGSEGV"),
                            ("this is no Lua", "exit 1: .*broken:1: "),
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
        """Ends the worker in the first place."""
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{pid}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.master.pid and b"CLOUDS_WORKER=1" in words:
                os.kill(pid, signal.SIGKILL)

    def test_it_is_not_started_again(self):
        self.ready(workers=2, options=("--no-restart",))
        connection = self.connect()
        connection.request("GET", "/exit")
        self.master.err.wait_for("ended: exit 7")
        for _ in range(5):
            self.assertIn("/1", self.ask())
        self.assertEqual(self.log().count(" ready in "), 2)
        self.master.signal(signal.SIGHUP)
        self.master.err.wait_for("web reloaded: web 2, generation 2")
        self.end()


if __name__ == "__main__":
    unittest.main()
