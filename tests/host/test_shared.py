"""clouds start --dispatch shared: each worker accepts of the listener that all have."""
import http.client
import signal
import socket
import threading
import unittest

from support import Master

WEB = """
local clouds, http = require "clouds", require "clouds.http"
local me = os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION"
http.serve(function(request)
  if request.path == "/slow" then clouds.sleep(0.2) end
  return me
end)
"""


class Shared(Master):
    def open(self, workers=2, *options, code=WEB):
        self.script = self.file("web.lua", code)
        self.master = self.start("start", "--listen", "127.0.0.1:0", "--workers", str(workers), "--dispatch", "shared",
                                 *options, self.script)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0]

    def ask(self, path="/"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        self.assertEqual(answer.status, 200, text)
        return text

    def test_every_worker_accepts(self):
        self.open(2)
        seen, failed = set(), []

        def run():
            try:
                while len(seen) < 2:
                    seen.add(self.ask("/slow"))
            except Exception as problem:
                failed.append(problem)
        threads = [threading.Thread(target=run, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual((seen, failed), ({"1/1", "2/1"}, []))
        self.end()

    def test_reloads_refuse_and_lose_nothing(self):
        self.open(2)
        self.ask_over_reloads("web", range(2, 7))
        self.end()

    def test_a_stop_serves_what_waits(self):
        self.open(1)
        client = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        client.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        self.master.signal(signal.SIGTERM)
        data = b""
        while piece := client.recv(4096):
            data += piece
        client.close()
        self.assertTrue(data.startswith(b"HTTP/1.1 200"), data)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())

    def test_another_way_is_refused(self):
        done = self.run_clouds("start", "--dispatch", "random", self.file("web.lua", WEB))
        self.assertEqual(done.returncode, 2)
        self.assertIn("--dispatch: expected one of ", done.stderr)


if __name__ == "__main__":
    unittest.main()
