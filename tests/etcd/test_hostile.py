"""A gateway that is none, or means ill (E4): whatever it says, the process lives, keeps its memory, and does not press it."""
import base64
import json
import socket
import threading
import time
import unittest

from etcd_support import BOUND, SANITIZED, Case, wait_until

MOST_KB = 32 * 1024  # that a process may grow by
HEADER = {"cluster_id": "7", "member_id": "8", "revision": "5", "raft_term": "2"}
HTML = b"<html><body>It works!</body></html>"


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Gateway:
    """Answers each POST by a function: path -> (status, type, pieces of the body). It counts what it is asked."""

    def __init__(self, answer, delay=0.0, split=0):
        self.answer, self.delay, self.split = answer, delay, split
        self.asked, self._lock, self._open = [], threading.Lock(), []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "etcd://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection.makefile("rb") as asked:
                while self._one(asked, connection):
                    pass
        except OSError:
            pass
        connection.close()

    def _one(self, asked, connection):
        line = asked.readline()
        if not line:
            return False
        length = 0
        for head in iter(asked.readline, b"\r\n"):
            if not head:
                return False
            name, _, value = head.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = json.loads(asked.read(length))
        path = line.split()[1].decode()
        with self._lock:
            self.asked.append(path)
        status, kind, pieces = self.answer(path, body)
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % (status, kind))
        for piece in pieces:
            for part in self._parts(piece):
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        return True

    def _parts(self, piece):
        if not self.split:
            return [piece] if piece else []
        return [piece[at:at + self.split] for at in range(0, len(piece), self.split)]

    def count(self, path=""):
        with self._lock:
            return sum(asked.startswith(path) for asked in self.asked)

    def close(self):
        self._listener.close()
        for connection in self._open:
            connection.close()


def as_json(value):
    return 200, b"application/json", [json.dumps(value).encode()]


def well(path, body):
    """What an etcd with nothing in it answers."""
    if path == "/v3/lease/grant":
        return as_json({"header": HEADER, "ID": "77", "TTL": "2"})
    if path == "/v3/lease/keepalive":
        return as_json({"result": {"header": HEADER, "ID": "77", "TTL": "2"}})
    if path == "/v3/kv/txn":
        return as_json({"header": HEADER, "succeeded": True, "responses": []})
    if path == "/v3/watch":
        return 200, b"application/json", created()
    return as_json({"header": HEADER})


def created():
    yield json.dumps({"result": {"header": HEADER, "created": True}}).encode() + b"\n"
    time.sleep(BOUND)


def forever(piece, begin=b""):
    yield begin
    while True:
        yield piece


# Looks for a server all the time, so that it has a watch.
SEEKER = """
local clouds = require "clouds"
local client = clouds.client { timeout = 0.2, deadline = 0.2 }
print("ready")
while true do
  local value, err = client:call("nobody", {})
  print(err and err.code or "answered")
end
"""


