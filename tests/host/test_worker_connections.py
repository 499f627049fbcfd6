"""clouds start with workers in Python and in Node that take connections: from the master, and from a listener that all share."""
import contextlib
import os
import signal
import socket
import unittest

from language_support import HAS_NODE, WITHOUT_NODE, Languages
from support import wait_until

# Each answers lines: "who" by which worker it is, "hold" by what it counts as under way then, and anything else by itself.
THREADS = """
    import os, threading
    from clouds import worker

    def serve(sock, port):
        with sock.makefile("rwb") as stream:
            for line in stream:
                if line == b"who\\n":
                    line = f"{worker.group}.{worker.index}/{worker.generation} {port} {worker.ports}\\n".encode()
                elif line == b"hold\\n":
                    worker.transact()
                elif line == b"free\\n":
                    worker.release()
                elif line == b"wrong\\n":
                    raise ValueError("no such word")
                stream.write(line)
                stream.flush()

    worker.on("drain", lambda reason, seconds: print("drain", reason, f"{seconds:g}"))
    worker.on("stop", lambda: print("stop"))
    worker.ready(serve)
    threading.Event().wait()
"""

ASYNC = """
    import asyncio
    from clouds import worker

    async def serve(sock, port):
        reader, writer = await asyncio.open_connection(sock=sock)
        while line := await reader.readline():
            if line == b"who\\n":
                line = f"{worker.group}.{worker.index}/{worker.generation} {port} {worker.ports}\\n".encode()
            elif line == b"hold\\n":
                worker.transact()
            elif line == b"free\\n":
                worker.release()
            elif line == b"wrong\\n":
                writer.close()
                raise ValueError("no such word")
            writer.write(line)
        writer.close()

    @worker.on("drain")
    async def drain(reason, seconds):
        print("drain", reason, f"{seconds:g}")

    async def main():
        worker.on("stop", lambda: print("stop"))
        worker.ready(serve)
        await asyncio.Event().wait()

    asyncio.run(main())
"""

NET = """
    const net = require('net');
    const readline = require('readline');
    const { worker } = require(process.env.CLOUDS_TEST_PACKAGE);

    const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
      socket.on('error', () => {});
      for await (let line of readline.createInterface({ input: socket })) {
        if (line === 'who') line = `${worker.group}.${worker.index}/${worker.generation} ${socket.localPort || worker.ports[1]} [${worker.ports}]`;
        else if (line === 'hold') worker.transact();
        else if (line === 'free') worker.release();
        socket.write(line + '\\n');
      }
      socket.end();
    });
    worker.on('drain', (reason, seconds) => console.log('drain', reason, seconds));
    worker.on('stop', () => console.log('stop'));
    worker.ready(server);
"""


# A server of its own.
ACCEPTING = THREADS.replace("    worker.ready(serve)\n", """
    def accept(listener, port):
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], port), daemon=True).start()

    for listener, port in zip(worker.listeners(), worker.ports):
        listener.setblocking(True)
        threading.Thread(target=accept, args=(listener, port), daemon=True).start()
""")


PLAIN = """import select, socket, threading

    class Plain(socket.socket):
        def accept(self):
            while True:
                select.select([self], [], [])
                try:
                    return super().accept()
                except BlockingIOError:
                    pass  # another worker has accepted it
"""


class Client:
    def __init__(self, case, at):
        self.socket = socket.create_connection(("127.0.0.1", at), timeout=60) if isinstance(at, int) else socket.socket(socket.AF_UNIX)
        if not isinstance(at, int):
            self.socket.connect(at)
        self.stream = self.socket.makefile("rwb", buffering=0)
        case.addCleanup(self.close)

    def say(self, word):
        self.stream.write(word.encode() + b"\n")

    def hear(self):
        return self.stream.readline().decode().rstrip("\n")

    def ask(self, word):
        self.say(word)
        return self.hear()

    def who(self):
        """The name of the worker, and its generation."""
        return self.ask("who").split()[0].split("/")

    def close(self):
        self.stream.close()
        self.socket.close()


