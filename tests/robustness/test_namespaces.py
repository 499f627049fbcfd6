"""Direct links between two machines, which are network namespaces: an address that swallows everything, a partition that
nobody is told of, and a socket of a file system that is another one's."""
import json
import os
import time
import unittest

import namespaces
from support import Case, wait_until

SERVICE = """
local clouds = require "clouds"
local server = clouds.server { heartbeat = 1, listen = arg[1], insecure = true }
server:register("test.echo", function(...) return ... end)
server:ready()
print("ready", server.id)
"""

# Twenty calls at a time until the file arg[1] is there; its books as a line each time.
CALLER = """
local clouds = require "clouds"
local client = clouds.client { timeout = 60, deadline = 60, listen = "unix", insecure = true }
local books, tasks, ended = { calls = 0, ok = 0, outcomes = {} }, {}, false
local function call(i)
  while not ended do
    books.calls = books.calls + 1
    local answer, err = client:call("test.echo", { books.calls })
    if answer then books.ok = books.ok + 1 else books.outcomes[err.outcome] = (books.outcomes[err.outcome] or 0) + 1 end
    clouds.sleep(0.002)
  end
end
for i = 1, 20 do tasks[i] = clouds.spawn(call, i) end
local function tell()
  local counters = client:counters()
  for _, name in ipairs { "link_calls", "bus_calls", "link_opens", "link_losses", "link_refused" } do books[name] = counters[name] end
  books.links = client:links()
  print(clouds.json.encode(books))
end
repeat
  tell()
  clouds.sleep(0.05)
  local file = io.open(arg[1])
  ended = file ~= nil
until ended
clouds.wait_all(tasks)
tell()
"""


REASON = namespaces.reason()


@unittest.skipIf(REASON, REASON)
class Namespaces(Case):
    def setUp(self):
        super().setUp()
        self.redis()  # its unix socket is there for both
        self.machines = namespaces.Machines(self)
        self.end = os.path.join(self.folder, "end")

    def open(self, listen=None, **how):
        service = self.machines.run("there", self.file("service.lua", SERVICE), listen or "tcp://10.213.7.2:0", **how)
        service.out.wait_for("ready")

    def call(self, **how):
        self.caller = self.machines.run("here", self.file("caller.lua", CALLER), self.end, **how)

    def books(self):
        """Its last whole line."""
        line = self.caller.out.text().rpartition("\n")[0].rpartition("\n")[2]
        return json.loads(line) if line else {"ok": 0, "links": [], "link_opens": 0, "link_losses": 0, "link_calls": 0, "bus_calls": 0}

    def until(self, condition, what):
        wait_until(lambda: condition(self.books()), what)
        return self.books()

    def goes_on(self, calls=500):
        before = self.books()["ok"]
        self.until(lambda books: books["ok"] >= before + calls, "the calls go on")

    def finish(self):
        self.file("end", "")
        self.assertEqual(self.caller.wait(120), 0, self.caller.err.text())
        return self.books()

    def test_A3_an_address_that_swallows_everything(self):
        self.machines.lose_answers(True)
        self.open()
        self.call()
        begin = time.monotonic()
        self.goes_on()
        while time.monotonic() - begin < 6:  # as long as it takes to dial more than once
            self.goes_on(100)
        books = self.finish()
        self.assertEqual((books["ok"], books["link_opens"], books["link_calls"]), (books["calls"], 0, 0), books)
        self.assertLessEqual(books["link_refused"], 3, books)  # each is waited for, and a rest that grows

    def test_A4_a_silent_partition_of_an_open_link(self):
        self.open()
        self.call()
        self.until(lambda books: books["link_calls"] > 500, "the link is used")
        self.machines.lose_answers(True)
        self.until(lambda books: books["link_losses"] == 1, "the link is given up")
        self.goes_on()  # by Redis
        self.machines.lose_answers(False)
        before = self.books()["link_calls"]
        self.until(lambda books: books["link_opens"] >= 2 and books["link_calls"] > before + 500, "the link is used again")
        books = self.finish()
        self.assertLessEqual(books["outcomes"].get("UNKNOWN", 0), 20, books)
        self.assertEqual(books["ok"] + books["outcomes"].get("UNKNOWN", 0), books["calls"], books)

    def test_A9_the_socket_of_another_file_system(self):
        self.open("unix,tcp://10.213.7.2:0", own_files=True)
        self.call(own_files=True)
        books = self.until(lambda books: books["link_calls"] > 500, "the link is used")
        self.assertEqual([link["address"][:15] for link in books["links"] if link["ours"]], ["tcp:10.213.7.2:"])
        books = self.finish()
        self.assertEqual((books["ok"], books["link_refused"]), (books["calls"], 0), books)

    def test_A9_the_socket_of_the_same_one(self):
        self.open("unix,tcp://10.213.7.2:0")
        self.call()
        books = self.until(lambda books: books["link_calls"] > 500, "the link is used")
        self.assertEqual([link["address"][:5] for link in books["links"] if link["ours"]], ["unix:"])
        self.assertEqual(self.finish()["ok"], self.books()["calls"])


if __name__ == "__main__":
    unittest.main()
