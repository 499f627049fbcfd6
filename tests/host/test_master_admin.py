"""clouds start --admin: the admin endpoint of an application, of its master and of all workers together."""
import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import unittest

from admin_support import TOKEN, Asks
from support import SANITIZED, SOURCE, Master, Unix, free_port, freeze, runs, wait_until

BUILD = os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev"))

WEB = """
local http = require "clouds.http"
http.serve(function(request)
  local seconds = request.path:match("^/slow/(.*)$")
  if seconds then require("clouds").sleep(tonumber(seconds)) end
  if request.path == "/error" then return 500 end
  return "hello"
end)
"""

FAILS = 'if os.getenv("CLOUDS_WORKER") == "1" then error("no") end\n' + WEB


class Admin(Asks, Master):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "admin.sock")

    def begin(self, *words):
        self.master = self.start("start", *words)
        return self.master

    def open(self, code=WEB, *options, workers=2):
        """An application `web` that serves."""
        self.script = self.file("web.lua", code)
        self.begin("--listen", "127.0.0.1:0", "-w", str(workers), "--admin", f"unix:{self.path}", *options, self.script)
        self.master.err.wait_for(" ready: ")
        self.port = self.ports()[0]

    def open_file(self, text):
        self.cluster = self.file("cluster.lua", text)
        self.begin("-c", self.cluster)
        self.master.err.wait_for(" ready: ")

    def get(self, target="/"):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request("GET", target)
        status = client.getresponse().status
        client.close()
        return status

    def endpoint(self):
        """The process of the endpoint: a child of the master that is no worker."""
        with open(f"/proc/{self.master.pid}/task/{self.master.pid}/children") as children:
            for pid in children.read().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/cmdline") as line:  # it may end meanwhile
                    if line.read() == "clouds\0endpoint\0":
                        return int(pid)

    def sample(self, name, **labels):
        return self.metrics().get((name, *sorted(labels.items())), (None, None))[1]

    def reasons(self):
        """Of GET /readyz."""
        status, said, _ = self.ask("GET", "/readyz")
        self.assertEqual((status, said["ready"]), (503, False) if said["reasons"] else (200, True))
        return said["reasons"]


