"""clouds gateway: calls by HTTP, who may make them, and how many."""
import http.client
import json
import os
import socket
import subprocess
import unittest

from gateway_support import Gateway, JSON, SERVICES, digest
from support import Unix, wait_until


class Calls(Gateway):
    def test_E1_a_call_and_what_comes_of_it(self):
        self.open("--allow", "shop.*")
        status, value, fields = self.post("shop.add", 1, 2)
        self.assertEqual((status, value), (200, [3]))
        self.assertEqual(fields["Content-Type"], "application/json")
        self.assertEqual(fields["Cache-Control"], "no-store")
        self.assertEqual(fields["X-Content-Type-Options"], "nosniff")
        self.assertEqual(self.post("shop.nothing")[1], [])
        self.assertEqual(self.post("shop.echo", 1, None, {"a": []}, {}, "\u20ac", 0.1, None)[1], [1, None, {"a": []}, {}, "\u20ac", 0.1, None])
        bytes_of = {"$base64": "AP8="}
        self.assertEqual(self.post("shop.bytes", bytes_of)[1], [True, bytes_of])
        for body, result in (("", []), (" ", []), ("7", [7]), ('{"a":1}', [{"a": 1}]), ("[[1]]", [[1]]), ("null", [None])):
            self.assertEqual(json.loads(self.ask("POST", "/call/shop.echo", body, JSON)[1]), result, body)
        self.assertEqual(self.ask("POST", "/call/shop.nothing")[:2], (200, "[]\n"))  # no body, so no type either

    def test_a_body_is_what_it_is_in_lua(self):
        """Whether it goes on as it is or not."""
        self.open("--allow", "shop.*")
        for body, result in (("\n [ 1 , [ 2 ] ] ", [1, [2]]), ('["\\u20ac\\n\\ud83d\\ude00"]', ["\u20ac\n\U0001f600"]), (b'["\xff"]', ["\ufffd"]),
                             ('[{"$bytes":[0,1]}]', [{"$bytes": [0, 1]}]), ('["$base64"]', ["$base64"]), ("[" * 200 + "]" * 200, None)):
            status, text, _ = self.ask("POST", "/call/shop.echo", body, JSON)
            self.assertEqual((status, json.loads(text)), (200, result if result else json.loads(body)), body)
        self.assertEqual(self.post("shop.some_bytes")[1], [{"$base64": "AP8="}, None, {"$base64": ""}])
        for body in ("[[1,2]]", " [[1,2]]", "\n[[1,2]]\n", "[[1,2]] "):  # what looks at arguments begins with their bracket
            self.assertEqual(self.ask("POST", "/call/shop.list", body, JSON)[:2], (200, "[2]\n"), body)
            self.assertEqual(self.ask("POST", "/call/shop.list", body.replace("1", '"a"'), JSON)[0], 400, body)
        problems = [json.loads(self.ask("POST", "/call/shop.echo", body, JSON)[1])["error"]["message"] for body in ("[1,2", "[01]", "[1]]", "1e400", '["$base64",1e400]')]
        for problem in problems:
            self.assertRegex(problem, "the body is no JSON: .* at byte [0-9]")
        self.assertEqual(self.ask("POST", "/call/shop.nobody", "[" * 300 + "]" * 300, JSON)[0], 413)
        for key in {}, {"Idempotency-Key": "deep"}:
            for body in ("[" * 300 + "]" * 300, '{"a":' + "[" * 300 + "]" * 300 + "}", '["$base64",' + "[" * 300 + "]" * 300 + "]"):
                status, text, _ = self.ask("POST", "/call/shop.echo", body, {**JSON, **key})
                self.assertEqual((status, json.loads(text)["error"]["code"]), (413, "CLOUDS_TOO_BIG"), body[:12])
        status, text, _ = self.ask("POST", "/call/shop.echo", "[1e400]", JSON)
        self.assertEqual((status, json.loads(text)["error"]["code"]), (400, "CLOUDS_INVALID_ARGUMENT"))
        self.assertEqual(self.ask("POST", "/call/shop.nobody", "[]", JSON)[0], 404)

    def test_curl_as_the_page_says_it(self):
        self.open("--allow", "shop.*")
        said = subprocess.run(["curl", "-s", "--json", "[1,2]", f"http://localhost:{self.port}/call/shop.add"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(said.stdout, "[3]\n")

    def test_E1_each_failure_has_its_status(self):
        self.open("--allow", "shop.>", "--allow", "nobody.*")

        def error(*asked, **fields):
            status, value, _ = self.post(*asked, **fields)
            return status, value["error"]["code"], value["error"]["outcome"], value["error"].get("retryable")
        status, value, _ = self.post("shop.fail")
        self.assertEqual((status, value["error"]), (500, {"code": "E_SOLD", "message": "sold out", "left": 0,
                                                          "outcome": "APP_ERROR", "retryable": False}))
        for said, status in ((409, 409), (422, 422), (599, 599), (200, 500), (404.5, 500), ("409", 500)):
            self.assertEqual(self.post("shop.fail", said)[0], status, said)
        self.assertEqual(error("shop.sleep", 30, Clouds_Timeout="1"), (504, "CLOUDS_CALL_SERVICE_TIMEOUT", "UNKNOWN", False))
        self.assertEqual(error("nobody.here"), (404, "CLOUDS_NO_SUCH_METHOD", "NOT_DONE", False))
        for path in ("%ff", "shop.add%ff", "shop.%c3%28"):  # no text that a method could have as its name
            status, text, _ = self.ask("POST", "/call/" + path, "[1]", JSON)
            self.assertEqual((status, json.loads(text)["error"]["outcome"]), (404, "NOT_DONE"), path)
        self.assertEqual(self.gateway.err.text(), "")
        for wrong in ("0", "-1", "soon", "1e9", "99999999", "nan"):
            self.assertEqual(error("shop.add", 1, 2, Clouds_Timeout=wrong), (400, "CLOUDS_INVALID_ARGUMENT", "NOT_DONE", False))
        for body in ("[1", "{", "'a'", "[1,2]x"):
            self.assertEqual(self.ask("POST", "/call/shop.add", body, JSON)[0], 400, body)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            self.assertEqual(self.ask("POST", "/call/shop.add", "[1,2]", {"Content-Type": kind})[0], 415, kind)
        status, text, fields = self.ask("GET", "/call/shop.add")
        self.assertEqual((status, fields["Allow"]), (405, "OPTIONS, POST"))
        self.assertEqual(json.loads(text)["error"]["outcome"], "NOT_DONE")
        status, text, _ = self.ask("POST", "/call/shop.echo", '"' + "x" * 1100000 + '"', JSON)
        self.assertEqual((status, list(json.loads(text)["error"])), (413, ["message"]))
        self.assertEqual(self.ask("POST", "/other", "[]", JSON)[0], 404)

    def test_who_was_there_and_is_away_is_503(self):
        self.open("--allow", "shop.*")
        self.assertEqual(self.post("shop.add", 1, 2)[0], 200)
        self.post("shop.stop")
        self.service.out.wait_for("gone")
        status, value, fields = self.post("shop.add", 1, 2)
        self.assertEqual((status, value["error"]["outcome"], value["error"]["retryable"]), (503, "NOT_DONE", True))
        self.assertGreaterEqual(int(fields["Retry-After"]), 1)
        self.assertNotIn("cluster", value["error"])
        self.assertNotIn("local:", value["error"]["message"])

    def test_what_goes_along(self):
        self.open("--allow", "shop.*")
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        _, value, fields = self.post("shop.meta", traceparent=trace, tracestate="a=b", Clouds_Caller="root")
        self.assertEqual(value, [{"traceparent": trace, "tracestate": "a=b", "request": fields["Clouds-Request"]}])
        self.assertNotIn("traceparent", self.post("shop.meta", traceparent="00-x")[1][0])
        self.assertNotEqual(self.post("shop.meta")[2]["Clouds-Request"], fields["Clouds-Request"])
        before = self.executed()
        answers = {str(self.post("shop.meta", Idempotency_Key='"pay-1"')[1]) for _ in range(3)}
        self.assertEqual(len(answers), 1, "executed once, and answered the same")
        self.assertEqual(self.executed() - before, 1)
        self.assertEqual(self.post("shop.meta", "other", Idempotency_Key='"pay-1"')[0], 422)
        self.assertEqual(self.post("shop.meta", Idempotency_Key="x" * 200)[0], 400)

    def test_E1_a_client_that_leaves_is_noticed_by_the_handler(self):
        self.open("--allow", "shop.*")
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"POST /call/shop.sleep HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n30")
        self.service.out.wait_for("begun")
        client.close()
        self.service.out.wait_for("canceled")
        self.assertEqual(self.post("shop.add", 1, 2)[0], 200)

    def test_a_stop_answers_what_was_asked(self):
        self.open("--allow", "shop.*")
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request("POST", "/call/shop.sleep", "0.3", JSON)
        self.service.out.wait_for("begun")
        self.gateway.popen.terminate()
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b'["slept"]\n'))
        client.close()
        self.assertEqual(self.gateway.wait(), 0, self.gateway.err.text())


