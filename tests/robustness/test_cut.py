"""Between a node and Redis, connections break at chosen moments: each call ends once, and with retries none fails."""
import os
import random
import socket
import threading
import unittest

from support import Case, ECHO, LATE, LONG, Load, wait_until

SEEDS = range(10) if LONG else range(1)
CUTS = 30 if LONG else 8


class Cutter:
    """A proxy of unix sockets. Each connection lives for a number of bytes that the seed chooses, then ends, in the middle of
    whatever it carries; the first few are short, so that it happens in the greeting too."""

    def __init__(self, path, target, seed):
        self.path, self.target, self.cuts, self.closed, self.healed = path, target, 0, False, False
        self._chance, self._lock, self._made = random.Random(seed), threading.Lock(), 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _life(self):
        with self._lock:
            self._made += 1
            return self._chance.randint(1, 300 if self._made % 3 == 0 else 60000)

    def _accept(self):
        while not self.closed:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.socket(socket.AF_UNIX)
            outside.connect(self.target)
            left = [self._life(), 2]
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._carry, args=(*pair, left), daemon=True).start()

    def _carry(self, source, to, left):
        try:
            while True:
                data = source.recv(16384)
                piece = data if self.healed else data[:max(0, left[0])]
                left[0] -= len(data)
                to.sendall(piece)
                if len(piece) < len(data) or not data:
                    self.cuts += len(piece) < len(data)
                    break
        except OSError:
            pass
        self._end(source, to, left)

    def _end(self, source, to, left):
        """The first of the two directions ends the other, the second closes."""
        with self._lock:
            left[1] -= 1
            for end in (source, to):
                if left[1]:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                else:
                    end.close()

    def heal(self):
        """From now on nothing is cut."""
        self.healed = True

    def close(self):
        self.closed = True
        self._listener.close()


class Cut(Case):
    def setUp(self):
        super().setUp()
        self.env["LOAD_BY_REDIS"] = "1"  # it is the connections to Redis that are cut

    def cutter(self, server, seed, name):
        proxy = Cutter(os.path.join(self.folder, f"{name}{seed}.sock"), server.socket, seed)
        self.addCleanup(proxy.close)
        return proxy, "redis+unix://" + proxy.path

    def cut_for_a_while(self, load, proxy):
        wait_until(lambda: proxy.cuts >= CUTS, "connections were cut", 90)
        self.assertIsNone(load._process.popen.poll())

    def test_the_client(self):
        server = self.redis()
        self.serve(ECHO)
        for seed in SEEDS:
            proxy, url = self.cutter(server, seed, "client")
            load = Load(self, url, timeout=1, deadline=60, retries=60)
            self.cut_for_a_while(load, proxy)
            books = load.finish()
            self.assertEqual(books["ok"], books["calls"], books)
            self.assertGreater(books["ok"], 0)

    def test_the_client_without_retries(self):
        server = self.redis()
        self.serve(ECHO)
        for seed in SEEDS:
            proxy, url = self.cutter(server, seed + 1000, "client")
            load = Load(self, url, timeout=1, deadline=2)
            self.cut_for_a_while(load, proxy)
            books = load.finish()
            self.assertLess(books["latest"], LATE, books)
            self.assertEqual(sum(books["outcomes"].values()), books["calls"], books)
            self.assertEqual(books["outcomes"]["APP_ERROR"], 0, books)
            self.assertGreater(books["ok"], 0)

    def test_the_server(self):
        server = self.redis()
        for seed in SEEDS:
            proxy, url = self.cutter(server, seed + 2000, "server")
            service = self.start("run", self.file("echo.lua", ECHO), env={"CLOUDS_URL": url})
            load = Load(self, server.url, timeout=1, deadline=60, retries=60)
            self.cut_for_a_while(load, proxy)
            proxy.heal()
            load.goes_on()
            books = load.finish()
            self.assertEqual(books["ok"], books["calls"], books)
            self.assertIsNone(service.popen.poll(), service.err.text())
            service.stop()


if __name__ == "__main__":
    unittest.main()
