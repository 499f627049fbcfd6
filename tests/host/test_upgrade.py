"""clouds upgrade: another program in the place of the master, and nothing is lost. CLOUDS_LONG=1: ten times under load."""
import json
import os
import re
import shutil
import signal
import sys
import unittest

from load import Load
from support import CLOUDS, LONG, Process, Unix, gone, runs, wait_until
from test_start import TELLS_PID, WEB, Start
from test_systemd import Manager

TIMES = 10 if LONG else 2


class Upgrade(Start):
    """The program is a copy, which a test may replace."""

    def setUp(self):
        super().setUp()
        self.env["LD_LIBRARY_PATH"] = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(CLOUDS))), "capi")
        self.program = self.copy("clouds")
        self.pidfile = os.path.join(self.folder, "web.pid")

    def copy(self, name):
        path = os.path.join(self.folder, name)
        shutil.copy(CLOUDS, path + ".new")
        os.rename(path + ".new", path)
        return path

    def executable(self, name, script, interpreter="/bin/sh"):
        path = self.file(name, f"#!{interpreter}\n{script}")
        os.chmod(path, 0o755)
        return path

    def wrapper(self, name, before):
        """A program that does this as the next master, and not when it is asked whether it could be."""
        return self.executable(name, f'[ "$1" = successor ] || {{ {before}; }}\nexec {self.program} "$@"\n')

    def start(self, *words):
        process = Process([self.program, *words], self.env)
        self.addCleanup(process.discard)
        return process

    def running(self):
        """The file that the master runs, a name for what it is, and its process by the pidfile."""
        path = os.readlink(f"/proc/{self.master.pid}/exe")
        with open(self.pidfile) as file:
            return path, os.stat(f"/proc/{self.master.pid}/exe").st_ino, int(file.read())

    def begin(self, *rest, options=(), **words):
        self.ready(*rest, options=("--pidfile", self.pidfile, *options), **words)

    def upgrade(self, *words, code=0, text=""):
        result = self.run_clouds("upgrade", *words)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr + self.master.err.text())
        self.assertIn(text, result.stdout + result.stderr)
        return result.stdout

    def ends(self):
        self.end()
        self.assertFalse(os.path.exists(self.pidfile))
        self.assertEqual(os.listdir(os.path.join(self.env["CLOUDS_RUNTIME_DIR"], "apps")), [])