class Access(Gateway):
    def test_E2_only_what_is_allowed_is_executed(self):
        self.open("--allow", "shop.add", "--allow", "shop.deep.*")
        self.assertEqual(self.post("shop.add", 1, 2)[0], 200)
        self.assertEqual(self.post("shop.deep.add", 1, 2)[0], 200)
        before, unknown = self.executed(), self.post("shop.add.x", 1, 2)[:2]
        self.assertEqual(unknown[0], 404)
        for method in ("secret.add", "shop.echo", "shop", "shop.", "executed", "$node", "shop.deep", "shop.deep.add.x", "*", ">", "shop.deep.%3E"):
            self.assertEqual(self.post(method, 1, 2)[:2], unknown, method)
        self.assertEqual(self.executed(), before)

    def test_E2_foreign_pages_hosts_and_requests_execute_nothing(self):
        self.open("--allow", ">", "--host", "shop.example", "--origin", "https://app.example")
        before = self.executed()
        for field, value in (("Host", "evil.example"), ("Host", f"evil.example:{self.port}"), ("Origin", "http://evil.example"), ("Origin", "null"),
                             ("Origin", f"http://localhost:{self.port + 1}"), ("Origin", "https://app.example.evil.example")):
            self.assertEqual(self.ask("POST", "/call/shop.add", "[1,2]", dict(JSON, **{field: value}))[0], 403, (field, value))
        for smuggled in (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n",
                         b"Transfer-Encoding: xchunked\r\n", b"Host: localhost\r\nContent-Length: 5\r\n"):
            client = socket.create_connection(("127.0.0.1", self.port))
            client.sendall(b"POST /call/shop.add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + smuggled
                           + b"\r\n[1,2]")
            client.settimeout(60)
            self.assertIn(client.recv(65536).split(b" ")[1], (b"400", b"501"), smuggled)
            client.close()
        self.assertEqual(self.executed(), before)
        for headers in ({"Host": "shop.example"}, {"Host": "SHOP.example:80"}, {"Host": "[::1]:1"}, {"Origin": f"http://127.0.0.1:{self.port}"},
                        {"Origin": "https://app.example"}):
            self.assertEqual(self.ask("POST", "/call/shop.add", "[1,2]", dict(JSON, **headers))[0], 200, headers)

    def test_a_browser_is_told_which_pages_may_ask(self):
        self.open("--allow", "shop.*", "--origin", "https://app.example")
        preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        status, _, fields = self.ask("OPTIONS", "/call/shop.add", headers=preflight)
        self.assertEqual((status, fields["Access-Control-Allow-Origin"], fields["Vary"]), (204, "https://app.example", "Origin"))
        self.assertIn("Content-Type", fields["Access-Control-Allow-Headers"])
        self.assertNotIn("Access-Control-Allow-Credentials", fields)
        _, _, fields = self.ask("POST", "/call/shop.add", "[1,2]", dict(JSON, Origin="https://app.example"))
        self.assertEqual(fields["Access-Control-Allow-Origin"], "https://app.example")
        _, _, fields = self.ask("OPTIONS", "/call/shop.add", headers=dict(preflight, Origin="https://evil.example"))
        self.assertNotIn("Access-Control-Allow-Origin", fields)

    def test_nothing_is_opened_by_mistake(self):
        for options, words in (((), "--allow"), (("--allow", "a.*", "--listen", "0"), "others than this machine"),
                               (("--allow", "a.*", "--listen", "0.0.0.0:0"), "token file"), (("--allow", "a..b"), "empty part"),
                               (("--allow", "a.>.b"), "last part"), (("--allow", "a*"), "whole parts"), (("--allow", "subscibe:a"), "subscribe:"),
                               (("--allow", "a", "--origin", "app.example"), "https://"), (("--allow", "a", "extra"), "unexpected argument"),
                               (("--config", self.file("broken.lua", "return {")), "broken.lua"), (("--config", self.file("none.lua", "")), "no table"),
                               (("--config", self.file("typo.lua", "return { alow = {} }")), "did you mean 'allow'")):
            ended = self.run_clouds("gateway", *options)
            self.assertEqual(ended.returncode, 2, ended.stderr)
            self.assertIn(words, ended.stderr)
        missing = self.run_clouds("gateway", "--listen", "127.0.0.1:0", "--allow", "a", "--token-file", self.folder + "/none")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("No such file", missing.stderr)

    def test_a_program_says_who_asks(self):
        self.open(*self.config("""
            return {
                allow = { "shop.*" },
                authorize = function(request, token)
                    local user = (request.headers.cookie or ""):match("user=(%w+)")
                    if user == "all" then return user end
                    if user then return user, { "shop.meta", "secret.*" } end
                end,
            }
        """))
        self.assertEqual(self.post("shop.meta")[0], 401)
        self.assertEqual(self.post("shop.meta", Cookie="user=glen")[1][0]["caller"], "glen")
        self.assertEqual(self.post("shop.add", 1, 2, Cookie="user=glen")[0], 404)
        self.assertEqual(self.post("secret.add", 1, 2, Cookie="user=glen")[0], 404)  # not beyond what the gateway allows
        self.assertEqual(self.post("shop.add", 1, 2, Cookie="user=all")[0], 200)


