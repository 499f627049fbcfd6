"""A service and a client whose Redis lies, breaks off, or never ends: they live, stay small, and work when Redis does."""
import os
import time
import unittest

from hostile import BEHAVIOURS, Hostile, WORDS, says
from support import BOUND, Case, Load, RENEWING, Redis, SANITIZED, wait_until

# Both sides in one process, calling all the time, with short delays so that many connections are tried.
BOTH = """
local clouds = require "clouds"
local how = { heartbeat = 1, timeout = 1, reconnect_min = 0.01, reconnect_max = 0.05, ping_interval = 1, ping_timeout = 1 }
local function serve()
  local server = clouds.server(how)
  if server:register("test.echo", function(...) return ... end) then return true end
  server:close(0) -- refused by Redis for good: so with a node of its own again
end
local function ask(client)
  local n, err = client:call("test.echo", { 1 })
  if n == 1 then print("answered") elseif n ~= nil or not clouds.is_error(err) then print("wrong", n, err) end
  return n
end
clouds.spawn(function() while not serve() do clouds.sleep(0.05) end end)
clouds.spawn(function()
  while true do
    local client = clouds.client(how)
    for _ = 1, 20 do ask(client) clouds.sleep(0.02) end
    client:close(0)
  end
end)
print("ready")
"""
GROWTH_KB = 60 * 1024  # well above the limit on what is buffered of one connection, well below what is sent


class HostileRedis(Case):
    def fake(self, behaviours):
        folder = os.path.join(self.folder, "fake")
        os.mkdir(folder)
        path = os.path.join(folder, "redis.sock")
        self.env["CLOUDS_URL"] = "redis+unix://" + path
        return folder, Hostile(path, behaviours)

    def replace(self, folder, fake):
        """A real Redis where the hostile one was."""
        fake.close()
        server = Redis(folder)
        self.addCleanup(server.stop)
        return server

    def test_everything_once_and_then_a_real_one(self):
        folder, fake = self.fake(BEHAVIOURS)
        process = self.serve(BOTH)
        before = process.resident_kb()
        wait_until(lambda: process.popen.poll() is not None or fake.served >= len(BEHAVIOURS), "every behaviour", 200)
        self.assertIsNone(process.popen.poll(), process.err.text())
        if not SANITIZED:
            self.assertLess(process.resident_kb() - before, GROWTH_KB)
        self.assertNotIn("wrong", process.out.text())
        self.replace(folder, fake)
        process.out.wait_for("answered")
        Load(self, self.env["CLOUDS_URL"], count=1000).finish()
        self.assertEqual(process.stop(), 0, process.err.text())

    def test_a_subscription_that_was_refused_for_a_while(self):
        def refuses(connection):
            while (words := connection.command()) is not None:
                if words[0].upper() == b"SUBSCRIBE":
                    connection.send(b"-ERR not now\r\n")
                else:
                    connection.answer(words)

        folder, fake = self.fake([refuses])
        self.serve('print("ready")' + RENEWING)
        wait_until(lambda: fake.served >= 4, "it tries again")
        self.replace(folder, fake)
        wait_until(lambda: self.run_clouds("call", "test.echo", "1").returncode == 0, "it serves")

    def test_a_command_ends_whatever_it_is_told(self):
        _, fake = self.fake([says(b"-ERR no\r\n")])
        for word in WORDS + [b"", b"*1\r\n"]:
            fake.behaviours = [says(word)]
            begin = time.monotonic()
            result = self.run_clouds("call", "--timeout", "0.5", "test.echo", "1")
            self.assertIn(result.returncode, (1, 3, 4), (word, result.stderr))
            self.assertTrue(result.stderr.strip(), word)
            self.assertNotIn("\x1b", result.stderr)
            self.assertLess(time.monotonic() - begin, BOUND / 2, word)

    def test_what_redis_refuses_is_told_in_its_words(self):
        for word, told in ((b"-MOVED 3999 127.0.0.1:6381\r\n", "cluster"), (b"-READONLY You can't write\r\n", "replica"),
                           (b"-NOAUTH Authentication required.\r\n", "NOAUTH")):
            with self.subTest(told):
                if os.path.exists(os.path.join(self.folder, "fake")):
                    os.rename(os.path.join(self.folder, "fake"), os.path.join(self.folder, told))
                self.fake([says(word)])
                result = self.run_clouds("call", "--timeout", "3", "test.echo", "1")
                self.assertIn(told.lower(), result.stderr.lower())


if __name__ == "__main__":
    unittest.main()
