"""Values of all kinds, exactly, between the original and ours, in both directions."""
import json
import unittest

from support import CROSS, PAIRS, Case

# JSON as it is written in lines; each has to come back as the same text of the caller's own encoder.
ARGUMENTS = (
    "[]",
    "[null]",
    "[null,null,null]",
    "[1,null]",
    "[null,1,null,null]",
    "[[]]",
    "[{}]",
    "[[[]],[{}],[null]]",
    "[true,false,null,0,-1,1.5]",
    "[0,1,-1,127,128,255,256,32767,65536,2147483647,2147483648,4294967295,4294967296]",
    "[9007199254740991,-9007199254740991,9007199254740990,4503599627370497]",
    "[0.1,0.2,0.30000000000000004,0.5,1e-7,0.000001,123456.789,-1.25,1e21,1e100,1.5e300]",
    "[5e-324,2.2250738585072014e-308,2.225073858507201e-308,1.7976931348623157e308,100000000000000000000]",
    '["","a","\\u0000","\\u0000\\u0000","a\\u0000b","\\u001f\\u007f\\u0080"]',
    '["h\\u00e9","\\u4e16\\u754c","\\ud83d\\ude00","\\u2028\\u2029","\\ufeff","\\uffff\\ufffd"]',
    '["\\ud800","\\udfff","\\udc00\\ud800","a\\ud83d","\\ud83db","\\ud83d\\ud83d\\ude00"]',
    '["\\"","\\\\","/","\\b\\f\\n\\r\\t","</script>"]',
    '[{"1":1},{"0":[],"1":{}},{"a":{"b":{"c":[null,{"d":null}]}}}]',
    '[{"":1},{" ":2},{"a.b":3},{"length":4},{"n":5}]',
    '["m",{"t":"c","s":"x","d":{"i":"1"}}]',
)


class Values(Case):
    def pair(self, caller, server, *methods):
        one, two = self.agents(caller, server)
        one.node("client", "c", timeout=20)
        two.server(*methods)
        return one

    def test_arguments_come_back_as_they_were(self):
        for caller, server in PAIRS:
            client = self.pair(caller, server, f"{caller}.echo=echo")
            for text in ARGUMENTS:
                with self.subTest(caller=caller, server=server, text=text):
                    values = json.loads(text)
                    result = client.call(f"{caller}.echo", *values)
                    self.assertIsNone(result["error"])
                    self.assertTrue(result["same"], result["values"])
                    self.assertEqual(result["values"], values)
            client.kill()

    def test_values_written_in_one_language_are_those_of_the_other(self):
        for caller, server in PAIRS:
            with self.subTest(caller=caller, server=server):
                one, two = self.agents(caller, server)
                one.node("client", "c", timeout=20)
                two.server("give", "take")
                names = (two if server == "npm" else self.names()).ask("samples")["names"]
                self.assertGreater(len(names), 30)
                for name in names:
                    result = one.ask("sample", node="c", name=name)
                    self.assertEqual((name, result), (name, {"error": None, "given": True, "taken": True}))
                two.kill(), one.kill()
                self.server.command("FLUSHALL")

    def names(self):
        if not hasattr(self, "_names"):
            self._names = self.agent("npm")
        return self._names

    def test_the_number_of_arguments_is_kept(self):
        for caller, server in CROSS:
            client = self.pair(caller, server, f"{caller}.count=count")
            for count in (0, 1, 2, 7):
                for value in (None, 1):
                    result = client.call(f"{caller}.count", *[value] * count)
                    self.assertEqual((result["error"], result["values"]), (None, [count]), (caller, value))

    def test_results_of_nothing_and_of_one_null(self):
        for caller, server in CROSS:
            client = self.pair(caller, server, f"{caller}.nothing=nothing", f"{caller}.echo=echo")
            self.assertEqual(client.call(f"{caller}.nothing")["values"], [], caller)
            self.assertEqual(client.call(f"{caller}.echo", None)["values"], [None], caller)

    def test_many_megabytes(self):
        for caller, server in CROSS:
            client = self.pair(caller, server, f"{caller}.echo=echo")
            for value in ("x" * 1000000, "\u4e16" * 500000, "\u0001" * 200000, ["0123456789"] * 100000):
                result = client.call(f"{caller}.echo", value)
                self.assertTrue(result["same"], (caller, str(value)[:20], result["error"]))

    def test_minus_zero_is_zero(self):
        client = self.agent("lua")
        server = self.agent("npm")
        client.node("client", "c")
        server.server("echo")
        sent = self.watch("PSUBSCRIBE", "*")
        self.assertEqual(client.call("echo", -0.0)["values"], [0])
        call = sent.wait_for(lambda m: b'"t":"c"' in m[3])
        self.assertRegex(call[3], rb'"a":\[0\]')


if __name__ == "__main__":
    unittest.main()
