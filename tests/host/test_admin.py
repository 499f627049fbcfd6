"""clouds run --admin: what a supervisor asks by HTTP, and who may not."""
import http.client
import json
import os
import re
import signal
import time
import unittest

from admin_support import TOKEN, Asks
from support import Case, free_port, wait_until

SERVICE = """
    local clouds = require "clouds"
    server = clouds.server{}
    server:register("fast", function() return "here" end)
    server:register("slow", function(seconds) io.stderr:write("accepted\\n") clouds.sleep(seconds) return "finished" end)
    server:register("until", function(file)
        io.stderr:write("accepted\\n")
        repeat clouds.sleep(0.01) until io.open(file)
        return "finished"
    end)
    print("ready")
"""


class Admin(Asks, Case):
    def open(self, code=SERVICE, *options):
        self.path = os.path.join(self.folder, "admin.sock")
        service = self.start("run", "--admin", f"unix:{self.path}", *options, self.file("s.lua", code))
        service.out.wait_for("ready")
        return service


class Questions(Admin):
    def test_health_and_readiness(self):
        self.open()
        self.assertEqual(self.ask("GET", "/healthz")[:2], (200, {"healthy": True}))
        self.assertEqual(self.ask("HEAD", "/healthz")[:2], (200, ""))
        wait_until(lambda: self.ask("GET", "/readyz")[0] == 200, "it is ready")
        self.assertEqual(self.ask("GET", "/readyz")[1], {"ready": True, "reasons": []})

    def test_E6_a_cluster_that_is_away(self):
        path = os.path.join(self.folder, "admin.sock")
        self.path = path
        process = self.start("run", "--url", f"redis://127.0.0.1:{free_port()}", "--admin", f"unix:{path}",
                             self.file("s.lua", "print('ready') require('clouds').server{}:register('m', print)"))
        process.out.wait_for("ready")
        status, said, _ = wait_until(lambda: (lambda a: a[0] == 503 and "not connected" in str(a[1]) and a)(self.ask("GET", "/readyz")),
                                     "it is not ready")
        self.assertEqual((status, said["ready"]), (503, False))
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.assertIn("clouds_bus_up 0\n", self.ask("GET", "/metrics")[1])

    def test_status_and_metrics(self):
        service = self.open()
        self.assertEqual(self.json(self.run_clouds("call", "fast", "--json")), ["here"])
        said = self.ask("GET", "/status")[1]
        self.assertEqual((said["draining"], len(said["nodes"])), (False, 1))
        self.assertEqual(said["nodes"][0]["methods"], {name: {"paused": False, "open_requests": 0} for name in ("fast", "slow", "until")})
        self.assertEqual((said["counters"]["requests"], said["counters"]["replies"]), (1, 1))
        self.start("call", "slow", "1000")
        wait_until(lambda: self.ask("GET", "/status")[1]["nodes"][0]["methods"]["slow"]["open_requests"] == 1, "it is shown")
        text = self.ask("GET", "/metrics")[1]
        self.assertRegex(text, r'clouds_build_info\{version="[^"]+",luajit="[^"]+"\} 1\n')
        for line in text.splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) (clouds|process)_\w+ .+|(clouds|process)_\w+(\{[^}]*\})? [-+0-9.e]+)$")
        samples = self.metrics()
        with open(f"/proc/{service.pid}/limits") as limits:
            self.assertEqual(samples["process_max_fds",], ("gauge", float(re.search(r"Max open files +(\d+)", limits.read()).group(1))))
        self.assertLess(abs(samples["process_start_time_seconds",][1] - time.time()), 3600)
        for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"):
            self.assertGreater(samples[name,][1], 0)
        self.assertEqual(samples["process_cpu_seconds_total",][0], "counter")
        self.expect_nothing_wrong_in_metrics()

    def test_metrics_by_method(self):
        self.open(SERVICE + """
            server:register("fails", function() error("no") end)
            server:register('o"dd\\\\', function() return clouds.client{}:call("fast") end)
            server:register("one", function() clouds.sleep(1000) end, { concurrency = 1, queue_age = 1000 })
        """)
        for _ in range(3):
            self.assertEqual(self.json(self.run_clouds("call", "fast", "--json")), ["here"])
        self.assertEqual(self.run_clouds("call", "fails").returncode, 1)
        self.assertEqual(self.json(self.run_clouds("call", 'o"dd\\', "--json")), ["here"])
        for _ in range(2):
            self.start("call", "one")
        wait_until(lambda: self.of_method("one").get(("clouds_requests_waiting",)) == 1, "one runs, one waits")
        self.assertEqual(self.of_method("one")["clouds_requests_limit",], 1)
        self.assertNotIn(("clouds_requests_limit",), self.of_method("fast"), "it has none")
        samples = self.metrics()
        self.assertEqual(samples["clouds_bus_up",], ("gauge", 1))
        self.assertNotIn(("clouds_requests_total",), samples)
        self.assertNotIn(("clouds_calls_total",), samples)
        self.assertEqual(samples["clouds_replies_total",][0], "counter")
        self.assertEqual({samples[name, ("method", "fast"), ("outcome", "ok")] for name in ("clouds_requests_total", "clouds_calls_total")},
                         {("counter", 4), ("counter", 1)})
        none = {"ok": 0, "app_error": 0, "not_done": 0, "unknown": 0}
        for method, ended, in_flight, waiting in (("fast", {"ok": 4}, 0, 0), ("fails", {"app_error": 1}, 0, 0),
                                                  ('o"dd\\', {"ok": 1}, 0, 0), ("one", {}, 1, 1)):
            told = self.of_method(method)
            self.assertEqual({outcome: told["clouds_requests_total", outcome] for outcome in none}, {**none, **ended})
            self.assertEqual((told["clouds_requests_in_flight",], told["clouds_requests_waiting",]), (in_flight, waiting))
            buckets = [value for (name, *_), value in told.items() if name == "clouds_request_duration_seconds_bucket"]
            self.assertEqual((len(buckets), buckets), (15, sorted(buckets)))
            count = sum(ended.values())
            self.assertEqual(told["clouds_request_duration_seconds_bucket", "+Inf"], count)
            self.assertEqual(told["clouds_request_duration_seconds_count",], count)
            self.assertEqual(told["clouds_request_duration_seconds_sum",] > 0, count > 0)
        self.assertEqual(samples["clouds_request_duration_seconds_bucket", ("le", "0.0005"), ("method", "fast")][0], "histogram")

    def test_queue_and_refusals_by_method(self):
        self.open(SERVICE + """
            server:register("one", function() clouds.sleep(0.2) end, { concurrency = 1, queue = 1, queue_age = 1000 })
            server:register("rare", function() end, { rate = 0.001, burst = 1 })
        """)
        wait_until(lambda: all(name in self.run_clouds("status").stdout for name in ("one", "rare")), "both are served")
        calls = [self.start("call", "one") for _ in range(2)]
        self.assertEqual([call.wait() for call in calls], [0, 0], [call.err.text() for call in calls])
        wait_until(lambda: self.of_method("one").get(("clouds_request_duration_seconds_count",)) == 2, "both ran")
        told = self.of_method("one")
        self.assertEqual(told["clouds_queue_seconds_count",], 2)
        self.assertEqual(told["clouds_queue_seconds_bucket", "+Inf"], 2)
        self.assertEqual(self.run_clouds("call", "rare").returncode, 0)
        self.assertNotEqual(self.run_clouds("call", "rare", "--timeout", "0.2").returncode, 0)
        wait_until(lambda: self.of_method("rare").get(("clouds_refused_total", "rate"))
                   or not self.run_clouds("call", "rare", "--timeout", "0.5"), "a call has come there, and was refused")
        self.assertEqual(self.metrics()["clouds_queue_seconds_count", ("method", "one")][0], "histogram")

    def test_E5_metrics_of_more_methods_than_there_may_be(self):
        self.open("""
            local clouds = require "clouds"
            local server, client = clouds.server("inproc:many"), clouds.client("inproc:many")
            for i = 1, 600 do assert(server:register("m" .. i, function() return i end)) end
            for i = 1, 600 do assert(client:call("m" .. i) == i) end
            print("ready")
        """)
        samples = self.metrics()
        served = {dict(labels)["method"]: value for (name, *labels), (_, value) in samples.items()
                  if name == "clouds_requests_total" and ("outcome", "ok") in labels}
        self.assertEqual((len(served), served["other"], sum(served.values())), (501, 100, 600))
        self.assertEqual(samples["clouds_call_duration_seconds_count", ("method", "other")], ("histogram", 100))
        self.expect_nothing_wrong_in_metrics()

    def test_metrics_of_a_program_that_counts_nothing(self):
        self.open(SERVICE.replace("server{}", "server{ stats = false }"))
        self.assertEqual(self.json(self.run_clouds("call", "fast", "--json")), ["here"])
        self.assertEqual(self.of_method("fast"), {})
        self.assertEqual(self.metrics()["clouds_requests_total",], ("counter", 1))

    def test_how_long_turns_are(self):
        self.open(SERVICE + """
            local clock = os.clock
            server:register("busy", function() local till = clock() + 0.12 while clock() < till do end end)
        """)

        def longer_than(bound):
            samples = self.metrics()
            return samples["clouds_loop_lag_seconds_count",][1] - samples["clouds_loop_lag_seconds_bucket", ("le", bound)][1]
        self.assertGreater(longer_than("0.0005") + self.metrics()["clouds_loop_lag_seconds_bucket", ("le", "0.0005")][1], 0)
        before = longer_than("0.1")
        self.assertEqual(self.run_clouds("call", "busy").returncode, 0)
        wait_until(lambda: longer_than("0.1") > before, "the turn is counted")

    def test_pause_and_resume(self):
        self.open()
        self.assertEqual(self.ask("POST", "/pause", '{"method":"fast"}')[0], 200)
        self.assertEqual(self.ask("GET", "/readyz")[0], 200)
        self.assertIn("1 server is paused", self.run_clouds("call", "fast").stderr)
        self.assertEqual(self.ask("POST", "/resume", '{"method":"fast"}')[0], 200)
        self.assertEqual(self.json(self.run_clouds("call", "fast", "--json")), ["here"])
        self.assertEqual(self.ask("POST", "/pause")[0], 200)
        status, said, _ = self.ask("GET", "/readyz")
        self.assertEqual(status, 503)
        self.assertRegex(said["reasons"][0], "is paused$")
        status, said, _ = self.ask("POST", "/resume", '{"method":"fast"}')
        self.assertEqual(status, 409)
        self.assertEqual(self.ask("POST", "/resume", "{}")[0], 200)
        self.assertEqual(self.ask("GET", "/readyz")[0], 200)

    def test_a_script_that_only_calls_still_ends_by_itself(self):
        path = os.path.join(self.folder, "admin.sock")
        self.assertEqual(self.run_clouds("run", "--admin", f"unix:{path}", "-e", "print(1)").stdout, "1\n")
        self.assertFalse(os.path.exists(path))