class Tokens(Gateway):
    def test_who_has_a_token_may_do_what_its_line_says(self):
        path = self.tokens("# who asks", f"front {digest('t-front')} shop.*", "", f"desk {digest('t-desk').upper()} shop.add,secret.add",
                           f"all@x {digest('t-all')}")
        self.open("--allow", "shop.>", "--token-file", path)
        before = self.executed()
        for token in (None, "t-fron", "t-front x", digest("t-front"), "x" * 4000):
            status, value, fields = self.post("shop.add", 1, 2, token=token)
            self.assertEqual((status, value["error"]["code"], fields["WWW-Authenticate"]), (401, "CLOUDS_AUTH_FAILED", "Bearer"), token)
        self.assertEqual(self.ask("POST", "/call/shop.add", "[1,2]", dict(JSON, Authorization="Basic dDpmcm9udA=="))[0], 401)
        self.assertEqual(self.executed(), before)
        self.assertEqual(self.post("shop.meta", token="t-front")[1][0]["caller"], "front")
        self.assertEqual(self.post("shop.deep.add", 1, 2, token="t-front")[0], 404)
        self.assertEqual(self.post("shop.add", 1, 2, token="t-desk")[0], 200)
        self.assertEqual(self.post("shop.echo", token="t-desk")[0], 404)
        self.assertEqual(self.post("secret.add", 1, 2, token="t-desk")[0], 404)
        self.assertEqual(self.post("shop.deep.add", 1, 2, token="t-all")[0], 200)

    def test_the_file_is_read_again(self):
        self.open("--allow", "shop.*", "--token-file", self.tokens(f"old {digest('old')}"))
        self.assertEqual(self.post("shop.add", 1, 2, token="old")[0], 200)
        self.tokens(f"new {digest('new')}")
        wait_until(lambda: self.post("shop.add", 1, 2, token="new")[0] == 200, "the new token")
        self.assertEqual(self.post("shop.add", 1, 2, token="old")[0], 401)
        for broken in (f"new {digest('new')}\nmore", "new 12", f"new {digest('other')} rate=many", f"a/b {digest('other')}", f"new {digest('other')} a..b"):
            begin = len(self.gateway.err.text())
            self.tokens(broken)
            wait_until(lambda: self.post("shop.add", 1, 2, token="new")[0] == 200 and "stay as they were" in self.gateway.err.text()[begin:], "a word of it")
        begin = len(self.gateway.err.text())
        os.remove(os.path.join(self.folder, "tokens"))
        wait_until(lambda: self.post("shop.add", 1, 2, token="new")[0] == 200 and "No such file" in self.gateway.err.text()[begin:], "a word of it")

    def test_a_file_that_others_may_read_is_refused(self):
        path = self.tokens(f"a {digest('a')}")
        os.chmod(path, 0o644)
        ended = self.run_clouds("gateway", "--listen", "127.0.0.1:0", "--allow", "a", "--token-file", path)
        self.assertEqual(ended.returncode, 2)
        self.assertIn("chmod 600", ended.stderr)

    def test_an_idempotency_key_is_of_one_who_asks(self):
        self.open("--allow", "shop.*", "--token-file", self.tokens(f"a {digest('a')}", f"b {digest('b')}"))
        first = self.post("shop.meta", token="a", Idempotency_Key="k")[1][0]
        self.assertEqual(self.post("shop.meta", token="a", Idempotency_Key="k")[1][0], first)
        self.assertEqual(self.post("shop.meta", token="b", Idempotency_Key="k")[1][0]["caller"], "b")


