"""Errors, timeouts and retries between the original and ours, in both directions."""
import time
import unittest

from support import CROSS, NO_SERVER, TIMEOUT, Case

# A lookup that finds nothing is repeated at most once a second, which may be longer than one attempt of ours lasts.
EXPIRED = "CLOUDS_EXPIRED"


class Errors(Case):
    def pair(self, caller, server, *methods, **options):
        one, two = self.agents(caller, server)
        one.node("client", "c", **options)
        two.server(*methods)
        return one, two

    def test_members_of_an_error_arrive(self):
        for caller, server in CROSS:
            method = f"{caller}.fail"
            client, _ = self.pair(caller, server, f"{method}=fail")
            result = client.call(method, "members")
            error = result["error"]
            self.assertEqual((error["message"], error["code"], error["status"]), ("boom", "E_BOOM", 500), caller)
            self.assertEqual(error["extra"], {"a": [1, None, {}], "b": []}, caller)
            self.assertEqual(result["values"], [], caller)

    def test_an_error_and_values_together(self):
        for caller, server in CROSS:
            method = f"{caller}.fail"
            client, _ = self.pair(caller, server, f"{method}=fail")
            result = client.call(method, "error", 1, None, {"x": []}, None)
            self.assertEqual(result["error"]["message"], "boom", caller)
            self.assertEqual(result["values"], [1, None, {"x": []}, None], caller)

    def test_what_else_a_handler_of_the_original_fails_with(self):
        client, _ = self.pair("lua", "npm", "fail")
        result = client.call("fail", "object")
        self.assertEqual((result["error"]["message"], result["error"]["code"]), ("plain", "E_PLAIN"))
        # On the wire a text is {"0":"p","1":"l",...}, and a number {}.
        for kind, message in (("string", "plain"), ("number", ""), ("true", ""), ("error", "boom")):
            error = client.call("fail", kind)["error"]
            self.assertEqual((error["outcome"], error["message"]), ("APP_ERROR", message), kind)

    def test_an_error_that_is_false_is_none(self):
        client, _ = self.pair("lua", "npm", "falsy")
        for value in (0, "", False, None):
            result = client.call("falsy", value)
            self.assertEqual((result["error"], result["values"]), (None, ["values"]), value)

    def test_what_else_a_handler_of_ours_fails_with(self):
        client, server = self.pair("npm", "lua", "fail", "echo")
        for kind, message in (("string", "plain"), ("number", "5"), ("raise", "attempt to index"),
                              ("unsendable", "function"), ("cyclic", ""), ("empty", "")):
            result = client.call("fail", kind)
            self.assertTrue(result["error"]["is_error"], kind)
            self.assertIn(message, result["error"]["message"], kind)
            self.assertNotEqual(result["error"]["message"], "", kind)
            self.assertEqual(result["values"], [], kind)
        self.assertEqual(client.call("echo", 1)["values"], [1])
        self.assertTrue(server.is_alive())

    def test_a_result_that_is_too_long_is_an_error(self):
        client, _ = self.pair("npm", "lua", "big", timeout=20)
        self.assertEqual(len(client.call("big", 3000000)["values"][0]), 3000000)
        result = client.call("big", 5000000)
        self.assertIsNotNone(result["error"])
        self.assertNotEqual(result["error"].get("code"), TIMEOUT)
        self.assertNotEqual(result["error"]["message"], "")
        self.assertEqual(len(client.call("big", 2000000)["values"][0]), 2000000)

    def test_the_first_of_two_answers_counts(self):
        client, _ = self.pair("lua", "npm", "twice", "echo")
        self.assertEqual(client.call("twice")["values"], ["first"])
        self.assertEqual(client.call("echo", 5)["values"], [5])

    def test_an_unknown_method_of_a_known_server(self):
        # A registration without a handler, as one that was left behind by another process with this id.
        for caller, server in CROSS:
            one, two = self.agents(caller, server)
            one.node("client", "c")
            id = two.server(f"{caller}.known=echo")
            self.server.command("SETEX", f"clouds:S:{caller}.unknown:{id}", 10, 1)
            result = one.call(f"{caller}.unknown")
            self.assertTrue(result["error"]["message"].startswith("service handler not found"), result)

    def test_no_server(self):
        for kind in ("npm", "lua"):
            client = self.agent(kind)
            client.node("client", "c", timeout=5)
            self.expect_code(client.call("nobody.has.this"), NO_SERVER)

    def test_a_timeout(self):
        for caller, server in CROSS:
            method = f"{caller}.hang"
            client, _ = self.pair(caller, server, f"{method}=hang", timeout=1.5)
            started = time.monotonic()
            self.expect_code(client.call(method), TIMEOUT)
            self.assertGreaterEqual(time.monotonic() - started, 1.45)

    def test_retry_until_a_server_comes(self):
        for caller, server in CROSS:
            one, two = self.agents(caller, server)
            one.node("client", "c", timeout=1)
            order = one.begin("bind", node="c", method=f"{caller}.echo", retry=60, args=["late"])
            two.server(f"{caller}.echo=echo")
            result = one.finish(order)
            self.assertEqual((result["error"], result["values"]), (None, ["late"]), caller)

    def test_on_retry_runs_before_each_attempt(self):
        for caller, server in CROSS:
            method = f"{caller}.hang"
            client, _ = self.pair(caller, server, f"{method}=hang", f"{caller}.echo=echo", timeout=20)
            client.node("client", "hasty", timeout=0.3)
            result = client.ask("bind", node="c", method=f"{caller}.echo", retry=3, hook=True, args=["a"])
            self.assertEqual((result["values"], result["attempts"]), (["a", 1], 1), caller)
            result = client.ask("bind", node="hasty", method=method, retry=2, hook=True, args=["a"])
            self.assertEqual(result["attempts"], 3, caller)
            self.assertIn(result["error"]["code"], (TIMEOUT, NO_SERVER, EXPIRED), caller)

    def test_what_a_call_says_whose_first_attempt_timed_out(self):
        # One silent server: the first attempt times out and unlists it, the second finds none (WIRE.md 5.1). Ours
        # tells beside the last error that the call may have been executed.
        for caller in ("npm", "lua"):
            client, _ = self.pair(caller, "npm", f"{caller}.hang=hang", timeout=1.2)
            result = client.ask("bind", node="c", method=f"{caller}.hang", retry=1, args=[])
            self.expect_code(result, NO_SERVER)
            self.assertEqual(result["error"].get("outcome", "UNKNOWN"), "UNKNOWN")


if __name__ == "__main__":
    unittest.main()
