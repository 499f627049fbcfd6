"""clouds start with servers of HTTP in Python and in Node, as examples/python and examples/node have them."""
import http.client
import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest

from language_support import HAS_NODE, WITHOUT_NODE, Languages
from support import SOURCE, wait_until
from test_handover import next_answer
from certificates import Authority  # of tests/support, which support.py has found

HAS_UVICORN = subprocess.run([sys.executable, "-c", "import uvicorn"], capture_output=True).returncode == 0


class Servers(Languages):
    def example(self, name, *options, workers=2):
        """Serves by this example, at a port."""
        language = "node" if name.endswith(".js") else "python"
        shutil.copy(os.path.join(SOURCE, "examples", language, name), self.folder)
        self.use_package()
        self.master = self.start("start", "--listen", "127.0.0.1:0", "--workers", str(workers), *options, name, cwd=self.folder)
        self.master.err.wait_for(" ready: ")
        self.port = self.ports()[0]

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def ask(self, path="/", connection=None):
        """The text of an answer; the connection of one's own stays."""
        client = connection or self.connect()
        client.request("GET", path)
        answer = client.getresponse()
        text = answer.read().decode()
        self.assertEqual(answer.status, 200, text)
        self.closes = answer.getheader("Connection") == "close"
        if not connection:
            client.close()
        return text

    def serve_over_reloads(self, group, resets=()):
        self.ask_over_reloads(group, (2, 3), resets)
        wait_until(lambda: re.fullmatch(rf"/path from {group}\.[12], generation 3\n", self.ask("/path")), "the old ones have ended")
        self.end()
        self.assertNotIn("did not end", self.master.err.text())
        self.assertNotIn("Traceback", self.master.out.text() + self.master.err.text())


class Python(Servers):
    def open_connections(self, group):
        return sum(row["board"]["open"] for row in self.workers(group))

    def is_kept_waiting(self, group, clients):
        """Whether a further client is not accepted: the workers have heard that they are not to."""
        client = self.connect()
        clients.append(client)
        client.request("GET", "/")
        client.sock.settimeout(0.2)
        try:
            client.sock.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return self.open_connections(group) == 0

    def be_quiet(self, group):
        """Who connects meanwhile waits until it is over."""
        self.assertEqual(self.run_clouds("quiet").returncode, 0)
        clients = []
        wait_until(lambda: self.is_kept_waiting(group, clients), "a client waits")
        self.assertEqual(self.run_clouds("resume").returncode, 0)
        for client in clients:
            client.sock.settimeout(60)
            self.assertRegex(client.getresponse().read().decode(), rf"/ from {group}\.[12], generation 1")
            client.close()
        wait_until(lambda: sum(row["board"]["accepted"] for row in self.workers(group)) == len(clients), "each is counted")

    def test_wsgi(self):
        self.example("wsgi.py", "--dispatch", "shared")
        self.be_quiet("wsgi")
        self.serve_over_reloads("wsgi")

    @unittest.skipUnless(HAS_UVICORN, "uvicorn is not here")
    def test_asgi(self):
        """uvicorn closes connections whose request it has not read yet."""
        self.example("asgi.py", "--dispatch", "shared")
        self.be_quiet("asgi")
        self.serve_over_reloads("asgi", (ConnectionResetError, http.client.RemoteDisconnected))

    def test_lines(self):
        self.example("lines.py")
        clients = []
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connected:
                clients.append(connected.makefile("rwb", buffering=0))
        for client in clients:
            self.addCleanup(client.close)
            client.write(b"hello\n")
            self.assertEqual(client.readline(), b"hello\n")
        clients[0].write(b"news rain\n")
        heard = {client.readline() for client in clients}
        self.assertIn(heard, ({b"lines.1 says: rain\n"}, {b"lines.2 says: rain\n"}))
        self.master.signal(signal.SIGTERM)
        self.assertEqual([client.read() for client in clients], [b"this worker ends: stop\n"] * 4)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())