class Limits(Gateway):
    def test_so_many_requests_and_no_more(self):
        path = self.tokens(f"few {digest('few')} shop.* rate=0.01 burst=3", f"many {digest('many')} shop.*")
        self.open("--allow", "shop.*", "--token-file", path)
        before = self.executed()
        self.assertEqual([self.post("shop.add", 1, 2, token="few")[0] for _ in range(5)], [200, 200, 200, 429, 429])
        self.assertEqual(self.executed() - before, 3)
        status, value, fields = self.post("shop.add", 1, 2, token="few")
        self.assertTrue(60 < int(fields["Retry-After"]) <= 100, fields["Retry-After"])
        self.assertEqual((value["error"]["code"], value["error"]["retryable"]), ("CLOUDS_OVERLOADED", True))
        self.assertEqual({self.post("shop.add", 1, 2, token="many")[0] for _ in range(5)}, {200})

    def test_by_address_without_a_token(self):
        self.open(*self.config('return { allow = { "shop.*" }, rate = 0.01, burst = 2, forwarded = { "127.0.0.1" } }'))

        def ask(address):
            return self.post("shop.add", 1, 2, X_Forwarded_For=address)[0]
        self.assertEqual([ask("10.0.0.1") for _ in range(3)], [200, 200, 429])
        self.assertEqual(ask("10.0.0.2"), 200)
        self.assertEqual([ask("2001:db8::1"), ask("2001:db8:0:0:5::2"), ask("2001:db8::ffff:3")], [200, 200, 429])  # one network
        self.assertEqual(ask("2001:db8:0:1::1"), 200)

    def test_so_many_calls_at_a_time(self):
        self.open(*self.config('return { allow = { "shop.*" }, in_flight = 2 }'))
        clients = [http.client.HTTPConnection("127.0.0.1", self.port, timeout=60) for _ in range(2)]
        for client in clients:
            client.request("POST", "/call/shop.sleep", "30", JSON)
        wait_until(lambda: self.service.out.text().count("begun") == 2, "both calls")
        self.assertEqual(self.post("shop.add", 1, 2)[0], 429)
        for client in clients:
            client.close()
        wait_until(lambda: self.post("shop.add", 1, 2)[0] == 200, "the room of those that left")


