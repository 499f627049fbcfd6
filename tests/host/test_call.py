"""clouds call, send and status: values, errors, exit codes, over local: and Redis; and with no cluster to reach."""
import json
import os
import pty
import signal
import subprocess
import time
import unittest

from support import BOUND, CLOUDS, Case, wait_until

SERVICE = """
    local clouds = require "clouds"
    local server = clouds.server{}
    server:register("echo", function(...) return ... end)
    server:register("none", function() end)
    local runs = 0
    server:register("count", function() runs = runs + 1 return runs end)
    server:register("fail", function() error{ message = "it broke", code = "E_BROKEN", detail = { 1, 2 } } end)
    server:register("raise", function() error("plain words", 0) end)
    server:register("inner", function() return server:call("no.such.inner", {}, { deadline = 5 }) end)
    server:register("escape", function(fail)
        local text = "a\\27[31m\\nb\\127\\194\\155"
        if fail then error{ message = text, code = "E\\27" } end
        return text
    end)
    server:register("hang", function() clouds.sleep(1000) end)
    server:on("message", function(from, value) print("message " .. clouds.json.encode(value)) end)
    print("id " .. server.id)
    print("ready")
"""


class Commands:
    """Runs for each kind of cluster."""

    def start_service(self):
        service = self.serve(SERVICE)
        service.id = service.out.text().split("id ")[1].split()[0]
        return service

    def status(self):
        return self.json(self.run_clouds("status", "--json"))

    def test_values_come_back_exactly(self):
        self.start_service()
        for text in ("1", "-0.5", "9007199254740991", "0.1", "1e300", "true", "false", "null", '""', '"h\\u00e9"',
                     '"\\u0000"', "[]", "{}", "[[],{}]", '{"a":[1,null,{"b":null}]}', '"\\ud800"', "1e21", "2.5e-8"):
            result = self.run_clouds("call", "echo", text, "--json")
            self.assertEqual(self.json(result), [json.loads(text)], text)
        result = self.run_clouds("call", "echo", "--json", "--", "9007199254740991")
        self.assertEqual(result.stdout, "[9007199254740991]\n")

    def test_results_one_a_line(self):
        self.start_service()
        result = self.run_clouds("call", "echo", "1", '"two"', "null", "[]", "null")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, '1\n"two"\nnull\n[]\nnull\n', ""))
        for text in ('{"$base64":"AP8="}', '[{"$base64":""},{"$base64":"YWJj"},{"$base64":"/+8A"}]', '{"$base64":"AP8"}',
                     '{"$base64":1}'):
            self.assertEqual(self.run_clouds("call", "echo", text).stdout, text + "\n")
        self.assertEqual(self.run_clouds("call", "echo", '{"$base64":"AP8="}', "--json").stdout, '[{"$base64":"AP8="}]\n')
        result = self.run_clouds("call", "echo", "null", "null", "--json")
        self.assertEqual(result.stdout, "[null,null]\n")
        result = self.run_clouds("call", "none")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertEqual(self.run_clouds("call", "none", "--json").stdout, "[]\n")

    def test_plain_text_arguments_and_negative_numbers(self):
        self.start_service()
        self.assertEqual(self.run_clouds("call", "-s", "echo", "hello", "1").stdout, '"hello"\n"1"\n')
        self.assertEqual(self.run_clouds("call", "echo", "-3", "--json").stdout, "[-3]\n")

    def test_the_services_own_error(self):
        self.start_service()
        result = self.run_clouds("call", "fail")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (1, "", "E_BROKEN: it broke\n"))
        result = self.run_clouds("call", "fail", "--json")
        error = self.json(result, 1)["error"]
        self.assertEqual((error["message"], error["code"], error["detail"], error["outcome"]),
                         ("it broke", "E_BROKEN", [1, 2], "APP_ERROR"))
        result = self.run_clouds("call", "raise")
        self.assertEqual(result.returncode, 1)
        self.assertIn("plain words", result.stderr)

    def test_no_such_method_was_not_done(self):
        self.start_service()
        started = time.monotonic()
        result = self.run_clouds("call", "nobody.has.this")
        self.assertEqual(result.returncode, 3)
        self.assertRegex(result.stderr, r"^CLOUDS_NO_AVAILABLE_SERVER: no available server for nobody\.has\.this on ")
        self.assertLess(time.monotonic() - started, BOUND / 2)
        self.assertEqual(self.json(self.run_clouds("call", "nobody", "--json"), 3)["error"]["outcome"], "NOT_DONE")

    def test_timeout_and_deadline(self):
        self.start_service()
        for call in [self.start("call", "hang", option, "2") for option in ("--timeout", "--deadline")]:
            self.assertEqual(call.wait(), 4, call.err.text())
            self.assertRegex(call.err.text(), r"^CLOUDS_CALL_SERVICE_TIMEOUT: ")

    def test_a_number_out_of_range(self):
        self.start_service()
        for number in ("1e400", "-1e400", "[1e400]"):
            result = self.run_clouds("call", "echo", "--", number)
            self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
            self.assertIn("number out of range at byte ", result.stderr)

    def test_a_chosen_server(self):
        first, second = self.start_service(), self.start_service()
        for service in (first, second):
            result = self.run_clouds("call", "echo", "1", "--server", service.id)
            self.assertEqual(result.stdout, "1\n")
        result = self.run_clouds("call", "echo", "1", "--server", "s.nobody", "--deadline", "2")
        self.assertIn(result.returncode, (3, 4))
        self.assertIn("s.nobody", result.stderr)
        for command in ("call", "notify", "trace"):
            result = self.run_clouds(command, "echo", "1", "--server", "")
            self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
            self.assertIn("--server: expected the id of a node, and not an empty text", result.stderr)

    def test_a_key_runs_once(self):
        self.start_service()
        for words, wanted in ((("order 7", "1"), "1\n"), (("order 7", "1"), "1\n"), (("order 8", "1"), "2\n")):
            self.assertEqual(self.run_clouds("call", "count", "--once", *words).stdout, wanted)
        for words, code, said in ((("order 7", "2"), 3, "CLOUDS_KEY_CONFLICT: "), (("x" * 256,), 2, "CLOUDS_TOO_BIG: "),
                                  (("",), 2, "--once: expected a key, and not an empty text")):
            result = self.run_clouds("call", "count", "--once", *words)
            self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
            self.assertIn(said, result.stderr)

    def test_an_inner_failure_names_the_inner_method(self):
        self.start_service()
        result = self.run_clouds("call", "inner")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no.such.inner", result.stderr)
        self.assertNotIn("'inner'", result.stderr)
        self.assertNotIn("for inner", result.stderr)

    def test_text_of_others_is_escaped(self):
        self.start_service()
        result = self.run_clouds("call", "escape", "true")
        self.assertEqual((result.returncode, result.stderr), (1, r"E\x1b: a\x1b[31m\nb\x7f\u009b" + "\n"))
        plain = "a\x1b[31m\nb\x7f\x9b"
        self.assertEqual(self.json(self.run_clouds("call", "escape", "--json")), [plain])
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        process = subprocess.run([CLOUDS, "call", "escape"], env=self.env, stdin=slave, stdout=slave, timeout=BOUND)
        self.assertEqual(process.returncode, 0)
        shown = os.read(master, 1000).decode().rstrip("\r\n")
        self.assertTrue(shown.isascii() and shown.isprintable(), shown)
        self.assertEqual(json.loads(shown), plain)

    def test_retry_waits_for_a_server(self):
        call = self.start("call", "echo", "5", "--retry", "60", "--timeout", "1")
        self.start_service()
        self.assertEqual(call.wait(), 0, call.err.text())
        self.assertEqual(call.out.text(), "5\n")

    def test_notify(self):
        service = self.serve("""
            local clouds = require "clouds"
            local server = clouds.server({ id = "s.noted" })
            server:register("note", function(...)
                print("note " .. clouds.json.encode(clouds.array({ ... })))
                error("nobody hears of this")
            end)
            print("ready")""")
        for words, said in (((), "[]"), (("-s",), '["x"]'), (("--json",), "[1,true]"), (("--server", "s.noted"), "[2]")):
            arguments = ["x"] if said == '["x"]' else json.loads(said)
            result = self.run_clouds("notify", *words, "note", *(json.dumps(a) if a != "x" else a for a in arguments))
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""), words)
            service.out.wait_for("note " + said)
        for _ in range(2):
            self.assertEqual(self.run_clouds("notify", "--once", "order 9", "note", "3").returncode, 0)
        self.assertEqual(self.run_clouds("notify", "note", "4").returncode, 0)
        service.out.wait_for("note [4]")
        service.out.wait_for("note [3]")
        self.assertEqual(service.out.text().count("note [3]"), 1)
        result = self.run_clouds("notify", "nobody.has.this", "1")
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        self.assertRegex(result.stderr, r"^CLOUDS_NO_AVAILABLE_SERVER: no available server for nobody\.has\.this on ")
        self.assertEqual(self.json(self.run_clouds("notify", "nobody", "--json"), 3)["error"]["outcome"], "NOT_DONE")
        self.assertIn("argument 'x' is not JSON", self.run_clouds("notify", "note", "x").stderr)

    def test_send(self):
        service = self.start_service()
        result = self.run_clouds("send", service.id, '{"a":[1,null]}', "--strict")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        service.out.wait_for('message {"a":[1,null]}')
        self.assertEqual(self.run_clouds("send", "-s", service.id, "plain").returncode, 0)
        service.out.wait_for('message "plain"')

    def test_send_to_nobody(self):
        result = self.run_clouds("send", "s.nobody.1.1", "1")
        self.assertEqual(result.returncode, 0)
        self.assertIn("no one received it", result.stderr)
        self.assertEqual(self.run_clouds("send", "s.nobody.1.1", "1", "--strict").returncode, 3)

    def test_status(self):
        self.assertEqual(self.status(), {"servers": {}, "methods": {}})
        self.assertEqual(self.run_clouds("status").stdout, "no services\n")
        first, second = self.start_service(), self.start_service()
        methods = ["count", "echo", "escape", "fail", "hang", "inner", "none", "raise"]
        status = wait_until(lambda: (lambda s: len(s["servers"]) == 2 and s)(self.status()), "both are listed")
        self.assertEqual({id: sorted(names) for id, names in status["servers"].items()},
                         {first.id: methods, second.id: methods})
        self.assertEqual({name: sorted(ids) for name, ids in status["methods"].items()},
                         {name: sorted([first.id, second.id]) for name in methods})
        lines = self.run_clouds("status").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["METHOD", "SERVERS", "IDS"])
        self.assertEqual([line.split()[0] for line in lines[1:]], methods)
        self.assertEqual({line.index(" 2 ") for line in lines[1:]}, {lines[1].index(" 2 ")})

    def test_states(self):
        script = self.file("paused.lua", """
            local server = require("clouds").server({ id = "s.p", weight = 3, tags = "zone=a,host=x" })
            server:register("one", print)
            server:register("two", print)
            server:pause("two")
            print("ready")""")
        self.start("run", script).out.wait_for("ready")
        states = {"s.p": {"paused": ["two"], "weight": 3, "tags": {"zone": "a", "host": "x"}}}
        wait_until(lambda: self.status().get("states") == states, "its states are listed")
        self.assertEqual(self.run_clouds("status").stdout,
                         "METHOD  SERVERS  IDS\none           1  s.p*3\ntwo           1  s.p*3(paused)\n")

    def test_explain(self):
        result = self.run_clouds("explain", "echo")
        self.assertEqual((result.returncode, result.stdout), (3, "nobody would be called: there is no server\n"))
        service = self.start_service()
        wait_until(lambda: service.id in self.status()["servers"], "it is listed")
        found = self.json(self.run_clouds("explain", "echo", "--json", "--balance", "least"))
        self.assertEqual(found["choice"], {"server": service.id, "rule": "well", "among": 1})
        self.assertEqual((found["method"], found["balance"], [one["id"] for one in found["servers"]]),
                         ("echo", "least", [service.id]))
        lines = self.run_clouds("explain", "echo").stdout.splitlines()
        self.assertEqual(lines[0], f"{service.id} would be called: rr, of 1 that are well")
        self.assertEqual(lines[1].split(), ["ID", "STATE", "ROUTE", "WEIGHT", "TAGS", "ADDRESS"])
        self.assertEqual(lines[2].split()[:2], [service.id, "well"])
        lines = self.run_clouds("explain", "echo", "--tags", "zone=a", "--prefer", "zone", "--balance", "random").stdout
        self.assertEqual(lines.splitlines()[0], f"{service.id} would be called: random, of 1 that are well")
        self.assertEqual(self.run_clouds("explain", "echo", "--prefer", "zone").returncode, 2)
        result = self.run_clouds("explain", "")
        self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
        self.assertEqual(result.stderr, "CLOUDS_INVALID_ARGUMENT: the method is empty\n")

    def test_watch(self):
        watch = self.start("status", "--watch", "0.1", "--json")
        watch.out.wait_for("{}")
        service = self.start_service()
        watch.out.wait_for(service.id)
        self.assertEqual(watch.stop(), 0)
        for line in watch.out.text().splitlines():
            self.assertEqual(set(json.loads(line)), {"servers", "methods"})

    def test_watch_ends_when_nobody_reads(self):
        watch = self.start("status", "--watch", "0.1")
        watch.out.wait_for("no services")
        read_end = watch.popen.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_RDONLY), read_end)
        self.assertEqual(watch.popen.wait(BOUND), 1)