class Questions(Admin):
    def test_health_status_and_workers(self):
        self.open()
        self.assertEqual(self.ask("GET", "/healthz")[:2], (200, {"healthy": True}))
        self.assertEqual(self.ask("HEAD", "/healthz")[:2], (200, ""))
        self.assertEqual(self.reasons(), [])
        said, shown = self.ask("GET", "/status")[1], self.status()
        self.assertEqual((said["kind"], said["ready"], said["draining"]), ("application", True, False))
        for member in ("name", "pid", "version", "state", "reloading", "log", "reloads"):
            self.assertEqual(said[member], shown[member])
        workers = self.ask("GET", "/workers")[1]["workers"]
        self.assertEqual([(row["worker"], row["group"], row["pid"], row["state"]) for row in workers],
                         [(row["worker"], "web", row["pid"], "ready") for row in shown["groups"][0]["workers"]])
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_E6_why_it_is_not_ready(self):
        """It starts, is quiet, has a group without workers, or one that was given up, and stops."""
        self.script = self.file("web.lua", 'require("clouds").sleep(1000)\n' + WEB)
        self.begin("-w", "1", "--listen", "127.0.0.1:0", "--admin", f"unix:{self.path}", self.script)
        self.master.err.wait_for("listening at port")
        wait_until(lambda: os.path.exists(self.path), "it listens")
        self.assertEqual(self.reasons(), ["starting", "web 0/1"])
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.master.signal(signal.SIGKILL)
        self.master.wait()

        self.open(WEB, "--max-restarts", "0", "--giveup-pause", "1000")
        self.ask("POST", "/quiet", "{}")
        self.assertEqual(self.reasons(), ["quiet"])
        self.ask("POST", "/resume", "{}")
        self.file("web.lua", FAILS)
        os.kill(self.ask("GET", "/workers")[1]["workers"][0]["pid"], signal.SIGKILL)
        wait_until(lambda: self.reasons() == ["web 1/2, 1 given up"], "it was given up")
        self.assertEqual(self.sample("clouds_ready"), 0)
        self.assertEqual(self.sample("clouds_workers", group="web", state="given up"), 1)
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request("GET", "/slow/1000")
        wait_until(lambda: self.sample("clouds_worker_requests_in_flight", group="web", worker="web.2") == 1, "it works")
        self.assertEqual(self.ask("POST", "/stop?drain=1000", "{}")[:2], (202, {"stopping": True}))
        wait_until(lambda: self.reasons()[0] == "draining", "it stops")
        self.assertEqual(self.ask("POST", "/stop", "{}")[:2], (202, {"stopping": True, "already": True}))
        self.master.signal(signal.SIGTERM)
        self.master.wait()
        client.close()

    def test_E5_what_all_workers_have_done(self):
        """A worker that is killed, or replaced by a reload, takes nothing from the sums."""
        self.open()
        for _ in range(20):
            self.assertEqual(self.get(), 200)
        self.assertEqual(self.get("/error"), 500)

        def counts():
            return [self.sample(name, group="web") for name in (
                "clouds_worker_requests_total", "clouds_worker_errors_total", "clouds_connections_accepted_total",
                "clouds_connections_handed_over_total")]
        wait_until(lambda: counts() == [21, 1, 21, 21], "all are counted")
        victim = self.workers()[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: self.sample("clouds_worker_restarts_total", group="web", reason="failed") == 1, "it is restarted")
        self.assertEqual(counts(), [21, 1, 21, 21])
        self.assertEqual(self.ask("POST", "/reload", "{}")[:2], (200, {"reloaded": True, "generations": {"web": 2}}))
        self.assertEqual(self.get(), 200)
        wait_until(lambda: counts() == [22, 1, 22, 22], "and what comes behind")
        self.assertEqual(self.sample("clouds_reloads_total", result="ok"), 1)
        self.assertEqual(self.sample("clouds_worker_info", group="web", worker="web.2", generation="2"), 1)
        wait_until(lambda: self.sample("clouds_workers", group="web", state="ready") == 2, "both serve")
        self.assertEqual(self.sample("clouds_workers_wanted", group="web"), 2)
        self.assertGreater(self.sample("clouds_worker_resident_memory_bytes", group="web", worker="web.1"), 1e6)
        self.assertEqual(self.metrics()["clouds_log_lines_dropped_total",], ("counter", 0))


SERVICE = """
local clouds = require "clouds"
local server, client = clouds.server {}, clouds.client {}
local method = "work" .. os.getenv "CLOUDS_WORKER"
server:register("work", function() return os.getenv "CLOUDS_WORKER" end)
server:register("other", function() end)
server:register(method, function() return client:call(method .. "x", {}, { timeout = 0.01 }) end)
server:register("hold", function() clouds.sleep(1000) end, { concurrency = 1, queue = 9, queue_age = 1000 })
"""


