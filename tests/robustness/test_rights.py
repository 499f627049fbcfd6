"""Redis users: the lines of the documentation are enough, and what is missing is named."""
import os
import shlex
import unittest

from support import RENEWING, SOURCE, Case, wait_until

def documented():
    with open(os.path.join(SOURCE, "docs", "OPERATIONS.md")) as text:
        return [shlex.split(line) for line in text if line.startswith("ACL SETUSER ")]


class Rights(Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis()
        for line in documented():
            self.server.command(*line)

    def url(self, user, tail=""):
        return {"CLOUDS_URL": f"redis+unix://{user}:secret@{self.server.socket}{tail}"}

    def denied(self):
        return [dict(zip(entry[::2], entry[1::2])) for entry in self.server.command("ACL", "LOG")]

    def test_the_documented_lines_are_enough(self):
        self.assertEqual([line[2] for line in documented()], ["service", "client"])
        for tail in ("", "?db=2"):
            service = self.serve(RENEWING, env=self.url("service", tail))
            id = service.out.text().split()[-1]
            key = f"clouds:S:test.echo:{id}"
            self.assertEqual(self.json(self.run_clouds("call", "test.echo", "1", env=self.url("client", tail))), 1)
            failed = self.run_clouds("call", "-t", "3", "test.nobody", env=self.url("client", tail))
            self.assertEqual((failed.returncode, "no available server" in failed.stderr), (3, True), failed.stderr)
            self.assertIn("test.echo", self.run_clouds("status", env=self.url("client", tail)).stdout)
            if not tail:  # it renews
                self.server.command("DEL", key)
                wait_until(lambda: self.server.command("EXISTS", key) == 1, "the registration comes back")
            self.assertEqual(service.stop(), 0)
        self.assertEqual(self.denied(), [])
        self.assertEqual(self.server.command("KEYS", "clouds:[SMN]:*"), [])

    def test_a_right_that_is_missing_is_named_by_the_call(self):
        self.serve(RENEWING, env=self.url("service"))
        for right, words in (("publish", "PUBLISH: .*\\+publish"), ("smembers", "SMEMBERS: .*\\+smembers"),
                             ("mget", "MGET: .*\\+mget")):
            self.server.command("ACL", "SETUSER", "client", f"-{right}")
            failed = self.run_clouds("call", "-t", "5", "test.echo", "1", env=self.url("client"))
            self.server.command("ACL", "SETUSER", "client", f"+{right}")
            self.assertNotEqual(failed.returncode, 0)
            self.assertRegex(failed.stderr, words)
            self.assertIn("test.echo", failed.stderr)

    def test_channels_that_are_taken_away_for_a_while(self):
        service = self.serve(RENEWING, env=self.url("service"))
        channel = f"clouds:L:{service.out.text().split()[-1]}"

        def listeners():
            return self.server.command("PUBSUB", "NUMSUB", channel)[1]

        self.server.command("ACL", "SETUSER", "service", "resetchannels")
        wait_until(lambda: listeners() == 0, "it is cut off")
        wait_until(lambda: len(self.denied()) > 0, "it was refused")
        self.server.command("ACL", "SETUSER", "service", "&clouds:*")
        wait_until(lambda: listeners() == 1, "it listens again")
        self.assertEqual(self.json(self.run_clouds("call", "test.echo", "7", env=self.url("client"))), 7)


class Many(Case):
    """Many nodes that start at once all serve, and leave nothing behind."""

    def test_many_at_once(self):
        server = self.redis()
        code = """
local clouds = require "clouds"
local each, first = 50, tonumber(arg[1])
for i = 1, each do
    local node = clouds.server {}
    node:register("many." .. (first + i), function() return node.id end)
end
print("ready")
"""
        processes = [self.start("run", self.file(f"many{p}.lua", code), str(p * 50)) for p in range(4)]
        for process in processes:
            process.out.wait_for("ready")
        self.assertEqual(len(server.command("KEYS", "clouds:S:many.*")), 200)
        ask = "local c = require('clouds').client {} local seen = {} for i = 1, 200 do seen[assert(c:call('many.' .. i))] = true end " \
              "local n = 0 for _ in pairs(seen) do n = n + 1 end print(n)"
        answer = self.run_clouds("run", "-e", ask)
        self.assertEqual(answer.stdout.split(), ["200"], answer.stderr)
        self.assertEqual([process.stop() for process in processes], [0] * 4)
        self.assertEqual(server.command("KEYS", "clouds:*"), [])


if __name__ == "__main__":
    unittest.main()
