"""clouds top and clouds doctor: what is called and how it goes, and what is wrong with the cluster or this machine."""
import json
import re
import unittest

from support import CLOUDS, Case, Terminal, free_port

CLEAR = "\x1b[H\x1b[2J"
SERVICE = """
    local clouds = require "clouds"
    local counted = clouds.server{ id = "s.counted", stats = true, admin = "on" }
    counted:register("add", function(a, b) return a + b end)
    counted:register("fail", function() error{ message = "no" } end)
    counted:register("hang", function() clouds.sleep(1000) end)
    local plain = clouds.server{ id = "s.plain", admin = "on" }
    plain:register("plain", function() end)
    local shut = clouds.server{ id = "s.shut", admin = "off" }
    shut:register("shut", function() end)
    local client = clouds.client{}
    client:notify("hang", {})
    clouds.spawn(function() while true do client:call("add", { 1, 2 }) client:call("fail", {}) clouds.sleep(0.002) end end)
    print("ready")
"""


class Top(Case):
    def look(self, *words):
        result = self.run_clouds("top", "--once", "-d", "0.5", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_what_is_called(self):
        self.serve(SERVICE)
        found = json.loads(self.look("--json"))
        methods = {row["method"]: row for row in found["methods"]}
        add, fail = methods["add"], methods["fail"]
        self.assertTrue(add["rate"] > 0 and add["errors"] == 0 and fail["rate"] == fail["errors"] > 0, methods)
        self.assertTrue(0 < add["p50"] <= add["p99"] <= 10 and add["servers"] == 1, add)
        self.assertEqual((methods["hang"]["open"], methods["hang"]["rate"]), (1, 0))
        self.assertEqual((methods["plain"]["counted"], "rate" in methods["plain"]), (False, False))
        nodes = {row["id"]: row for row in found["nodes"]}
        self.assertEqual([nodes[id].get("counts") for id in ("s.counted", "s.plain", "s.shut")], [True, False, None])
        self.assertEqual(nodes["s.shut"]["error"], "CLOUDS_NOT_SUPPORTED")
        self.assertTrue(nodes["s.counted"]["rate"] > 0 and nodes["s.counted"]["state"] == "ready", nodes)
        text = self.look("--by", "name")
        self.assertRegex(text, r"^METHOD +SERVERS +CALLS/S +ERRORS/S +P50 +P99 +OPEN +WAITING\nadd +1 ")
        self.assertRegex(text, r"\nplain +1 +- +- +- +- +- +-\n")
        self.assertRegex(text, r"\ns\.plain .*ready, not by method \(option stats\)\ns\.shut .*CLOUDS_NOT_SUPPORTED\n$")

    def test_wrong_use_and_nobody(self):
        self.assertEqual(self.look(), "no services\n")
        result = self.run_clouds("top", "--by", "size")
        self.assertEqual((result.returncode, "expected one of rate, p99, errors, open, name" in result.stderr), (2, True))
        self.assertEqual(self.run_clouds("--url", "redis://127.0.0.1:1", "top", "--once").returncode, 3)

    def test_keys(self):
        """On a terminal it goes on until q, orders anew, and shows what there is room for; then it is as it was."""
        self.serve(SERVICE)
        lines, columns = 4, 40
        terminal = Terminal(self, [CLOUDS, "top", "-d", "0.1"], self.env, (lines, columns))
        terminal.wait_for("by rate")
        self.assertFalse(terminal.is_as_before())
        terminal.type("n")
        terminal.wait_for("by name")
        terminal.wait_for(re.escape(CLEAR))
        screens = terminal.text.split(CLEAR)[1:-1]
        self.assertEqual({len(screen.splitlines()) for screen in screens}, {lines - 1})
        self.assertLess(max(len(line) for screen in screens for line in screen.splitlines()), columns)
        terminal.type("q")
        self.assertEqual(terminal.end(), (0, True))

    def test_long_names(self):
        """Lines are cut by characters, of which none is shown by half."""
        self.serve(f"require('clouds').server{{}}:register('{'ä€' * 12}', function() end) print('ready')")
        terminal = Terminal(self, [CLOUDS, "top", "-d", "0.1"], self.env, (10, 20))
        self.assertEqual(terminal.wait_for("\nMETHOD *\n(.*)\n").group(1), ("ä€" * 12)[:19])
        terminal.type("q")
        self.assertEqual(terminal.end(), (0, True))
        self.assertNotIn("\ufffd", terminal.text)

    def test_pause_and_filter(self):
        self.serve(SERVICE)
        terminal = Terminal(self, [CLOUDS, "top", "-d", "0.1", "--by", "name"], self.env, (20, 120))
        terminal.wait_for("5 methods, 3 nodes, by name\n")
        terminal.type("/pla")
        terminal.wait_for(r"1 methods, 1 nodes, by name  /pla_\nMETHOD .*\nplain .*\n\nNODE .*\ns\.plain [^\n]*\n")
        terminal.type("\x7f\x7fq\x7f\r")
        terminal.wait_for(r"by name  /p\n")
        terminal.type("\x1b")
        terminal.wait_for(r"5 methods, 3 nodes, by name\n")
        terminal.type(" ")
        paused = [terminal.wait_for(r"by name, paused\nMETHOD .*\nadd [^\n]*\n").group() for _ in range(3)]
        self.assertEqual(len(set(paused)), 1)
        terminal.type(" r")
        terminal.wait_for(r"by rate\n")
        terminal.type("\x1b[A")  # an arrow means nothing
        terminal.type("q")
        self.assertEqual(terminal.end(), (0, True))


class Doctor(Case):
    def checks(self, *words, status=0):
        result = self.run_clouds(*words, "doctor", "--json")
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        said = json.loads(result.stdout)
        return said["worst"], {check["what"]: check for check in said["checks"]}

    def test_local(self):
        worst, checks = self.checks()
        self.assertEqual((worst, checks["call"]["state"], "Redis" in checks), ("ok", "ok", False), checks)
        self.assertEqual(checks["runtime folder"]["found"], self.env["CLOUDS_RUNTIME_DIR"])
        self.assertEqual(self.run_clouds("status").stdout, "no services\n")

    def test_redis(self):
        redis = self.redis()
        worst, checks = self.checks("--url", redis.url)
        self.assertEqual((worst, {check["state"] for check in checks.values()}), ("ok", {"ok"}), checks)
        for words in (("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru"), ("client-output-buffer-limit", "pubsub 1000 1000 1")):
            redis.command("CONFIG", "SET", *words)
        worst, checks = self.checks("--url", redis.url)
        self.assertEqual((worst, checks["eviction"]["state"], checks["output buffers"]["state"]), ("warning",) * 3, checks)
        text = self.run_clouds("--url", redis.url, "doctor").stdout
        self.assertRegex(text, r"(?m)^warning +eviction +allkeys-lru at 100 MB: registrations may be dropped")

    def test_a_redis_user_with_few_rights(self):
        redis = self.redis()
        redis.command("ACL", "SETUSER", "few", "on", ">secret", "resetkeys", "-@all", "+ping", "+select", "+time", "+client|setname")
        worst, checks = self.checks("--url", redis.url.replace("://", "://few:secret@"), status=3)
        self.assertEqual((worst, checks["Redis"]["state"], checks["output buffers"]["state"]), ("wrong", "unknown", "unknown"))
        self.assertIn("right", checks["connection"]["found"])


    def test_nobody_answers(self):
        port = free_port()
        worst, checks = self.checks("--url", f"redis://127.0.0.1:{port}", status=3)
        self.assertEqual((worst, checks["Redis"]["state"], checks["connection"]["state"]), ("wrong",) * 3)
        self.assertEqual(self.run_clouds("doctor", "now").returncode, 2)

    def test_what_is_not_looked_at(self):
        for scheme, why in (("rediss", "it is reached over TLS"), ("redis+sentinel", "sentinels lead to it"),
                            ("rediss+sentinel", "sentinels lead to it")):
            master = "/main" if "sentinel" in scheme else ""
            worst, checks = self.checks("--url", f"{scheme}://127.0.0.1:{free_port()}{master}", status=3)
            self.assertEqual((worst, checks["Redis"]["state"], checks["connection"]["state"]), ("wrong", "unknown", "wrong"))
            self.assertIn(f"not looked at, since {why}", checks["Redis"]["found"])


if __name__ == "__main__":
    unittest.main()
