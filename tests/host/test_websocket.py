"""WebSocket of clouds.http: a client of another maker, and bytes that no good client sends."""
import concurrent.futures
import os
import random
import signal
import socket
import struct
import subprocess
import unittest

from support import SANITIZED, Case, free_port, wait_until

SCRIPT = """
    local clouds, http = require "clouds", require "clouds.http"
    local app = http.server({ message = 100000, ping = %s, write_stall = 60 })
    app:websocket("/echo", function(ws)
        print("open " .. tostring(ws.protocol))
        for text, kind in ws:messages() do assert(ws:send(text, kind)) end
        print("end " .. tostring(ws.code) .. " " .. tostring(ws.reason) .. " " .. tostring(ws:closed()))
    end, { protocols = { "chat", "other" } })
    app:websocket("/named/:name", function(ws, request)
        ws:send(request.params.name .. " " .. request.query.x .. " " .. request.headers.host)
    end, { origins = { "https://good.example" } })
    app:websocket("/fail", function(ws) ws:receive() error("told") end)
    app:websocket("/close", function(ws)
        print(ws:close(4001, "enough"))
        print(ws:send("late"))
        ws:receive()
    end)
    app:websocket("/sleep", function(ws, request)
        request:on_close(function() print("closed") end)
        print("begun")
        print("slept " .. tostring(select(2, clouds.sleep(50))))
    end)
    app:websocket("/much", function(ws)
        local n = 0
        while n < 3000 and ws:send(("x"):rep(10000)) do n = n + 1 end
        print("sent " .. n)
        ws:receive()
    end)
    app:websocket("/slow", function(ws)
        clouds.sleep(0.5)
        local n = 0
        for text in ws:messages() do n = n + 1 if text == "last" then break end end
        ws:send("got " .. n)
    end)
    app:websocket("/until", function(ws, request)
        repeat clouds.sleep(0.01) until io.open(request.query.file)
        local n = 0
        for text in ws:messages() do n = n + 1 if text == "last" then break end end
        ws:send("got " .. n)
    end)
    app:websocket("/last", function(ws)
        ws:on_drain(function(seconds) ws:send("closes within " .. seconds) end)
        print("wrong " .. tostring(select(2, pcall(ws.on_drain, ws, 7))))
        ws:receive()
    end)
    app:websocket("/wrong", function(ws)
        for _, fn in ipairs { function() ws:send(7) end, function() ws:send("a", "b") end, function() ws:send("\\255") end,
                function() ws:close(1005) end, function() ws:close(1000, ("x"):rep(124)) end } do
            print(select(2, pcall(fn)))
        end
    end)
    http.serve(app)
    print("ready")
"""
MB = 1 << 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(opcode, data=b"", fin=True, mask=b"\x01\x02\x03\x04", reserved=0):
    """A frame of a client; without a mask it is a wrong one."""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    flag = 0x80 if mask else 0
    if len(data) < 126:
        head += bytes([flag | len(data)])
    elif len(data) < 65536:
        head += bytes([flag | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", len(data))
    return head + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data)


class Client:
    """A connection, frame by frame."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.data = b""

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, target, key=KEY, version="13", upgrade="websocket", connection="keep-alive, Upgrade", more=""):
        """The head of the answer to an upgrade."""
        self.send(f"GET {target} HTTP/1.1\r\nHost: here\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\nSec-WebSocket-Version: {version}\r\n"
                  f"Sec-WebSocket-Key: {key}\r\n{more}\r\n".encode())
        return self.head()

    def more(self):
        piece = self.socket.recv(65536)
        self.data += piece
        return bool(piece)

    def head(self):
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                break
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head.decode()

    def take(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError(self.data)
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def frame(self):
        """The next one: its opcode and its bytes."""
        first, second = self.take(2)
        assert second & 0x80 == 0 and first & 0x70 == 0, "a server does not mask"
        length = second & 0x7f
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.take(8))
        return first & 15, self.take(length)

    def close_code(self):
        """The code of the close that comes."""
        while True:
            opcode, data = self.frame()
            if opcode == 8:
                return struct.unpack(">H", data[:2])[0] if data else None

    def ends(self):
        while self.more():
            pass
        return True


class WebSocket(Case):
    def open(self, *options, ping=60):
        self.path = os.path.join(self.folder, "web.sock")
        self.service = self.start("run", "--listen", f"unix:{self.path}", *options, self.file("ws.lua", SCRIPT % ping))
        self.service.out.wait_for("ready")

    def client(self, target=None, **options):
        one = Client(self.path)
        self.addCleanup(one.socket.close)
        if target:
            head = one.ask(target, **options)
            self.assertTrue(head.startswith("HTTP/1.1 101 "), head)
        return one


class Upgrades(WebSocket):
    def test_the_answer_to_a_key(self):
        self.open()
        client = self.client()
        head = client.ask("/echo", more="Sec-WebSocket-Protocol: what, other, chat\r\n")
        self.assertIn("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)  # the one of RFC 6455
        self.assertIn("Sec-WebSocket-Protocol: other", head)
        self.service.out.wait_for("open other")
        self.assertNotIn("Sec-WebSocket-Protocol", self.client().ask("/echo", more="Sec-WebSocket-Protocol: what\r\n"))

    def test_what_is_no_upgrade(self):
        self.open()
        for status, options in ((426, {"upgrade": "h2c"}), (426, {"connection": "close"}), (426, {"version": "8"}), (400, {"key": "short"}),
                                (400, {"key": KEY + "AAAA"}), (400, {"key": "*" * 22 + "=="}), (403, {"more": "Origin: https://evil.example\r\n"}),
                                (403, {"more": "Origin: null\r\n"}), (400, {"more": "Content-Length: 1\r\n"})):
            head = self.client().ask("/echo", **options)
            self.assertTrue(head.startswith(f"HTTP/1.1 {status} "), (options, head))
        self.assertIn("Sec-WebSocket-Version: 13", self.client().ask("/echo", version="8"))
        client = self.client()
        client.send(b"GET /echo HTTP/1.1\r\nHost: here\r\n\r\n")
        head = client.head()
        self.assertIn("426", head)
        self.assertIn("Upgrade: websocket", head)
        for target, origin, status in (("/echo", "http://here", 101), ("/named/a?x=y", "https://good.example", 101),
                                       ("/named/a?x=y", "http://here", 403), ("/echo", "http://here.evil", 403)):
            self.assertIn(f" {status} ", self.client().ask(target, more=f"Origin: {origin}\r\n"), (target, origin))

    def test_frames_right_behind_the_head(self):
        self.open()
        client = Client(self.path)
        self.addCleanup(client.socket.close)
        client.send(f"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: {KEY}\r\n\r\n".encode() + frame(1, b"early") + frame(1, b"too"))
        self.assertIn("101", client.head())
        self.assertEqual([client.frame(), client.frame()], [(1, b"early"), (1, b"too")])


class Frames(WebSocket):
    def test_messages_of_all_sizes_and_in_fragments(self):
        self.open()
        client = self.client("/echo")
        for size in (0, 1, 125, 126, 65535, 65536, 100000):
            data = random.Random(size).randbytes(size)
            client.send(frame(2, data))
            self.assertEqual(client.frame(), (2, data))
            client.send(frame(1, b"t" * size))
            self.assertEqual(client.frame(), (1, b"t" * size))
        client.send(frame(1, b"\xc3", False) + frame(9, b"between") + frame(0, b"\xa4", False) + frame(0, b"x"))
        self.assertEqual([client.frame(), client.frame()], [(10, b"between"), (1, "äx".encode())])
        for byte in frame(1, b"slowly") + frame(9, b""):
            client.send(bytes([byte]))
        self.assertEqual(sorted([client.frame(), client.frame()]), [(1, b"slowly"), (10, b"")])

    def test_how_it_ends(self):
        self.open()
        for data, code, told in ((struct.pack(">H", 1000) + b"bye", 1000, "end 1000 bye true"), (b"", None, "end 1005  true"),
                                 (struct.pack(">H", 4321) + "ä".encode(), 4321, "end 4321 ä true")):
            client = self.client("/echo")
            client.send(frame(8, data))
            self.assertEqual(client.close_code(), code)
            self.assertTrue(client.ends())
            self.service.out.wait_for(told)
        client = self.client("/echo")
        client.socket.close()
        self.service.out.wait_for("end 1006  true")
        client = self.client("/close")
        self.assertEqual(client.frame(), (8, struct.pack(">H", 4001) + b"enough"))
        self.service.out.wait_for("nil\tCLOUDS_CLOSED: the connection is closed")
        client.send(frame(8, struct.pack(">H", 4001)))
        self.assertTrue(client.ends())
        client = self.client("/named/glen?x=1")
        self.assertEqual([client.frame(), client.close_code()], [(1, b"glen 1 here"), 1000])
        self.assertTrue(client.ends())  # also without its own close
        client = self.client("/fail")
        client.send(frame(1, b"x"))
        self.assertEqual(client.close_code(), 1011)
        self.service.err.wait_for("handler of WebSocket /fail: ")
        self.service.err.wait_for("told")

    def test_what_is_no_websocket_ends_with_the_reason(self):
        self.open()
        for data, code in ((frame(1, b"x", mask=None), 1002), (frame(3, b"x"), 1002), (frame(11, b""), 1002), (frame(1, b"x", reserved=4), 1002),
                           (frame(9, b"x" * 126), 1002), (frame(9, b"x", False), 1002), (frame(0, b"x"), 1002), (frame(1, b"a", False) + frame(1, b"b"), 1002),
                           (frame(1, b"\xff"), 1007), (frame(1, b"\xc3\x28"), 1007), (frame(1, b"\xed\xa0\x80"), 1007), (frame(1, b"x" * 100001), 1009),
                           (b"\x82\xff" + b"\x7f" + b"\xff" * 7 + b"abcd", 1009), (frame(8, b"\x03"), None), (frame(8, struct.pack(">H", 1005)), 1002),
                           (frame(8, struct.pack(">H", 999)), 1002), (frame(8, struct.pack(">H", 1000) + b"\xff"), 1007), (b"GET / HTTP/1.1\r\n\r\n", 1002)):
            client = self.client("/echo")
            client.send(data + frame(1, b"behind"))
            self.assertEqual(client.close_code(), code, data[:20])
            self.assertTrue(client.ends())
        self.assertEqual(self.service.err.text(), "")

    def test_what_a_handler_may_not_do(self):
        self.open()
        self.assertEqual(self.client("/wrong").close_code(), 1000)
        said = self.service.out.wait_for("up to 123 bytes")
        for words in ("expected a text", "expected 'text' or 'binary'", "no UTF-8", "a code that may be sent"):
            self.assertIn(words, said)


class Waiting(WebSocket):
    def test_a_client_that_is_gone_is_noticed_by_pings(self):
        self.open(ping=0.5)
        client = self.client("/echo")
        self.assertEqual(client.frame(), (9, b""))
        client.send(frame(10, b""))
        self.assertEqual(client.frame(), (9, b""))
        self.service.out.wait_for("end 1006")
        self.assertTrue(client.ends())

    def test_who_is_not_read_is_not_lost(self):
        """It cannot answer pings while its messages are not taken."""
        self.open(ping=0.2)
        now = os.path.join(self.folder, "now")
        client = self.client(f"/until?file={now}")
        for _ in range(99):
            client.send(frame(1, b"x"))
        client.send(frame(1, b"last"))
        for _ in range(5):
            self.assertEqual(client.frame(), (9, b""))
        self.file("now", "")
        while (came := client.frame()) == (9, b""):
            client.send(frame(10, b""))
        self.assertEqual(came, (1, b"got 100"))

    def test_what_a_handler_waits_for_ends_when_its_client_is_lost(self):
        self.open()
        client = self.client("/sleep")
        self.service.out.wait_for("begun")
        client.socket.close()
        self.service.out.wait_for("slept CLOUDS_CANCELED")
        self.service.out.wait_for("closed")

    def test_who_sends_waits_for_who_reads(self):
        self.open()
        client = self.client("/much")
        wait_until(lambda: len(client.data) > 100 or client.more(), "it begins")
        self.assertNotIn("sent", self.service.out.text())
        for _ in range(3000):
            self.assertEqual(len(client.frame()[1]), 10000)
        self.service.out.wait_for("sent 3000")

    def test_who_reads_slowly_keeps_no_heap_of_messages(self):
        self.open()
        client = self.client("/slow")
        for _ in range(20000):
            client.send(frame(1, b"y" * 100))
        client.send(frame(1, b"last"))
        self.assertEqual(client.frame(), (1, b"got 20001"))

    def sends_until_it_blocks(self, client, data, most, others):
        """How many bytes were taken until `others` is served again and again while no more are; or `most`."""
        sent, turns = 0, 0
        client.socket.setblocking(False)
        while sent < most and turns < 50:
            try:
                sent += client.socket.send(data[sent % len(data):])
                turns = 0
            except BlockingIOError:
                others.send(frame(1, b"other"))
                self.assertEqual(others.frame(), (1, b"other"))
                turns += 1
        client.socket.settimeout(60)
        return sent

    def test_who_sends_pings_and_takes_no_pong_is_not_read(self):
        self.open()
        for size in (125, 0):
            client, others = self.client("/echo"), self.client("/echo")
            before, pings = self.service.resident_kb(), [frame(9, b"%0125d" % i if size else b"") for i in range(4000)]
            data, length = b"".join(pings), len(pings[0])
            sent = self.sends_until_it_blocks(client, data, 48 * MB, others)
            if not SANITIZED:
                self.assertLess(self.service.resident_kb() - before, 8 * 1024, size)
            self.assertLess(sent, 8 * MB)
            for i in range(sent // length):
                self.assertEqual(client.frame(), (10, pings[i % len(pings)][6:] and b"%0125d" % (i % len(pings))))
            at = sent % len(data)
            client.send(data[at:at - at % length + length] + frame(1, b"behind"))
            frames = [client.frame()]
            while frames[-1][0] != 1:
                frames.append(client.frame())
            self.assertEqual((len(frames), frames[-1]), (2, (1, b"behind")))

    def test_messages_right_behind_the_head_are_no_more_than_others(self):
        self.open()
        client, others = self.client(), self.client("/echo")
        head = f"GET /sleep HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        client.send(head.encode() + frame(1, b"x") * 200)
        self.service.out.wait_for("begun")
        self.assertLess(self.sends_until_it_blocks(client, frame(1, b"x" * 1000) * 100, 48 * MB, others), 8 * MB)

    def test_the_last_word_before_a_stop(self):
        self.open("--drain", "1")
        client = self.client("/last")
        self.service.out.wait_for("wrong expected a function")
        self.service.signal(signal.SIGTERM)
        self.assertEqual(client.frame(), (1, b"closes within 0.5"))
        self.assertEqual(client.close_code(), 1012)
        client.send(frame(8, struct.pack(">H", 1012)))
        self.assertEqual(self.service.wait(), 0)

    def test_a_stop_closes_with_1012(self):
        """Each at a moment of its own in the first half of the drain."""
        self.open("--drain", "2")
        clients = [self.client("/echo") for _ in range(10)]
        self.service.signal(signal.SIGTERM)

        def closes(client):
            code = client.close_code()
            client.send(frame(8, struct.pack(">H", 1012)))
            return code, client.ends()
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as each:
            self.assertEqual(list(each.map(closes, clients)), [(1012, True)] * 10)
        self.assertEqual(self.service.wait(), 0)


PEER = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], subprotocols=["chat"], max_size=None) as ws:
        assert ws.subprotocol == "chat"
        for message in ("text", "ä" * 1000, b"bytes", b"", "x" * 100000):
            await ws.send(message)
            assert await ws.recv() == message
        await ws.send(["in", " pieces"])
        assert await ws.recv() == "in pieces"
        await (await ws.ping())
        await asyncio.gather(*(ws.send(str(i)) for i in range(500)))
        assert [await ws.recv() for i in range(500)] == [str(i) for i in range(500)]
        await ws.close(4000, "done")
asyncio.run(main())
print("ok")
"""


class OtherMaker(WebSocket):
    def test_python_websockets(self):
        port = free_port()
        service = self.start("run", "--listen", f"127.0.0.1:{port}", self.file("ws.lua", SCRIPT % 60))
        service.out.wait_for("ready")
        result = subprocess.run(["/usr/bin/python3", "-c", PEER, f"ws://127.0.0.1:{port}/echo"], capture_output=True, text=True, timeout=60)
        if "No module named 'websockets'" in result.stderr:
            self.skipTest("python3-websockets is not installed")
        self.assertEqual((result.stdout, result.returncode), ("ok\n", 0), result.stderr)
        service.out.wait_for("end 4000 done true")


class Wrong(Case):
    def test_is_told_where_it_is_written(self):
        for line, words in (("app:websocket('/x')", "expected a function"), ("app:websocket('x', print)", "expected a path that begins with /"),
                            ("app:websocket('/x', print, { origin = {} })", "unknown option 'origin'"),
                            ("app:websocket('/x', print, { origins = 'a' })", "'origins': expected a list"),
                            ("app:websocket('/x', print, 7)", "expected a table of options")):
            result = self.run_clouds("run", self.file("w.lua", "local app = require('clouds.http').server()\n" + line))
            self.assertEqual(result.returncode, 1, line)
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stderr, r"w\.lua:2:", line)


if __name__ == "__main__":
    unittest.main()