class Listening:
    """A server whose script has the name `script`, and has `code`."""

    def begin(self, *options, workers=2):
        self.ready(self.script, self.code, "--listen", "127.0.0.1:0", "--drain", "20", *options, workers=workers)
        self.port = self.ports()[0]

    def connect(self):
        return Client(self, self.port)

    def connect_evenly(self):
        """Four connections, two at each of two workers, and the workers' names. On a busy machine who has no time is passed over, so
        again."""
        def spread():
            clients = [self.connect() for _ in range(4)]
            names = [client.who() for client in clients]
            if sorted(names) == [["svc.1", "1"]] * 2 + [["svc.2", "1"]] * 2:
                return clients, [name for name, _ in names]
            return self.close_all(clients)
        return wait_until(spread, "they are spread")

    def close_all(self, clients):
        for client in clients:
            client.close()
        wait_until(lambda: self.open_connections() == [0, 0], "none is open")

    def open_connections(self):
        """How many each worker has."""
        return [row["board"]["open"] for row in self.workers("svc")]

    def reasons(self):
        return [line.split(" | ")[1] for line in self.master.out.text().splitlines() if " | drain " in line]

    def test_a_shared_listener(self):
        """No more than may be open, over a pause and a reload."""
        path = os.path.join(self.folder, "svc.sock")
        self.write(self.script, self.code)
        self.start_file(f"""
            local app = require("clouds.cluster").master {{ name = "svc" }}
            app:register({{ "127.0.0.1:0", "unix:{path}" }}, "{self.script}", {{ workers = 1, dispatch = "shared", max_connections = 1 }})
        """)
        self.port = self.ports()[0]
        client = self.connect()
        self.assertEqual(client.ask("hello"), "hello")
        client.close()
        client, follower = Client(self, path), Client(self, path)
        self.assertEqual(client.who(), ["svc.1", "1"])
        follower.say("who")
        follower.socket.settimeout(0.2)
        self.assertRaises(TimeoutError, follower.socket.recv, 1)
        follower.socket.settimeout(60)
        client.close()
        self.assertIn(f"svc.1/1 unix:{path} ", follower.hear())
        self.assertEqual(self.run_clouds("quiet").returncode, 0)
        follower.close()
        wait_until(lambda: self.open_connections() == [0], "none is open")
        client = wait_until(self.one_that_waits, "it has heard of it, and accepts none")
        self.assertEqual(self.run_clouds("resume").returncode, 0)
        self.assertEqual(client.hear(), "hello")
        client.close()
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        wait_until(self.is_served_by_the_new, "the old one accepts no longer")
        self.end()

    def one_that_waits(self):
        """A connection that has said hello and is not accepted."""
        client = self.connect()
        client.say("hello")
        client.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            client.socket.recv(1, socket.MSG_PEEK)
            return client.close()
        client.socket.settimeout(60)
        return client if self.open_connections() == [0] else client.close()

    def is_served_by_the_new(self):
        client = self.connect()
        try:
            return client.who() == ["svc.1", "2"]
        finally:
            client.close()


class Connections(Listening):
    """What is so in each language."""

    def test_they_are_spread_and_counted(self):
        self.begin()
        clients, _ = self.connect_evenly()
        self.assertEqual(clients[0].ask("who").split(" ", 1)[1], f"{self.port} [{self.port}]")
        self.assertEqual(self.open_connections(), [2, 2])
        for client in clients:
            client.socket.shutdown(socket.SHUT_WR)  # half of it: what was said is answered
            self.assertEqual(client.hear(), "")
            client.close()
        wait_until(lambda: self.open_connections() == [0, 0], "none is open")
        self.end()
        self.assertEqual(self.reasons(), ["drain stop 20"] * 2)

    def test_a_reload_leaves_them(self):
        """Those that are open are served by the old worker until they end; the next have a new one. Each end has its reason."""
        self.begin(workers=1)
        old = self.connect()
        self.assertEqual(old.who(), ["svc.1", "1"])
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.master.out.wait_for("drain reload 20")
        self.assertEqual(old.who(), ["svc.1", "1"])
        new = self.connect()
        self.assertEqual(new.who(), ["svc.1", "2"])
        old.close()
        self.lines(1, "| stop", self.master.out)
        os.kill(self.worker(1), signal.SIGTERM)
        self.master.out.wait_for("drain signal 20")
        self.assertEqual(new.who(), ["svc.1", "2"])
        new.close()
        self.lines(3, " ready in ")
        self.end()
        self.assertEqual(self.reasons(), ["drain reload 20", "drain signal 20", "drain stop 20"])
        self.assertNotIn("did not end", self.master.err.text())

    def test_what_is_under_way(self):
        """What a worker counts decides who gets the next, and what its end waits for."""
        self.begin()
        clients, names = self.connect_evenly()
        busy, idle = clients[0], clients[names.index(names[0], 1)]
        for _ in range(20):  # many: who gets a connection may be counted by it twice, on its way and open
            self.assertEqual(busy.ask("hold"), "hold")

        def to_the_other():
            others = [self.connect() for _ in range(3)]
            if names[0] not in [client.who()[0] for client in others]:
                return others
            for client in others:
                client.close()
        others = wait_until(to_the_other, "the other has them")
        for client in (*clients, *others):
            if client not in (busy, idle):
                client.close()
        self.master.signal(signal.SIGTERM)
        self.lines(2, "drain stop 20", self.master.out)
        self.lines(1, "| stop", self.master.out)
        self.assertEqual(idle.ask("hello"), "hello")
        for _ in range(19):
            self.assertEqual(busy.ask("free"), "free")
        self.assertIn(busy.ask("free"), ("free", ""))  # it was the last that the end waited for
        self.assertEqual([busy.hear(), idle.hear()], ["", ""])
        self.assertEqual(self.master.wait(), 0, self.master.err.text())


