"""clouds ping, pause, resume and stop: a node is asked over the bus."""
import json
import unittest

from support import Case, wait_until

SERVICE = """
    local clouds = require "clouds"
    server = clouds.server{ id = "s.asked"%s }
    server:register("fast", function() return "here" end)
    server:register("slow", function(seconds) io.stderr:write("accepted\\n") clouds.sleep(seconds) return "finished" end)
    server:ready()
    print("ready")
"""


class Asking(Case):
    def open(self, more=""):
        return self.serve(SERVICE % more)

    def ask(self, *words, status=0):
        result = self.run_clouds(*words)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout if status == 0 else result.stderr

    def each_cluster(self):
        yield ""
        self.redis()
        yield ', admin = "on"'

    def test_ping(self):
        for more in self.each_cluster():
            service = self.open(more)
            self.assertRegex(self.ask("ping", "s.asked"), rf"^s\.asked: ready, [0-9.]+ ms, process {service.pid}, version [0-9.]+\n$")
            said = json.loads(self.ask("ping", "s.asked", "--json"))
            self.assertEqual((said["id"], said["pid"], said["state"], said["paused"]), ("s.asked", service.pid, "ready", False))
            self.assertIn("no available server s.nobody for ping", self.ask("ping", "s.nobody", status=3))
            said = json.loads(self.run_clouds("ping", "s.nobody", "--json").stdout)
            self.assertEqual(said["error"]["code"], "CLOUDS_NO_AVAILABLE_SERVER")
            self.assertEqual(service.stop(), 0)

    def test_pause_and_resume(self):
        for more in self.each_cluster():
            service = self.open(more)
            self.assertEqual(self.ask("pause", "s.asked", "fast"), "fast of s.asked is paused\n")
            self.assertEqual(json.loads(self.ask("status", "--json"))["states"]["s.asked"]["paused"], ["fast"])
            said = self.ask("call", "fast", status=3)
            self.assertRegex(said, r"^CLOUDS_NO_AVAILABLE_SERVER: no available server for fast on (local:|redis\S+:) 1 server is paused")
            self.assertEqual(self.ask("resume", "s.asked", "fast"), "fast of s.asked is resumed\n")
            self.assertEqual(self.ask("call", "fast", "--json"), '["here"]\n')
            self.assertNotIn("states", json.loads(self.ask("status", "--json")))
            self.assertTrue(json.loads(self.ask("pause", "s.asked", "--json"))["paused"])
            self.assertEqual(json.loads(self.ask("status", "--json"))["states"]["s.asked"]["paused"], ["fast", "slow"])
            self.assertIn("paused", self.ask("ping", "s.asked"))
            self.ask("call", "fast", status=3)
            self.assertEqual(self.ask("resume", "s.asked"), "s.asked is resumed\n")
            self.assertIn("no method 'nobody' is registered", self.ask("pause", "s.asked", "nobody", status=1))
            self.assertEqual(service.stop(), 0)

    def test_stop(self):
        for more in self.each_cluster():
            service = self.open(more)
            call = self.start("call", "slow", "0.5", "--json")
            service.err.wait_for("accepted")
            self.assertEqual(self.ask("stop", "s.asked"), "s.asked has stopped\n")
            # It had left: what it had accepted is answered, and nobody has its id.
            self.assertEqual((call.wait(), call.out.text()), (0, '["finished"]\n'))
            self.assertIn("no available server", self.ask("ping", "s.asked", status=3))
            self.assertEqual(service.wait(), 0)
            self.assertEqual(json.loads(self.ask("status", "--json"))["methods"], {})

    def test_a_stop_that_is_not_waited_for(self):
        for more in self.each_cluster():
            service = self.open(more)
            self.start("call", "slow", "1000", "--json")
            service.err.wait_for("accepted")
            self.assertEqual(self.ask("stop", "s.asked", "--no-wait", "--drain", "1000"), "s.asked is asked to stop\n")
            if more:  # over local: a node that drains takes no questions
                self.assertIn("s.asked: draining", wait_until(lambda: (lambda said: "draining" in said and said)(self.ask("ping", "s.asked")),
                                                              "it drains"))
            self.assertIsNone(service.popen.poll())
            service.popen.kill()

    def test_a_stop_that_takes_too_long(self):
        for more in self.each_cluster():
            service = self.open(more)
            self.start("call", "slow", "1000")
            service.err.wait_for("accepted")
            for seconds in (1, 10, 60):  # for the connection and the question, too
                said = self.run_clouds("stop", "s.asked", "--drain", "1000", "-t", str(seconds), "--json", bound=120)
                if "left" in said.stderr:
                    break
            words = f"s.asked is asked to stop, and has not left within {seconds} s"
            self.assertEqual((said.returncode, said.stderr), (4, f"CLOUDS_CALL_SERVICE_TIMEOUT: {words}\n"))
            error = json.loads(said.stdout)["error"]
            self.assertEqual((error["message"], error["outcome"]), (words, "UNKNOWN"))
            service.popen.kill()

    def test_a_stop_has_the_time_that_is_given(self):
        service = self.open()
        self.start("call", "slow", "1000")
        service.err.wait_for("accepted")
        self.ask("stop", "s.asked", "--drain", "0.2")
        self.assertEqual(service.wait(), 0)
        self.assertIn("clouds: not answered within the 0.2 s of the drain: slow\n", service.err.text())

    def test_a_script_may_decide_itself(self):
        service = self.serve(SERVICE % "" + """
            server:on("stop", function(from, drain) print("asked", from:sub(1, 2), drain) end)
            server:on("paused", function(from, method, paused) print("paused", method, paused) end)""")
        self.ask("stop", "s.asked", "--drain", "5", "--no-wait")
        service.out.wait_for("asked\tc.\t5\n")
        self.ask("pause", "s.asked", "fast")
        service.out.wait_for("paused\tfast\ttrue\n")
        self.ask("resume", "s.asked")
        service.out.wait_for("paused\tnil\tfalse\n")
        self.assertEqual(self.ask("call", "fast", "--json"), '["here"]\n')

    def test_who_may_not_ask(self):
        self.redis()
        service = self.open()
        for words in (("ping",), ("stop",), ("pause",)):
            said = self.ask(*words, "s.asked", status=3)
            self.assertIn("it answers no questions (option admin)", said)
            self.assertIn("CLOUDS_NOT_SUPPORTED", said)
        self.assertEqual(self.ask("call", "fast", "--json"), '["here"]\n')
        self.assertEqual(service.stop(), 0)

    def test_wrong_usage(self):
        for words, said in ((("ping",), "nothing given"), (("ping", "a", "b"), "unexpected argument"), (("stop", "a", "--drain", "x"), "expected a number"),
                            (("pause", "a", "b", "c"), "unexpected argument"), (("ping", "a", "--tmeout", "1"), "did you mean --timeout")):
            self.assertIn(said, self.ask(*words, status=2))
        self.assertIn("127.0.0.1:1", self.ask("--url", "redis://127.0.0.1:1", "ping", "a", status=3))

    def test_the_endpoint_knows_of_a_pause_by_a_node(self):
        service = self.serve(SERVICE % "" + """
            print(server.paused)
            server:on("paused", function() print("paused " .. tostring(server.paused)) end)""")
        self.ask("pause", "s.asked")
        service.out.wait_for("paused true")


if __name__ == "__main__":
    unittest.main()
