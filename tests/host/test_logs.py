"""The log of clouds start: its forms, its files, clouds logs, and what becomes of lines that cannot be written."""
import glob
import json
import os
import re
import signal
import subprocess
import unittest

from support import CLOUDS, Master, Process, Terminal, wait_until

SAYS = """
local clouds = require "clouds"
local server = clouds.server {}
server:register("say", function(text) print(text) end)
server:register("warn", function(text) io.stderr:write(text, "\\n") end)
server:register("count", function(first, last)
  for i = first, last do print("number " .. i) end
end)
server:register("flood", function(count)
  clouds.spawn(function()
    for i = 1, count do
      print(("x"):rep(200) .. " number " .. i)
      if i % 500 == 0 then clouds.sleep(0) end
    end
    server:register("flooded", function() end)
  end)
end)
"""
TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) (\d+) \| (.*)")


def read(path):
    """What is in the file; nothing, while another is put in its place."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def numbers(text):
    return [int(number) for number in re.findall(r"number (\d+)$", text, re.M)]


class Log(Master):
    def setUp(self):
        super().setUp()
        self.script = self.file("web.lua", SAYS)
        self.log = os.path.join(self.folder, "web.log")

    def open(self, *options, workers=1, **words):
        self.master = self.start("start", "--workers", str(workers), *options, self.script, **words)
        self.master.err.wait_for("web ready: ")

    def open_file(self, *rest, log="", more=""):
        """By a cluster.lua with these words in its master, and behind it."""
        self.plan = self.file("cluster.lua", f"""
            local app = require("clouds.cluster").master {{ name = "web", {log} }}
            app:register("web", "web.lua", {{ workers = 1 }})
            {more}
        """)
        if not rest:
            self.master = self.start("start", "-c", self.plan)
            self.master.err.wait_for("web ready: ")

    def call(self, *words):
        result = self.run_clouds("call", *map(str, words))
        self.assertEqual(result.returncode, 0, result.stderr)

    def logs(self, *words, code=0):
        result = self.run_clouds("logs", *words)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout


class Forms(Log):
    ODD = 'print("tab\\t esc\\27[1m bad\\255\\192\\128 good é") print(("x"):rep(20000)) io.stderr:write("warned\\n")'

    def test_text_in_a_file(self):
        self.file("web.lua", SAYS + self.ODD)
        self.open("--log-file", self.log)
        wait_until(lambda: all(text in read(self.log) for text in ("warned\n", "web ready", "xxx...\n")), "all of it")
        lines = [TEXT.fullmatch(line).groups() for line in read(self.log).splitlines()]
        worker = [text for name, _, text in lines if name == "web.1"]
        self.assertIn("tab\\t esc\\x1b[1m bad\\xff\\xc0\\x80 good é", worker)
        self.assertIn("x" * 16384 + "...", worker)
        self.assertIn("warned", worker)
        self.assertIn("web ready: web 1", "".join(text for name, _, text in lines if name == "master"))
        self.assertEqual(self.master.out.text(), "")
        self.assertIn("web ready: ", self.master.err.text())
        self.assertNotIn("warned", self.master.err.text())
        self.end()
        self.assertIn("web stops", read(self.log))

    def test_json_of_workers(self):
        self.script = self.file("web.lua", SAYS + """
            server:register("log", function(text) clouds.log("warning", text, { item = { 7 }, time = "mine" }) end)
            server:register("break", function() local nothing; return nothing.x end)
        """)
        self.open("--log-format", "json")
        for text in ('{"message":"one","level":"debug","n":1}', '{"message":7}', '{"a":1}', "{", "[1]"):
            self.call("-s", "say", text)
        self.call("log", '"a\\u001bb"')
        traced = self.run_clouds("trace", "--json", "break")
        rows = {}

        def all_there():
            for line in (self.master.out.text() + self.master.err.text()).splitlines():
                row = json.loads(line)
                rows[row["message"]] = row
            return any("error in a handler" in message for message in rows) and "a\x1bb" in rows
        wait_until(all_there, "all lines")
        self.assertEqual([rows["one"][key] for key in ("level", "n", "worker", "stream")], ["debug", 1, "web.1", "stdout"])
        for text in ('{"message":7}', '{"a":1}', "{", "[1]"):
            self.assertEqual(rows[text]["level"], "info")
        row = rows["a\x1bb"]
        self.assertEqual([row[key] for key in ("level", "method", "item", "worker")], ["warning", "log", [7], "web.1"])
        self.assertRegex(row["time"], r"^\d{4}-")
        self.assertTrue(row["caller"] and row["request"])
        row = next(row for message, row in rows.items() if "error in a handler of 'break'" in message)
        self.assertEqual([row[key] for key in ("level", "method", "trace")],
                         ["error", "break", json.loads(traced.stdout)["trace"]])
        self.assertIn("web.lua", row["traceback"])
        listed = [json.loads(line) for line in self.logs("--json", "-g", "web").splitlines()]
        self.assertIn(("one", 1), [(row["message"], row.get("n")) for row in listed])

    def test_json(self):
        self.file("web.lua", SAYS + self.ODD)
        self.open("--log-format", "json")
        self.end()
        rows = [json.loads(line) for line in (self.master.out.text() + self.master.err.text()).splitlines()]
        self.assertEqual({row["app"] for row in rows}, {"web"})
        odd = next(row for row in rows if row["message"].startswith("tab"))
        self.assertEqual(odd["message"], "tab\t esc\x1b[1m bad\\xff\\xc0\\x80 good é")
        self.assertEqual([odd[name] for name in ("group", "worker", "stream", "level")], ["web", "web.1", "stdout", "info"])
        warned = next(row for row in rows if row["message"] == "warned")
        self.assertEqual((warned["stream"], warned["level"]), ("stderr", "warning"))
        stops = next(row for row in rows if row["message"] == "web stops")
        self.assertEqual((stops["worker"], stops["pid"], stops.get("stream")), ("master", self.master.pid, None))

    def test_a_terminal(self):
        for env, expected in (({}, r"\x1b\[3\dm\d\d:\d\d:\d\d web\.1 \x1b\[31m\|\x1b\[0m warned\n"),
                              ({"NO_COLOR": "1"}, r"(?m)^\d\d:\d\d:\d\d web\.1 \| warned\n")):
            terminal = Terminal(self, [CLOUDS, "start", "-w", "1", self.script], {**self.env, **env})
            terminal.wait_for("web ready: ")
            self.call("warn", '"warned"')
            terminal.wait_for(expected)
            terminal.popen.terminate()
            self.assertEqual(terminal.end(), (0, True))

    def test_the_journal_of_systemd(self):
        ours, theirs = os.pipe()
        about = os.fstat(theirs)
        env = {**self.env, "JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}
        with open(ours) as lines:
            popen = subprocess.Popen([CLOUDS, "start", "-w", "1", self.script], env=env, stdin=subprocess.DEVNULL,
                                     stdout=theirs, stderr=theirs)
            os.close(theirs)
            for line in lines:
                if "web ready: " in line:
                    break
            self.assertTrue(line.startswith("<6>master | web ready: "), line)
            self.call("warn", '"warned"')
            self.assertEqual(lines.readline(), "<4>web.1 | warned\n")
            popen.terminate()
            self.assertEqual(popen.wait(60), 0)

    def test_not_captured(self):
        """A worker has the output of the master."""
        self.open_file(log="log = { capture = false }")
        self.call("say", '"plain"')
        self.assertEqual(self.master.out.wait_for("plain\n"), "plain\n")
        self.assertNotIn("plain", self.logs())
        self.end()

    def test_what_is_wrong(self):
        for words, text in ((("--log-file", "/none/web.log"), "cannot write the log to /none/web.log: No such file"),
                            (("--log-file", self.folder), "Is a directory"),
                            (("--log-format", "xml"), '--log-format: expected one of "text", "json", got "xml"'),
                            (("--log-keep", "-1"), "--log-keep")):
            result = self.run_clouds("start", *words, self.script)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(text, result.stderr)
        for log, text in (("log = { fil = 'x' }", "unknown key 'fil' of 'log'; did you mean 'file'?"),
                          ("log = 'x'", "expected a table of the keys of 'log', got \"x\""),
                          ("log = { keep = -1 }", "cluster.lua:2: 'log.keep': expected")):
            self.open_file(False, log=log)
            result = self.run_clouds("check", self.plan)
            self.assertEqual(result.returncode, 2)
            self.assertIn(text, result.stderr)
        result = self.run_clouds("start", "-c", self.plan, "--log-file", "x")
        self.assertIn("--log-file is for a script; with -c FILE say it there", result.stderr)


class Files(Log):
    def all(self, path):
        """What is in the files, the oldest first."""
        aside = sorted(glob.glob(path + ".*"), key=lambda name: -int(name.rpartition(".")[2]))
        return "".join(map(read, [*aside, path]))

    def test_H20_rotation(self):
        """Put aside hundreds of times: every line is there, in order."""
        self.open("--log-file", self.log, "--log-max-size", "2000", "--log-keep", "5000")
        self.call("count", 1, 5000)
        wait_until(lambda: "number 5000\n" in read(self.log), "the last line")
        self.assertEqual(numbers(self.all(self.log)), list(range(1, 5001)))
        self.assertGreater(len(glob.glob(self.log + ".*")), 100)
        self.assertLess(max(map(os.path.getsize, glob.glob(self.log + ".*"))), 2001)
        self.assertEqual(self.status()["log"], {"files": [self.log], "lost_lines": 0})
        self.end()

    def test_so_many_are_kept(self):
        self.open("--log-file", self.log, "--log-max-size", "2000", "--log-keep", "2")
        self.call("count", 1, 1000)
        wait_until(lambda: "number 1000\n" in read(self.log), "the last line")
        self.assertEqual(sorted(glob.glob(self.log + "*")), [self.log, self.log + ".1", self.log + ".2"])
        kept = numbers(self.all(self.log))
        self.assertEqual(kept, list(range(kept[0], 1001)))
        self.end()

    def test_put_aside_by_another(self):
        """As logrotate does: by a name of its own and a word to the master, or by a copy."""
        self.open("--log-file", self.log)
        for number, tell in enumerate((lambda: self.assertIn(self.log, self.logs("--reopen")),
                                       lambda: self.master.signal(signal.SIGHUP))):
            moved = f"{self.log}-{number}"
            os.rename(self.log, moved)
            self.call("say", f'"old {number}"')
            wait_until(lambda: read(moved).endswith(f"| old {number}\n"), "in the old file")
            tell()
            wait_until(lambda: os.path.exists(self.log), "the new file")
            self.call("say", f'"new {number}"')
            wait_until(lambda: f"| new {number}\n" in read(self.log), "in the new file")
            self.assertNotIn(f"| new {number}\n", read(moved))
        wait_until(lambda: " reloaded: " in read(self.log), "the end of what SIGHUP asked for")
        os.truncate(self.log, 0)
        self.call("say", '"after"')
        wait_until(lambda: TEXT.fullmatch(read(self.log).rstrip("\n")), "one line, and nothing before it")
        self.end()

    def test_of_groups(self):
        other, third = os.path.join(self.folder, "other.log"), os.path.join(self.folder, "third.log")
        more = 'app:register("other", "other.lua", { workers = 1, log_file = "%s" })'
        self.file("other.lua", 'require("clouds").server {}:register("other", function(text) print(text) end)')
        self.open_file(log='log = { file = "web.log" }', more=more % "other.log")
        self.call("say", '"of web"')
        self.call("other", '"of other"')
        wait_until(lambda: "of web" in read(self.log) and "of other" in read(other), "each in its file")
        self.assertNotIn("of other", read(self.log) + self.master.out.text())
        self.assertNotIn("of web", read(other))
        self.open_file(False, log='log = { file = "none/web.log" }', more=more % "third.log")
        result = self.run_clouds("reload", "web")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write the log to " + os.path.join(self.folder, "none/web.log"), result.stderr)
        self.call("other", '"goes on"')
        wait_until(lambda: "goes on" in read(other), "in the old file")
        self.open_file(False, more=more % "third.log")
        self.assertEqual(self.run_clouds("reload", "web").returncode, 0)
        self.call("say", '"to the output"')
        self.call("other", '"to the third"')
        self.master.out.wait_for("to the output")
        wait_until(lambda: "to the third" in read(third), "in the new file")
        self.assertNotIn("to the third", read(other))
        self.assertEqual(self.status()["log"]["files"], [third])
        self.end()


class Shown(Log):
    def test_lines(self):
        self.open(workers=2)
        script = 'local client = require("clouds").client {} for n = 0, 3 do client:call("say", { "line " .. n }) end'
        self.assertEqual(self.run_clouds("run", "-e", script).stderr, "")  # by turns, so each worker has two
        expected = [f"line {n}" for n in range(4)]
        wait_until(lambda: self.master.out.text().count("| line") == 4, "all are there")
        text = self.logs()
        self.assertEqual(sorted(re.findall(r"\| (line \d)", text)), expected)
        self.assertIn("worker web.1 ready", text)
        self.assertEqual(len(self.logs("-n", "2", "web").splitlines()), 2)
        self.assertEqual(self.logs("-n", "0"), "")
        self.assertNotIn("line", self.logs("-g", "master"))
        of_web = self.logs("-g", "web").splitlines()
        self.assertEqual(sorted(TEXT.fullmatch(line).group(3) for line in of_web), expected)
        of_each = [[line for line in of_web if TEXT.fullmatch(line).group(1) == name] for name in ("web.1", "web.2")]
        self.assertTrue(all(of_each), of_web)
        self.assertEqual([self.logs("-g", name).splitlines() for name in ("web.1", "web.2")], of_each)
        rows = [json.loads(line) for line in self.logs("--json", "-g", "web").splitlines()]
        self.assertEqual(sorted(row["message"] for row in rows), expected)
        self.assertEqual({row["group"] for row in rows}, {"web"})
        for words, code, text in ((("-g", "web.7"), 2, "no worker 'web.7'; the last of web is web.2"),
                                  (("-g", "mail"), 2, "no group 'mail'; there is web, master, manager"),
                                  (("mail",), 3, "no application 'mail' runs here"),
                                  (("--reopen", "-f"), 2, "--follow is for lines"),
                                  (("-n", "x"), 2, "expected a whole number")):
            result = self.run_clouds("logs", *words)
            self.assertEqual((result.returncode, text in result.stderr), (code, True), result.stderr)
        self.assertIn("writes no files", self.logs("--reopen"))
        self.end()

    def test_so_many_are_kept(self):
        self.open_file(log="log = { lines = 10 }")
        self.call("count", 1, 100)
        wait_until(lambda: "number 100\n" in self.logs(), "the last line")
        self.assertEqual(numbers(self.logs("-g", "web")), list(range(91, 101)))
        self.end()

    def test_follow(self):
        self.open()
        self.call("say", '"before"')
        follower = self.start("logs", "-f", "-n", "0")
        wait_until(lambda: self.call("say", '"begin"') or "begin" in follower.out.text(), "it follows")
        json_too = self.start("logs", "-f", "--json", "-g", "web")
        json_too.out.wait_for("begin")
        self.call("say", '"after"')
        follower.out.wait_for("after")
        json_too.out.wait_for("after")
        self.end()
        self.assertEqual((follower.wait(), json_too.wait()), (0, 0))
        self.assertIn("web stops", follower.out.text())
        self.assertNotIn("before", follower.out.text())
        messages = [json.loads(line)["message"] for line in json_too.out.text().splitlines()]
        self.assertEqual([message for message in messages if message != "begin"], ["before", "after"])

    def test_one_that_does_not_read(self):
        """What it cannot take is counted; nobody waits for it."""
        self.open("--log-file", self.log)
        follower = self.start("logs", "-f", "--json", "-g", "web", "-n", "0")
        wait_until(lambda: self.call("say", '"begin"') or "begin" in follower.out.text(), "it follows")
        follower.signal(signal.SIGSTOP)
        self.call("count", 1, 30000)
        wait_until(lambda: read(self.log).endswith("number 30000\n"), "the last line")
        follower.signal(signal.SIGCONT)
        wait_until(lambda: re.search(r"number 30000\b.*\n", follower.out.text()), "the last line, whole")
        rows = [json.loads(line) for line in follower.out.text().splitlines() if "number" in line]
        missed = sum(row.get("missed", 0) for row in rows)
        self.assertGreater(missed, 0)
        self.assertEqual(len(rows) + missed, 30000)
        self.end()


class Unwritable(Log):
    LINES = 20000

    def setUp(self):
        super().setUp()
        self.file("other.lua", 'require("clouds").server {}:register("served", function() end)')

    def load(self):
        self.file("load.lua", """
            local clouds = require "clouds"
            local client, count = clouds.client { timeout = 50 }, 0
            while true do
              local _, err = client:call("served")
              if err then print(err) else count = count + 1 end
              if count % 100 == 0 then print("served " .. count) end
            end
        """)
        return self.start("run", os.path.join(self.folder, "load.lua"))

    def goes_on(self, load):
        before = len(load.out.text().splitlines())
        wait_until(lambda: len(load.out.text().splitlines()) > before + 3, "calls are served")
        self.assertEqual([line for line in load.out.text().splitlines() if not line.startswith("served ")], [])

    def flood(self, load):
        """Far more than can wait to be written; the worker comes to its end."""
        self.call("flood", self.LINES)
        wait_until(lambda: '"flooded"' in self.run_clouds("status", "--json").stdout, "its end")
        self.goes_on(load)

    def test_H20_a_blocked_terminal(self):
        """Nobody waits for it, and what it did not get is counted."""
        self.open_file(False, more='app:register("other", "other.lua", { workers = 1 })')
        terminal = Terminal(self, [CLOUDS, "start", "-c", self.plan], {**self.env, "NO_COLOR": "1"})
        terminal.wait_for("web ready: ")
        load = self.load()
        self.flood(load)
        lost = wait_until(lambda: self.status()["log"]["lost_lines"], "some are lost")
        self.assertLess(lost, self.LINES)
        terminal.popen.terminate()  # what waits is written when somebody reads, within the time for that
        self.assertEqual(terminal.end(), (0, True))
        told = sum(map(int, re.findall(r"master \| (\d+) lines were lost: they could not be written in time", terminal.text)))
        self.assertEqual(len(numbers(terminal.text)) + told, self.LINES)

    def test_H20_a_full_disk(self):
        self.open_file(log='log = { file = "/dev/full" }', more='app:register("other", "other.lua", { workers = 1 })')
        load = self.load()
        self.flood(load)
        wait_until(lambda: self.status()["log"]["lost_lines"] >= self.LINES, "all are lost")
        self.master.err.wait_for("lines were lost: ")
        self.assertEqual(len(re.findall("lines were lost: /dev/full: cannot write it: No space left on device",
                                        self.master.err.text())), 1, self.master.err.text())
        self.assertGreater(len(numbers(self.logs("-g", "web"))), 0)
        self.end()
        told = map(int, re.findall(r"(\d+) lines were lost", self.master.err.text()))
        self.assertGreaterEqual(sum(told), self.LINES)

    @unittest.skipUnless(os.geteuid() == 0, "only root can make a small disk")
    def test_H20_a_disk_that_is_full_for_a_while(self):
        """No line is there by half, and the file goes on when there is room again."""
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        self.open_file(False, log='log = { file = "disk/web.log" }')
        script = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
        self.master = Process(["unshare", "-m", "sh", "-c", script, disk, CLOUDS, "start", "-c", self.plan], self.env)
        self.addCleanup(self.master.discard)
        self.master.err.wait_for("web ready: ")
        log = f"/proc/{self.status()['pid']}/root{disk}/web.log"
        self.call("count", 1, 5000)
        lost = wait_until(lambda: self.status()["log"]["lost_lines"], "the disk is full")
        self.assertLess(lost, 5000)
        for line in read(log).splitlines():
            self.assertRegex(line, TEXT)
        os.truncate(log, 0)
        self.call("say", '"again"')
        wait_until(lambda: "| again\n" in read(log), "it is written again")
        self.assertRegex(read(log).splitlines()[0], TEXT)
        self.end()


if __name__ == "__main__":
    unittest.main()
