"""Direct links beside Redis under faults: what breaks costs what was on it, and everything else goes on."""
import json
import os
import re
import signal
import socket
import time
import unittest

from support import CLOUDS, Case, Load, SANITIZED, free_port, wait_until
from tcp_proxy import Proxy

SERVICE = """
local clouds = require "clouds"
local server = clouds.server { heartbeat = 1, listen = arg[1], advertise = arg[2], key_file = arg[3], log_level = "warn" }
server:register("test.echo", function(...) return ... end)
print("ready", server.id)
"""

# Counts how often each number was executed.
COUNTER = """
local clouds = require "clouds"
local server = clouds.server { listen = arg[1], advertise = arg[2] }
local times = {}
server:register("count", function(number, text) times["n" .. number] = (times["n" .. number] or 0) + 1 return number, #text end)
server:register("times", function() return times end)
print("ready", server.id)
"""

# Long calls, all at once; how each ended.
CROWD = """
local clouds = require "clouds"
local client = clouds.client { timeout = 30 }
local counters = client:counters()
repeat client:call("count", { 0, "" }) until client:counters().link_calls > counters.link_calls
print("linked")
io.read()
local text, tasks, ends, whole = ("x"):rep(20000), {}, {}, 0
for i = 1, 300 do
  tasks[i] = function()
    local number, length = client:call("count", { i, text })
    if number == i then ends[i] = "OK" else ends[i] = length and length.outcome or "?" end
  end
end
clouds.spawn(function() clouds.sleep(0.2) print("called") end)
clouds.wait_all(tasks)
print(clouds.json.encode(ends))
client:close(0)
"""

# Calls by Redis, then waits with a call until a link opens.
PATIENT = """
local clouds = require "clouds"
local client = clouds.client { timeout = 30, hello_timeout = 30 }
print("by redis", client:call("test.echo", { 1 }))
io.read()
local down = false
client:on("down", function() down = true end)
repeat clouds.sleep(0.01) until down
clouds.spawn(function() clouds.sleep(0.05) print("waits", client:counters().link_calls) end)
print("by link", client:call("test.echo", { 2 }))
client:close(0)
"""

# A server that calls all others, again and again; its books at the end.
EACH = """
local clouds = require "clouds"
local node = clouds.server { }
local me, all, served, wrong, ok = tonumber(arg[1]), tonumber(arg[2]), 0, 0, 0
local said = 0
local function wait_for_word(number) while said < number do clouds.sleep(0.01) end end
node:on("message", function() said = said + 1 end)
node:register("each." .. me, function(from, n) served = served + 1 return me, from, n end)
print("ready " .. node.id)
wait_for_word(1)
local tasks = {}
for other = 1, all do
  if other ~= me then
    tasks[#tasks + 1] = function()
      for n = 1, 50 do
        local who, from, back = node:call("each." .. other, { me, n })
        if who == other and from == me and back == n then ok = ok + 1 else wrong = wrong + 1 end
      end
    end
  end
end
clouds.wait_all(tasks)
local c = node:counters()
print("done " .. clouds.json.encode { ok = ok, wrong = wrong, opens = c.link_opens, refused = c.link_refused, calls = c.link_calls + c.bus_calls })
wait_for_word(2)
print("served " .. served)
node:close(0)
"""


