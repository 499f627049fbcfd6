"""What is so of workers in each language: their life, and how they fail."""
import os
import re
import signal

from support import Caller, gone, wait_until


class Workers:
    """What is so in each language: `script` is its name, `code` what it has."""

    def begin(self, *options, workers=1):
        self.ready(self.script, self.code, "--drain", "20", *options, workers=workers)

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
        wait_until(lambda: re.search(r"svc\.[12] of 2, 2", self.call("where")), "nobody is called any more that leaves")
        os.kill(self.worker(1), signal.SIGTERM)
        self.lines(5, " ready in ")
        self.assertIn("worker svc.1 stops: it was told to", self.master.err.text())
        caller.finish()
        os.kill(self.worker(2), signal.SIGKILL)
        self.lines(6, " ready in ")
        self.assertIn("worker svc.2 ended: SIGKILL", self.master.err.text())
        caller = self.begin_to_wait()
        self.master.signal(signal.SIGTERM)
        self.lines(5, "| drain ", self.master.out)
        self.assert_waited(caller)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertEqual([self.master.out.text().count(word) for word in
                          ("| drain reload 20", "| drain signal 20", "| drain stop 20", "| stop")], [2, 1, 2, 5])
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
        self.ready(self.script, self.code, "--hang-timeout", "1.5", "--drain", "0.2")
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

    def test_one_that_hangs_ends_with_its_master(self):
        self.ready(self.script, self.code, "--drain", "0.2")
        worker, caller = self.worker(1), self.start("call", "loop")
        self.master.err.wait_for("worker svc.1 is busy for ")
        self.master.popen.kill()
        wait_until(lambda: gone(worker), "the worker ends")
        self.assertEqual(caller.wait(), 4)
