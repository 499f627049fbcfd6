"""What a Redis is asked while nothing changes: no key is searched for, and a node keeps one lease, its record."""
import re
import unittest

from support import RENEWING, Case, Load, wait_until

HEARTBEATS = 5

MORE = RENEWING + """
server:register("second", print)
server:register("third", print)
assert(server:subscribe("news.*", print))
print("all")
"""

PUBLISHER = """
local clouds = require "clouds"
local node = clouds.base { heartbeat = 1 }
while true do
  assert(node:publish("news.today", 1))
  clouds.sleep(0.01)
end
"""


class Steady(Case):
    def counts(self):
        """How often each command was executed, by its name."""
        lines = self.server.command("INFO", "commandstats").decode()
        return {name: int(calls) for name, calls in re.findall(r"cmdstat_([^:]+):calls=(\d+)", lines)}

    def expiring(self, pattern):
        keys = sorted(key.decode() for key in self.server.command("KEYS", pattern))
        return {key: self.server.command("TTL", key) for key in keys}

    def test_no_key_is_searched_for(self):
        self.server = self.redis()
        services = [self.serve(MORE) for _ in range(2)]
        for service in services:
            service.out.wait_for("all")
        load = Load(self, self.server.url, timeout=20, deadline=30)
        publisher = self.start("run", self.file("publisher.lua", PUBLISHER))
        load.goes_on()
        services[0].out.wait_for("1\ttable:")  # messages come
        self.server.command("CONFIG", "RESETSTAT")
        nodes = len(self.expiring("clouds:N:*"))
        wait_until(lambda: self.counts().get("expire", 0) >= HEARTBEATS * nodes * 2, "heartbeats pass")
        load.goes_on()
        before = self.counts()
        self.assertEqual(before["keys"], 1)  # that of this test
        for name in ("scan", "psubscribe", "flushdb", "hgetall"):
            self.assertNotIn(name, before)
        # The index of methods is told once a minute, not with each heartbeat.
        self.assertLess(before.get("sadd", 0), before["expire"] / 4, before)
        self.assertIsNone(publisher.popen.poll())
        load.finish()

    def test_a_node_has_one_lease(self):
        self.server = self.redis()
        service = self.serve(MORE)
        service.out.wait_for("all")
        id = service.out.text().split("ready\t")[1].split()[0]
        keys = self.expiring("clouds:*" + id)
        record = [key for key in keys if key.startswith("clouds:N:")]
        self.assertEqual(record, ["clouds:N:" + id])
        self.assertEqual(sorted(key.split(":")[2] for key in keys if key.startswith("clouds:S:")),
                         ["second", "test.echo", "third"])
        self.assertTrue(all(seconds > 0 for seconds in keys.values()), keys)  # all of it ends by itself
        service.discard()
        wait_until(lambda: not self.expiring("clouds:*" + id), "what a killed node has left ends")


if __name__ == "__main__":
    unittest.main()