class Refused(Admin):
    def test_what_is_not_understood(self):
        service = self.open()
        self.expect(404, "GET", "/index.html")
        self.expect(404, "GET", "/status/")
        self.expect(404, "POST", "/pause", '{"method":"nobody"}')
        for path in ("/stop", "/pause", "/resume", "/stop?drain=0"):
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
                if method != "HEAD":
                    self.assertEqual(self.expect(405, method, path)["Allow"], "POST")
        for path in ("/healthz", "/readyz", "/status", "/metrics"):
            self.assertEqual(self.expect(405, "POST", path, "{}")["Allow"], "GET, HEAD")
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""):
            self.expect(415, "POST", "/stop", "{}", {"Content-Type": kind})
        for query in ("drain=x", "drain=-1", "drain=1e9", "drain=86401", "drain=.", "drain=", "dran=1", "x"):
            self.expect(400, "POST", "/stop?" + query)
        for body in ("x", "[]", "1", '{"method":1}', '{"method":""}', '{"metod":"fast"}', "{"):
            self.expect(400, "POST", "/pause", body)
        self.expect(413, "POST", "/pause", "x" * 100000)
        self.assertEqual(self.ask("GET", "/readyz")[0], 200)
        self.assertEqual(service.err.text(), "")

    def test_pages_of_a_browser(self):
        self.open()
        self.expect_pages_of_a_browser_refused()

    def open_port(self):
        token = self.file("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        port = free_port()
        service = self.start("run", "--admin", f"127.0.0.1:{port}", "--admin-token-file", token, self.file("s.lua", SERVICE))
        service.out.wait_for("ready")
        return service, lambda *words: self.ask(*words, connection=http.client.HTTPConnection("127.0.0.1", port, timeout=60)), port

    def test_a_port_needs_the_token(self):
        service, ask, port = self.open_port()
        self.expect_token_needed(ask)
        result = self.run_clouds("run", "--admin", f"127.0.0.1:{port}", "--admin-token-file", os.path.join(self.folder, "token"),
                                 "-e", "print(1)")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (1, "", f"clouds run: --admin 127.0.0.1:{port}: address already in use\n"))
        self.assertEqual(ask("POST", "/stop", "{}", {"Authorization": f"Bearer {TOKEN}"})[0], 202)
        self.assertEqual(service.wait(), 0)

    def test_wrong_usage(self):
        token, short, spaces, empty = (self.file(name, text) for name, text in (("token", TOKEN), ("short", "0123456789"),
                                                                                ("spaces", TOKEN + " x"), ("empty", "")))
        for path in (short, spaces, empty):
            os.chmod(path, 0o600)
        os.chmod(token, 0o644)
        for words, said in ((["--admin", "127.0.0.1:7000"], "--admin-token-file FILE too"),
                            (["--admin", "127.0.0.1:7000", "--admin-token-file", token], "others may read"),
                            (["--admin", "127.0.0.1:7000", "--admin-token-file", short], "22 or more"),
                            (["--admin", "127.0.0.1:7000", "--admin-token-file", spaces], "22 or more"),
                            (["--admin", "127.0.0.1:7000", "--admin-token-file", empty], "22 or more"),
                            (["--admin", "127.0.0.1:7000", "--admin-token-file", "/no/such/file"], "No such file"),
                            (["--admin-token-file", token], "--admin, which is not given"),
                            (["--admin", "unix:"], "expected a path"), (["--admin", "unix:/" + "x" * 200], "107 bytes")):
            result = self.run_clouds("run", *words, "-e", "print(1)")
            self.assertIn(said, result.stderr)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
        os.chmod(token, 0o600)
        for address in ("0.0.0.0:7000", "[::]:7000", "10.0.0.1:7000", "example.org:80", "7000", "127.0.0.1", "127.0.0.1:70000", "::1:7000", ""):
            result = self.run_clouds("run", "--admin", address, "--admin-token-file", token, "-e", "print(1)")
            self.assertIn("expected", result.stderr)
            self.assertEqual((result.returncode, result.stdout), (2, ""))