# "/slow" is answered when there is a file `go`, "/begun" begins with an answer that says nothing of an end.
WEB = """
    const fs = require('fs');
    const { worker } = require('clouds');
    const server = require('%s').createServer(%s, (request, response) => {
      const end = () => response.end(`${worker.index}/${worker.generation}`);
      if (request.url === '/wrong') response.statusCode = 500;
      if (request.url !== '/slow' && request.url !== '/begun') return end();
      if (request.url === '/begun') response.write('begun ');
      console.log('has', request.url);
      const timer = setInterval(() => fs.existsSync('go') && (clearInterval(timer), end()), 10);
    });
    server.headersTimeout = %d;
    server.keepAliveTimeout = %d;
    worker.on('drain', (reason, seconds) => {
      console.log('drain', reason);
      setTimeout(() => console.log('half'), seconds * 500).unref();
    });
    worker.on('stop', () => console.log('stop'));
    worker.ready(server, { handover: %s });
"""


@unittest.skipUnless(HAS_NODE, WITHOUT_NODE)
class Node(Servers):
    def begin(self, *options, kind="http", settings="{ connectionsCheckingInterval: 50 }", header_timeout=400, keepalive=60000, handover="true", workers=1):
        self.use_package()
        self.ready("svc.js", WEB % (kind, settings, header_timeout, keepalive, handover), "--listen", "127.0.0.1:0", *options, workers=workers)
        self.port = self.ports()[0]

    def board(self):
        return self.workers("svc")[0]["board"]

    def test_an_example(self):
        self.example("web.js")
        self.serve_over_reloads("web")
        self.assertEqual(self.master.out.text().count("this worker ends: reload"), 4)

    def test_a_polite_end(self):
        """The last answer of a connection says so, also of one that has said half of its request."""
        self.begin("--drain", "20", header_timeout=60000, handover="false")
        slow, begun, idle, silent, half = [self.connect() for _ in range(5)]
        for client in (slow, begun, idle, half):
            self.assertEqual(self.ask(connection=client), "1/1")
            self.assertFalse(self.closes)
        silent.connect()
        half.sock.sendall(b"GET / HTTP/1.1\r\n")
        slow.request("GET", "/slow")
        begun.request("GET", "/begun")
        self.lines(2, "| has ", self.master.out)
        wait_until(lambda: [self.board()["open"], self.board()["in_flight"]] == [5, 2], "all are counted")
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.master.out.wait_for("drain reload")
        self.assertEqual((self.ask(), self.closes), ("1/2", False))
        for client in (idle, silent):
            self.assertEqual(client.sock.recv(1), b"")
        half.sock.sendall(b"Host: a\r\n\r\n")
        answer = half.sock.makefile("rb").read()
        self.assertTrue(answer.endswith(b"\r\n1/1") and b"\r\nConnection: close\r\n" in answer, answer)
        self.file("go", "")
        answer = slow.getresponse()
        self.assertEqual((answer.getheader("Connection"), answer.read()), ("close", b"1/1"))
        self.assertEqual(begun.getresponse().read(), b"begun 1/1")
        self.lines(1, "| stop", self.master.out)
        self.end()
        self.assertNotIn("did not end", self.master.err.text())

    def keep(self, count):
        """Connections that end only by a failure."""
        clients = [self.connect() for _ in range(count)]
        for client in clients:
            client.connect()
            client.auto_open = 0
        return clients

    def test_connections_that_wait(self):
        """Each goes on with a new worker, those that have had no request as well; what has begun is answered first."""
        self.begin("--drain", "60", header_timeout=60000)
        slow, ahead, half, *waiting = clients = self.keep(40)
        for client in clients[:20]:
            self.assertEqual(self.ask(connection=client), "1/1")
        half.sock.sendall(b"GET / HTTP/1.1\r\n")
        slow.request("GET", "/slow")
        ahead.sock.sendall(b"GET /begun HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.lines(2, "| has ", self.master.out)
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        for client in waiting:
            wait_until(lambda: self.ask(connection=client) == "1/2", "the new one answers")
        self.assertEqual(sorted((row["generation"], row["board"]["open"]) for row in self.workers("svc")), [(1, 3), (2, 37)])
        self.file("go", "")
        half.sock.sendall(b"Host: a\r\n\r\n")
        for client, text in ((slow, b"1/1"), (half, b"1/1"), (ahead, b"begun 1/1"), (ahead, b"1/1")):
            answer = next_answer(client.sock)
            self.assertEqual((answer.read(), answer.getheader("Connection")), (text, "keep-alive"))
        wait_until(lambda: [(row["generation"], row["board"]["open"]) for row in self.workers("svc")] == [(2, 40)], "the old one has ended")
        slow, ahead, half = (http.client.HTTPConnection("-") for _ in range(3))
        for client, before in zip((slow, ahead, half), clients):
            client.sock = before.sock
            self.assertEqual(self.ask(connection=client), "1/2")
        for client in clients:
            client.close()
        self.end()
        self.assertNotIn("did not end", self.master.err.text())

    def test_clients_without_a_pause(self):
        """The next request is under way when its connection is handed over."""
        self.begin("--drain", "60", workers=2)
        clients = queue.SimpleQueue()
        for client in self.keep(4):
            clients.put(client)
        ask = self.ask

        def ask_one():
            client = clients.get()
            ask(connection=client)
            clients.put(client)
        self.ask = ask_one
        self.ask_over_reloads("svc", range(2, 7))
        wait_until(lambda: sum(row["board"]["open"] for row in self.workers("svc")) == 4, "the old ones have ended")
        for _ in range(4):
            client = clients.get()
            self.assertTrue(ask(connection=client).endswith("/6"))
            client.close()
        self.end()
        self.assertNotIn("did not end", self.master.err.text())

    def test_one_that_never_waits(self):
        """After half of the drain its client is told to connect anew."""
        self.begin("--drain", "4")
        client, = self.keep(1)
        client.request("GET", "/slow")
        self.lines(1, "| has ", self.master.out)
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.lines(1, "| half", self.master.out)
        self.file("go", "")
        answer = client.getresponse()
        self.assertEqual((answer.getheader("Connection"), answer.read()), ("close", b"1/1"))
        self.end()
        self.assertNotIn("did not end", self.master.err.text())

    def test_a_stop_behind_a_reload(self):
        """There is nobody any more to hand over to."""
        self.begin("--drain", "20", header_timeout=60000)
        slow, idle = self.keep(2)
        slow.request("GET", "/slow")
        self.lines(1, "| has ", self.master.out)
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        wait_until(lambda: self.ask(connection=idle) == "1/2", "the new one answers")
        self.master.signal(signal.SIGTERM)
        self.assertEqual(idle.sock.recv(1), b"")
        self.file("go", "")
        answer = slow.getresponse()
        self.assertEqual((answer.getheader("Connection"), answer.read()), ("close", b"1/1"))
        self.assertEqual(self.master.wait(), 0, self.master.err.text())

    def test_the_patience_of_a_server(self):
        """A connection that has come from another worker is closed as any that waits for a request: nothing is said."""
        self.begin("--drain", "20", header_timeout=600000, keepalive=100)
        client, = self.keep(1)
        wait_until(lambda: self.board()["open"] == 1, "it is open")
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual([row["board"]["accepted"] for row in self.workers("svc") if row["generation"] == 2], [1])
        self.end()

    def test_https(self):
        authority = Authority(self.folder)
        certificate, key = authority.issue("localhost")
        self.begin("--drain", "20", kind="https", settings=f"{{ cert: require('fs').readFileSync('{certificate}'), "
                   f"key: require('fs').readFileSync('{key}') }}")
        context = ssl.create_default_context(cafile=authority.file)
        context.check_hostname = False
        clients = [http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context) for _ in range(2)]
        for client in clients:
            self.addCleanup(client.close)
            self.assertEqual(self.ask(connection=client), "1/1")
        self.assertEqual(self.board()["open"], 2)
        self.master.signal(signal.SIGTERM)
        self.master.out.wait_for("drain stop")
        for client in clients:
            self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(self.master.wait(), 0, self.master.err.text())

    def test_requests_are_counted(self):
        """And when they are enough the worker is replaced."""
        self.begin("--max-requests", "4")
        self.ask()
        client = self.connect()
        client.request("GET", "/wrong")
        self.assertEqual(client.getresponse().read(), b"1/1")
        client.close()
        wait_until(lambda: [self.board()[name] for name in ("requests", "in_flight", "errors", "accepted", "open")] == [2, 0, 1, 2, 0],
                   "they are counted")
        for _ in range(4):
            self.ask()
        self.master.err.wait_for("worker svc.1 is replaced: it has begun ")
        self.end()

    def test_a_client_that_takes_its_time(self):
        """The limits of the server hold, though it does not listen."""
        self.begin()
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(b"GET / HT")
            self.assertIn(b" 408 ", client.recv(4096))
        self.end()


if __name__ == "__main__":
    unittest.main()