class Hostile(Case):
    def gateway(self, answer, **how):
        gateway = Gateway(answer, **how)
        self.addCleanup(gateway.close)
        return gateway

    def seek(self, gateway):
        script = self.file("seeker.lua", SEEKER)
        process = self.start("run", "--url", gateway.url, script)
        return process

    def survives(self, gateway, path, times=5):
        """The process goes on asking, not all the time, and does not grow."""
        process = self.seek(gateway)
        wait_until(lambda: gateway.count(path) >= 1, "it asks")
        before, begin = process.resident_kb(), time.monotonic()
        wait_until(lambda: gateway.count(path) >= times, "it asks again")
        self.assertIsNone(process.popen.poll(), process.err.text())
        asked, took = gateway.count(), time.monotonic() - begin
        self.assertLess(asked, 100 + 100 * took, "it presses")
        if not SANITIZED:
            self.assertLess(process.resident_kb() - before, MOST_KB)
        self.assertEqual(process.stop(), 0, process.err.text())
        return process

    def test_E4_a_page_of_html(self):
        gateway = self.gateway(lambda path, body: (200, b"text/html", [HTML]))
        self.survives(gateway, "/v3/kv/range")
        said = self.run_clouds("status", "--url", gateway.url).stderr
        self.assertIn("CLOUDS_PROTOCOL_ERROR", said)
        self.assertIn(gateway.url.replace("etcd://", "etcd at "), said)

    def test_E4_no_such_path(self):
        gateway = self.gateway(lambda path, body: (404, b"text/plain", [b"Not Found"]))
        self.survives(gateway, "/v3/kv/range")
        self.assertIn("with its gRPC gateway?", self.run_clouds("status", "--url", gateway.url).stderr)

    def test_E4_one_byte_a_chunk(self):
        gateway = self.gateway(well, split=1)
        process = self.seek(gateway)
        process.out.wait_for("CLOUDS_NO_AVAILABLE_SERVER")
        self.assertEqual(process.stop(), 0)

    def test_E4_a_line_without_end(self):
        def answer(path, body):
            if path != "/v3/watch":
                return well(path, body)
            return 200, b"application/json", forever(b"x" * 65536, b'{"result":{"header":{"revision":"6"},"x":"')
        self.survives(self.gateway(answer), "/v3/watch")

    def test_E4_an_answer_without_end(self):
        def answer(path, body):
            return 200, b"application/json", forever(b"[" * 65536, b'{"header":')
        self.survives(self.gateway(answer), "/v3/kv/range", times=3)

    def test_E4_keys_and_values_that_are_none(self):
        strange = [{"key": "not base64!"}, {"key": b64("clouds/n/s.1"), "value": "A"}, {"key": 7}, {}, {"key": b64("other")},
                   {"key": b64("clouds/n/"), "value": b64("{}")}, {"key": b64("clouds/n/s.2"), "value": b64("[1]")}]
        strange += [{"key": b64("clouds/n/s.3"), "mod_revision": "3", "value": b64(json.dumps(record))} for record in (
            {"v": 2}, {"v": 3, "m": ["nobody"]}, {"v": 2, "m": {}}, {"v": 2, "m": [1]}, {"v": 2, "m": [["nobody"]], "at": 5},
            {"v": 2, "m": ["nobody"] * 3, "at": ["x" * 9000, "link:", "unix:1:2:/", "tcp:", ""], "c": "z" * 99})]
        turn = [0]

        def answer(path, body):
            if path == "/v3/kv/range" and "limit" in body and body["limit"] != "1":
                turn[0] += 1
                return as_json({"header": HEADER, "kvs": [strange[turn[0] % len(strange)]], "more": turn[0] % 3 == 0})
            if path == "/v3/watch":
                events = [{"kv": strange[turn[0] % len(strange)]}, {"type": "DELETE", "kv": strange[0]}, {"type": "PUT"}, 5]
                line = {"result": {"header": HEADER, "created": True, "events": events[:1 + turn[0] % 4]}}
                return 200, b"application/json", [json.dumps(line).encode() + b"\n"]
            return well(path, body)
        self.survives(self.gateway(answer), "/v3/watch", times=6)

    def test_E4_watches_that_are_canceled_at_once(self):
        def answer(path, body):
            if path != "/v3/watch":
                return well(path, body)
            return 200, b"application/json", [json.dumps(
                {"result": {"header": HEADER, "created": True, "canceled": True, "compact_revision": "9"}}).encode() + b"\n"]
        gateway = self.gateway(answer)
        self.survives(gateway, "/v3/watch", times=8)

    def test_E4_leases_that_end_at_once(self):
        def answer(path, body):
            if path == "/v3/lease/keepalive":
                return as_json({"result": {"header": HEADER, "ID": "77"}})
            return well(path, body)
        self.survives(self.gateway(answer), "/v3/lease/keepalive")

    def test_a_lease_that_was_given_back_meanwhile(self):
        """Its renewal is answered behind its end, as of one that is gone: nobody has lost anything."""
        revoked = threading.Event()

        def answer(path, body):
            if path == "/v3/lease/revoke":
                revoked.set()
            if path == "/v3/lease/keepalive":
                revoked.wait(BOUND)
                return as_json({"result": {"header": HEADER, "ID": "77"}})
            return well(path, body)
        gateway = self.gateway(answer)
        process = self.seek(gateway)
        wait_until(lambda: gateway.count("/v3/lease/keepalive"), "it renews")
        self.assertEqual(process.stop(), 0, process.err.text())
        self.assertTrue(revoked.is_set())
        self.assertNotIn("the lease is gone", process.err.text())

    def test_E4_pages_that_lead_nowhere(self):
        def answer(path, body):
            if path == "/v3/kv/range" and body.get("limit") != "1":
                return as_json({"header": HEADER, "more": True, "kvs": [
                    {"key": b64("clouds/n/s.1"), "value": b64('{"v":2,"m":["nobody"]}'), "mod_revision": "5"}]})
            return well(path, body)
        self.survives(self.gateway(answer), "/v3/kv/range", times=20)

    def test_E4_a_head_without_end(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        asked = []

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked.append(1)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n")
                    while True:
                        connection.sendall(b"X-Y: " + b"z" * 8000 + b"\r\n")
                except OSError:
                    connection.close()
        threading.Thread(target=serve, daemon=True).start()
        url = "etcd://127.0.0.1:%d" % listener.getsockname()[1]
        process = self.start("run", "--url", url, self.file("seeker.lua", SEEKER))
        wait_until(lambda: len(asked) >= 4, "it tries again")
        if not SANITIZED:
            self.assertLess(process.resident_kb(), 2 * MOST_KB)
        self.assertEqual(process.stop(), 0)


if __name__ == "__main__":
    unittest.main()
