"""Whatever is published to a node's channel or sent into its socket: it lives, serves, stays small, and counts."""
import glob
import os
import random
import socket
import struct
import unittest

from support import BOUND, Case, LONG, SANITIZED, say, wait_until

SEEDS = range(40) if LONG else range(3)
EACH = 3000  # inputs of a seed
GROWTH_KB = 40 * 1024
TOO_BIG = 5 * 1024 * 1024  # above max_message

SERVICE = """
local clouds = require "clouds"
local server = clouds.server {}
local messages = 0
server:register("test.echo", function(...) return ... end)
server:register("said", function() return server:counters(), messages end)
server:on("message", function() messages = messages + 1 end)
print("ready", server.id)
"""


def mutated(chance, data):
    """One of the usual small damages, or several."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = chance.randrange(256)
        elif kind == 1:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 2:
            del data[at:at + chance.randint(1, 8)]
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            data[at:at] = data[at:at + chance.randint(1, 64)]
        elif data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
    return bytes(data)


class Bytes(Case):
    def setUp(self):
        super().setUp()
        self.expected = {"broken_input": 0, "limit_hits": 0}

    def start_service(self):
        self.service = self.serve(SERVICE)
        self.id = self.service.out.text().split()[-1]
        self.before = self.service.resident_kb()

    def said(self):
        return self.json(self.run_clouds("call", "said", "--json"))

    def still_serves(self, may_say="^$"):
        self.assertIsNone(self.service.popen.poll(), self.service.err.text())
        result = self.run_clouds("call", "test.echo", '{"a":[1,null,"x"]}', "--json")
        self.assertEqual(self.json(result), [{"a": [1, None, "x"]}])
        for line in self.service.err.text().splitlines():
            self.assertRegex(line, may_say)
        if not SANITIZED:
            self.assertLess(self.service.resident_kb() - self.before, GROWTH_KB)


class Channel(Bytes):
    """Over Redis, everyone who may publish can say anything."""

    def setUp(self):
        super().setUp()
        # Without this Redis itself cuts who does not read as fast as one writes.
        self.server = self.redis("--client-output-buffer-limit", "pubsub 0 0 0")
        self.start_service()
        self.channel = f"clouds:L:{self.id}"

    def envelopes(self):
        head = '{"t":"%s","s":"c.686c821a.1.0","d":'
        bodies = [("c", '{"i":"a1","m":"test.echo","a":[1,"two",{"three":[null]}]}'),
                  ("c", '{"i":"a1","m":"test.echo","a":[],"x":99999999999999}'), ("m", '{"text":"hello"}'),
                  ("r", '{"i":"a1","e":null,"r":[1]}'), ("r", '{"i":"a1","e":{"message":"x","code":"Y"},"r":[]}'),
                  ("b", '{}'), ("zzz", '[1]')]
        plain = [(head % kind + body + "}").encode() for kind, body in bodies]
        return plain + [b'{"t":"b","d":[' + b",".join(plain[:4]) + b"]}"]

    def publish(self, data):
        self.assertEqual(self.server.command("PUBLISH", self.channel, data), 1)

    def test_random_bytes_and_mutated_envelopes(self):
        for seed in SEEDS:
            chance = random.Random(seed)
            kinds = self.envelopes()
            for i in range(EACH):
                self.publish(chance.randbytes(chance.randrange(200)) if i % 4 == 0 else mutated(chance, chance.choice(kinds)))
            self.still_serves()
        counters, _ = self.said()
        self.assertGreater(counters["broken_input"], EACH / 4)

    def test_broken_is_counted_one_by_one(self):
        broken = [b"", b"x", b"null", b"{", b'{"t":"c"}', b'{"t":"c","s":"a","d":{}}', b"\xff\xfe", b"{" * 100]
        for data in broken:
            self.publish(data)
        self.still_serves()
        counters, _ = self.said()
        self.assertEqual(counters["broken_input"], len(broken), counters)

    def test_too_big_too_deep_too_many(self):
        call = b'{"t":"c","s":"c.1.1.1","d":{"i":"i","m":"test.echo","a":[%s]}}'
        hits = [call % (b'"' + b"x" * TOO_BIG + b'"'), b"x" * TOO_BIG, call % (b"[" * 300 + b"]" * 300),
                call % (b"1," * 1200000 + b"1")]
        for _ in range(5):
            for data in hits:
                self.publish(data)
        self.still_serves()
        counters, _ = self.said()
        self.assertEqual(counters["limit_hits"] + counters["broken_input"], 5 * len(hits), counters)
        self.assertGreaterEqual(counters["limit_hits"], 10, counters)

    def test_sound_messages_between_the_broken_ones_arrive(self):
        for i in range(500):
            self.publish(b"\x00broken")
            self.publish(b'{"t":"m","s":"c.1.1.1","d":%d}' % i)
        wait_until(lambda: self.said()[1] == 500, "each sound message arrived")


class Link(Bytes):
    """Over local:, whoever has the user's rights can connect to a node's socket."""

    def setUp(self):
        super().setUp()
        self.start_service()
        self.path, = glob.glob(os.path.join(self.env["CLOUDS_RUNTIME_DIR"], "*", "*.sock"))

    def frame(self, kind, sender="c.1.1.1", id="", method="", first=b"", second=b"", flags=1, deadline=0):
        texts = [text.encode() for text in (sender, self.id, id, method)]
        head = struct.pack("<BBHHHHHIq", ord(kind), flags, *map(len, texts), 0, len(first), deadline)
        body = head + b"".join(texts) + first + second
        return struct.pack("<I", len(body)) + body

    def hello(self):
        return self.frame("h", method="2")

    def connect(self):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(BOUND)
        link.connect(self.path)
        return link

    def say(self, data):
        """On a link of its own; what the other side does with it is its affair."""
        say(self.path, data)

    def frames(self):
        return [self.frame("c", id="a", method="test.echo", first=b'[1,"two"]'), self.frame("m", first=b'{"a":1}'),
                self.frame("c", id="b", method="none", first=b"[]"), self.frame("r", id="zz", second=b"[1]"),
                self.frame("r", id="zz", first=b'{"message":"x"}'), self.frame("p"), self.frame("q"), self.frame("d"),
                self.frame("?")]

    def test_the_frames_of_this_test_are_right(self):
        with self.connect() as link:
            link.sendall(self.hello() + self.frames()[0])
            got = b""
            while b'[1,"two"]' not in got:
                more = link.recv(65536)
                self.assertTrue(more, got)
                got += more

    def test_random_and_mutated_frames(self):
        for seed in SEEDS:
            chance = random.Random(seed)
            for i in range(EACH // 10):
                frames = b"".join(chance.choice(self.frames()) for _ in range(5))
                if i % 3 == 0:
                    self.say(chance.randbytes(chance.randrange(500)))
                elif i % 3 == 1:
                    self.say(self.hello() + mutated(chance, frames))
                else:
                    self.say(mutated(chance, self.hello() + frames))
            self.still_serves()

    def test_truncated_at_every_byte(self):
        whole = self.hello() + self.frames()[0]
        for at in range(len(whole)):
            self.say(whole[:at])
        self.still_serves()

    def test_lengths_that_lie(self):
        for length in (0, 1, 23, TOO_BIG, 0x7fffffff, 0xffffffff):
            self.say(struct.pack("<I", length) + b"x" * 100)
            self.say(self.hello() + struct.pack("<I", length) + b"x" * 100)
        self.say(self.hello() + struct.pack("<I", TOO_BIG) + b"x" * TOO_BIG)
        self.still_serves()
        counters, _ = self.said()
        self.assertGreaterEqual(counters["limit_hits"], 1, counters)
        self.assertGreaterEqual(counters["broken_input"], 1, counters)

    def test_links_that_never_say_anything(self):
        """They are cut after hello_timeout, and meanwhile the others are served."""
        silent = [self.connect() for _ in range(200)]
        self.still_serves()
        for link in silent:
            while link.recv(1000):
                pass
            link.close()
        descriptors = f"/proc/{self.service.pid}/fd"
        wait_until(lambda: len(os.listdir(descriptors)) < 50, "the links are closed")
        self.still_serves()

    def test_a_reader_that_does_not_read(self):
        """Calls pour in and nobody takes the answers: no more are read at a limit, the process stays small."""
        with self.connect() as link:
            link.sendall(self.hello())
            call = self.frame("c", id="a", method="test.echo", first=b'["' + b"x" * 100000 + b'"]')
            with self.assertRaises((BrokenPipeError, ConnectionResetError, TimeoutError)):
                link.settimeout(5)
                for _ in range(2000):
                    link.sendall(call)
        self.still_serves(may_say="the answer cannot be queued")  # who answers is told


if __name__ == "__main__":
    unittest.main()
