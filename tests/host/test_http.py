"""The server of HTTP of the host, from outside: order, limits, and clients that do not do as they should."""
import os
import socket
import stat
import unittest

from support import OnSocket, wait_until

SERVER = """
    local clouds, http = require "clouds", require "clouds.http"
    app = http.server({ body = 1000, connections = 8, %s }, function(request)
        local seconds = request.target:match("^/sleep/(.*)$")
        local body = request:body()
        if seconds then clouds.sleep(tonumber(seconds)) end
        if request.target == "/error" then error("told") end
        if seconds then print("answered " .. tostring(not request:closed())) end
        local text = request.target == "/big" and ("x"):rep(2e7) or request.method .. " " .. request.target .. " " .. body
        return text, { ["X-Field"] = request.headers["x-field"] or "none" }
    end)
    assert(app:listen("unix:%s"))
    print("ready")
"""


class Http(OnSocket):
    def open(self, options=""):
        self.path = os.path.join(self.folder, "http.sock")
        self.service = self.serve(SERVER % (options, self.path))

    def ask(self, data):
        client = self.connect()
        try:
            client.sendall(data)
        except BrokenPipeError:
            pass  # it may have been closed at once
        said = self.read(client)
        client.close()
        return said

    @staticmethod
    def get(target, more=""):
        return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()

    def status(self, data):
        return int(self.ask(data).split(b" ")[1])


class Requests(Http):
    def test_what_is_pipelined_is_answered_in_its_order(self):
        self.open()
        data = self.ask(self.get("/sleep/0.2") + self.get("/b") + self.get("/sleep/0.01") + self.get("/d", "Connection: close\r\n"))
        order = [data.index(b"GET " + target) for target in (b"/sleep/0.2", b"/b", b"/sleep/0.01", b"/d")]
        self.assertEqual(order, sorted(order))
        self.assertEqual(data.count(b"HTTP/1.1 200 OK\r\n"), 4)

    def test_many_at_once_are_all_answered(self):
        self.open()
        count = 5000
        client = self.connect()
        client.sendall(b"".join(self.get(f"/{i}") for i in range(200)))
        seen, sent = b"", 200
        while seen.count(b"\r\n\r\nGET /") < count:
            seen += client.recv(65536)
            while sent < count and sent - seen.count(b"\r\n\r\nGET /") < 200:
                client.sendall(self.get(f"/{sent}"))
                sent += 1
        client.close()
        self.assertEqual([int(part.split(b" ")[0]) for part in seen.split(b"\r\n\r\nGET /")[1:]], list(range(count)))

    def test_bodies(self):
        self.open()
        for more, body in (("Content-Length: 5\r\n", b"abcde"),
                           ("Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n")):
            head = f"POST /p HTTP/1.1\r\nHost: localhost\r\nX-Field: a \r\n{more}Connection: close\r\n\r\n".encode()
            data = self.ask(head + body)
            self.assertIn(b"\r\n\r\nPOST /p abcde", data)
            self.assertIn(b"\r\nX-Field: a\r\n", data)
        client = self.connect()
        for byte in head + body:
            client.send(bytes([byte]))
        self.assertTrue(self.read(client).endswith(b"POST /p abcde"))

    def test_a_client_that_asks_whether_to_send_its_body(self):
        self.open()
        client = self.connect()
        client.sendall(b"POST /p HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        self.read(client, b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abc")
        self.assertIn(b"POST /p abc", self.read(client))

    def test_how_long_a_connection_is_kept(self):
        self.open()
        client = self.connect()
        for i in range(3):
            client.sendall(self.get(f"/{i}"))
            self.assertIn(b"Connection: keep-alive", self.read(client, f"GET /{i}".encode()))
        self.assertIn(b"Connection: close", self.ask(b"GET / HTTP/1.0\r\n\r\n"))
        self.assertIn(b"Connection: close", self.ask(self.get("/", "Connection: close\r\n")))
        data = self.ask(b"HEAD / HTTP/1.0\r\n\r\n")
        self.assertTrue(data.endswith(b"Connection: close\r\n\r\n") and b"Content-Length: 7\r\n" in data, data)

    def test_a_client_that_goes_is_not_answered(self):
        self.open()
        client = self.connect()
        client.sendall(self.get("/sleep/0.5"))
        wait_until(lambda: client.send(b"") == 0)
        client.close()
        self.service.out.wait_for("answered false")
        self.assertEqual(self.status(self.get("/", "Connection: close\r\n")), 200)


