"""clouds ps, reload, scale, quiet, resume, stop, and the control socket that they ask."""
import contextlib
import json
import os
import signal
import socket
import unittest

from support import Master, wait_until

WEB = """
local http = require "clouds.http"
http.serve(function(request)
  local seconds = request.path:match("^/slow/(.*)$")
  if seconds then require("clouds").sleep(tonumber(seconds)) end
  return os.getenv "CLOUDS_WORKER" .. "/" .. os.getenv "CLOUDS_GENERATION"
end)
"""


class Control(Master):
    def open(self, code=WEB, workers=2, options=(), name="web", listen=True):
        self.script = self.file(f"{name}.lua", code)
        where = ("--listen", "127.0.0.1:0") if listen else ()
        self.master = self.start("start", *where, "--workers", str(workers), *options, self.script)
        self.master.err.wait_for(" ready: ")

    def says(self, *words, code=0, text=""):
        """What a command prints, on either stream."""
        result = self.run_clouds(*words)
        said = result.stdout + result.stderr
        self.assertEqual(result.returncode, code, said)
        self.assertIn(text, said)
        return said

    def path(self, name="web"):
        return os.path.join(self.env["CLOUDS_RUNTIME_DIR"], "apps", f"{name}.ctl")


class Commands(Control):
    def test_nothing_runs(self):
        for command in ("ps", "reload", "stop", "quiet", "resume"):
            self.says(command, code=3, text="no application runs here")
        self.says("scale", "2", code=3, text="no application runs here")
        self.says("ps", "web", code=3, text="no application 'web' runs here")

    def test_ps(self):
        self.open()
        self.says("ps", text="WORKER")
        self.says("ps", "--check")
        status = self.status()
        self.assertEqual((status["name"], status["state"], status["pid"]), ("web", "ready", self.master.popen.pid))
        group = status["groups"][0]
        self.assertEqual((group["name"], group["wanted"], group["ready"], group["generation"]), ("web", 2, 2, 1))
        self.assertEqual([row["worker"] for row in group["workers"]], ["web.1", "web.2"])
        for row in group["workers"]:
            self.assertEqual((row["state"], row["restarts"]), ("ready", 0))
            self.assertTrue(os.path.exists(f"/proc/{row['pid']}"))
        victim = group["workers"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: self.workers()[0].get("pid") not in (None, victim), "another")
        row = self.workers()[0]
        self.assertEqual((row["restarts"], row["last_exit"]), (1, "SIGKILL"))

    def test_reload(self):
        self.open()
        self.says("reload", text="web is reloaded: web generation 2")
        self.says("reload", "-g", "web", text="web generation 3")
        self.says("reload", "-g", "mail", code=2, text="no group 'mail'; there is web")
        with open(self.script, "a") as script:
            script.write("error 'not today'\n")
        wait_until(lambda: [row["state"] for row in self.workers()] == ["ready"] * 2, "those of before have ended")
        before = {row["pid"] for row in self.workers()}
        self.says("reload", code=1, text="not today")
        answer = self.run_clouds("reload", "--json")
        self.assertEqual((answer.returncode, json.loads(answer.stdout)["error"]["code"]), (1, "RELOAD_FAILED"))

        def again():
            return {row.get("pid") for row in self.workers()} == before
        wait_until(again, "the same workers serve, and no others are left")

    def test_scale(self):
        self.open()

        def counts():
            group = self.status()["groups"][0]
            return group["wanted"], group["ready"], len(group["workers"])
        for word, count in (("4", 4), ("-1", 3), ("+2", 5), ("1", 1)):
            self.says("scale", "web", word, text=f"web is to have {count} workers")
            wait_until(lambda: counts() == (count, count, count), f"{count} workers")
        for word, text in (("0", "from 1 to 1024"), ("-1", "from 1 to 1024"), ("5000", "from 1 to 1024"),
                           ("many", "expected a number")):
            self.says("scale", word, code=2, text=text)

    def test_quiet(self):
        self.open()
        port = int(self.status()["groups"][0]["listen"][0].rpartition(":")[2])
        self.says("quiet", text="web is quiet")
        self.says("ps", "--check", code=1)
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.settimeout(0.3)
        self.assertRaises(TimeoutError, client.recv, 1)
        self.says("resume", text="takes calls again")
        client.settimeout(60)
        self.assertIn(b"200 OK", client.recv(4096))
        client.close()

    def test_quiet_services(self):
        """Callers choose other servers, until resume."""
        self.open('require("clouds").server {}:register("pid", function() return 1 end)', listen=False)
        self.says("call", "pid")
        self.says("quiet")
        wait_until(lambda: self.run_clouds("call", "pid").returncode == 3, "all have heard of it")
        self.says("resume")
        wait_until(lambda: self.run_clouds("call", "pid").returncode == 0, "it takes calls again")

    def test_stop(self):
        self.open()
        self.says("stop", text="web has stopped")
        self.assertEqual(self.master.wait(), 0)
        self.assertFalse(os.path.exists(self.path()))
        self.open()
        port = int(self.status()["groups"][0]["listen"][0].rpartition(":")[2])
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /slow/60 HTTP/1.0\r\n\r\n")
        wait_until(lambda: sum(row["board"]["in_flight"] for row in self.workers()), "it is under way")
        self.says("stop", "--now", "web", code=4, text="not in order")
        self.assertEqual(self.master.wait(), 4)
        client.close()

    def test_several(self):
        self.open()
        first = self.master
        self.open(name="shop")
        self.says("ps", text="shop.1")
        self.says("reload", code=2, text="there are several: shop, web")
        self.says("stop", "shop", text="shop has stopped")
        self.assertEqual(self.master.wait(), 0)
        self.assertIsNone(first.popen.poll())

    def test_one_of_a_name(self):
        """Of many that start at once one runs, which the others name; and again when it was killed."""
        script = self.file("web.lua", 'require("clouds").server {}:register("pid", function() return 1 end)')
        for _ in range(3):
            masters = [self.start("start", "-w", "1", script) for _ in range(8)]
            wait_until(lambda: sum(each.popen.poll() is None for each in masters) == 1, "one of them runs")
            running = next(each for each in masters if each.popen.poll() is None)
            for each in masters:
                if each is not running:
                    self.assertEqual(each.wait(), 3, each.err.text())
                    self.assertIn(f"web runs already, as process {running.popen.pid}", each.err.text())
            running.signal(signal.SIGKILL)
            running.wait()
        self.open(workers=1)
        self.says("ps", "--check")

    def test_C30_a_start_that_fails(self):
        """It says so once, and leaves nothing."""
        script = self.file("web.lua", "error 'not today'")
        process = self.start("start", "-w", "1", script)
        self.assertEqual(process.wait(), 1)
        self.assertEqual(process.err.text().count("web does not start"), 1, process.err.text())
        self.assertNotIn("error in", process.err.text())
        self.assertFalse(os.path.exists(self.path()))

    def test_names(self):
        script = self.file("web.lua", WEB)
        for name in ("a/b", "..", "", "x" * 65):
            self.says("start", "--name", name, script, code=2, text="--name: expected 1 to 64 letters")


