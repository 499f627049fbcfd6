"""What signals do to a master of clouds start, and that its workers do not take them for theirs."""
import os
import pty
import re
import signal
import unittest

from support import Master, wait_until

SERVES = """
local clouds = require "clouds"
clouds.server {}:register("x", function() end)
print("begins")
"""
FOR_MASTERS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)


class Signals(Master):
    def open(self, code=SERVES, workers=2, **words):
        self.script = self.file("web.lua", code)
        self.master = self.start("start", "--workers", str(workers), self.script, **words)
        self.master.err.wait_for("web ready: ")

    def pids(self):
        return {row.get("pid") for row in self.workers()}


class OfTheMaster(Signals):
    def test_reload(self):
        self.open()
        for generation, number in ((2, signal.SIGHUP), (3, signal.SIGUSR1)):
            self.master.signal(number)
            self.master.err.wait_for(f"web reloaded: web 2, generation {generation}")
        self.end()

    def test_more_and_fewer(self):
        self.open()
        for number, count in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
            self.master.signal(number)
            wait_until(lambda: len(self.pids()) == count, f"{count} workers")
        self.master.signal(signal.SIGTTOU)
        self.master.err.wait_for("group web stays at 1 workers")
        self.end()

    def test_C28_each_stops(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.open(workers=1)
            self.master.signal(number)
            self.assertEqual(self.master.wait(), 0)
            self.assertIn("web stops", self.master.err.text())

    def test_quiet(self):
        self.open()
        self.master.signal(signal.SIGCONT)  # nothing: it is not quiet
        self.master.signal(signal.SIGTSTP)
        self.master.err.wait_for("web is quiet")
        self.assertNotIn("web is ready", self.master.err.text())
        self.master.signal(signal.SIGCONT)
        self.master.err.wait_for("web is ready")
        self.end()

    def test_the_end_of_its_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.open(stdin=theirs)
        os.close(theirs)
        self.master.signal(signal.SIGHUP)
        self.assertEqual(self.master.wait(), 0)
        self.assertIn("web stops", self.master.err.text())


class OfWorkers(Signals):
    def test_what_is_for_masters(self):
        """Sent to all of its process group: nothing follows."""
        self.open()
        before = self.pids()
        for pid in before:
            for number in FOR_MASTERS:
                os.killpg(pid, number)
        self.assertEqual(self.run_clouds("call", "x").returncode, 0)
        self.assertEqual(self.pids(), before)
        self.assertEqual({row["state"] for row in self.workers()}, {"ready"})
        self.end()

    def test_quit(self):
        self.open(workers=1)
        pid = self.pids().pop()
        os.kill(pid, signal.SIGQUIT)
        self.master.err.wait_for("worker web.1 stops: it was told to")
        wait_until(lambda: self.pids() - {pid, None}, "another in its place")
        self.end()

    def test_while_it_starts(self):
        self.script = self.file("web.lua", 'print("begins") require("clouds").sleep(0.3)' + SERVES)
        self.master = self.start("start", "--workers", "1", self.script)
        pid = int(wait_until(lambda: re.search(r"web\.1 (\d+) \| begins", self.master.out.text()), "it begins").group(1))
        for number in FOR_MASTERS:
            os.killpg(pid, number)
        self.master.err.wait_for("web ready: ")
        self.assertEqual(self.pids(), {pid})
        self.end()

    def test_what_it_starts_itself(self):
        """A program knows nothing of that: its HUP ends it."""
        self.open(SERVES + 'print("status " .. os.execute("kill -HUP $$; echo lives"))', workers=1)
        self.master.out.wait_for("status ")
        self.assertNotIn("lives", self.master.out.text())
        self.end()


if __name__ == "__main__":
    unittest.main()
