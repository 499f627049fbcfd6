"""python3 -m clouds: the commands that the package brings along. Real processes."""
import json
import os
import subprocess
import sys
import unittest

from support import PythonCase, wait_until

import clouds


class Cli(PythonCase):
    bus = "local"

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", workers=2)
        self.server.register("test.hello", lambda name, msg: f"Hello {name}, {msg}")
        self.server.register("pair", lambda: clouds.Values(1, None))
        self.server.register("is_bytes", lambda value: clouds.Values(value, isinstance(value, bytes)))
        self.server.register("fail", self.fail_deliberately)
        self.server.ready()

    @staticmethod
    def fail_deliberately():
        raise clouds.ServiceError("no\x1b[2J\nway", code="E_NO", more={"id": 7})

    def run_it(self, *words, code=0, err="", out=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([sys.executable, "-m", "clouds", *words], env={**self.env, "LC_ALL": "C.UTF-8"},
                              stderr=subprocess.PIPE, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(err, done.stderr.decode())
        self.assertNotIn("Traceback", done.stderr.decode())
        if out is not None:
            self.assertEqual(done.stdout.decode(), out)
        return (done.stdout or b"").decode()

    def test_call(self):
        self.run_it("call", "test.hello", '"Glen"', '"hi"', out='"Hello Glen, hi"\n')
        self.run_it("call", "test.hello", "-s", "Glen", "--json", "-1", "-t5", out='["Hello Glen, -1"]\n')
        self.run_it("--url=" + self.url, "call", "pair", "--server", self.server.id, out="1\nnull\n")
        self.run_it("call", "pair", "--server", "", code=2, err="server: expected the id of a node, and not an empty text")
        self.run_it("call", "pair", "--json", "--retry", "2", "--deadline", "9", out="[1,null]\n")

    def test_once(self):
        runs = []
        self.server.register("count", lambda *args: runs.append(args) or len(runs))
        self.server.ready()
        for _ in range(2):
            self.run_it("call", "--once", "order 7", "count", "1", out="1\n")
        self.run_it("call", "--once=order 8", "count", "1", out="2\n")
        self.run_it("call", "--once", "order 7", "count", "2", code=3, err="CLOUDS_KEY_CONFLICT: ")
        self.run_it("call", "--once", "x" * 256, "count", code=2, err="CLOUDS_TOO_BIG: ")
        self.run_it("call", "--once", "", "count", code=2, err="once: expected a text, and not an empty one")
        self.assertEqual(runs, [(1,), (1,)])

    def test_bytes(self):
        for text, is_bytes in (('{"$base64":"AP8="}', "true"), ('{"$base64":""}', "true"), ('{"$base64":"AP8"}', "false"),
                               ('{"$base64":1}', "false")):
            self.run_it("call", "is_bytes", text, out=f"{text}\n{is_bytes}\n")
        self.run_it("call", "is_bytes", '{"$base64":"AP8="}', "--json", out='[{"$base64":"AP8="},true]\n')

    def test_errors(self):
        self.run_it("call", "fail", code=1, err="E_NO: no\\x1b[2J\\nway")
        said = json.loads(self.run_it("call", "fail", "--json", code=1))
        self.assertEqual({name: said["error"][name] for name in ("code", "message", "outcome", "id")},
                         {"code": "E_NO", "message": "no\x1b[2J\nway", "outcome": "APP_ERROR", "id": 7})
        self.run_it("call", "nobody", code=3, err="CLOUDS_NO_AVAILABLE_SERVER: ")
        self.run_it("--url", "redis+unix:///nowhere/at/all", "call", "x", code=3, err="CLOUDS_UNREACHABLE: ")
        self.run_it("--url", "redis+unix:///nowhere/at/all", "status", code=3, err="CLOUDS_UNREACHABLE: ")

    def test_wrong_usage(self):
        for words, said in (((), "COMMAND"), (("dance",), "dance"), (("call",), "METHOD"), (("call", "x", "a"), "JSON"),
                            (("call", "x", "NaN"), "NaN is no JSON"), (("call", "x", "-t", "soon"), "--timeout"),
                            (("call", "x", "--colour"), "--colour"), (("call", "x", "-s", "\udcff"), "UTF-8"),
                            (("--url", "bad:x", "status"), "CLOUDS_INVALID_URL"),
                            (("--url-file", "/nowhere", "status"), "/nowhere"),
                            (("send", "x"), "JSON")):
            self.run_it(*words, code=2, err=said)

    def test_send(self):
        got = []
        self.server.on_message(lambda *message: got.append(message[1]))
        self.run_it("send", self.server.id, '{"a":[1]}')
        wait_until(lambda: got == [{"a": [1]}])
        self.run_it("send", "-s", "s.nobody", "x", err="no one received it: there is no node 's.nobody'")
        self.run_it("send", "--strict", "s.nobody", "1", code=3)

    def test_status(self):
        said = json.loads(self.run_it("status", "--json"))
        self.assertEqual(said["methods"]["pair"], [self.server.id])
        self.assertIn(f"pair              1  {self.server.id}\n", self.run_it("status"))
        self.run_it("--url", "local:empty", "status", out="no services\n")

    def test_output_that_is_lost(self):
        with open("/dev/full", "wb") as full:
            self.run_it("call", "pair", code=1, err="cannot write the output: ", stdout=full)
        reader, writer = os.pipe()
        os.close(reader)
        self.run_it("call", "pair", code=1, stdout=writer)
        os.close(writer)

    def test_help(self):
        self.assertIn("exit codes", self.run_it("--help"))
        self.assertIn("--deadline", self.run_it("call", "--help"))
        self.assertIn(clouds.version, self.run_it("--version"))


if __name__ == "__main__":
    unittest.main()