class Methods(Admin):
    """What workers count by method, and what they have counted that have ended."""

    def open_service(self, code=SERVICE, *options, workers=2, name="web.lua"):
        self.file(name, code)
        self.begin("-w", str(workers), *options, "--admin", f"unix:{self.path}", "--max-restarts", "100", os.path.join(self.folder, name))
        self.master.err.wait_for(" ready: ")

    def served(self, method="work"):
        return self.of_method(method).get(("clouds_requests_total", "ok"))

    def test_E5_sums(self):
        """They never fall: not by a worker that is killed, nor by a reload, nor when the endpoint itself is killed."""
        self.open_service()
        seen = []

        def call(count=5):
            for _ in range(count):
                self.assertEqual(self.run_clouds("call", "work").returncode, 0)
        call()
        wait_until(lambda: seen.append(self.served()) or seen[-1] == 5, "all are counted")
        os.kill(self.workers()[0]["pid"], signal.SIGKILL)
        for _ in range(20):
            seen.append(self.served())
        call()
        self.assertEqual(self.ask("POST", "/reload", "{}")[0], 200)
        call()
        endpoint = self.endpoint()
        os.kill(endpoint, signal.SIGKILL)
        wait_until(lambda: not runs(endpoint), "it takes no question any more")
        wait_until(lambda: seen.append(self.served()) or seen[-1] == 15, "all are counted")
        self.assertEqual(seen, sorted(seen))
        told = self.of_method("work")
        self.assertEqual((told["clouds_request_duration_seconds_count",], told["clouds_request_duration_seconds_bucket", "+Inf"]), (15, 15))
        self.assertEqual(told["clouds_requests_in_flight",], 0)
        self.assertNotEqual(self.run_clouds("call", "work1").returncode, 0)
        wait_until(lambda: self.of_method("work1x").get(("clouds_calls_total", "not_done")) == 1, "calls are, too")
        self.assertEqual(self.metrics()["clouds_bus_up",], ("gauge", 1))
        self.assertGreaterEqual(self.metrics()["clouds_replies_total",][1], 15)
        self.expect_nothing_wrong_in_metrics()

    def test_nodes_and_links(self):
        """Of each worker; one that does not come to its turn is left out."""
        self.open_service()

        def ask(what, untold):
            """What is said when these have not answered: on a busy machine others may not come to their turn either."""
            return wait_until(lambda: (lambda said: said["untold"] == untold and said)(self.ask("GET", what)[1]), f"{what} without {untold}")
        said = ask("/nodes", [])
        self.assertEqual([node["worker"] for node in said["nodes"] if node["methods"]], ["web.1", "web.2"])
        self.assertIn("work1", said["nodes"][0]["methods"] or said["nodes"][1]["methods"])
        ask("/links", [])
        victim = self.workers()[0]["pid"]
        freeze(victim)
        said = ask("/nodes", ["web.1"])
        os.kill(victim, signal.SIGCONT)
        self.assertEqual({node["worker"] for node in said["nodes"]}, {"web.2"})

    def test_what_is_now(self):
        """What runs and what waits is that of the workers that live."""
        self.open_service(workers=1)
        for _ in range(3):
            self.start("call", "hold", "--timeout", "1000")

        def now():
            told = self.of_method("hold")
            return told.get(("clouds_requests_in_flight",)), told.get(("clouds_requests_waiting",)), told.get(("clouds_requests_limit",))
        wait_until(lambda: now() == (1, 2, 1), "one runs, two wait")
        os.kill(self.workers()[0]["pid"], signal.SIGKILL)
        wait_until(lambda: self.sample("clouds_workers", group="web", state="ready") == 1 and now()[1] == 0, "they are gone")

    def test_more_than_there_may_be(self):
        """Each worker has its own, and all together have more than are told of."""
        self.open_service("""
            local server = require("clouds").server("inproc:many")
            for i = 1, 300 do assert(server:register(os.getenv("CLOUDS_WORKER") .. "m" .. i, print)) end
        """)
        methods = {dict(labels)["method"] for name, *labels in self.metrics() if name == "clouds_requests_total"}
        self.assertEqual((len(methods), "other" in methods), (501, True))
        first = self.ask("GET", "/methods?per_page=400")[1]
        second = self.ask("GET", "/methods?per_page=400&page=2")[1]
        self.assertEqual((first["total"], len(first["methods"]), len(second["methods"])), (501, 400, 101))
        self.assertEqual({row["method"] for row in first["methods"] + second["methods"]}, methods)
        self.assertEqual((len(first["bounds"]), len(first["methods"][0]["requests"]["took"])), (14, 15))
        for query in ("page=0", "page=x", "per_page=1001", "per=1"):
            self.expect(400, "GET", "/methods?" + query)

    def test_E6_a_cluster_that_is_away(self):
        self.open_service(f'require("clouds").client("redis://127.0.0.1:{free_port()}")', workers=1)
        wait_until(lambda: self.reasons() == ["web.1 is not connected"], "it says so")
        self.assertEqual(self.sample("clouds_bus_up"), 0)

    HOSTILE = """
import mmap, os, random, socket, struct
channel, counts = socket.socket(fileno=3), mmap.mmap(5, 0)
rows = random.Random(1)
def row(size, name, count, kind=1):
    return (struct.pack("<IHHII", size, kind, len(name), count, 0) + bytes(8 * count) + name).ljust(size, b"\\0")
good = b"".join((row(24, b"\\xff\\xff{}", 0), row(32, b"bad{name", 1, 2), row(40, b"a\\nb", 2, 4), row(32, b"200 x\\"y", 1, 4),
                 row(32, b"short", 1), row(32, b"/short", 1, 3), row(24, b"200 none", 0, 4), row(24, b"", 1, 5)))
channel.send(b"R")
for turn in range(1 << 60):
    counts[32:32 + len(good)] = good
    counts[16:24] = struct.pack("<Q", rows.choice((0, 32, 40, 32 + len(good), 1 << 20, 1 << 62, (1 << 64) - 1)))
    at = rows.randrange(32, 4096)
    counts[at:at + 64] = rows.randbytes(64)
"""

    def test_one_that_writes_nonsense(self):
        """Where it counts, all the time: whoever reads it is none the worse for that, nor the master when it has ended."""
        self.open_service(self.HOSTILE, "--hang-timeout", "0", workers=1, name="web.py")  # it answers nothing
        for _ in range(50):
            self.assertEqual(self.metrics()["clouds_ready",], ("gauge", 1))
            self.assertEqual(self.ask("GET", "/methods")[0], 200)
        for _ in range(3):
            victim = self.workers()[0]["pid"]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: self.workers()[0].get("pid") not in (None, victim), "another")
            self.metrics()
        self.assertNotIn("the admin endpoint ended", self.master.err.text())
        self.assertIsNone(self.master.popen.poll())

    PYTHON = """
import clouds
server = clouds.Server()
server.register("work", lambda: 1)
server.run()
"""
    NODE = "require(process.env.CLOUDS_TEST_PACKAGE).createServer().registerP('work', () => 1);"

    @unittest.skipIf(SANITIZED, "an interpreter cannot load a library with sanitizers")
    def test_in_other_languages(self):
        self.env.update(PYTHONPATH=os.path.join(SOURCE, "bindings", "python"), PYTHONDONTWRITEBYTECODE="1",
                        CLOUDS_LIBRARY=os.path.join(BUILD, "capi", "libclouds.so"),
                        CLOUDS_TEST_PACKAGE=os.path.join(BUILD, "bindings", "node"))
        for name, code in (("web.py", self.PYTHON), ("web.js", self.NODE)):
            self.open_service(code, name=name)
            for _ in range(4):
                self.assertEqual(self.run_clouds("call", "work").returncode, 0)
            wait_until(lambda: self.served() == 4, "all are counted")
            os.kill(self.workers()[0]["pid"], signal.SIGKILL)
            wait_until(lambda: self.sample("clouds_worker_restarts_total", group="web", reason="failed") == 1, "it is gone")
            self.assertEqual(self.served(), 4)
            wait_until(lambda: self.sample("clouds_workers", group="web", state="ready") == 2, "another serves")
            self.pause_and_resume()
            self.end()

    def paused(self):
        """Whether a call of the method finds servers that take none of it."""
        result = self.run_clouds("call", "work")
        self.assertTrue(result.returncode == 0 or "paused" in result.stderr, result.stderr)
        return result.returncode != 0

    def pause_and_resume(self):
        self.assertEqual(self.ask("POST", "/pause", '{"method":"work"}')[:2], (200, {"state": "ready", "method": "work"}))
        wait_until(self.paused, "it is paused")
        self.assertEqual(self.ask("GET", "/status")[1]["paused"], ["work"])
        self.assertEqual(self.ask("POST", "/resume", '{"method":"work"}')[:2], (200, {"state": "ready", "method": "work"}))
        wait_until(lambda: not self.paused(), "it is resumed")

    def test_pause(self):
        """Of one method, also by workers that come; the others are served."""
        self.open_service()
        self.pause_and_resume()
        self.ask("POST", "/pause", '{"method":"work"}')
        wait_until(self.paused, "it is paused")
        self.assertEqual(self.ask("POST", "/reload", "{}")[0], 200)
        wait_until(self.paused, "those that have come have heard of it")
        self.assertEqual(self.run_clouds("call", "other").returncode, 0)
        self.assertEqual(self.ask("POST", "/resume", "{}")[:2], (200, {"state": "ready"}))
        wait_until(lambda: not self.paused(), "all are resumed")
        self.assertEqual(self.ask("GET", "/status")[1]["paused"], [])
        self.expect(400, "POST", "/pause", '{"method":"%s"}' % ("x" * 256))


