"""clouds start: what becomes of open connections when their worker is replaced, or ends."""
import concurrent.futures
import http.client
import os
import signal
import threading
import unittest

from support import Unix, gone, wait_until
from test_start import Start
from test_websocket import Client, frame

WEB = """
local clouds, http = require "clouds", require "clouds.http"
local me = os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION"
http.serve(http.server({ handover = %s, header_timeout = 300, keepalive = 300 }, function(request)
  if request.path == "/slow" then clouds.sleep(0.05) end
  if request.path == "/until" then repeat clouds.sleep(0.01) until io.open(request.query.file) end
  return me
end))
print "pid"
"""

CHAT = """
local http = require "clouds.http"
local app = http.server()
app:websocket("/chat", function(ws) for text in ws:messages() do ws:send(text) end end)
app:get("/", function() return os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION" end)
http.serve(app)
"""


def generation(answer):
    return int(answer.split()[0].split("/")[1])


class Unbuffered:
    """A socket of which an answer is read, and nothing behind it."""

    def __init__(self, connected):
        self.socket = connected

    def makefile(self, mode):
        return self.socket.makefile(mode, buffering=0)


def next_answer(connected):
    answer = http.client.HTTPResponse(Unbuffered(connected))
    answer.begin()
    return answer


class Kept(Start):
    """Clients here connect once: a connection that ends is a failure."""

    def ready(self, code=WEB % "true", **words):
        self.connections = []
        super().ready(code, **words)

    def connect(self, path=None):
        connection = Unix(path) if path else super().connect()
        self.addCleanup(connection.close)
        connection.connect()
        connection.auto_open = 0
        self.connections.append(connection)
        return connection

    def end(self):
        for connection in self.connections:  # a stop would wait for the next request on each
            connection.close()
        super().end()

    def wait_until_moved(self, connections, to):
        """A request that has come before the old worker hears of the reload is still its own."""
        for connection in connections:
            wait_until(lambda: generation(self.ask(connection=connection)) == to, "a new worker answers")


