"""clouds start: bytes at random from its own workers, over their channel, and from who asks at the control socket."""
import contextlib
import http.client
import json
import os
import random
import re
import socket
import unittest

from support import LONG, Master, wait_until

WEB = 'require("clouds.http").serve(function() return "served" end)'

# A worker that says it is ready, and then everything else: types, bodies, descriptors, as they come.
WORKER = r"""
import array, os, random, socket, sys
seed, count = int(sys.argv[1]), int(sys.argv[2])
random.seed(seed)
channel = socket.socket(fileno=3)
bodies = [b"", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0\1\0\0\0", b"web\n1", b"web 1\n{}", b"bad 1\n[1,", b"web 99999999999\n1", b"bad\n" + b"1" * 60000,
          b'{"a":1}', b"{", b"[" * 5000, b"web", b"nobody", b"\n", b" 1\n1"]
types = b"RAHNEBLIWVMPGFXCODKQUTZ\0\xff"

def body():
    text = bytearray(random.choice(bodies))
    for _ in range(random.choice((0, 0, 1, 3))):
        if text:
            text[random.randrange(len(text))] = random.randrange(256)
    return bytes(text[:random.randrange(len(text) + 1)] if random.random() < .2 else text)

def say(kind, text, descriptors):
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    channel.setblocking(True)
    channel.sendmsg([bytes([kind]) + text], beside)

say(ord("R"), b"", [])
null = os.open("/dev/null", os.O_RDONLY)
for number in range(count):
    kind = random.choice(types)
    if kind in b"SPWL":  # it would be replaced, and all would be reloaded again and again
        continue
    say(kind, body(), random.choice(([], [], [null], [null] * 8)))
print("said", number + 1, flush=True)
while channel.recv(70000)[:1] not in (b"", b"D"):
    pass
"""

# One of two that serve HTTP: what it says of connections is not so.
SERVER = WEB + r"""
if os.getenv "CLOUDS_WORKER" == "2" then return end
local ffi = require "ffi"
ffi.cdef [[
  struct iovec { const char *text; size_t size; };
  struct control { size_t size; int level, type, fd, unused; };
  struct msghdr { void *name; unsigned name_size; struct iovec *iov; size_t iov_count; struct control *control; size_t control_size; int flags; };
  long sendmsg(int fd, const struct msghdr *message, int flags);
  int open(const char *path, int flags);
]]
local null, count = ffi.C.open("/dev/null", 0), tonumber(arg[2])
local bodies = { "", "\1\0\0\0", "\255\255\255\255", "\0\0\0\0", "\1\0\1\0", "\1\0\3\0", "\9\9\9\9", "x" }
local function say(kind, descriptor)
  local text = kind .. bodies[math.random(#bodies)]
  local iov = ffi.new("struct iovec", text, #text)
  local control = ffi.new("struct control", 20, 1, 1, null)
  local message = ffi.new("struct msghdr")
  message.iov, message.iov_count = iov, 1
  if descriptor then message.control, message.control_size = control, 24 end
  ffi.C.sendmsg(3, message, 0)
end
math.randomseed(tonumber(arg[1]))
require("clouds").spawn(function()
  for number = 1, count do
    local at = math.random(6)
    say(("ANEBHR"):sub(at, at), math.random(2) == 1)
    if number % 20 == 0 then require("clouds").sleep(0) end
  end
  print "said"
end)
"""


class Hostile(Master):
    def serves(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports()[0], timeout=60)
        connection.request("GET", "/")
        self.assertEqual(connection.getresponse().read(), b"served")
        connection.close()

    def open(self, more="", code=WEB, keys="workers = 1"):
        self.file("web.lua", code)
        path = self.file("cluster.lua", f"""
            local app = require("clouds.cluster").master {{ name = "web" }}
            app:register("127.0.0.1:0", "web.lua", {{ {keys} }})
            {more}
        """)
        self.master = self.start("start", "-c", path)
        self.master.err.wait_for("web ready: ")


