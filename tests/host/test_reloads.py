"""clouds start: nothing is lost, over many reloads and when workers are killed. CLOUDS_LONG=1: as often as it takes to be sure."""
import collections
import json
import os
import random
import signal
import unittest

from load import Load
from support import LONG, SANITIZED, freeze, wait_until
from test_start import TELLS_PID, WEB, Start

RELOADS, REQUESTS = (20, 100000) if LONG else (3, 600)
SLOW = """
local clouds, http = require "clouds", require "clouds.http"
http.serve(function(request)
  local body = request:body()
  clouds.sleep(0.2)
  local file = io.open("%s", "a")
  file:write(request.path, "\\n")
  file:close()
  return ("%%s %%d"):format(request.path, #body)
end)
"""
SERVICE = WEB + """
local server = clouds.server {}
server:register("add", function(a, b) return a + b end)
"""


class Reloads(Start):
    def over_reloads(self, load, requests=REQUESTS):
        """Between two reloads requests are answered, so many in all."""
        for generation in range(2, 2 + RELOADS):
            load.goes_on(requests / (RELOADS + 1))
            self.reload(generation)
        load.goes_on(max(requests - load.count, 1))
        load.stop()
        self.tell(load)
        self.assertEqual(load.failed, {})

    def tell(self, load, more=""):
        if LONG:
            print(f"\n{self.id()}: {load.count} requests over {load.connects} connections, {sum(load.failed.values())} failed{more}")

    def memory(self):
        """Of the master, in bytes."""
        with open(f"/proc/{self.master.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kept(self, *options, think=0, clients=64):
        self.ready(workers=2, options=options)
        descriptors = self.descriptors()
        load = Load(self, self.port, clients, think=think)
        load.goes_on(clients)
        memory = self.memory()
        self.over_reloads(load)
        wait_until(lambda: self.descriptors() <= descriptors + 2, "the master keeps none of the connections")
        if LONG and not SANITIZED:
            self.assertLess(self.memory() - memory, 1 << 20)
        self.end()
        return load

    def test_H1_kept_connections(self):
        """No request is lost, and no connection ends."""
        self.assertEqual(self.kept().connects, 64)

    def test_H1_kept_connections_shared(self):
        self.assertEqual(self.kept("--dispatch", "shared").connects, 64)

    def test_H2_clients_that_think(self):
        self.assertEqual(self.kept(think=0.05, clients=200).connects, 200)

    def new(self, *options):
        self.ready(workers=2, options=options)
        load = Load(self, self.port, 16, keep=False)
        self.over_reloads(load)
        self.end()

    def test_H3_a_connection_a_request(self):
        """None is refused or reset."""
        self.new()

    def test_H3_a_connection_a_request_shared(self):
        self.new("--dispatch", "shared")

    def test_H4_slow_handlers_and_bodies(self):
        """Each is executed once."""
        done, size = os.path.join(self.folder, "done"), 100000
        self.ready(SLOW % done, workers=2)
        load = Load(self, self.port, 32, check=lambda number, body: body == f"/{number} {size}".encode(),
                    request=lambda number: f"POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size)
        self.over_reloads(load, 4000 if LONG else 100)
        with open(done) as file:
            times = collections.Counter(file.read().split())
        self.assertEqual(times, {f"/{number}": 1 for number in range(1, load.count + 1)})
        self.end()

    def test_H5_services_beside_connections(self):
        self.ready(SERVICE, workers=2)
        load = Load(self, self.port, 16)
        bench = self.start("bench", "--method", "add", "--concurrency", "20", "--time", "30" if LONG else "1", "--json", "1", "2")
        reloads = 0
        while reloads < RELOADS or bench.popen.poll() is None:
            load.goes_on(REQUESTS / 2 / RELOADS)
            reloads += 1
            self.reload(1 + reloads)
        self.assertEqual(bench.wait(), 0, bench.err.text())
        load.stop()
        calls = json.loads(bench.out.text())
        self.tell(load, f"; {calls['calls']} calls, {calls['errors']} failed; {reloads} reloads")
        self.assertEqual((load.failed, calls["errors"]), ({}, 0))
        self.end()


class Killed(Start):
    def victims(self, killed):
        """The workers that are ready, but for those killed, of which the master may not know yet."""
        return [row for row in self.workers() if row["state"] == "ready" and row["pid"] not in killed]

    def test_H6_killed_workers(self):
        """Of the connections that a victim had taken some are lost; never one that it had not taken."""
        self.ready(TELLS_PID, workers=4, options=("--max-restarts", "1000"))
        load, taken, killed = Load(self, self.port, 32, keep=False), 0, set()
        for _ in range(100 if LONG else 5):
            load.goes_on(50)
            wait_until(lambda: len(self.victims(killed)) > 1, "others are there")
            pid = random.choice(self.victims(killed))["pid"]
            freeze(pid)  # from here on it takes none of what it is given
            load.goes_on(10)
            taken += next(row["board"]["open"] for row in self.victims(killed) if row["pid"] == pid)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        load.goes_on(50)
        load.stop()
        failed = sum(load.failed.values())
        if LONG:
            print(f"\n{self.id()}: {load.count} requests, {failed} failed of {taken} that the killed had taken")
        self.assertLessEqual(failed, taken, load.failed)
        self.assertNotIn("given up", self.master.err.text())
        self.end()


if __name__ == "__main__":
    unittest.main()