class Files(Gateway):
    def test_a_folder_beside_the_calls(self):
        os.mkdir(self.folder + "/public")
        self.file("public/index.html", "<p>hi")
        self.file("public/.hidden", "no")
        self.file("outside", "no")
        self.open("--allow", "shop.*", "--static", self.folder + "/public")
        status, text, fields = self.ask("GET", "/")
        self.assertEqual((status, text, fields["Content-Type"]), (200, "<p>hi", "text/html; charset=utf-8"))
        self.assertEqual(fields["X-Content-Type-Options"], "nosniff")
        self.assertEqual(self.ask("GET", "/index.html", headers={"If-None-Match": fields["ETag"]})[0], 304)
        self.assertEqual(self.ask("GET", "/index.html", headers={"Range": "bytes=1-2"})[1], "p>")
        for path in ("/.hidden", "/../outside", "/%2e%2e/outside", "/nothing"):
            self.assertEqual(self.ask("GET", path)[0], 404, path)
        self.assertEqual(self.ask("GET", "/call/shop.add")[0], 405)
        self.assertEqual(self.post("shop.add", 1, 2)[1], [3])


class Supervised(Gateway):
    def test_a_supervisor_asks_at_an_address_of_its_own(self):
        path = self.folder + "/admin.sock"
        self.open("--allow", "shop.*", "--admin", "unix:" + path)
        self.assertEqual(self.post("shop.add", 1, 2)[0], 200)
        self.assertEqual(self.post("shop.fail")[0], 500)
        self.assertEqual(Unix(path).get("/readyz")[0], 200)
        metrics = Unix(path).get("/metrics")[1]
        self.assertIn('clouds_calls_total{method="shop.add",outcome="ok"} 1', metrics)
        self.assertIn('clouds_calls_total{method="shop.fail",outcome="app_error"} 1', metrics)
        self.assertEqual(self.ask("GET", "/metrics")[0], 404)
        wrong = self.run_clouds("gateway", "--allow", "a", "--admin", "0")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("clouds gateway: --admin 0", wrong.stderr)


class InAScript(Gateway):
    def test_a_script_can_be_a_gateway(self):
        self.service = self.serve(SERVICES)
        path = self.folder + "/gw.sock"
        self.serve(f"""
            local gateway = require "clouds.gateway"
            for _, wrong in ipairs {{ {{ allow = "a" }}, {{ rate = 0 }}, {{ token_file = "x", authorize = print }}, {{ listen = {{ "0.0.0.0:0" }} }}, 7 }} do
                print(select(2, pcall(gateway.serve, wrong)))
            end
            local app = gateway.server {{ allow = {{ "shop.*" }}, listen = {{ "unix:{path}" }} }}
            app:get("/mine", function() return "of my own" end)
            assert(app:listen("unix:{path}"))
            print("ready")
        """)
        said = subprocess.run(["curl", "-s", "--unix-socket", path, "--json", "[1,2]", "http://localhost/call/shop.add", "--next", "-s",
                               "--unix-socket", path, "http://localhost/mine"], capture_output=True, text=True, timeout=60)
        self.assertEqual(said.stdout, "[3]\nof my own")


if __name__ == "__main__":
    unittest.main()
