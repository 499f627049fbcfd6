"""The command line itself: help, wrong usage, versions, output that cannot be written."""
import json
import os
import re
import socket
import subprocess
import unittest

from support import CLOUDS, Case

COMMANDS = ["run", "call", "notify", "send", "publish", "subscribe", "status", "explain", "bench", "key", "version"]


class Help(Case):
    def test_general_help_names_every_command(self):
        for words in (["--help"], ["-h"], ["help"]):
            result = self.run_clouds(*words)
            self.assertEqual(result.returncode, 0)
            for command in COMMANDS + ["help"]:
                self.assertRegex(result.stdout, rf"(?m)^  {command} ")
            self.assertIn("exit codes", result.stdout)

    def test_each_command_has_help_in_three_forms(self):
        for command in COMMANDS:
            forms = [command, "--help"], [command, "-h"], ["help", command]
            texts = {self.run_clouds(*words).stdout for words in forms}
            self.assertEqual(len(texts), 1, command)
            self.assertTrue(texts.pop().startswith(f"usage: clouds {command}"))

    def test_help_wins_over_missing_operands(self):
        self.assertEqual(self.run_clouds("call", "--help").returncode, 0)
        self.assertEqual(self.run_clouds("send", "--help").returncode, 0)

    def test_help_after_the_script_is_the_scripts(self):
        script = self.file("s.lua", "print(...)")
        self.assertEqual(self.run_clouds("run", script, "--help").stdout, "--help\n")

    def test_no_hidden_option_is_shown(self):
        self.assertNotIn("--serve", self.run_clouds("bench", "--help").stdout)

    def test_nothing_at_all_is_wrong_usage_and_shows_help(self):
        result = self.run_clouds()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("usage: clouds", result.stderr)


