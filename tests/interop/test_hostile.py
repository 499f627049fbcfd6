"""What kills the original (WIRE.md 5.2), published at nodes of ours: they live, and go on answering the original."""
import json
import unittest

from support import TIMEOUT, Case

NO_HANDLER = "service handler not found"


def deep(levels):
    return "[" * levels + "]" * levels


# For any node: nothing of this has an answer.
ANYWHERE = (
    "", " ", "text", "{", "}", "[", '{"t":', '"', "nul", "+1", "01", "1e", "{'t':'m'}", '{"t":"m",}',
    '{"t":"m"} x',
    '{"t":"m","s":"x","d":"\n"}', '{"t":"m","s":"x","d":"\x00"}', b'\xff\xfe\x00', b'{"t":"m","s":"x","d":"\x01"}',
    b"\x00" * 100, "null", "true", "5", '"str"', "[]", "{}", "[[]]", '{"t":null}', '{"t":5}', '{"t":{}}', '{"t":""}',
    '{"t":"zz"}', '{"t":"' + "z" * 100000 + '"}', '{"t":"m"}', '{"t":"m","s":5}', '{"t":"m","s":null,"d":1}',
    '{"t":"r"}', '{"t":"r","d":null}', '{"t":"r","s":"x","d":5}', '{"t":"r","s":"x","d":[]}',
    '{"t":"r","s":"x","d":{}}',
    '{"t":"r","s":"x","d":{"i":"unknown","e":null,"r":[]}}', '{"t":"r","s":"x","d":{"i":"toString","e":5,"r":5}}',
    '{"t":"r","s":"x","d":{"i":null,"e":{"message":5},"r":{}}}', '{"t":"r","s":"x","d":{"i":{},"e":[],"r":"x"}}',
    '{"t":"c"}', '{"t":"c","d":null}', '{"t":"c","s":"x","d":5}', '{"t":"c","s":"x","d":"text"}',
    '{"t":"c","s":"x","d":[]}', '{"t":"c","d":{}}', '{"t":"c","s":5,"d":{"i":"1","m":"echo","a":[]}}',
    '{"t":"c","s":"","d":{"i":"1","m":"echo","a":[]}}', '{"t":"c","s":"x","d":{"i":5,"m":"echo","a":[]}}',
    '{"t":"c","s":"x","d":{"i":"1","m":5,"a":[]}}', '{"t":"c","s":"x","d":{"m":"echo","a":[]}}',
    '{"t":"m","t":"c","s":"x","d":{},"d":null}', '{"d":{"a":[],"m":"echo","i":"1"},"s":"x","t":"c"}',
    deep(20000), '{"t":"m","s":"x","d":' + deep(20000) + "}",
    '{"t":"c","s":"x","d":{"i":"1","m":"echo","a":' + deep(20000) + "}}",
    "[" * 100000, '{"a":' * 5000, b'{"t":"m","s":"x","d":"\xff\xc0\x80\xed\xa0\x80"}',
    '{"t":"m","s":"x","d":"\\ud800"}',
    '{"t":"m","s":"x","d":"\\u12"}', '{"t":"m","s":"x","d":1e999}', '{"t":"m","s":"x","d":' + "9" * 100000 + "}",
    '{"t":"m","s":"x","d":' + json.dumps([0] * 200000) + "}", '{"t":"b","s":"x","d":[]}', '{"t":"u"}',
    '{"t":"w","s":"x","d":{"m":null}}',
    '{"t":"m","s":"x","d":1}' * 3, "\ufeff{}",
)

# For a server: what is wrong, and the message of the error that answers it; None: any.
ANSWERED = (
    ({"i": "A1", "m": "echo"}, None),
    ({"i": "A2", "m": "echo", "a": None}, None),
    ({"i": "A3", "m": "echo", "a": {}}, None),
    ({"i": "A4", "m": "echo", "a": "text"}, None),
    ({"i": "A5", "m": "echo", "a": 5}, None),
    ({"i": "A6", "m": "hasOwnProperty", "a": ["x"]}, NO_HANDLER),
    ({"i": "A7", "m": "toString", "a": []}, NO_HANDLER),
    ({"i": "A8", "m": "constructor", "a": []}, NO_HANDLER),
    ({"i": "A9", "m": "__proto__", "a": []}, NO_HANDLER),
    ({"i": "A10", "m": "unknown", "a": []}, NO_HANDLER),
    ({"i": "A11", "m": "", "a": []}, NO_HANDLER),
    ({"i": "A12", "m": "x" * 5000, "a": []}, NO_HANDLER),
    ({"i": "A13", "m": "fail", "a": ["raise"]}, None),
    ({"i": "A14", "m": "fail", "a": ["cyclic"]}, None),
    ({"i": "A15", "m": "fail", "a": ["unsendable"]}, None),
    ({"i": "A16", "m": "fail", "a": []}, None),
    ({"i": "", "m": "unknown", "a": []}, NO_HANDLER),
    ({"i": "A" * 3000, "m": "unknown", "a": []}, NO_HANDLER),
    ({"i": "A\u0000\u4e16\"", "m": "unknown", "a": []}, NO_HANDLER),
)


