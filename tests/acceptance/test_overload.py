#!/usr/bin/env python3
"""P1 and P2: what a service does that is called more often than it can answer, or than it may be. The same to the millisecond, over a
clock that stands still: tests/core/test_offer.c; as a table, with services that take a processor: tests/bench/overload.py."""
import json
import os
import subprocess
import unittest

from support import BOUND, Process, PythonCase, over_each_bus

from harness import CLOUDS, SOURCE

OVERLOAD = os.path.join(os.environ["CLOUDS_BUILD_DIR"], "tests", "bench", "overload")
SERVICE = os.path.join(SOURCE, "tests", "bench", "overload.lua")
STALL = 60  # ms without a processor by which such a measurement says nothing
ATTEMPTS = 6


class Overload(PythonCase):

    def serve(self, cost, *limits):
        server = Process([CLOUDS, "run", SERVICE, str(cost), "true", *limits], self.env)
        self.addCleanup(server.discard)
        server.out.wait_for("ready")
        self.client = self.node("Client", timeout=BOUND)

    def once(self, *phases, callers=1):
        self.client.call("stall")
        loads = [subprocess.Popen([OVERLOAD, self.url, "wait", "1", *phases], env=self.env, stdout=subprocess.PIPE) for _ in range(callers)]
        said = [json.loads(line) for load in loads for line in load.communicate(timeout=BOUND)[0].splitlines()]
        stalls = [phase["stall"] for phase in said if phase["phase"][0] != "w"] + [self.client.call("stall")]
        print("# stalls of up to", round(max(stalls)), "ms", *said, sep="\n#   ")
        return said if max(stalls) < STALL else None

    def load(self, *phases, callers=1):
        """What comes of the phases, of each caller: tests/bench/overload.c. Once more when the machine has stood still meanwhile."""
        for _ in range(ATTEMPTS):
            if said := self.once(*phases, callers=callers):
                return said
        return self.skipTest("this machine has something else to do")

    def test_P1_three_times_the_load_keeps_the_goodput(self):
        self.serve(0.04, "concurrency=8", "queue_age=0.1")
        peak, three, after = self.load("w8:1", "x3:2", "x0.5:3")
        self.assertGreaterEqual(three["rate"], 0.9 * peak["rate"])
        self.assertEqual(three["failed"], 0, "each is done or was not begun")
        self.assertEqual(three["busy"], three["refused"])
        self.assertLess(three["done_p99"], 2 * (100 + 2 * 40))
        self.assertLess(three["refused_p99"], 2 * 100)
        self.assertGreaterEqual(after["late_done"], 0.99, "normal again within 2 s")
        self.assertLessEqual(after["settled"], 2)

    def test_P2_a_rate_and_its_burst(self):
        self.serve(0, "rate=100", "burst=10")
        said, = self.load("r1000:5")
        self.assertAlmostEqual(said["done"], 510, delta=3 + 100 * STALL / 1000)
        self.assertEqual((said["calls"], said["busy"], said["failed"]), (5000, 5000 - said["done"], 0), "the others know when to come again")

    def test_P2_a_rate_for_each_caller(self):
        self.serve(0, "caller_rate=50", "caller_burst=10")
        for said in self.load("r500:3", callers=2):
            self.assertAlmostEqual(said["done"], 160, delta=3 + 50 * STALL / 1000)
            self.assertEqual((said["busy"], said["failed"]), (1500 - said["done"], 0))


over_each_bus(globals(), Overload, ("local", "redis"))

if __name__ == "__main__":
    unittest.main()