class Refused(Http):
    def test_the_status_is_told_and_the_connection_ends(self):
        self.open("header = 2000, target = 100")
        for status, data in ((400, b"nonsense\r\n\r\n"), (400, b"GET / HTTP/1.1\r\n\r\n"), (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
                             (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + b"x" * 100000),
                             (413, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * 100000),
                             (414, self.get("/" + "x" * 200)), (414, b"GET /" + b"x" * 90 + b"y" * 5000),
                             (431, self.get("/", "X: " + "y" * 3000 + "\r\n")), (431, self.get("/", "x: y\r\n" * 101))):
            text = self.ask(data + self.get("/behind"))
            self.assertTrue(text.startswith(f"HTTP/1.1 {status} ".encode()), (status, data[:50], text[:200]))
            self.assertIn(b"Connection: close\r\n", text)
            self.assertNotIn(b"behind", text)
        self.assertEqual(self.service.err.text(), "")

    def test_slow_clients(self):
        self.open("header_timeout = 0.2, body_timeout = 0.2, keepalive = 0.2")
        self.assertEqual(self.status(b"GET / HTT"), 408)
        self.assertEqual(self.status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na"), 408)
        self.assertEqual(self.ask(b""), b"")
        data = self.ask(self.get("/"))
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK") and data.endswith(b"GET / "), data)

    def test_a_client_that_sends_its_head_byte_by_byte(self):
        self.open("header_timeout = 0.5")
        client = self.connect()
        client.settimeout(0.02)
        data = b""
        while not data:
            client.send(b"X")
            try:
                data = client.recv(1000)
            except socket.timeout:
                pass
        self.assertTrue(data.startswith(b"HTTP/1.1 4"), data)

    def test_a_client_that_does_not_read(self):
        self.open("write_stall = 0.2")
        client = self.connect()
        client.sendall(self.get("/big"))
        other = self.ask(self.get("/", "Connection: close\r\n"))
        self.assertIn(b"200 OK", other)
        def is_closed():
            try:
                return client.send(b"x") == 0
            except (BrokenPipeError, ConnectionResetError):
                return True
        wait_until(is_closed, "its connection ends")

    def test_more_connections_than_are_allowed(self):
        self.open()
        clients = [self.connect() for _ in range(8)]
        for client in clients:
            client.sendall(self.get("/"))
            self.read(client, b"GET / ")
        self.assertEqual(self.ask(b""), b"")
        clients.pop().close()
        wait_until(lambda: self.ask(b"GET / HTTP/1.0\r\n\r\n"), "there is room again")


class Listening(Http):
    def test_a_socket_is_for_its_owner(self):
        self.open()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(self.service.stop(), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_left_behind_is_replaced_and_nothing_else(self):
        self.open()
        result = self.run_clouds("run", "-e", f"print(require('clouds.http').server():listen('unix:{self.path}'))")
        self.assertEqual(result.stdout, f"nil\tunix:{self.path}: address already in use\n")
        self.service.popen.kill()
        self.service.wait()
        self.assertTrue(os.path.exists(self.path))
        self.open()
        self.assertEqual(self.status(b"GET / HTTP/1.0\r\n\r\n"), 200)
        nowhere = os.path.join(self.folder, "nowhere", "http.sock")
        for options, words in ((("--listen", f"unix:{nowhere}"), f"{nowhere}: no such file or directory"),
                               (("--admin", f"unix:{nowhere}"), f"{nowhere}: no such file or directory")):
            result = self.run_clouds("run", *options, "-e", "require('clouds.http').serve(require('clouds.http').server(print))")
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(words, result.stderr)
        file = self.file("precious", "text")
        result = self.run_clouds("run", "-e", f"print(require('clouds.http').server():listen('unix:{file}'))")
        self.assertIn("in use", result.stdout)
        with open(file) as kept:
            self.assertEqual(kept.read(), "text")

    def test_an_error_in_the_function_is_an_answer(self):
        self.path = os.path.join(self.folder, "http.sock")
        self.service = self.serve(f"""
            assert(require("clouds.http").server(function() error("told") end):listen("unix:{self.path}"))
            print("ready")""")
        self.assertEqual(self.status(b"GET / HTTP/1.0\r\n\r\n"), 500)
        self.service.err.wait_for("told")


if __name__ == "__main__":
    unittest.main()