# What follows the id in a result, and how the call ends.
SERVICE_ERROR = "CLOUDS_SERVICE_ERROR"
STRANGE_ANSWERS = (
    ("", None, None),
    (',"e":null', None, None),
    (',"e":0,"r":null', None, None),
    (',"e":5', SERVICE_ERROR, "5"),
    (',"e":true,"r":[]', SERVICE_ERROR, "true"),
    (',"e":"text"', SERVICE_ERROR, "text"),
    (',"e":[],"r":[1]', SERVICE_ERROR, "the service answered with an error"),
    (',"e":{"message":{}},"r":null', SERVICE_ERROR, "the service answered with an error"),
    (',"e":{"code":5,"message":"m"},"r":[]', 5, "m"),
    (',"e":null,"r":{}', TIMEOUT, "timeout"),
    (',"e":{},"r":"text"', TIMEOUT, "timeout"),
)


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.ours, self.npm = self.agents("lua", "npm")
        self.ids = {kind: self.ours.node(kind, kind, timeout=20) for kind in ("client", "monitor", "base")}
        self.ids["server"] = self.ours.server("echo", "fail", name="server")
        self.npm.server("npm.echo=echo")
        self.npm.node("client", "c", timeout=20)

    def publish(self, id, payload):
        return self.server.command("PUBLISH", f"clouds:L:{id}", payload)

    def expect_life(self, after):
        self.assertEqual(self.npm.call("echo", 1)["values"], [1], after)
        self.assertEqual(self.ours.call("npm.echo", 2, node="client")["values"], [2], after)
        self.assertTrue(self.ours.is_alive() and self.npm.is_alive(), after)

    def test_each_payload_at_each_kind_of_node(self):
        for payload in ANYWHERE:
            for kind, id in self.ids.items():
                with self.subTest(kind=kind, payload=payload[:60]):
                    self.assertEqual(self.publish(id, payload), 1)
                    self.expect_life(payload[:100])
        status = self.ours.ask("status", node="monitor")["status"]
        self.assertEqual(sorted(status["methods"]), ["echo", "fail", "npm.echo"])
        self.assertGreater(self.ours.ask("counters", node="server")["counters"]["broken_input"], 50)

    def test_all_payloads_at_once_under_calls(self):
        orders = [self.npm.begin("calls", node="c", method="echo", args=[7], count=500, at_once=20),
                  self.ours.begin("calls", node="client", method="npm.echo", args=[8], count=500, at_once=20)]
        for payload in ANYWHERE:
            for id in self.ids.values():
                self.assertEqual(self.publish(id, payload), 1)
        self.assertEqual(self.npm.finish(orders[0])["got"], [7] * 500)
        self.assertEqual(self.ours.finish(orders[1])["got"], [8] * 500)

    def test_what_can_be_answered_is(self):
        answers = self.watch("SUBSCRIBE", "clouds:L:c.caller.1.1")
        for call, message in ANSWERED:
            with self.subTest(call=str(call)[:60]):
                text = json.dumps({"t": "c", "s": "c.caller.1.1", "d": call})
                self.assertEqual(self.publish(self.ids["server"], text), 1)
                answer = answers.wait_for(lambda a: json.loads(a[2])["d"]["i"] == call["i"], str(call)[:100])
                result = json.loads(answer[2])
                self.assertEqual((result["t"], result["s"]), ("r", self.ids["server"]))
                self.assertIsInstance(result["d"]["e"], dict)
                self.assertIsInstance(result["d"]["e"]["message"], str)
                self.assertIsInstance(result["d"]["r"], list)
                if message:
                    self.assertEqual(result["d"]["e"]["message"], message)
                self.expect_life(call)

    def test_a_call_without_a_method_is_no_more_than_unknown(self):
        answers = self.watch("SUBSCRIBE", "clouds:L:c.caller.1.1")
        self.publish(self.ids["server"], '{"t":"c","s":"c.caller.1.1","d":{}}')
        self.publish(self.ids["server"], '{"t":"c","s":"c.caller.1.1","d":{"i":"end","m":"echo","a":[1]}}')
        answers.wait_for(lambda a: b'"end"' in a[2], "the answer to the call behind it")
        for answer in answers.all():
            self.assertIsInstance(json.loads(answer[2])["d"], dict)

    def test_invalid_utf8_is_replaced(self):
        self.publish(self.ids["base"], b'{"t":"m","s":"x","d":"a\xffb"}')
        self.publish(self.ids["base"], '{"t":"m","s":"x","d":"end"}')
        self.ours.event(lambda e: e.get("value") == "end")
        values = [e["value"] for e in self.ours.events() if e["event"] == "message"]
        self.assertEqual(values, ["a\ufffdb", "end"])

    def test_strange_answers(self):
        # Somebody answers in the name of a server. What has no values list is no answer; the call then times out.
        for number in range(len(STRANGE_ANSWERS)):
            self.server.command("SETEX", f"clouds:S:silent{number}:s.fake.1.1", 600, 1)
        for number, (answer, code, message) in enumerate(STRANGE_ANSWERS):
            with self.subTest(answer=answer):
                method = f"silent{number}"
                calls = self.watch("SUBSCRIBE", "clouds:L:s.fake.1.1")
                order = self.ours.begin("call", node="client", method=method, args=[], options={"timeout": 1.5 if code == TIMEOUT else 20})
                call = json.loads(calls.wait_for(lambda m: json.loads(m[2])["d"]["m"] == method, "the call")[2])
                text = '{"t":"r","s":"s.fake.1.1","d":{"i":"%s"%s}}' % (call["d"]["i"], answer)
                self.assertEqual(self.publish(self.ids["client"], text), 1)
                error = self.ours.finish(order)["error"]
                self.assertEqual((error and error["code"], error and error["message"].partition(": ")[0]), (code, message))
                self.expect_life(answer)


if __name__ == "__main__":
    unittest.main()