class Workers(Hostile):
    def test_H25_messages_of_a_worker(self):
        """Whatever it says: the master lives, keeps no descriptor of it, and the other group serves."""
        seed, count = random.randrange(1 << 30), 100000 if LONG else 3000
        self.file("worker.py", WORKER)
        self.open(f"""app:register("bad", "worker.py",
            {{ workers = 1, args = {{ "{seed}", "{count}" }}, hang_timeout = 0, max_restarts = 100, drain = 1 }})""")
        with self.subTest(seed=seed):
            wait_until(lambda: re.search(r"bad\.1 \d+ \| said", self.master.out.text()), "all is said")
            before = self.descriptors()
            self.serves()
            self.assertEqual(self.status()["groups"][0]["ready"], 1)
            self.assertLess(before, 60)
            self.assertEqual(self.master.err.text().count("error in"), 0, self.master.err.text())
            self.end()


    def test_H25_a_channel_that_is_closed(self):
        """Or ended by a packet of nothing: the worker could be told nothing any more, so another takes its place."""
        self.file("worker.py", """
import os, socket, sys, time
channel = socket.socket(fileno=3)
channel.send(b"R")
if not os.path.exists("again" + sys.argv[1]):
    while not os.path.exists("go"):
        time.sleep(0.01)
    open("again" + sys.argv[1], "w").close()
    channel.send(b"") if sys.argv[1] == "1" else channel.close()
    time.sleep(1000)
channel.setblocking(True)
while channel.recv(70000)[:1] not in (b"", b"D"):
    pass
""")
        self.open("\n".join(f'app:register("bad{n}", "worker.py", {{ workers = 1, args = {{ "{n}" }} }})' for n in (1, 2)))
        self.file("go", "")
        for n in (1, 2):
            self.master.err.wait_for(f"worker bad{n}.1 ended: SIGKILL: it closed its channel and went on")
            wait_until(lambda: self.master.err.text().count(f"worker bad{n}.1 ready in ") == 2, "another is ready")
        self.serves()
        self.end()

    def test_H25_what_is_said_of_connections(self):
        """By one of two that take them. It may lose those that it was given; those that come behind it are served."""
        seed, count = random.randrange(1 << 30), 100000 if LONG else 3000
        self.open(code=SERVER, keys=f'workers = 2, args = {{ "{seed}", "{count}" }}')
        with self.subTest(seed=seed):
            before = self.descriptors()
            while "| said" not in self.master.out.text():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.serves()
            for _ in range(20):
                self.serves()
            wait_until(lambda: self.descriptors() <= before + 8, "the master keeps no more than may be unanswered")
            self.assertEqual(self.status()["groups"][0]["ready"], 2)
            self.assertNotIn("error in", self.master.err.text())
            self.end()


class Clients(Hostile):
    LINES = (b'{"id":1,"do":"status"}', b'{"do":"reload","group":"web"}', b'{"do":"scale","group":"web","workers":"+1"}',
             b'{"do":"logs","lines":5}', b'{"do":"events"}', b'{"do":"plan"}', b'{"do":"version"}', b'{"do":"resume"}',
             b'{"do":"reopen"}', b'{"id":{"a":[1]},"do":"status","group":null}')

    def line(self):
        """One of these, changed: a byte, a part left out, a part of another; never one that ends or grows the application."""
        text = bytearray(random.choice(self.LINES))
        for _ in range(random.randrange(4)):
            at = random.randrange(len(text) + 1)
            change = random.randrange(4)
            if change == 0:
                text[at:at + 1] = bytes([random.randrange(256)])
            elif change == 1:
                del text[at:at + random.randrange(8)]
            elif change == 2:
                text[at:at] = random.choice((b'"', b"{", b"[[[", b"\0", b"\\u0000", b"1e999", b"-", b"\xff\xfe", b"null", b"x" * 3000))
            else:
                other = random.choice(self.LINES)
                text[at:at] = other[random.randrange(len(other)):]
        return bytes(text).replace(b"reload", b"relaod").replace(b"scale", b"scalp").replace(b"\n", b"")

    def test_H25_random_lines(self):
        """Each is answered by JSON, on one line; the application serves on."""
        seed = random.randrange(1 << 30)
        random.seed(seed)
        self.open()
        path = os.path.join(self.env["CLOUDS_RUNTIME_DIR"], "apps", "web.ctl")
        with self.subTest(seed=seed):
            for _ in range(100 if LONG else 10):
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(60)
                    client.connect(path)
                    sent = [self.line() for _ in range(20)]
                    client.sendall(b"".join(line + b"\n" for line in sent) + b'{"id":"the last","do":"version"}\n')
                    for line in client.makefile("rb"):
                        if json.loads(line).get("id") == "the last":
                            break
                    else:
                        self.fail(f"it was closed behind {sent}")
                with socket.socket(socket.AF_UNIX) as client:  # who leaves in the middle of a line
                    client.connect(path)
                    client.sendall(self.line()[:-1])
            self.serves()
            self.assertNotIn("error in", self.master.err.text())
            self.end()


if __name__ == "__main__":
    unittest.main()