class Local(Commands, Case):
    def test_the_end_waits_for_no_peer(self):
        service = self.start_service()

        def run_all(limit):
            commands = (["call", "-t", limit, "echo"], ["send", "-t", limit, service.id, "1"],
                        ["call", "--json", "-t", limit, "echo"])
            started = time.monotonic()
            codes = [self.run_clouds(*words).returncode for words in commands]
            return codes, time.monotonic() - started

        codes, usual = run_all("5")
        self.assertEqual(codes, [0, 0, 0])
        service.signal(signal.SIGSTOP)
        codes, frozen = run_all("0.2")
        service.signal(signal.SIGCONT)
        self.assertTrue(set(codes) <= {0, 3, 4}, codes)
        # An end that waits for the peer takes 2 s each.
        self.assertLess(frozen, 3 * usual + 3 * 0.2 + 4)


class OverRedis(Commands, Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis()

    def test_the_environment_and_the_option(self):
        self.start_service()
        url = self.env.pop("CLOUDS_URL")
        self.assertEqual(self.status()["methods"], {})
        self.assertEqual(self.run_clouds("--url", url, "call", "echo", "1").stdout, "1\n")
        self.assertEqual(self.run_clouds("call", "echo", "1", "--url", url).stdout, "1\n")
        self.assertEqual(self.run_clouds("call", "echo", "1", "--url-file", self.file("url", url + "\n")).stdout, "1\n")


class Password(Case):
    def test_from_a_file(self):
        server = self.redis()
        server.command("CONFIG", "SET", "requirepass", "s3cret")
        result = self.run_clouds("status")
        self.assertEqual(result.returncode, 3)
        path = self.file("password", "s3cret\n")
        self.assertEqual(self.run_clouds("status", "--password-file", path).returncode, 0)
        result = self.run_clouds("status", "--password-file", self.file("wrong", "wrong\n"))
        self.assertEqual(result.returncode, 3)
        self.assertNotIn("wrong", result.stderr)


class Unreachable(Case):
    def expect_fast(self, *words, env=None):
        started = time.monotonic()
        result = self.run_clouds(*words, env=env)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertRegex(result.stderr, r"CLOUDS_\w+: \S+")
        self.assertLess(time.monotonic() - started, BOUND / 2)
        return result

    def test_nobody_listens(self):
        for url in ("redis://127.0.0.1:1", f"redis+unix://{self.folder}/none.sock"):
            for words in (["call", "m"], ["send", "n", "1"], ["status"], ["bench", "-m", "m", "-t", "0.1"]):
                self.expect_fast("--url", url, *words)

    def test_as_json(self):
        result = self.expect_fast("call", "m", "--json", "--url", "redis://127.0.0.1:1")
        error = json.loads(result.stdout)["error"]
        self.assertEqual(error["outcome"], "NOT_DONE")

    def test_the_limit_is_one_of_the_whole_command(self):
        server = self.redis()
        server.pause()
        for words in (["status"], ["send", "n", "1"], ["call", "m"]):
            result = self.run_clouds(*words, "-t", "0.3")
            self.assertEqual(result.returncode, 3, (words, result.stderr))
            self.assertRegex(result.stderr, "not connected")

    def test_the_reason_is_the_last_known_one(self):
        server = self.redis()
        server.command("CONFIG", "SET", "requirepass", "s3cret")
        for words in (["status"], ["send", "n", "1"], ["call", "m"], ["bench", "-m", "m"]):
            result = self.expect_fast(*words)
            self.assertIn("CLOUDS_AUTH_FAILED", result.stderr, words)

    def test_a_redis_that_dies_under_a_call(self):
        server = self.redis()
        self.serve("""
            local clouds = require "clouds"
            clouds.server{}:register("hang", function() clouds.sleep(1000) end)
            print("ready")""")
        call = self.start("call", "hang", "--deadline", "2")
        wait_until(lambda: len(server.command("PUBSUB", "CHANNELS", "*:L:*")) > 1, "the caller listens")
        server.kill()
        self.assertIn(call.wait(), (3, 4))


if __name__ == "__main__":
    unittest.main()
