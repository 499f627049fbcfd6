"""clouds start --pidfile and --daemon: the file says who runs, and a start in the background is waited for."""
import os
import signal
import unittest

from support import Case, runs, wait_until

SERVES = 'require("clouds").server {}:register("x", function() end)'


class OfMaster(Case):
    def setUp(self):
        super().setUp()
        self.script = self.file("web.lua", SERVES)
        self.path = os.path.join(self.folder, "web.pid")

    def master(self, *options, name="web", script=None):
        return self.start("start", "--workers", "1", "--name", name, *options, script or self.script)

    def read(self):
        with open(self.path) as file:
            return int(file.read())


class Pidfile(OfMaster):
    def test_H18_twenty_at_once(self):
        masters = [self.master("--pidfile", self.path, name=f"web{n}") for n in range(20)]
        ended = wait_until(lambda: (lambda done: len(done) == 19 and done)(
            [each for each in masters if each.popen.poll() is not None]), "19 have ended")
        self.assertEqual({each.wait() for each in ended}, {3})
        runs = next(each for each in masters if each not in ended)
        runs.err.wait_for(" ready: ")
        self.assertEqual(self.read(), runs.pid)
        for each in ended:
            self.assertIn("which runs already", each.err.text())
        self.assertEqual(runs.stop(), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_H18_one_that_was_left_behind(self):
        self.file("web.pid", "1234567\nand more")
        master = self.master("--pidfile", self.path)
        master.err.wait_for("web ready: ")
        self.assertEqual(self.read(), master.pid)
        master.signal(signal.SIGKILL)
        master.wait()
        self.assertEqual(self.read(), master.pid)
        master = self.master("--pidfile", self.path)
        master.err.wait_for("web ready: ")
        self.assertEqual(self.read(), master.pid)
        self.assertEqual(master.stop(), 0)

    def test_H18_what_is_no_file_is_refused(self):
        other = self.file("other", "keep")
        os.symlink(other, self.path)
        self.refuses()
        with open(other) as file:
            self.assertEqual(file.read(), "keep")
        os.unlink(self.path)
        os.mkfifo(self.path)
        self.refuses()
        os.unlink(self.path)
        os.mkdir(self.path)
        self.refuses()

    def refuses(self, why=""):
        master = self.master("--pidfile", self.path)
        self.assertEqual(master.wait(), 2, master.err.text())
        self.assertIn(f"cannot take the pidfile {self.path}: {why}", master.err.text())

    def test_its_folders_are_made(self):
        self.path = os.path.join(self.folder, "a", "b", "web.pid")
        master = self.master("--pidfile", self.path)
        master.err.wait_for("web ready: ")
        self.assertEqual(self.read(), master.pid)
        self.assertEqual(master.stop(), 0)
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [])
        self.path = os.path.join(self.file("other", ""), "b", "web.pid")
        self.refuses("Not a directory")

    def test_C15_that_of_another_is_kept(self):
        master = self.master("--pidfile", self.path)
        master.err.wait_for("web ready: ")
        os.unlink(self.path)
        self.file("web.pid", "77\n")
        self.assertEqual(master.stop(), 0)
        self.assertEqual(self.read(), 77)


class Daemon(OfMaster):
    def test_returns_when_it_serves(self):
        starter = self.master("--daemon", "--pidfile", self.path)
        self.assertEqual(starter.wait(), 0, starter.err.text())
        pid = self.read()
        self.addCleanup(lambda: runs(pid) and os.kill(pid, signal.SIGKILL))
        self.assertTrue(runs(pid))
        self.assertNotEqual(pid, starter.pid)
        self.assertEqual(os.getsid(pid), pid)
        for fd in range(3):
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null")
        self.assertEqual(self.run_clouds("call", "x").returncode, 0)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not runs(pid), "the master has ended")
        self.assertFalse(os.path.exists(self.path))

    def test_returns_the_code_of_a_failure(self):
        starter = self.master("--daemon", script=self.file("bad.lua", 'error "boom"'))
        self.assertEqual(starter.wait(), 1)
        self.assertIn("boom", starter.err.text())
        starter = self.master("--daemon", "--workers", "none")
        self.assertEqual(starter.wait(), 2)
        self.assertIn("expected a whole number", starter.err.text())


if __name__ == "__main__":
    unittest.main()