class NothingIsLost(Upgrade):
    def under_load(self, *options):
        """Clients that keep their connections, and those that do not; the program is replaced and run anew, by command and signal."""
        self.begin(TELLS_PID, options=options)
        descriptors = self.descriptors()
        kept, new = Load(self, self.port, 32), Load(self, self.port, 4, keep=False)
        for time in range(TIMES):
            kept.goes_on(50)
            new.goes_on(10)
            old = self.pids(self.count * (time + 1))
            self.copy("clouds")
            if time % 2:
                self.master.signal(signal.SIGUSR2)
            else:
                self.upgrade(text=f"web is run by {self.program}, clouds ")
            self.master.err.wait_for(f"web reloaded: web {self.count}, generation {time + 2}")
            self.assertEqual(self.running(), (self.program, os.stat(self.program).st_ino, self.master.pid))
            status = self.status()
            self.assertEqual((status["pid"], status["program"], status["state"]), (self.master.pid, self.program, "ready"))
            self.assertEqual({row["generation"] for row in status["groups"][0]["workers"] if row["state"] == "ready"}, {time + 2})
            wait_until(lambda: all(gone(pid) for pid in old.values()), "the old workers are gone")
        kept.goes_on(50)
        kept.stop()
        new.stop()
        self.assertEqual((kept.failed, new.failed), ({}, {}))
        self.assertEqual(kept.connects, 32)
        wait_until(lambda: abs(self.descriptors() - descriptors) <= 2, "the master has as many descriptors as before")
        self.assertGreater(self.status()["groups"][0]["connections"]["given"] + ("shared" in options) * 1000, 32)
        self.ends()

    def test_H19_under_load(self):
        self.under_load()

    def test_H19_under_load_shared(self):
        self.under_load("--dispatch", "shared")

    def test_what_comes_meanwhile(self):
        """Workers end, one of which somebody else collects, connections are made and a signal is sent while no program is there."""
        self.begin(TELLS_PID)
        pids, go = self.pids(3), os.path.join(self.folder, "go")
        os.mkfifo(go)
        slow = self.executable("slow", f"""
            import os, sys
            if sys.argv[1] != "successor":
                for pid in ({pids[1]}, {pids[2]}):
                    os.kill(pid, 9)
                os.waitpid({pids[1]}, 0)
                os.kill(os.getpid(), {int(signal.SIGTTIN)})
                open("{go}.here", "w").close()
                open("{go}").read()
            os.execv("{self.program}", ["{self.program}", *sys.argv[1:]])""".replace("\n            ", "\n"), sys.executable)
        command = Process([CLOUDS, "upgrade", "--program", slow], self.env)
        self.addCleanup(command.discard)
        wait_until(lambda: os.path.exists(go + ".here"), "the next program begins")
        clients = [self.connect() for _ in range(5)]
        for client in clients:
            client.request("GET", "/")
        open(go, "w").close()
        self.assertEqual([client.getresponse().status for client in clients], [200] * 5)
        self.assertEqual(command.wait(), 0, command.err.text() + self.master.err.text())
        self.master.err.wait_for("worker web.1 ended: nobody knows how")
        self.master.err.wait_for("worker web.2 ended: SIGKILL")
        wait_until(lambda: self.status()["groups"][0]["ready"] == 4, "one more worker, as the signal said")
        self.ends()

    def test_requests_under_way(self):
        """The old workers answer what they have, also those that drained before."""
        self.begin(TELLS_PID, options=("--drain", "30"))
        slow = [self.connect() for _ in range(4)]
        for client in slow[:2]:
            client.request("GET", self.until("now"))
        self.wait_until_under_way(2)
        self.reload(2)
        for client in slow[2:]:
            client.request("GET", self.until("now"))
        self.wait_until_under_way(4)
        self.upgrade()
        self.file("now", "")
        answers = [client.getresponse().read().decode()[1:3] for client in slow]
        self.assertEqual(answers, ["/1", "/1", "/2", "/2"])
        self.ends()

    def test_quiet(self):
        """It stays so: connections wait until resume."""
        self.begin()
        self.assertEqual(self.run_clouds("quiet").returncode, 0)
        client = self.connect()
        client.request("GET", "/")
        self.upgrade()
        self.assertEqual(self.status()["state"], "quiet")
        self.assertEqual(self.run_clouds("resume").returncode, 0)
        self.assertEqual(client.getresponse().status, 200)
        client.close()
        self.ends()

    def test_the_log(self):
        """Each line is there once, in order, one that was begun before among them; and those that are kept."""
        log = os.path.join(self.folder, "web.log")
        code = """
            local clouds = require "clouds"
            clouds.server {}:register("x", function() end)
            local number, worker = 0, require "clouds.worker"
            io.stderr:write("\\255begun ")
            worker.on("drain", function() io.stderr:write("and ended\\n") end)
            worker.every(0.001, function()
              number = number + 1
              print(("number %d of %s"):format(number, os.getenv "CLOUDS_GENERATION"))
            end)"""
        self.open(code, workers=1, listen=False, options=("--log-file", log))
        self.master.err.wait_for("web ready: ")

        def read():
            with open(log) as file:
                return file.read()
        for generation in (2, 3):
            self.upgrade()
            wait_until(lambda: f"of {generation}\n" in read(), "the new one writes")
        self.end()
        for generation in (1, 2, 3):
            numbers = [int(number) for number in re.findall(rf"\| number (\d+) of {generation}\n", read())]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(len(re.findall(r"\| \\xffbegun and ended\n", read())), 3)
        self.assertEqual(read().count("takes over"), 2)

    def test_daemon(self):
        starter = self.start("start", "--daemon", "--pidfile", self.pidfile, "--listen", "127.0.0.1:0", "--workers", "1",
                             self.file("web.lua", WEB))
        self.assertEqual(starter.wait(), 0, starter.err.text())
        with open(self.pidfile) as file:
            pid = int(file.read())
        self.addCleanup(lambda: runs(pid) and os.kill(pid, signal.SIGKILL))
        self.master = starter
        self.copy("clouds")
        answer = json.loads(self.upgrade("--json"))
        self.assertEqual((answer["ok"], answer["pid"], answer["generations"]), (True, pid, {"web": 2}))
        self.assertEqual(os.readlink(f"/proc/{pid}/exe"), self.program)
        self.assertEqual(self.run_clouds("stop").returncode, 0)
        wait_until(lambda: not runs(pid), "the master has ended")
        self.assertFalse(os.path.exists(self.pidfile))

    def test_systemd(self):
        manager = Manager(self, os.path.join(self.folder, "notify"))
        self.env["NOTIFY_SOCKET"] = os.path.join(self.folder, "notify")
        self.begin(workers=1)
        self.assertEqual(manager.next("STATUS")[0], "READY=1")
        self.upgrade()
        self.assertEqual(manager.next("STATUS")[0], "RELOADING=1")
        self.assertEqual(manager.next("STATUS"), ["READY=1", "STATUS=web 1/1"])
        self.master.signal(signal.SIGTERM)
        self.assertEqual(manager.next("STATUS")[0], "STOPPING=1")
        self.assertEqual(self.master.wait(), 0)


