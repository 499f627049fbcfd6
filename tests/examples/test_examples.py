#!/usr/bin/env python3
"""Every example in C and C++ is run, and does what it says: over local: and over Redis."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, Case, Process, wait_until  # noqa: E402

PROGRAMS = os.path.join(os.environ["CLOUDS_BUILD_DIR"], "examples")


class Examples(Case):
    def setUp(self):
        super().setUp()
        self.url = self.redis().url if os.environ["CLOUDS_TEST_BUS"] == "redis" else "local:examples"

    def program(self, name, *arguments, stdin=subprocess.DEVNULL):
        """Starts an example."""
        process = Process([os.path.join(PROGRAMS, name), *arguments], self.env, stdin)
        self.addCleanup(process.discard)
        return process

    def client(self, arguments, url=None):
        """Runs the client: exit code, output, complaints."""
        done = subprocess.run([os.path.join(PROGRAMS, "c/client"), arguments, url or self.url], env=self.env,
                              capture_output=True, text=True, timeout=BOUND)
        return done.returncode, done.stdout, done.stderr

    def call(self, method, *arguments):
        """One call by the host program: its output, once there is a server."""
        def answered():
            done = self.run_clouds("call", "--url", self.url, method, *arguments)
            return done.stdout if done.returncode == 0 else None
        return wait_until(answered, f"an answer of {method}")

    def test_the_client_gets_what_the_service_answers(self):
        service = self.program("c/service", self.url)
        wait_until(lambda: self.client('["x",[1,null],{}]') == (0, '["x",[1,null],{}]\n', ""), "the answer")
        self.assertEqual(self.client("[]"), (0, "[]\n", ""))
        self.assertIsNone(service.popen.poll(), "the service goes on")

    def test_the_client_tells_the_error_of_a_service(self):
        self.serve("""
            local server = require("clouds").server()
            assert(server:register("test.echo", function() error { message = "not today", code = "E_DAY" } end))
            print "ready"
            """, env={"CLOUDS_URL": self.url})
        code, out, err = self.client("[]")
        self.assertEqual((code, out), (1, ""))
        self.assertIn('CLOUDS_SERVICE_ERROR: {', err)
        self.assertIn('"not today"', err)

    def test_the_address_may_come_from_the_environment(self):
        self.program("c/service", self.url)
        wait_until(lambda: self.client("[]")[0] == 0, "the service")
        done = subprocess.run([os.path.join(PROGRAMS, "c/client")], env={**self.env, "CLOUDS_URL": self.url},
                              capture_output=True, text=True, timeout=BOUND)
        self.assertEqual((done.returncode, done.stdout), (0, '["hello"]\n'), done.stderr)

    def test_the_client_says_what_went_wrong(self):
        code, out, err = self.client("[1,2")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("not a valid JSON array", err)
        for name in ("c/service", "c/epoll", "c/uv", "c/cores", "cpp/hello"):
            bad = self.program(name, "nonsense:")
            self.assertEqual(bad.wait(), 1, name)
            self.assertIn("expected redis:", bad.err.text(), name)
        self.assertIn("expected redis:", self.client("[]", "nonsense:")[2])

    def test_an_epoll_loop_calls_and_its_timer_goes_on(self):
        epoll = self.program("c/epoll", self.url, stdin=subprocess.PIPE)
        epoll.popen.stdin.write(b"[1]\n" * 300 + b'["half')
        epoll.popen.stdin.flush()
        epoll.err.wait_for("300 calls outstanding")
        self.program("c/service", self.url)
        wait_until(lambda: epoll.out.text().count("[1]\n") == 300, "all answers")
        epoll.popen.stdin.write(b' and half"]\n')
        epoll.popen.stdin.close()
        epoll.popen.stdin = None
        self.assertEqual(epoll.wait(), 0, epoll.err.text())
        self.assertEqual(epoll.out.text(), "[1]\n" * 300 + '["half and half"]\n')

    def test_an_epoll_loop_tells_of_what_cannot_be_called(self):
        epoll = self.program("c/epoll", self.url, stdin=subprocess.PIPE)
        epoll.popen.stdin.write(b"oops\n")
        epoll.popen.stdin.close()
        epoll.popen.stdin = None
        self.assertEqual(epoll.wait(), 1)
        self.assertIn("not called: ", epoll.err.text())

    def test_a_uv_loop_serves_beside_its_timer_and_stops_in_order(self):
        uv = self.program("c/uv", self.url)
        uv.out.wait_for("echo\n")
        uv.out.wait_for("ticks\n")
        self.assertEqual(self.call("test.echo", '"here"'), '"here"\n')
        first = int(self.call("test.ticks"))
        wait_until(lambda: int(self.call("test.ticks")) > first, "another tick")
        self.assertEqual(uv.stop(), 0, uv.err.text())
        self.assertEqual(uv.err.text(), "")

    def test_a_service_on_all_cores_uses_all_and_stops_in_order(self):
        cores = self.program("c/cores", self.url, "3")
        wait_until(lambda: len(self.servers("test.work")) == 3, "three servers")
        caller = self.run_clouds("run", "--url", self.url, "-e", """
            local work = require("clouds").client():bind("test.work", 5)
            for i = 1, 30 do print(assert(work(1000)), select(2, work(1000))) end""")
        answers = [line.split() for line in caller.stdout.splitlines()]
        self.assertEqual({sum for sum, _ in answers}, {"500500"}, caller.stderr)
        self.assertEqual(len({server for _, server in answers}), 3, "all of them work")
        self.assertEqual(cores.stop(), 0, cores.err.text())
        served = [int(line.split()[0]) for line in cores.out.text().splitlines()]
        self.assertEqual(len(served), 3)
        self.assertEqual(sum(served), 60)
        self.assertNotIn(0, served)
        self.assertEqual(self.servers("test.work"), [], "nobody is left in the registry")

    def servers(self, method):
        return self.json(self.run_clouds("status", "--json", "--url", self.url))["methods"].get(method, [])

    def test_a_cpp_program_serves_calls_and_catches(self):
        hello = self.program("cpp/hello", self.url)
        self.assertEqual(hello.wait(), 0, hello.err.text())
        first, second = hello.out.text().splitlines()
        self.assertEqual(first, '["Hello","C++"]')
        self.assertTrue(second.startswith("CLOUDS_NO_AVAILABLE_SERVER") and second.endswith("(not done)"), second)
        self.assertEqual(hello.err.text(), "")

    def test_calls_and_contexts_leave_nothing(self):
        rounds = 200 if os.environ.get("CLOUDS_LONG") else 20
        done = subprocess.run([os.path.join(PROGRAMS, "../tests/examples/test_examples_leaks"), self.url, str(rounds)],
                              env=self.env, capture_output=True, text=True, timeout=BOUND * (10 if rounds > 20 else 2))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


unittest.main()
