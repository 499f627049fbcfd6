"""What a Redis does to its clients short of dying: it cuts connections, forgets everything, stands still."""
import json
import re
import signal
import time
import unittest

from support import Case, LATE, Load, RENEWING, wait_until

CLOCK = "0.5"  # seconds: Redis' clock is known to a fraction of a round trip, which takes a while on a machine that is busy
STOPS = 2
STOPPED = 2.5  # seconds, longer than the deadline of every call by more than CLOCK

# Says how late, by the clock of this machine, each request was started; its argument is the deadline by the same clock.
WITNESS = """
local clouds = require "clouds"
local server = clouds.server {}
local starts, late, latest = 0, 0, -math.huge
server:register("witness", function(due)
  starts = starts + 1
  local by = clouds.now() - due
  if by > tonumber(arg[1]) then late = late + 1 end
  latest = math.max(latest, by)
  return due
end)
server:register("said", function() return starts, late, latest, server:counters().expired_requests end)
print("ready")
"""

# Many calls, one at a time in each of many coroutines, with short deadlines; their books at the end.
CALLER = """
local clouds = require "clouds"
local client = clouds.client { direct = arg[1] ~= "by Redis" }
local stop, calls, ok, failed, wrong, latest = false, 0, 0, 0, 0, -math.huge
client:on("message", function() stop = true end)
client:ready()
local tasks = {}
for i = 1, 100 do
  tasks[i] = function()
    while not stop do
      local due = clouds.now() + 1
      calls = calls + 1
      local back, err = client:call("witness", { due }, { timeout = 1, deadline = 1 })
      latest = math.max(latest, clouds.now() - due)
      if err then failed = failed + 1; clouds.sleep(0.01)
      elseif back == due then ok = ok + 1
      else wrong = wrong + 1 end
    end
  end
end
print("id " .. client.id)
clouds.spawn(function()
  while not stop do
    clouds.sleep(0.05)
    io.write("ok ", ok, " of ", calls, ", ", client:counters().link_calls, " by links\\n")
    io.flush()
  end
end)
clouds.wait_all(tasks)
print(clouds.json.encode { calls = calls, ok = ok, failed = failed, wrong = wrong, latest = latest })
client:close(0)
"""


