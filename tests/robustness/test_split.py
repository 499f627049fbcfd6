"""Through a proxy that delivers every byte alone, calls give the same as without it."""
import os
import subprocess
import unittest

from support import Case, ECHO, LONG, Load, PROGRAMS, Process

CALLS = 10000 if LONG else 2000


class Split(Case):
    def proxy(self, target):
        path = os.path.join(self.folder, "split.sock")
        process = Process([os.path.join(PROGRAMS, "split"), path, target], self.env, stdin=subprocess.PIPE)
        self.addCleanup(process.discard)
        process.out.wait_for("ready")
        return "redis+unix://" + path

    def same(self, client_url, server_url, calls):
        self.serve(ECHO, env={"CLOUDS_URL": server_url})
        # Few at a time: a ping waits behind them, and a byte may take a millisecond on a machine that is busy.
        books = Load(self, client_url, outstanding=10, count=calls, timeout=60, deadline=120).finish()
        self.assertEqual((books["ok"], books["calls"]), (calls, calls), books)

    def test_the_client(self):
        server = self.redis()
        self.same(self.proxy(server.socket), server.url, CALLS)

    def test_the_server(self):
        server = self.redis()
        self.same(server.url, self.proxy(server.socket), CALLS // 5)


if __name__ == "__main__":
    unittest.main()