class Http(Admin):
    WEB = """
        local http, clouds = require "clouds.http", require "clouds"
        local app = http.server()
        app:get("/users/:id", function(request) return request.params.id end)
        app:get("/slow", function() clouds.sleep(1000) end)
        app:get("/error", function() error("no") end)
        app:get("/pieces", function(request, response) response:start(200) response:write("x") error("no") end)
        app:post("/body", function(request) return request:body() end, { body = 10 })
        app:websocket("/ws", function(ws) for text in ws:messages() do ws:send(text) end end)
        http.serve(app)
    """

    def counts(self):
        return {(dict(labels)["route"], dict(labels)["code"]): value for (name, *labels), (_, value) in self.metrics().items()
                if name == "clouds_http_requests_total"}

    def raw(self, text):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.addCleanup(client.close)
        client.sendall(text.encode())
        return client

    def test_by_route_and_status(self):
        self.open(self.WEB)
        for target, status in (("/users/1", 200), ("/users/2", 200), ("/nothing", 404), ("/error", 500)):
            self.assertEqual(self.get(target), status)
        self.raw("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + "x" * 100).recv(100)
        self.raw("GET /users/1 HTTP/1.1\r\n\r\n").recv(100)
        self.raw("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n").recv(1000)
        slow = self.raw("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: self.sample("clouds_http_requests_in_flight", route="/slow") == 1, "it waits")
        slow.close()
        wanted = {("/users/:id", "200"): 2, ("none", "404"): 1, ("/error", "500"): 1, ("/body", "413"): 1, ("none", "400"): 1,
                  ("/pieces", "200"): 1, ("/slow", "499"): 1}
        wait_until(lambda: self.counts() == wanted, "all are counted")
        self.assertEqual(self.sample("clouds_http_request_duration_seconds_count", route="/users/:id"), 2)
        self.assertEqual(self.sample("clouds_http_requests_in_flight", route="/slow"), 0)
        self.expect_nothing_wrong_in_metrics()

    def test_websockets(self):
        self.open(self.WEB)
        client = self.raw("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        wait_until(lambda: self.sample("clouds_websockets", route="/ws") == 1, "it is open")
        self.assertEqual(self.counts(), {("/ws", "101"): 1})
        client.close()
        wait_until(lambda: self.sample("clouds_websockets", route="/ws") == 0, "it is closed")
        self.assertEqual(self.sample("clouds_http_request_duration_seconds_count", route="/ws"), 1)


class Orders(Admin):
    def test_a_reload_that_fails(self):
        self.open()
        before = {row["pid"] for row in self.workers()}
        self.file("web.lua", "error 'not today'\n")
        status, said, _ = self.ask("POST", "/reload", '{"group":"web"}')
        self.assertEqual((status, said["error"]["code"]), (500, "RELOAD_FAILED"))
        self.assertIn("not today", said["error"]["message"])
        self.assertEqual(self.sample("clouds_reloads_total", result="failed"), 1)
        self.expect(404, "POST", "/reload", '{"group":"mail"}')
        wait_until(lambda: {row["pid"] for row in self.workers()} == before, "the same serve")

    def test_quiet_and_stop(self):
        self.open()
        self.assertEqual(self.ask("POST", "/quiet", "{}")[:2], (200, {"state": "quiet"}))
        self.assertEqual(self.ask("POST", "/resume")[:2], (200, {"state": "ready"}))
        self.assertEqual(self.ask("POST", "/stop?drain=5", "{}")[0], 202)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_not_understood(self):
        self.open()
        self.expect(404, "GET", "/status/")
        for path in ("/stop", "/quiet", "/pause", "/resume", "/reload"):
            self.assertEqual(self.expect(405, "GET", path)["Allow"], "POST")
            self.expect(415, "POST", path, "{}", {"Content-Type": "text/plain"})
            self.expect(400, "POST", path, "[]")
            self.expect(400, "POST", path + "?x=1", "{}")
        for path in ("/healthz", "/readyz", "/status", "/workers", "/metrics"):
            self.assertEqual(self.expect(405, "POST", path, "{}")["Allow"], "GET, HEAD")
        for body in ('{"groop":"web"}', '{"group":1}', '{"group":""}'):
            self.expect(400, "POST", "/reload", body)
        self.expect(400, "POST", "/quiet", '{"method":"x"}')
        self.expect(400, "POST", "/stop?drain=x", "{}")
        self.expect(413, "POST", "/reload", "x" * 100000)
        self.expect_pages_of_a_browser_refused()
        self.assertEqual(self.reasons(), [])


def channel_of(pid):
    """A socket that is the channel of a process to its master."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    process = os.pidfd_open(pid)
    descriptor = call(438, process, 3, 0)  # pidfd_getfd
    os.close(process)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return socket.socket(fileno=descriptor)


class Process(Admin):
    def test_it_is_killed(self):
        """Another is started; who asks meanwhile waits, and the workers serve on."""
        self.open()
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        before, workers = self.endpoint(), {row["pid"] for row in self.workers()}
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: not runs(before), "it is gone")
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.assertNotEqual(self.endpoint(), before)
        self.assertEqual({row["pid"] for row in self.workers()}, workers)
        self.master.err.wait_for("the admin endpoint ended: SIGKILL")
        self.end()

    def test_the_master_is_killed(self):
        self.open()
        pid = wait_until(self.endpoint, "it runs")
        self.master.signal(signal.SIGKILL)
        self.master.wait()
        wait_until(lambda: not runs(pid), "it ends, too")

    @unittest.skipUnless(os.geteuid() == 0, "only root starts workers as another user")
    def test_who_it_is(self):
        """What reads HTTP has no rights; the socket stays that of root."""
        os.chmod(self.folder, 0o755)
        self.open(WEB, "--user", "nobody")
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        with open(f"/proc/{self.endpoint()}/status") as status:
            self.assertNotEqual(re.search(r"^Uid:\t(\d+)", status.read(), re.M).group(1), "0")
        self.assertEqual((os.stat(self.path).st_uid, os.stat(self.path).st_mode & 0o777), (0, 0o600))
        self.end()


    def test_it_may_ask_for_no_more(self):
        """Whoever gets hold of the process that reads HTTP cannot have the master run another program."""
        self.open()
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        program, trace = self.file("other", "#!/bin/sh\ntouch \"$0.ran\"\n"), os.path.join(self.folder, "other.ran")
        os.chmod(program, 0o755)
        with channel_of(self.endpoint()) as channel:
            for what in ("upgrade", "scale", "plan", "logs", "events", "reopen"):
                channel.send(b"c" + json.dumps({"id": what, "do": what, "program": program, "workers": 3}).encode())
        self.assertEqual((self.ask("POST", "/quiet")[0], self.ask("POST", "/resume")[0]), (200, 200))  # they come behind it
        self.assertNotIn("upgrade", self.master.err.text())
        self.assertEqual((len(self.workers()), os.path.exists(trace)), (2, False))
        self.end()


class Where(Admin):
    def token(self, text=TOKEN, mode=0o600):
        path = self.file("token", text + "\n")
        os.chmod(path, mode)
        return path

    def test_a_port_needs_the_token(self):
        port, token = free_port(), self.token()
        self.begin("-w", "1", "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{port}", "--admin-token-file", token, self.file("web.lua", WEB))
        self.master.err.wait_for(" ready: ")
        self.expect_token_needed(lambda *words: self.ask(*words, connection=http.client.HTTPConnection("127.0.0.1", port, timeout=60)))
        other = self.start("start", "--name", "other", "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{port}", "--admin-token-file", token,
                           self.file("other.lua", WEB))
        self.assertEqual(other.wait(), 3)
        self.assertIn(f"the admin endpoint: cannot listen at 127.0.0.1:{port}: Address already in use", other.err.text())
        self.end()

    def test_a_reload_reads_the_token_again(self):
        """Also without a cluster.lua; one that is none fails the reload, and what was goes on."""
        port, token, other = free_port(), self.token(), TOKEN[::-1]
        self.begin("-w", "1", "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{port}", "--admin-token-file", token, self.file("web.lua", WEB))
        self.master.err.wait_for(" ready: ")

        def status(text):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            return self.ask("GET", "/healthz", None, {"Authorization": f"Bearer {text}"}, connection)[0]
        wait_until(lambda: status(TOKEN) == 200, "it answers")
        self.token(other)
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        wait_until(lambda: status(other) == 200, "the new one is taken")
        self.assertEqual(status(TOKEN), 401)
        self.token("short")
        result = self.run_clouds("reload")
        self.assertEqual((result.returncode, "22 or more" in result.stderr), (1, True), result.stderr)
        self.assertEqual(status(other), 200)
        self.end()

    def test_wrong_usage(self):
        script = self.file("web.lua", WEB)
        for words, said in ((["--admin", "127.0.0.1:7000"], "admin_token_file too, or unix:PATH"),
                            (["--admin", "10.0.0.1:7000", "--admin-token-file", self.token()], "an address of this machine alone"),
                            (["--admin", "7000", "--admin-token-file", self.token()], "an address of this machine alone"),
                            (["--admin", "nowhere"], "expected PORT"),
                            (["--admin", "unix:/tmp/x", "--admin-token-file", "/no/such/file"], "No such file"),
                            (["--admin-token-file", self.token()], "expected an address")):
            result = self.run_clouds("start", *words, script)
            self.assertIn(said, result.stderr)
            self.assertEqual((result.returncode, result.stdout), (2, ""), words)
        self.token("short")
        result = self.run_clouds("start", "--admin", f"unix:{self.path}", "--admin-token-file", os.path.join(self.folder, "token"), script)
        self.assertEqual((result.returncode, "22 or more" in result.stderr), (2, True), result.stderr)
        result = self.run_clouds("check", self.file("cluster.lua", 'require("clouds.cluster").master { admin = "127.0.0.1:1" }'))
        self.assertEqual(result.returncode, 2)
        self.assertIn("cluster.lua:1: 'admin': a port is open to every user", result.stderr)

    FILE = """
        local app = require("clouds.cluster").master { name = "web", admin = %s }
        app:register("127.0.0.1:0", "web.lua", { workers = 1 })
    """

    def test_a_reload_changes_where(self):
        """To another address, to one that cannot be, to none, and back."""
        self.file("web.lua", WEB)
        self.open_file(self.FILE % '"unix:admin.sock"')
        self.assertEqual(self.reasons(), [])
        old, self.path = self.path, os.path.join(self.folder, "other.sock")
        self.file("cluster.lua", self.FILE % '"unix:other.sock"')
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.assertEqual((self.reasons(), os.path.exists(old)), ([], False))
        self.file("cluster.lua", self.FILE % '"unix:web.lua"')
        result = self.run_clouds("reload")
        self.assertEqual(result.returncode, 1)
        self.assertIn("web.lua: File exists", result.stderr)
        self.assertEqual(self.reasons(), [])
        self.file("cluster.lua", self.FILE % "nil")
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        wait_until(lambda: not self.endpoint(), "its process ends")
        self.assertFalse(os.path.exists(self.path))
        self.file("cluster.lua", self.FILE % '"unix:admin.sock"')
        self.path = old
        self.assertEqual(self.run_clouds("reload").returncode, 0)
        self.assertEqual(Unix(self.path).get("/healthz")[0], 200)
        self.end()


if __name__ == "__main__":
    unittest.main()