class WrongUsage(Case):
    def expect(self, words, *texts):
        result = self.run_clouds(*words)
        self.assertEqual(result.returncode, 2, f"{words}: {result.stderr}")
        self.assertEqual(result.stdout, "")
        for text in texts:
            self.assertIn(text, result.stderr)
        self.assertNotIn("traceback", result.stderr)
        self.assertNotIn("\x1b", result.stderr)

    def test_commands(self):
        self.expect(["rnu"], "unknown command 'rnu'", "did you mean run?")
        self.expect(["frobnicate"], "expected one of run, start, ps, reload, upgrade, scale, logs, quiet, gateway, call, notify, send, publish, subscribe, status, list, describe, explain, trace, top, doctor, ping, pause, resume, stop, bench, completion, key, check, version, help")
        self.expect(["hello.lua"], "cannot read the script hello.lua: No such file", "clouds run SCRIPT")
        self.expect(["help", "nothing"], "unknown command")

    def test_every_option(self):
        """One that is misspelled is refused, with the one that was meant: every option of every command."""
        for command in COMMANDS:
            text = self.run_clouds(command, "--help").stdout
            names = re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.M)
            self.assertIn("help", names)
            for name in names:
                self.expect([command, f"--{name}x"], f"unknown option --{name}x; did you mean --{name}?")

    def test_options(self):
        self.expect(["--frob"], "unknown option --frob")
        self.expect(["-z"], "unknown option -z")
        self.expect(["run", "--drian", "3", "x"], "did you mean --drain?")
        self.expect(["run", "--drain", "x", "y"], "--drain: expected a number of 0 or more, got 'x'")
        self.expect(["run", "--drain"], "--drain needs a value: SECONDS")
        self.expect(["run", "-e"], "-e needs a value: CODE")
        self.expect(["version", "--json=yes"], "--json takes no value")
        self.expect(["status", "--watch", "0"], "0.1 or more")
        self.expect(["bench", "-c", "0"], "from 1 to 1000000")
        self.expect(["bench", "-c", "1.5"], "expected a whole number")
        self.expect(["call", "--retry", "-1", "m"], "--retry")
        self.expect(["call", "--retry", "1000001", "m"], "--retry: expected a whole number from 0 to 1000000, got '1000001'")
        self.expect(["bench", "-c", "99999999"], "--concurrency: expected a whole number from 1 to 1000000")
        self.expect(["subscribe", "-n", "1.5", "t"], "--count: expected a whole number of 1 or more")
        for wrong in ("1e999", "inf", "nan", "0x10", "1e", "e3", "1.2.3", ""):
            self.expect(["status", "--timeout", wrong], "--timeout: expected a number of 0.001 or more")
        self.expect(["status", "--timeout", "1e1", "--watch=1e-3"], "--watch: expected a number of 0.1 or more, got '1e-3'")
        self.expect(["key", ""], "the path of the file is empty")
        for words in (["call", "m"], ["status"], ["send", "n", "1"], ["bench"]):
            self.expect([*words, "--timeout", "0"], "--timeout: expected a number of 0.001 or more, got '0'")

    def test_what_a_gateway_cannot_serve(self):
        for static in ("/nowhere", __file__):
            self.expect(["gateway", "--allow", "x", "--static", static], f"cannot serve the folder {static}")
        self.expect(["gateway", "--allow", "x", "--token-file", "/nowhere"], "/nowhere", "No such file")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = self.run_clouds("gateway", "--allow", "x", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual(result.returncode, 3)
        self.assertRegex(result.stderr, r"^clouds gateway: cannot listen at .*address already in use\n$")

    def test_operands(self):
        self.expect(["call"], "expected: clouds call [options] METHOD [JSON ...]")
        self.expect(["send", "node"], "expected: clouds send")
        self.expect(["send", "node", "1", "2"], "unexpected argument '2'")
        self.expect(["status", "x"], "unexpected argument 'x'")
        self.expect(["version", "x"], "unexpected argument 'x'")
        self.expect(["run"], "expected a script, -e, -l or -i")

    def test_urls(self):
        for command in (["call", "m"], ["send", "n", "1"], ["status"], ["bench"]):
            self.expect(["--url", "nonsense", *command], "redis://")
            self.expect([*command, "--url", "http://somewhere/"], "redis://")
            self.expect([*command, "--url", "redis://host:99999/"])
        self.expect(["--url"], "--url needs a value")
        self.expect(["run", "-e", "", "--url", "nonsense"], "redis://")

    def test_a_bad_url_from_the_environment(self):
        result = self.run_clouds("status", env={"CLOUDS_URL": "http://somewhere"})
        self.assertEqual(result.returncode, 2)
        self.assertIn("redis://", result.stderr)

    def test_a_password_in_a_bad_url_is_not_repeated(self):
        result = self.run_clouds("status", "--url", "//user:s3cret@host")
        self.assertEqual(result.returncode, 2)
        self.assertNotIn("s3cret", result.stderr)

    def test_url_file(self):
        self.expect(["status", "--url-file", os.path.join(self.folder, "none")], "No such file")
        self.expect(["status", "--url-file", self.file("empty", "")], "is empty")
        url = self.file("url", "inproc:x\n")
        self.assertEqual(self.run_clouds("status", "--url-file", url).returncode, 0)

    def test_arguments_that_are_not_json(self):
        self.expect(["call", "m", "hello"], "argument 'hello' is not JSON", "'\"hello\"'", "--string")
        self.expect(["call", "m", "1", "{"], "argument '{' is not JSON")
        self.expect(["call", "m", "1 2"], "not JSON")
        self.expect(["call", "m", ""], "not JSON")
        self.expect(["send", "n", "hello"], "not JSON")
        self.expect(["bench", "hello"], "not JSON")

    def test_bytes_that_are_no_text(self):
        bad = b"\xff\x1b"
        for words in ([b"call", b"-s", b"m", bad], [b"call", bad], [b"call", b"--server", bad, b"m"],
                      [b"send", b"-s", b"n", bad], [b"send", bad, b"1"], [b"bench", b"-m", bad]):
            self.expect(words, "'\\xff\\x1b' is not UTF-8")

    def test_any_bytes_on_the_command_line_only_give_an_error(self):
        long = b"a" * 100000
        for word in (b"\xff\xfe", b"-\xff", b"--\xff\xfe", b"--=", b"-", b"--url=\x01", long, b"--" + long):
            for words in ([word], [b"call", word], [b"call", b"m", word], [b"status", word], [b"bench", b"-c", word]):
                result = subprocess.run([CLOUDS.encode(), b"--url", b"inproc:", *words], env=self.env,
                                        stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
                self.assertIn(result.returncode, (2, 3), (word[:20], result.stderr[:300]))
                self.assertNotIn(b"traceback", result.stderr)


class Version(Case):
    def test_text(self):
        result = self.run_clouds("version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^clouds \d+\.\d+\.\d+\nLuaJIT .+\nlibuv \d+\.\d+\.\d+\n$")
        self.assertEqual(self.run_clouds("--version").stdout, result.stdout)

    def test_json(self):
        versions = self.json(self.run_clouds("version", "--json"))
        self.assertEqual(set(versions), {"clouds", "luajit", "libuv"})
        self.assertIn("LuaJIT", versions["luajit"])


class Keys(Case):
    def test_a_key_is_made_once_and_read_by_its_owner_only(self):
        path = os.path.join(self.folder, "key")
        self.assertEqual(self.run_clouds("key", path).returncode, 0)
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        with open(path) as file:
            key = file.read()
        self.assertRegex(key, r"^[0-9a-f]{64}\n$")
        again = self.run_clouds("key", path)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertEqual(again.stderr, f"clouds key: {path}: File exists\n")
        with open(path) as file:
            self.assertEqual(file.read(), key)
        other = os.path.join(self.folder, "other")
        self.assertEqual(self.run_clouds("key", other).returncode, 0)
        with open(other) as file:
            self.assertNotEqual(file.read(), key)


class Output(Case):
    def run_into(self, target, *words):
        with open(target, "wb") as out:
            return subprocess.run([CLOUDS, *words], env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.PIPE, text=True, timeout=30)

    def test_a_full_device_is_an_error(self):
        self.serve("require('clouds').server{}:register('m', function() return 1 end) print('ready')")
        for words in (["version"], ["help"], ["call", "m"], ["call", "m", "--json"], ["status"], ["status", "--json"],
                      ["bench", "-m", "m", "-t", "0.05", "--warmup", "0"], ["run", "-e", "print('x')"],
                      ["run", "-e", "io.write('x')"], ["run", "-e", "print('x') os.exit(0)"],
                      ["run", "-e", "print('x') require('clouds').sleep(0.01)"]):
            result = self.run_into("/dev/full", *words)
            self.assertEqual(result.returncode, 1, words)
            self.assertRegex(result.stderr, "^clouds: cannot write the output: No space left on device\n$", words)
        self.assertEqual(self.run_into("/dev/full", "run", "-e", "io.write('x\\n')").returncode, 1)
        self.assertEqual(self.run_into("/dev/full", "run", "-e", "print(1) return 3").returncode, 3)

    def test_too_few_descriptors_are_an_error(self):
        for limit in range(4, 12):
            result = subprocess.run(f"ulimit -n {limit}; exec {CLOUDS} version", shell=True, env=self.env, timeout=30,
                                    capture_output=True, text=True)
            self.assertIn(result.returncode, (0, 1))
            if result.returncode == 1:
                self.assertIn(f"Too many open files (the limit, ulimit -n, is {limit})", result.stderr)

    def test_a_closed_pipe_ends_quietly(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            result = subprocess.run([CLOUDS, "version"], env=self.env, stdout=write_end, stderr=subprocess.PIPE,
                                    timeout=30)
        finally:
            os.close(write_end)
        self.assertEqual((result.returncode, result.stderr), (1, b""))

    def test_closed_standard_descriptors_do_no_harm(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            for words in ("version", "status --url inproc:", "run -i", "run -e ''"):
                result = subprocess.run(f"{CLOUDS} {words} {closed}", shell=True, env=self.env, capture_output=True,
                                        timeout=30)
                self.assertIn(result.returncode, (0, 1), (closed, words, result.stderr))
                self.assertNotIn(b"ssert", result.stderr)

    def test_json_is_one_line_of_json(self):
        for words in (["version", "--json"], ["status", "--json"]):
            result = self.run_clouds(*words)
            self.assertEqual(result.stdout.count("\n"), 1)
            json.loads(result.stdout)


if __name__ == "__main__":
    unittest.main()