class RedisFaults(Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis()

    def clouds_keys(self):
        """Everything of the registry: registrations, records, and the index with its members. The record by which a client
        that connects claims its id is no part of it: it is there for seconds, and ends by itself."""
        keys = sorted(key.decode() for key in self.server.command("KEYS", "clouds:*") if not key.startswith(b"clouds:N:c."))
        index = {key: sorted(self.server.command("SMEMBERS", key)) for key in keys if key.startswith("clouds:M:")}
        return keys, index

    def subscriptions(self):
        """How many listen at each channel, without the channel of the client."""
        channels = self.server.command("PUBSUB", "CHANNELS", "clouds:L:s.*")
        return dict(zip(*[iter(self.server.command("PUBSUB", "NUMSUB", *channels))] * 2)) if channels else {}

    def whole(self):
        services = [self.serve(RENEWING) for _ in range(2)]
        ids = sorted(service.out.text().split()[-1] for service in services)
        keys, index = self.clouds_keys()
        expected = sorted([f"clouds:N:{i}" for i in ids] + [f"clouds:S:test.echo:{i}" for i in ids] + ["clouds:M:test.echo"])
        self.assertEqual(keys, expected)
        self.assertEqual(index, {"clouds:M:test.echo": [i.encode() for i in ids]})
        self.assertEqual(self.subscriptions(), {f"clouds:L:{i}".encode(): 1 for i in ids})
        return keys, index, self.subscriptions()

    def comes_back(self, whole):
        wait_until(lambda: (*self.clouds_keys(), self.subscriptions()) == whole,
                   "registrations, records, index and subscriptions are back")

    def expect_all_fine(self, load):
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertLessEqual(books["latest"], 0, books)

    def test_killed_and_back_empty(self):
        whole = self.whole()
        load = Load(self, self.server.url, timeout=1, deadline=30, retries=30)
        load.goes_on()
        self.server.kill()
        self.server.start()
        self.comes_back(whole)
        load.goes_on()
        self.expect_all_fine(load)

    def test_flushed_again_and_again(self):
        whole = self.whole()
        load = Load(self, self.server.url, timeout=5, deadline=30)
        for _ in range(2):
            load.goes_on()
            self.server.command("FLUSHALL")
            self.comes_back(whole)
        load.goes_on()
        self.expect_all_fine(load)

    def connections_cut(self, kind):
        """Retries are allowed, so no call may fail; without them each still ends once and in time."""
        whole = self.whole()
        loads = [Load(self, self.server.url, timeout=1, deadline=30, retries=20, outstanding=20),
                 Load(self, self.server.url, timeout=1, deadline=2, outstanding=20)]
        for _ in range(3):
            for load in loads:
                load.goes_on()
            # Calls go on over links, so the connections that were cut before may not be back.
            wait_until(lambda: self.server.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") > 0, "a connection")
            self.comes_back(whole)
        loads[0].goes_on()
        self.expect_all_fine(loads[0])
        books = loads[1].finish()
        self.assertLess(books["latest"], LATE, books)
        self.assertEqual(sum(books["outcomes"].values()), books["calls"], books)
        self.assertEqual(books["outcomes"]["APP_ERROR"], 0, books)

    def test_subscriptions_cut(self):
        self.connections_cut("pubsub")

    def test_commands_cut(self):
        self.connections_cut("normal")


class StandsStill(Case):
    """What is stopped for longer than the deadlines of what it holds, and goes on."""

    def said(self):
        return self.json(self.run_clouds("call", "said", "--json", "--timeout", "20"))

    def start_caller(self, way):
        caller = self.start("run", self.file("caller.lua", CALLER), way)
        caller.out.wait_for("id ")
        return caller

    def goes_on(self, caller):
        ok = lambda: int((re.findall(r"ok (\d+)", caller.out.text()) or [0])[-1])  # noqa: E731
        begin = ok()
        wait_until(lambda: ok() > begin + 200, "calls succeed")

    def books(self, caller):
        id = re.search(r"id (\S+)", caller.out.text())[1]
        self.assertEqual(self.run_clouds("send", id, '"stop"').returncode, 0)
        self.assertEqual(caller.wait(), 0, caller.err.text())
        return json.loads(re.search(r"^\{.*$", caller.out.text(), re.M)[0])

    def check(self, stop, go_on, may_split, way="by any"):
        caller = self.start_caller(way)
        if way == "by any link":
            wait_until(lambda: re.search(r", [1-9]\d{3,} by links", caller.out.text()), "the link is used")
        self.goes_on(caller)
        for _ in range(STOPS):
            stop()
            time.sleep(STOPPED)  # that is the fault, not a wait for something
            go_on()
            self.goes_on(caller)
        books = self.books(caller)
        starts, late, latest, expired = self.said()
        self.assertEqual(books["wrong"], 0, books)
        self.assertEqual(books["ok"] + books["failed"], books["calls"], books)
        self.assertLess(books["latest"], LATE, books)
        self.assertGreaterEqual(starts, books["ok"])
        if way == "by any link":
            self.assertEqual(books["failed"], 0, books)
        else:
            self.assertGreater(books["failed"], 0)
        # A process can be stopped between its last look at the clock and the handler's first step: one request a stop.
        self.assertLessEqual(late, STOPS if may_split else 0, (books, starts, late, latest, expired))
        return expired

    def test_redis(self):
        server = self.redis()
        self.serve(WITNESS, CLOCK)
        self.check(server.pause, server.resume, False, "by Redis")

    def test_redis_between_linked_nodes(self):
        server = self.redis()
        self.serve(WITNESS, CLOCK)
        self.check(server.pause, server.resume, False, "by any link")

    def test_the_service_over_redis(self):
        self.redis()
        service = self.serve(WITNESS, CLOCK)
        expired = self.check(lambda: service.signal(signal.SIGSTOP), lambda: service.signal(signal.SIGCONT), True)
        self.assertGreater(expired, 0)

    def test_the_service_over_local(self):
        service = self.serve(WITNESS, CLOCK)
        expired = self.check(lambda: service.signal(signal.SIGSTOP), lambda: service.signal(signal.SIGCONT), True)
        self.assertGreater(expired, 0)


if __name__ == "__main__":
    unittest.main()