class Links(Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis()

    def serve_behind(self, code=SERVICE):
        """A service whose address, as others know it, is that of a proxy."""
        port = free_port()
        proxy = Proxy(port)
        self.addCleanup(proxy.close)
        return self.serve(code, f"tcp://127.0.0.1:{port}", f"127.0.0.1:{proxy.port}"), proxy

    def load(self, **how):
        return Load(self, self.server.url, **how)

    def test_A1_redis_is_away_for_a_while(self):
        services = [self.serve(SERVICE, "unix", "") for _ in range(2)]
        load = self.load(timeout=5, deadline=20)
        load.goes_on(5000)
        self.server.kill()
        for _ in range(4):
            load.goes_on(1000)
            time.sleep(1)  # that is the fault, not a wait for something
        self.server.start()
        wait_until(lambda: len(self.server.command("KEYS", "clouds:S:test.echo:*")) == 2, "both are registered again")
        load.goes_on(1000)
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertEqual([service.stop() for service in services], [0, 0])

    def test_a_link_opens_while_redis_is_away(self):
        """A call that waits for Redis goes by the link, when that opens. Promise 13."""
        _, proxy = self.serve_behind()
        proxy.way = "stall"
        client = self.start("run", self.file("patient.lua", PATIENT), stdin=-1)
        client.out.wait_for("by redis\t1")
        wait_until(lambda: proxy.accepted == 1, "the link is dialled")
        self.server.kill()
        client.popen.stdin.write(b"go\n")
        client.popen.stdin.flush()
        client.out.wait_for("waits\t0")
        proxy.way = "forward"
        client.out.wait_for("by link\t2")
        self.assertEqual(client.wait(60), 0, client.err.text())

    def test_A2_one_of_three_servers_dies(self):
        """With a long timeout: what was on its link ends when that breaks, and not later."""
        services = [self.serve(SERVICE, "unix,tcp://127.0.0.1:0", "") for _ in range(3)]
        load = self.load(outstanding=64, timeout=300, deadline=300)
        load.goes_on(5000)
        services[1].signal(signal.SIGKILL)
        services[1].wait()
        load.goes_on(5000)
        books = load.finish()
        self.assertLessEqual(books["outcomes"]["UNKNOWN"], 64, books)
        self.assertEqual(books["ok"] + books["outcomes"]["UNKNOWN"], books["calls"], books)

    def test_A3_an_address_that_swallows_everything(self):
        _, proxy = self.serve_behind()
        proxy.way = "swallow"
        load = self.load(timeout=20, deadline=20)
        begin = time.monotonic()
        load.goes_on(2000)
        while time.monotonic() - begin < 6:
            load.goes_on(100)
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertEqual(proxy.forwarded, 0)
        self.assertLessEqual(proxy.accepted, 3)  # 2 s each for the hello, and a rest that grows

    def test_A4_a_link_falls_silent(self):
        _, proxy = self.serve_behind()
        load = self.load(timeout=60, deadline=60, outstanding=20)
        load.goes_on(1000)
        wait_until(lambda: proxy.forwarded > 10000, "the link is used")
        proxy.way = "stall"
        load.goes_on(1000)  # by Redis: what was on the link does not wait for its timeout
        proxy.cut()
        proxy.way = "forward"
        before = proxy.forwarded
        wait_until(lambda: proxy.forwarded > before + 10000, "the link is used again", 60)
        books = load.finish()
        self.assertLessEqual(books["outcomes"]["UNKNOWN"], 40, books)
        self.assertEqual(books["ok"] + books["outcomes"]["UNKNOWN"], books["calls"], books)

    def test_A5_cut_with_much_unwritten(self):
        """What had not left goes by Redis, and nothing is executed twice."""
        _, proxy = self.serve_behind(COUNTER)
        crowd = self.start("run", self.file("crowd.lua", CROWD), stdin=-1)
        crowd.out.wait_for("linked")
        proxy.way = "stall"
        crowd.popen.stdin.write(b"go\n")
        crowd.popen.stdin.flush()
        crowd.out.wait_for("called")
        proxy.cut()
        self.assertEqual(crowd.wait(60), 0, crowd.err.text())
        ends = json.loads(re.search(r"^\[.*$", crowd.out.text(), re.M)[0])
        times = self.json(self.run_clouds("call", "times", "--json"))[0]
        self.assertEqual(len(ends), 300)
        self.assertLessEqual({*ends}, {"OK", "UNKNOWN"})
        self.assertGreater(ends.count("OK"), 100)  # 6 MB, of which the kernel and the proxy take some
        for number, end in enumerate(ends, 1):
            executed = times.get(f"n{number}", 0)
            self.assertIn(executed, (1,) if end == "OK" else (0, 1), (number, end))

    def test_A6_everybody_calls_everybody(self):
        count = 6 if SANITIZED else 12
        script = self.file("each.lua", EACH)
        nodes = [self.start("run", script, str(i), str(count)) for i in range(1, count + 1)]
        for node in nodes:
            node.out.wait_for("ready")
        ids = [node.out.text().split()[1] for node in nodes]

        def go_on():
            for id in ids:
                self.assertEqual(self.run_clouds("send", id, "1").returncode, 0)

        go_on()
        for node in nodes:
            node.out.wait_for("done", 120)
        go_on()
        books = []
        for node in nodes:
            self.assertEqual(node.wait(60), 0, node.err.text())
            books.append(json.loads(re.search(r"^done (.*)$", node.out.text(), re.M)[1]))
            self.assertEqual(int(re.search(r"^served (\d+)$", node.out.text(), re.M)[1]), 50 * (count - 1))
        for book in books:
            self.assertEqual((book["wrong"], book["ok"], book["refused"]), (0, 50 * (count - 1), 0), books)
            self.assertLessEqual(book["opens"], count - 1, books)
            self.assertEqual(book["calls"], 50 * (count - 1), books)

    def test_A7_a_thousand_that_say_nothing(self):
        """To a listener with a key: they are refused in time, cost little memory, and no more than a line of the log a second."""
        key = os.path.join(self.folder, "key")
        self.assertEqual(self.run_clouds("key", key).returncode, 0)
        port = free_port()
        service = self.serve(SERVICE, f"unix,tcp://127.0.0.1:{port}", "", key)
        load = self.load(timeout=20, deadline=20)
        load.goes_on(1000)
        before, begin = service.resident_kb(), time.monotonic()
        sockets = []
        for i in range(1000):
            s = socket.socket()
            s.connect(("127.0.0.1", port))
            if i % 2:
                s.send(b"GET / HTTP/1.0\r\n\r\n")
            sockets.append(s)
        most = service.resident_kb() - before
        for s in sockets:
            s.settimeout(60)
            try:
                while s.recv(1000):
                    pass
            except ConnectionError:
                pass
            s.close()
        seconds = time.monotonic() - begin
        if not SANITIZED:
            self.assertLess(most, 40 * 1024)
        load.goes_on(1000)
        books = load.finish()
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertLessEqual(service.err.text().count("was refused"), seconds + 2, service.err.text())
        self.assertGreater(service.err.text().count("was refused"), 0)


if __name__ == "__main__":
    unittest.main()