class Stop(Admin):
    def test_under_load_no_call_fails(self):
        code = SERVICE.replace('io.stderr:write("accepted\\n")', "")
        self.serve(code)
        load = self.start("bench", "-m", "slow", "0.02", "-c", "50", "-t", "2", "--warmup", "0", "--json")
        for _ in range(3):
            service = self.open(code)
            self.assertEqual(self.ask("POST", "/stop", "{}")[:2], (202, {"stopping": True}))
            self.assertEqual(service.wait(), 0)
        self.assertEqual(load.wait(), 0, load.err.text())
        result = json.loads(load.out.text())
        self.assertEqual(result["error_codes"], {}, result)
        self.assertGreater(result["calls"], 100)

    def test_accepted_requests_are_finished_and_it_says_what_goes_on(self):
        service = self.open()
        call = self.start("call", "-s", "until", os.path.join(self.folder, "now"), "--json")
        service.err.wait_for("accepted")
        self.assertEqual(self.ask("POST", "/stop?drain=30")[:2], (202, {"stopping": True}))
        wait_until(lambda: self.ask("GET", "/readyz")[1]["reasons"][:1] == ["draining"], "it drains")
        self.assertEqual(self.ask("GET", "/readyz")[0], 503)
        self.assertEqual(self.ask("POST", "/stop")[:2], (202, {"stopping": True, "already": True}))
        self.file("now", "")
        self.assertEqual(service.wait(), 0)
        self.assertEqual((call.wait(), call.out.text()), (0, '["finished"]\n'))

    def test_what_is_not_answered_in_time_is_named(self):
        for stop in (lambda service: self.ask("POST", "/stop?drain=0.2"), lambda service: service.signal(signal.SIGTERM)):
            service = self.open(SERVICE, "--drain", "0.2")
            for _ in range(2):
                self.start("call", "slow", "1000")
            wait_until(lambda: service.err.text().count("accepted") == 2, "both are accepted")
            stop(service)
            self.assertEqual(service.wait(), 0)
            self.assertIn("clouds: not answered within the 0.2 s of the drain: slow (2)\n", service.err.text())

    def test_a_handler_that_does_not_let_go_is_named(self):
        service = self.open("""
            require("clouds").server{}:register("hang", function() io.stderr:write("in it\\n") while true do end end)
            print("ready")""", "--drain", "0")
        self.start("call", "hang", "--timeout", "100")
        service.err.wait_for("in it")
        service.signal(signal.SIGTERM)
        self.assertEqual(service.wait(), 128 + signal.SIGTERM)
        self.assertTrue(service.err.text().endswith("clouds: unanswered: hang\n"), service.err.text())

    def test_a_signal_after_it_is_the_second(self):
        service = self.open()
        self.start("call", "slow", "1000")
        service.err.wait_for("accepted")
        self.ask("POST", "/stop?drain=1000")
        service.signal(signal.SIGTERM)
        self.assertEqual(service.wait(), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
