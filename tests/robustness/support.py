"""Makes the shared harness importable, and adds what the tests under load share."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SANITIZED, SOURCE, Case, Process, Redis, free_port, say, wait_until  # noqa: E402,F401

PROGRAMS = os.path.join(os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev")), "tests", "robustness")
LONG = bool(os.environ.get("CLOUDS_LONG"))
LATE = 5  # seconds after its deadline that a completion may come on a machine that is busy

ECHO = """
local clouds = require "clouds"
local server = clouds.server {}
server:register("test.echo", function(...) return ... end)
print("ready", server.id)
"""
HEARTBEAT = 1
RENEWING = ECHO.replace("{}", "{ heartbeat = %d }" % HEARTBEAT)  # for those who wait for what a heartbeat brings back


class Load:
    """A client of load.c that runs until it is told to stop; see there for its books."""

    def __init__(self, case, url, outstanding=50, count=0, timeout=2, deadline=5, retries=0, longest=100,
                 mode="inline"):
        words = [os.path.join(PROGRAMS, "load"), url, "test.echo", outstanding, count, timeout, deadline, retries, longest,
                 mode]
        self._process = Process([str(word) for word in words], case.env, stdin=subprocess.PIPE)
        self._case = case
        case.addCleanup(self._process.discard)

    def succeeded(self):
        """How many calls have succeeded so far: its last whole line."""
        last = self._process.out.text().rpartition("\n")[0].rpartition("\n")[2]
        return int(last) if last.isdigit() else 0

    def signal(self, number):
        self._process.signal(number)

    def goes_on(self, calls=200):
        """Waits until that many more calls have succeeded."""
        begin = self.succeeded()
        wait_until(lambda: self.succeeded() >= begin + calls, f"{calls} more calls succeed")

    def finish(self):
        """Lets it end by itself or tells it to; its books, of which the first law is checked here."""
        self._process.popen.stdin.close()
        self._process.popen.stdin = None
        code = self._process.wait(4 * BOUND)
        said = self._process.out.text().rstrip().rpartition("\n")[2]
        self._case.assertTrue(said.startswith("{"), self._process.err.text())
        books = json.loads(said)
        self._case.assertEqual((books["twice"], books["wrong"], books["lost"], code), (0, 0, 0, 0), books)
        return books
