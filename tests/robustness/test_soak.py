"""Many calls, much coming and going: memory stays flat, and descriptors are back to where they were.

With CLOUDS_LONG it goes on for minutes."""
import os
import unittest

from support import Case, ECHO, LONG, Load, SANITIZED, wait_until

CALLS = 500000 if LONG else 10000  # of a round; half under sanitizers
ROUNDS = 8 if LONG else 3
GROWTH_KB = 1500  # over all rounds after the first
VISITORS = 200 if LONG else 30

# Nodes and contexts that come and go within one process.
COMINGS = """
local clouds = require "clouds"
local function one(i)
  local node = clouds.server { heartbeat = 1, ping_interval = 10 + i % 7 }
  node:register("come." .. i, function() return i end)
  assert(node:call("come." .. i, {}) == i)
  node:close(0)
end
local function rounds(n) -- ten at a time: a node that closes lingers for a moment
  for first = 1, n, 10 do
    local tasks = {}
    for i = first, first + 9 do tasks[#tasks + 1] = function() one(i) return true end end
    for _, result in ipairs(clouds.wait_all(tasks)) do assert(result[1], result[2]) end
    collectgarbage()
  end
  collectgarbage() collectgarbage()
end
local function size()
  local kb, fds = 0, 0
  for line in io.lines("/proc/self/status") do kb = tonumber(line:match("^VmRSS:%s+(%d+)")) or kb end
  local list = io.popen("ls /proc/$PPID/fd") -- of the shell's parent: us
  for _ in list:lines() do fds = fds + 1 end
  list:close()
  return kb, fds
end
local n = tonumber(arg[1])
rounds(n) size()
local kb, fds = size()
rounds(n)
local kb2, fds2 = size()
for _ = 1, 200 do -- a connection may still be closing
  if fds2 <= fds then break end
  clouds.sleep(0.05)
  kb2, fds2 = size()
end
print(clouds.json.encode { kb = kb2 - kb, fds = fds2 - fds })
"""


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Soak(Case):
    def memory(self, *processes):
        return [process.resident_kb() for process in processes]

    def flat(self, url):
        """One client and one service, round after round of calls: after the first, nothing grows."""
        self.env["CLOUDS_URL"] = url
        service = self.serve(ECHO)
        load = Load(self, url, outstanding=100, timeout=60, deadline=60)
        client = load._process
        per_round = CALLS // 2 if SANITIZED else CALLS
        load.goes_on(per_round // 2) if not LONG else self.long_round(load, per_round)
        before, opened = self.memory(service, client), [descriptors(p.pid) for p in (service, client)]
        for _ in range(ROUNDS):
            self.long_round(load, per_round)
        after, opened_after = self.memory(service, client), [descriptors(p.pid) for p in (service, client)]
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertGreaterEqual(books["ok"], ROUNDS * per_round)
        self.assertEqual(opened_after, opened)
        if not SANITIZED:
            for kb, was in zip(after, before):
                self.assertLess(kb - was, GROWTH_KB, (before, after))

    def long_round(self, load, calls):
        begin = load.succeeded()
        wait_until(lambda: load.succeeded() >= begin + calls, f"{calls} calls", 600)

    def test_flat_over_redis(self):
        self.flat(self.redis().url)

    def test_flat_over_local(self):
        self.flat("local:")

    def visited(self, url):
        """Clients that come, call and go, half of them killed: the service keeps nothing of them."""
        self.env["CLOUDS_URL"] = url
        service = self.serve(ECHO)
        self.json(self.run_clouds("call", "test.echo", "1", "--json"))
        before = descriptors(service.pid)
        for i in range(VISITORS):
            load = Load(self, url, outstanding=10)
            load.goes_on(20)
            if i % 2:
                load._process.popen.kill()
                load._process.popen.wait()
            else:
                load.finish()
            load._process.discard()
            if i == VISITORS // 3:
                kb = service.resident_kb()
        wait_until(lambda: descriptors(service.pid) <= before, "the descriptors of the service are back")
        if not SANITIZED:
            self.assertLess(service.resident_kb() - kb, GROWTH_KB)

    def test_visitors_over_redis(self):
        self.visited(self.redis().url)

    def test_visitors_over_local(self):
        self.visited("local:")

    def comings(self):
        result = self.json(self.run_clouds("run", self.file("comings.lua", COMINGS), "1000" if LONG else "30", bound=600))
        self.assertLessEqual(result["fds"], 0, result)
        if not SANITIZED:
            self.assertLess(result["kb"], GROWTH_KB, result)

    def test_nodes_that_come_and_go_over_redis(self):
        self.redis()
        self.comings()

    def test_nodes_that_come_and_go_over_local(self):
        self.comings()


if __name__ == "__main__":
    unittest.main()
