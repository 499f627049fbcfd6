"""clouds publish and subscribe: lines, JSON, groups, counts, exit codes, over local:, Redis and etcd."""
import json
import signal
import unittest

from support import BOUND, CLOUDS, Case, Process, wait_until


class Channels:
    """Runs for each kind of cluster."""

    def subscribe(self, *words):
        process = Process([CLOUDS, "subscribe", *words], self.env)
        self.addCleanup(process.stop)
        process.err.wait_for("subscribed")
        return process

    def publish(self, topic, value, *words):
        result = self.run_clouds("publish", *words, topic, value)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_lines_and_the_end_after_a_count(self):
        process = self.subscribe("-n", "2", "chat.room")
        self.publish("chat.room", '{"a":[1,null]}')
        self.publish("chat.room", "plain words", "-s")
        self.assertEqual(process.popen.wait(BOUND), 0)
        self.assertEqual(process.out.join(), 'chat.room\t{"a":[1,null]}\nchat.room\t"plain words"\n')

    def test_json_and_a_signal(self):
        process = self.subscribe("--json", "a.b", "c")
        self.assertEqual(json.loads(self.publish("c", "7", "--json")), {"receivers": 1})
        line = json.loads(process.out.wait_for("\n"))
        self.assertEqual((line["topic"], line["value"], line["missed"]), ("c", 7, 0))
        process.popen.send_signal(signal.SIGTERM)
        self.assertEqual(process.popen.wait(BOUND), 0)

    def test_a_pattern(self):
        process = self.subscribe("chat.>")
        wait_until(lambda: self.run_clouds("publish", "chat.a.b", "1") and "chat.a.b\t1\n" in process.out.text())

    def test_all(self):
        process = self.subscribe("--all", "-n", "1", "x", "y")
        self.publish("y", "2")
        self.publish("x", "1")
        self.assertEqual(process.popen.wait(BOUND), 0)
        self.assertEqual(process.out.join(), "x\t[1,2]\n")

    def test_a_group(self):
        members = [self.subscribe("--group", "workers", "job") for _ in range(2)]
        wait_until(lambda: self.run_clouds("publish", "job", "1") and any(one.out.text() for one in members))

    def test_nobody(self):
        result = self.run_clouds("publish", "no.body", "1")
        self.assertEqual(result.returncode, 0)
        self.assertIn("nobody has subscribed to 'no.body'", result.stderr)
        self.assertEqual(self.run_clouds("publish", "no.body", "1", "--strict").returncode, 3)

    def test_what_is_wrong_is_said(self):
        for words, text in ((["publish", "a..b", "1"], "has an empty token"),
                            (["publish", "a.*", "1"], "only a subscription may have one"),
                            (["subscribe", "a.b*"], "a wildcard that is no whole token"),
                            (["subscribe", "-g", "w", "a.*"], "a group takes topics only"),
                            (["subscribe", "--all", "a"], "all-of takes two topics or more")):
            result = self.run_clouds(*words)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(text, result.stderr)


class OverLocal(Channels, Case):
    pass


class OverRedis(Channels, Case):

    def setUp(self):
        super().setUp()
        self.env["CLOUDS_URL"] = self.redis().url


class OverEtcd(Channels, Case):

    def setUp(self):
        super().setUp()
        self.etcd()


if __name__ == "__main__":
    unittest.main()