class WhatItKnows(Upgrade):
    def test_a_file(self):
        """Groups, events, the library, variables, a worker that is given up: all of it goes on, and the file is read anew."""
        self.file("web.lua", """
            local agent = require "clouds.agent"
            require("clouds.http").serve(function() return tostring(agent.counter.next()) end)
            require("clouds.worker").set("colour", { ["$hex"] = "41", ["$$hex"] = "blue" })""")
        self.file("resources.lua", "local n = 0 require('clouds.library').serve { counter = { next = function() n = n + 1 return n end } }")
        self.file("bad.lua", 'require("clouds").server {}:register("x", function() end)')
        more = self.file("more.lua", "")
        plan = self.file("cluster.lua", f"""
            local app = require("clouds.cluster").master {{ name = "web" }}
            app:library("resources.lua", {{ reload = false }})
            app:register("127.0.0.1:0", "web.lua", {{ workers = 2, reload = false }})
            app:register("bad", "bad.lua", {{ workers = 1, max_restarts = 0, giveup_pause = 0, reload = false }})
            app:on("upgrade", function(problem) print("upgraded", problem) end)
            app:on("exit", function(about) print("exit of", about.group, about.code) end)
            dofile("{more}")
        """)
        self.master = self.start("start", "-c", plan)
        self.master.err.wait_for("web ready: ")
        self.port = self.ports()[0]
        self.assertEqual(self.ask(), "1")
        os.kill(self.status()["groups"][2]["workers"][0]["pid"], signal.SIGKILL)
        self.master.err.wait_for("group bad: given up")
        before = {row.get("pid") for group in self.status()["groups"] for row in group["workers"]}
        self.file("more.lua", 'print "read anew"')
        self.upgrade(text="library generation 1")
        for text in (r"upgraded\tnil", "read anew"):
            self.master.out.wait_for(text)
        groups = {group["name"]: group["workers"] for group in self.status()["groups"]}
        self.assertEqual({row.get("pid") for rows in groups.values() for row in rows}, before)
        self.assertEqual(groups["web"][0]["variables"], {"colour": {"$hex": "41", "$$hex": "blue"}})
        self.assertEqual((groups["bad"][0]["state"], groups["bad"][0]["last_exit"]), ("given up", "SIGKILL"))
        self.assertEqual(self.ask(), "2")
        os.kill(groups["web"][0]["pid"], signal.SIGTERM)
        self.master.out.wait_for(r"exit of\tweb\t0")
        self.assertEqual(self.run_clouds("logs", "-g", "manager").stdout.count("read anew"), 1)
        self.assertIn("given up", self.run_clouds("logs", "-g", "master").stdout, "what was kept before")
        self.end()

    def test_one_that_starts_and_one_that_hangs(self):
        """Their time goes on: who is not ready in time, or hangs, is killed by the next program."""
        bad = os.path.join(self.folder, "bad")
        self.file("web.lua", f"""
            local clouds, is_first = require "clouds", os.getenv "CLOUDS_WORKER" == "1"
            if io.open("{bad}") and is_first then clouds.sleep(60) end
            if io.open("{bad}") then require("clouds.loop").timer(0.2, function() print "spins" while true do end end) end
            clouds.server {{}}:register("x", function() end)""")
        plan = self.file("cluster.lua", """
            require("clouds.cluster").master { name = "web" }
              :register("web", "web.lua", { workers = 2, reload = false, hang_timeout = 3, ready_timeout = 4 })""")
        self.master = self.start("start", "-c", plan)
        self.master.err.wait_for("web ready: ")
        self.file("bad", "")
        for row in self.workers():
            os.kill(row["pid"], signal.SIGKILL)
        self.master.out.wait_for("spins")
        wait_until(lambda: len([row for row in self.workers() if row.get("pid")]) == 2, "both are there")
        os.unlink(bad)
        self.upgrade(text="web generation 1")
        for text in ("worker web.1 ended: SIGKILL: not ready within 4 s", "worker web.2 hangs: busy for ",
                     "worker web.2 ended: SIGKILL: it hung"):
            self.master.err.wait_for(text)
        self.end()

    def test_an_admin_endpoint(self):
        """It is served by a process of the next program, which knows what was counted before."""
        path = os.path.join(self.folder, "admin.sock")
        self.begin(options=("--admin", f"unix:{path}"))

        def ask(target):
            return Unix(path).get(target)[1]

        def requests():
            return sum(float(line.split()[-1]) for line in ask("/metrics").splitlines()
                       if line.startswith("clouds_http_requests_total{"))
        for _ in range(10):
            self.ask()
        before = wait_until(lambda: requests() >= 10 and requests(), "they are counted")
        for generation in (2, 3):
            self.upgrade(text=f"web generation {generation}")
            self.assertGreaterEqual(requests(), before)
            self.assertEqual(json.loads(ask("/status"))["groups"][0]["generation"], generation)
        self.ends()