class OfPython:
    def test_a_taker_that_fails(self):
        """It is logged, its connection is closed, and what it has begun is released."""
        self.begin(workers=1)
        client = self.connect()
        self.assertEqual(client.ask("hold"), "hold")
        self.assertEqual(self.workers("svc")[0]["board"]["remain"], 1)
        client.say("wrong")
        self.assertEqual(client.hear(), "")
        wait_until(lambda: [self.workers("svc")[0]["board"][what] for what in ("open", "remain")] == [0, 0], "nothing is open")
        self.end()
        self.assertIn("ValueError: no such word", self.master.err.text())


class Threads(Connections, OfPython, Languages):
    script, code = "svc.py", THREADS


class Asyncio(Connections, OfPython, Languages):
    script, code = "svc.py", ASYNC


class Accepting(Listening, Languages):
    script, code = "svc.py", ACCEPTING

    def test_who_accepts_by_itself(self):
        """It cannot be kept from that, and who asks for it is told."""
        self.code = self.code.replace("listener.setblocking(True)", "listener = Plain(fileno=listener.detach())")
        self.code = self.code.replace("import os, threading\n", PLAIN)
        self.begin("--dispatch", "shared")
        wait_until(lambda: [row.get("accepts") for row in self.workers("svc")] == [True, True], "both have said so")
        done = self.run_clouds("quiet")
        self.assertEqual((done.returncode, done.stdout), (1, "svc is quiet\n"))
        self.assertEqual(done.stderr, "clouds quiet: who accepts by itself goes on: svc.1, svc.2\n")
        self.master.err.wait_for("svc is quiet, but for svc.1, svc.2: who accepts by itself goes on")
        self.assertEqual(self.connect().ask("hello"), "hello")
        done = self.run_clouds("quiet", "--json")
        self.assertEqual(self.json(done, 1)["accepting"], ["svc.1", "svc.2"])
        self.assertEqual(self.run_clouds("resume").returncode, 0)
        self.end()


@unittest.skipUnless(HAS_NODE, WITHOUT_NODE)
class Node(Connections, Languages):
    script, code = "svc.js", NET


class Wrong(Languages):
    """Who says something that cannot be hears of it, in the words of the language."""

    def test_nobody_takes_them(self):
        for name, code in (("a.py", "import clouds\nclouds.worker.ready()"),
                           ("a.js", "require(process.env.CLOUDS_TEST_PACKAGE).worker.ready()")):
            if name.endswith(".py") or HAS_NODE:
                self.assertEqual(self.open(name, code, "--listen", "127.0.0.1:0").wait(), 1)
                self.assertIn("the group of this worker listens at 127.0.0.1:0, and the program takes no connections",
                              self.master.err.text())

    def test_a_service_that_listens(self):
        """It is ready when it has a taker, too."""
        self.open("svc.py", """
            import threading, clouds
            from clouds import worker
            server = clouds.Server()
            server.register("take", lambda: worker.ready(lambda sock, port: sock.sendall(b"here")))
            server.run()
        """, "--listen", "127.0.0.1:0")
        self.master.err.wait_for("and the program takes no connections: expected clouds.worker.ready(fn) or listeners()")
        self.assertNotIn(" ready in ", self.master.err.text())
        self.call("take")
        self.master.err.wait_for("svc ready: ")
        self.assertEqual(Client(self, self.ports()[0]).hear(), "here")
        self.end()

    def test_no_listeners_to_share(self):
        code = "import clouds\nclouds.worker.listeners()"
        self.assertEqual(self.open("a.py", code, "--listen", "127.0.0.1:0").wait(), 1)
        self.assertIn("this worker, which has no listeners: start it with --dispatch shared", self.master.err.text())
        self.assertEqual(self.open("a.py", code).wait(), 1)
        self.assertIn("the group of this worker listens nowhere", self.master.err.text())


if __name__ == "__main__":
    unittest.main()