class Protocol(Control):
    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.path())
        self.addCleanup(client.close)
        return client, client.makefile("r")

    def test_H25_lines(self):
        self.open()
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(self.path())).st_mode & 0o777, 0o700)
        client, lines = self.connect()
        for sent, code in ((b"nonsense\n", "WRONG_USE"), (b"[1]\n", "WRONG_USE"), (b'{"do":"dance"}\n', "WRONG_USE"),
                           (b'{"do":"scale","workers":1.5}\n', "WRONG_USE"), (b'{"do":"reload","group":7}\n', "NO_GROUP"),
                           (b'{"do":"stop","drain":"x"}\n', "WRONG_USE"), (b'{"do":"resume"}\n', None)):
            client.sendall(sent)
            answer = json.loads(lines.readline())
            self.assertEqual(answer.get("error", {}).get("code"), code, sent)
        client.sendall(b'{"id":"mine","do":"version"}\n{"id":2,"do":"plan"}\n')
        answer = json.loads(lines.readline())
        self.assertEqual((answer["id"], answer["ok"], answer["pid"]), ("mine", True, self.master.popen.pid))
        self.assertEqual(json.loads(lines.readline())["plan"]["groups"][0]["script"], self.script)
        client.sendall(b"x" * 70000)
        self.assertIn("65536 bytes", json.loads(lines.readline())["error"]["message"])
        self.assertEqual(lines.readline(), "", "and it is closed")
        self.says("ps", "--check")

    def test_events(self):
        self.open()
        client, lines = self.connect()
        client.sendall(b'{"id":1,"do":"events"}\n')
        self.assertTrue(json.loads(lines.readline())["ok"])
        self.says("reload")
        seen = []
        while "reload" not in seen:
            seen.append(json.loads(lines.readline())["event"])
        self.assertEqual(seen.count("worker_ready"), 2)

    def test_events_that_nobody_reads(self):
        """Who does not read them is cut off, and keeps nobody waiting: not who asked for what happens, either."""
        self.open(workers=1)
        client, lines = self.connect()
        for _ in range(200):
            client.sendall(b'{"do":"events"}\n' * 25)
            for _ in range(25):
                self.assertTrue(json.loads(lines.readline())["ok"])
        for _ in range(2):
            self.says("reload")
        self.master.err.wait_for("a client of the control socket is cut off: it does not read what it asked for")
        for line in lines:
            pass  # what was sent before
        self.assertEqual(self.master.err.text().count("is cut off"), 1)
        self.says("reload")
        self.assertEqual(self.status()["control"], {"cut_off": 1})

    def test_answers_that_nobody_reads(self):
        """Who asks without end and reads none is cut off: by answers, by refusals, and by lines of the log, which wait."""
        self.open('for n = 1, 900 do print(("x"):rep(1000)) end\n' + WEB, workers=1)
        other, lines = self.connect()
        for number, request in enumerate((b'{"do":"plan"}\n', b'{"do":"dance"}\n', b'{"do":"logs"}\n'), 1):
            client, _ = self.connect()
            client.settimeout(1)

            def asks():
                with contextlib.suppress(OSError):  # when it is cut off, nobody reads what it sends
                    client.sendall(request * 500)
                other.sendall(b'{"do":"status"}\n')
                return json.loads(lines.readline())["status"]["control"]["cut_off"] == number
            wait_until(asks, f"{request} is cut off")
        wait_until(lambda: self.master.err.text().count("is cut off") == 3, "it is said of each")
        self.says("reload")

    def test_many_lines_at_once(self):
        """More lines than a client may leave unread, asked for several times on one connection: all of them come."""
        self.open('for n = 1, 900 do print(("x"):rep(1000)) end\n' + WEB, workers=1)
        wait_until(lambda: self.run_clouds("logs", "-g", "web").stdout.count("| xxx") == 900, "they are kept")
        client, lines = self.connect()
        client.sendall(b'{"id":1,"do":"logs"}\n{"id":2,"do":"logs"}\n{"id":3,"do":"logs"}\n')
        counts, answered = {1: 0, 2: 0, 3: 0}, set()
        while len(answered) < 3:
            message = json.loads(lines.readline())
            if message.get("ok"):
                answered.add(message["id"])
            else:
                counts[message["id"]] += "xxx" in message["line"]["message"]
        self.assertEqual(counts, {1: 900, 2: 900, 3: 900})
        self.assertEqual(self.status()["control"], {"cut_off": 0})


if __name__ == "__main__":
    unittest.main()