class Refused(Upgrade):
    def assert_unchanged(self, before, running):
        self.assertEqual(self.running(), running)
        wait_until(lambda: {row["pid"] for row in self.workers()} == before, "others that came have ended")
        self.assertIn("/1", self.ask())

    def test_H19_a_program_that_cannot(self):
        self.begin(workers=2)
        before, running = {row["pid"] for row in self.workers()}, self.running()
        load = Load(self, self.port, 4)
        text = self.file("text", "no program")
        stub = self.executable("stub", "echo \"clouds: unknown command '$1'\" >&2\nexit 2\n")
        for program, why in ((text, f"cannot start {text}: Permission denied"),
                             (shutil.which("true"), "it does not know how to take over: exit 0"),
                             (stub, "it does not know how to take over: exit 2: clouds: unknown command 'successor'")):
            answer = json.loads(self.upgrade("--json", "--program", program, code=1, text=why).splitlines()[0])
            self.assertEqual(answer["error"], {"code": "UPGRADE_FAILED", "message": f"{program}: {why}"})
            self.master.err.wait_for(f"upgrade failed, this program goes on: {program}: {why}")
        self.upgrade("--program", os.path.join(self.folder, "none"), code=2, text="--program: there is no file")
        os.unlink(self.program)
        self.upgrade(code=1, text=f"cannot start {self.program}: No such file or directory")
        self.master.signal(signal.SIGUSR2)
        wait_until(lambda: self.master.err.text().count("upgrade failed") == 5, "the signal fails, too")
        load.stop()
        self.assertEqual(load.failed, {})
        self.assertEqual({row["pid"] for row in self.workers()}, before)
        self.copy("clouds")
        self.upgrade(text="web generation 2")
        self.assertNotEqual(self.running(), running)
        self.ends()

    def test_what_cannot_be_run_at_last(self):
        """It could when it was asked: exec fails, and this program goes on, with its log."""
        self.begin(workers=1)
        running = self.running()
        path = self.executable("vanishes", f'rm $0\nexec {self.program} "$@"\n')
        self.upgrade("--program", path, code=1, text=f"{path}: No such file or directory")
        self.assertEqual(self.running(), running)
        self.upgrade(text="web generation 2")
        self.ends()

    def test_a_script_that_is_broken(self):
        """As Lua: nothing changes. When it runs: the new program serves with the old workers."""
        self.begin(workers=2)
        before, running = {row["pid"] for row in self.workers()}, self.running()
        self.copy("clouds")
        self.file("web.lua", "this is no Lua")
        self.upgrade(code=1, text="web.lua:1:")
        self.assert_unchanged(before, (running[0] + " (deleted)", *running[1:]))
        self.file("web.lua", "error 'not today'")
        self.upgrade(code=1, text="has taken over, with the workers of before: worker web.")
        self.master.err.wait_for("not today")
        self.assert_unchanged(before, (running[0], os.stat(self.program).st_ino, self.master.pid))
        self.file("web.lua", WEB)
        self.reload(2)
        self.assertIn("/2", self.ask())
        self.ends()

    def test_a_token_that_cannot_be_read(self):
        """The reload would fail for it, when the new program runs already: it is looked at before."""
        path = self.file("token", "0123456789abcdef0123456789abcdef\n")
        os.chmod(path, 0o600)
        self.begin(workers=1, options=("--admin", "unix:" + os.path.join(self.folder, "admin.sock"), "--admin-token-file", path))
        before, running = {row["pid"] for row in self.workers()}, self.running()
        os.chmod(path, 0o644)
        self.upgrade(code=1, text="the admin endpoint: ")
        os.unlink(path)
        self.upgrade(code=1, text=f"{path}: No such file or directory")
        self.assert_unchanged(before, running)
        self.file("token", "0123456789abcdef0123456789abcdef\n")
        os.chmod(path, 0o600)
        self.upgrade(text="web generation 2")
        self.ends()

    def test_a_file_that_is_broken(self):
        self.file("web.lua", WEB)
        text = 'require("clouds.cluster").master { name = "%s" }:register("127.0.0.1:0", "web.lua", { workers = 1%s })'
        plan = self.file("cluster.lua", text % ("web", ""))
        self.master = self.start("start", "-c", plan)
        self.master.err.wait_for("web ready: ")
        for name, more, why in (("web", ", wrokers = 1", "unknown key 'wrokers'"), ("shop", "", "the name is shop now, not web")):
            self.file("cluster.lua", text % (name, more))
            self.upgrade(code=1, text=why)
        self.assertEqual(self.status()["groups"][0]["generation"], 1)
        self.end()

    def test_at_the_wrong_time(self):
        self.assertIn("no application runs here", self.run_clouds("upgrade").stderr)
        self.assertEqual(self.run_clouds("upgrade", "web").returncode, 3)
        self.begin(workers=1)
        slow = self.executable("slow", f'sleep 1; exec {self.program} "$@"')
        first = Process([CLOUDS, "upgrade", "-p", slow], self.env)
        self.addCleanup(first.discard)
        self.master.err.wait_for("is asked whether it can take over")
        self.upgrade(code=1, text="an upgrade is under way already")
        self.assertEqual(first.wait(), 0, first.err.text())
        client = self.connect()
        client.request("GET", self.until("now"))
        self.wait_until_under_way(1)
        self.master.signal(signal.SIGTERM)
        self.master.err.wait_for("web stops")
        self.upgrade(code=1, text="web is stopping")
        self.file("now", "")
        self.assertEqual(self.master.wait(), 0)

    def test_by_hand(self):
        """The words of the environment, and the command that a master asks by, are for nobody else."""
        result = self.run_clouds("successor", "start", "x.lua")
        self.assertEqual(result.returncode, 2)
        self.assertIn("it is started by a master of clouds start", result.stderr)
        self.env["CLOUDS_UPGRADE"] = "77"
        result = self.run_clouds("start", self.file("web.lua", WEB))
        self.assertEqual(result.returncode, 2)
        self.assertIn("cannot take over: CLOUDS_UPGRADE: it is no file", result.stderr)



if __name__ == "__main__":
    unittest.main()