class Reloads(Kept):
    def test_clients_that_think(self):
        """Many connections that wait, some of which have had no request yet: each goes on with the new workers."""
        self.ready()
        before = self.descriptors()  # later it may be any number: of what a worker has not yet acknowledged the master has a copy
        connections = [self.connect() for _ in range(200)]
        for connection in connections[20:]:
            self.ask(connection=connection)
        for number in range(2, 5):
            old = self.pids(3 * (number - 1))
            self.reload(number)
            wait_until(lambda: all(gone(pid) for pid in old.values()), "the old are gone")
            for connection in connections:
                self.assertEqual(generation(self.ask(connection=connection)), number)
        wait_until(lambda: self.descriptors() <= before + 2, "the master keeps none of them")
        self.end()

    def test_clients_without_a_pause(self):
        """The next request is under way when the connection is handed over."""
        self.ready()
        last, stop = [0] * 8, threading.Event()

        def run(i):
            connection = self.connect()
            while not stop.is_set():
                last[i] = generation(self.ask(connection=connection))
        with concurrent.futures.ThreadPoolExecutor(len(last)) as clients:
            ends = [clients.submit(run, i) for i in range(len(last))]
            try:
                for number in range(2, 7):
                    self.reload(number)
                    wait_until(lambda: set(last) == {number} or any(end.done() for end in ends), "all have moved")
            finally:
                stop.set()
            for end in ends:
                end.result()
        self.assertEqual(set(last), {6})
        self.end()

    def test_workers_that_accept_by_themselves(self):
        self.ready(options=("--dispatch", "shared"))
        connections = [self.connect() for _ in range(20)]
        for connection in connections:
            self.ask(connection=connection)
        self.reload(2)
        self.wait_until_moved(connections, 2)
        self.end()

    def test_a_unix_socket(self):
        path = os.path.join(self.folder, "web.sock")
        self.ready(options=("--listen", f"unix:{path}"))
        connections = [self.connect(), self.connect(path)]
        for connection in connections:
            self.ask(connection=connection)
        self.reload(2)
        self.wait_until_moved(connections, 2)
        self.end()

    def test_servers_that_are_given_sockets(self):
        self.ready(WEB.replace("http.serve(", "local app = (") % "true"
                   + 'require("clouds.worker").ready(function(socket, port) app:serve(socket, port) end)')
        connections = [self.connect() for _ in range(6)]
        for connection in connections:
            self.ask(connection=connection)
        self.reload(2)
        self.wait_until_moved(connections, 2)
        self.end()

    def test_sockets_of_its_own(self):
        """A server that has sockets of the master and some of a listener of its own hands over the first alone."""
        own = os.path.join(self.folder, "own")
        code = WEB.replace("http.serve(", "local app = (").replace("return me", "return me .. ' ' .. request.port") % "true"
        self.ready(f"""{code}
            require("clouds.socket").listen("unix:{own}" .. os.getenv "CLOUDS_GENERATION", function(socket) app:serve(socket, "own") end)
            require("clouds.worker").ready(function(socket, port) app:serve(socket, port) end)""", workers=1)
        of_master, its_own = [self.connect() for _ in range(3)], [self.connect(own + "1") for _ in range(3)]
        for connections, port in ((its_own, "own"), (of_master, str(self.port))):
            for connection in connections:
                self.assertEqual(self.ask(connection=connection), f"1/1 {port}")
        self.reload(2)
        self.wait_until_moved(of_master, 2)
        self.assertEqual({self.ask(connection=connection) for connection in of_master}, {f"1/2 {self.port}"})
        self.assertEqual([connection.sock.recv(1) for connection in its_own], [b""] * 3)
        self.assertEqual(self.ask(connection=self.connect(own + "2")), "1/2 own")
        self.end()

    def test_what_has_begun_is_answered_first(self):
        """Half of a head, a request that takes long, and one that was sent behind such: the old worker answers them."""
        self.ready()
        old = self.pids(3)
        half, slow, ahead = (self.connect() for _ in range(3))
        for connection in (half, slow, ahead):
            self.ask(connection=connection)
        half.sock.sendall(b"GET / HT")
        slow.request("GET", self.until("now"))
        ahead.sock.sendall(f"GET {self.until('now')} HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.wait_until_under_way(2)
        for index in old:
            self.connect_to(index)  # who has answered that has read what came before, the half of a head, too
        self.reload(2)
        self.file("now", "")
        half.sock.sendall(b"TP/1.1\r\nHost: a\r\n\r\n")
        for connection in (half, ahead, ahead):
            answer = next_answer(connection.sock)
            self.assertEqual(generation(answer.read().decode()), 1)
            self.assertNotEqual(answer.getheader("Connection"), "close")
        self.assertEqual(generation(slow.getresponse().read().decode()), 1)
        self.wait_until_moved((half, slow, ahead), 2)
        wait_until(lambda: all(gone(pid) for pid in old.values()), "the old are gone")
        self.end()

    def test_who_always_sends_ahead(self):
        """Its connection never waits for a request: after half of the drain it is told to connect anew."""
        self.ready(options=("--drain", "4"))
        old = self.pids(3)
        client = self.connect()
        request = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        client.sock.sendall(request * 50)
        self.master.signal(signal.SIGHUP)
        closes = False
        while not closes:
            answer = next_answer(client.sock)
            self.assertEqual(generation(answer.read().decode()), 1)
            closes = answer.getheader("Connection") == "close"
            client.sock.sendall(request)
        wait_until(lambda: all(gone(pid) for pid in old.values()), "the old are gone")
        self.assertNotIn("did not end", self.master.err.text())
        self.end()

    def test_websockets_are_closed(self):
        path = os.path.join(self.folder, "web.sock")
        self.ready(CHAT, options=("--drain", "2", "--listen", f"unix:{path}"))
        clients = [Client(path) for _ in range(5)]
        for client in clients:
            self.addCleanup(client.socket.close)
            self.assertIn(" 101 ", client.ask("/chat"))
            client.send(frame(1, b"a"))
            self.assertEqual(client.frame(), (1, b"a"))
        self.reload(2)
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as each:
            self.assertEqual(list(each.map(Client.close_code, clients)), [1012] * len(clients))
        self.end()


class Replaced(Kept):
    def test_retirement(self):
        """A worker that has had its number of requests gives its connections to others, too."""
        self.ready(workers=2, options=("--max-requests", "30"))
        connections = [self.connect() for _ in range(10)]
        old = self.pids(2)
        for _ in range(8):
            for connection in connections:
                self.ask(connection=connection)
        wait_until(lambda: all(gone(pid) for pid in old.values()), "the first are gone")
        for connection in connections:
            self.ask(connection=connection)
        self.end()

    def test_fewer_workers(self):
        self.ready()
        connections = [self.connect() for _ in range(9)]
        for connection in connections:
            self.ask(connection=connection)
        self.assertEqual(self.run_clouds("scale", "web", "1").returncode, 0)
        wait_until(lambda: sum(gone(pid) for pid in self.pids(3).values()) == 2, "two are gone")
        self.assertEqual({self.ask(connection=connection) for connection in connections}, {"1/1"})
        self.end()


class Ends(Kept):
    """Where nobody serves on, clients are told."""

    def begin(self):
        slow, idle = self.connect(), self.connect()
        self.ask(connection=idle)
        slow.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        return slow, idle

    def assert_close_is_said(self, slow, idle):
        self.assertEqual(idle.sock.recv(1), b"")
        self.file("now", "")
        answer = slow.getresponse()
        self.assertEqual((answer.getheader("Connection"), generation(answer.read().decode())), ("close", 1))

    def test_a_stop(self):
        self.ready()
        clients = self.begin()
        self.master.signal(signal.SIGTERM)
        self.assert_close_is_said(*clients)
        self.assertEqual(self.master.wait(), 0)

    def test_a_stop_behind_a_reload(self):
        """The old workers have begun to hand over when there is nobody any more to hand over to."""
        self.ready()
        slow, idle = self.begin()
        self.reload(2)
        self.wait_until_moved([idle], 2)
        self.master.signal(signal.SIGTERM)
        self.assert_close_is_said(slow, idle)
        self.assertEqual(self.master.wait(), 0)

    def test_a_server_that_does_not_hand_over(self):
        self.ready(WEB % "false")
        clients = self.begin()
        self.reload(2)
        self.assert_close_is_said(*clients)
        self.end()

    def test_a_wrong_option(self):
        script = self.file("web.lua", 'require("clouds.http").server { handover = 1 }')
        result = self.run_clouds("run", "--listen", "127.0.0.1:0", script)
        self.assertEqual(result.returncode, 1)
        self.assertIn("'handover': expected true or false", result.stderr)


if __name__ == "__main__":
    unittest.main()
