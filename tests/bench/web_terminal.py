"""How long requests take while another worker writes lines without end, into a terminal that is read, and into one that nobody reads.

The load makes a connection for each request, so each goes through the master, which also has the lines to pass on.
"""
import os
import pty
import select
import statistics
import subprocess
import threading

import web_load
from web_servers import BENCH, free_port, wait_until

PLAN = """
local app = require("clouds.cluster").master { name = "terminal" }
app:register("127.0.0.1:%d", "%s", { workers = 1, args = { "%s" } })
app:register("lines", "%s", { workers = 1, args = { "%s" } })
"""
STATES = ("no lines", "a terminal that is read", "one that nobody reads")


class Terminal:
    """A master on a terminal of its own, which is read when somebody says so."""

    def __init__(self, options, folder):
        self.port, self.go, self.text, self.reads = free_port(), os.path.join(folder, "go"), "", True
        plan = os.path.join(folder, "cluster.lua")
        with open(plan, "w", encoding="utf-8") as file:
            file.write(PLAN % (self.port, os.path.join(BENCH, "web.lua"), folder, os.path.join(BENCH, "lines.lua"), self.go))
        self.ours, theirs = pty.openpty()
        self.popen = subprocess.Popen([os.path.join(options.build, "host", "clouds"), "start", "-c", plan], stdin=theirs, stdout=theirs,
                                      stderr=theirs, start_new_session=True, env=dict(os.environ, CLOUDS_RUNTIME_DIR=os.path.join(folder, "run")))
        os.close(theirs)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_until(lambda: "terminal ready: " in self.text, "it serves")

    def read(self):
        while self.reads:
            if not select.select([self.ours], [], [], 0.05)[0]:
                continue
            try:
                piece = os.read(self.ours, 1 << 16)
            except OSError:  # nobody has the other end any more
                return
            if len(self.text) < 4000:
                self.text += piece.decode("utf-8", "replace")

    def be(self, state):
        if state == STATES[0]:
            return
        self.reads = state == STATES[1]
        if not self.reads:
            self.reader.join()
        with open(self.go, "w", encoding="utf-8"):
            pass
        wait_until(lambda: not os.path.exists(self.go), "lines are written")

    def discard(self):
        self.popen.kill()
        self.popen.wait()
        self.reads = False
        self.reader.join()
        os.close(self.ours)


def measure_terminal(bench):
    found = {state: [] for state in STATES}
    for _ in range(bench.options.rounds):
        for state in STATES:
            one = Terminal(bench.options, bench.folder)
            try:
                one.be(state)
                said = web_load.own(bench.options, one.port, max(bench.options.requests // 10, 50), "/", closes=True, connections=16)
                found[state].append((said["p50"], said["p99"]))
            finally:
                one.discard()
    print(f"{'a request while a worker writes':42} {'':14} {'p50 us':>9} {'p99 us':>10}")
    p99 = {}
    for state in STATES:
        p50, p99[state] = (statistics.median(each) for each in zip(*found[state]))
        print(f"{state:42} {'':14} {p50:9.0f} {p99[state]:10.0f}")
    bench.holds("p99, a terminal that nobody reads beside one that is read", p99[STATES[2]] / p99[STATES[1]], most=2)
