"""Redis users: the lines of the documentation are enough, and what is missing is named."""
import os
import shlex
import sys
import time
import unittest

from support import LONG, RENEWING, SOURCE, Case, wait_until


def documented():
    with open(os.path.join(SOURCE, "docs", "OPERATIONS.md")) as text:
        return [shlex.split(line) for line in text if line.startswith("ACL SETUSER ")]


def settings():
    """The lines of redis.conf that are documented, as options of redis-server."""
    with open(os.path.join(SOURCE, "docs", "OPERATIONS.md")) as text:
        lines = text.read().split("## Settings of Redis")[1].split("```")[1].strip().splitlines()
    return [word for line in lines for word in ("--" + line.split(" ", 1)[0], *shlex.split(line.split(" ", 1)[1]))]


class Rights(Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis(*settings())
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

    def test_the_documented_settings_are_taken(self):
        for name, value in (("save", ""), ("maxmemory-policy", "noeviction"), ("timeout", "0"), ("appendonly", "no"),
                            ("client-output-buffer-limit", "pubsub 33554432 8388608 60")):
            self.assertIn(value, self.server.command("CONFIG", "GET", name)[1].decode(), name)

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


EACH = 50  # nodes of a process
SIZES = (50, 200, 1000) if LONG else (50, 200)  # nodes in all
IDLE = 10  # seconds
SERVERS = """
local clouds = require "clouds"
local first, count = tonumber(arg[1]), tonumber(arg[2])
for i = first, first + count - 1 do
    local node = clouds.server {}
    node:register("many." .. i, function() return node.id end)
end
print("ready")
"""
ASK = """
local c, seen, n = require("clouds").client {}, {}, 0
for i = 1, tonumber(arg[1]) do seen[assert(c:call("many." .. i))] = true end
for _ in pairs(seen) do n = n + 1 end
print(n)
"""


class Many(Case):
    """Many nodes that start at once all serve, and leave nothing behind; what one more costs does not depend on how many there are."""

    def setUp(self):
        super().setUp()
        self.server = self.redis()
        self.program = self.file("many.lua", SERVERS)

    def commands(self):
        """How often each command was executed so far, but for those that nodes repeat by themselves."""
        lines = self.server.command("INFO", "commandstats").decode().split()
        counts = {line.split(":")[0][8:]: int(line.split("calls=")[1].split(",")[0]) for line in lines if "calls=" in line}
        return {name: n for name, n in counts.items() if name not in ("expire", "sadd", "info", "time", "ping")}

    def spent(self, before):
        return {name: n - before.get(name, 0) for name, n in self.commands().items() if n > before.get(name, 0)}

    def join(self, first, count):
        return self.start("run", self.program, str(first), str(count))

    def cost_of_one_more(self):
        """The commands of a process that joins, registers one method, and leaves."""
        before = self.commands()
        one = self.join(9999, 1)
        one.out.wait_for("ready")
        self.assertEqual(one.stop(), 0)
        return self.spent(before)

    def idle(self, processes):
        """Seconds of CPU of all in a second, and commands that Redis executes in it."""
        def cpu():
            total = 0
            for process in processes:
                with open(f"/proc/{process.pid}/stat") as stat:
                    total += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
            return total / os.sysconf("SC_CLK_TCK")

        def executed():
            return int(self.server.command("INFO", "stats").decode().split("total_commands_processed:")[1].split()[0])

        time.sleep(1)
        begin, spent, done = time.monotonic(), cpu(), executed()
        time.sleep(IDLE)
        seconds = time.monotonic() - begin
        return (cpu() - spent) / seconds, (executed() - done - 1) / seconds

    def test_many_at_once(self):
        processes, costs = [], {}
        for size in SIZES:
            before, begin, count = self.commands(), time.monotonic(), len(processes) * EACH
            more = [self.join(first + 1, EACH) for first in range(count, size, EACH)]
            for process in more:
                process.out.wait_for("ready")
            processes += more
            took, spent, joined = time.monotonic() - begin, self.spent(before), size - count
            self.assertEqual(len(self.server.command("KEYS", "clouds:S:many.*")), size)
            costs[size] = self.cost_of_one_more()
            if LONG:
                cpu, rate = self.idle(processes)
                print(f"{size} nodes in {len(processes)} processes: {joined} joined in {took:.2f} s with "
                    f"{sum(spent.values()) / joined:.1f} commands each; one more: {costs[size]}; "
                    f"processes that hear of all: {self.server.command('PUBSUB', 'NUMSUB', 'clouds:D')[1]}; "
                    f"idle: {100 * cpu:.1f} % of a CPU for all, {rate:.0f} commands a second at Redis", file=sys.stderr)
        self.assertLessEqual(sum(costs[SIZES[-1]].values()), 2 * sum(costs[SIZES[0]].values()), costs)
        answer = self.run_clouds("run", self.file("ask.lua", ASK), str(SIZES[-1]))
        self.assertEqual(answer.stdout.split(), [str(SIZES[-1])], answer.stderr)
        self.assertEqual([process.stop() for process in processes], [0] * len(processes))
        # A program that ends waits for answers of Redis for a second or so: on a busy machine the record of the one that asked
        # may be left to its TTL. What is registered never is.
        keys = self.server.command("KEYS", "clouds:*")
        self.assertEqual([key for key in keys if not key.startswith(b"clouds:N:c.")], [])
        wait_until(lambda: not self.server.command("KEYS", "clouds:*"), "nothing is left")


if __name__ == "__main__":
    unittest.main()
