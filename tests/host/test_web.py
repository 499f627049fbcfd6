"""clouds.http: what a script that serves HTTP can rely on, asked from outside."""
import http.client
import json
import os
import re
import signal
import socket
import unittest

from support import OnSocket, SOURCE, Unix, free_port, wait_until

BEGIN = """
    local clouds, http = require "clouds", require "clouds.http"
"""
END = """
    http.serve(app)
    print("ready")
"""


class Web(OnSocket):
    def open(self, code, *options):
        self.path = os.path.join(self.folder, "web.sock")
        script = self.file("web.lua", BEGIN + code + END)
        self.service = self.start("run", "--listen", f"unix:{self.path}", *options, script)
        self.service.out.wait_for("ready")
        return self.service

    def ask(self, method, target, body=None, headers=None):
        """The status, the body and the header fields."""
        connection = Unix(self.path)
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers

    def raw(self, data):
        client = self.connect()
        client.sendall(data)
        said = self.read(client)
        client.close()
        return said


class Routes(Web):
    ROUTES = """
        local app = http.server()
        local function tell(name)
            return function(request)
                return { route = name, params = request.params, method = request.method }
            end
        end
        app:get("/", tell "root")
        app:get("/users", tell "users")
        app:get("/users/:id", tell "user")
        app:get("/users/me", tell "me")
        app:get("/users/:id/posts/:post", tell "post")
        app:delete("/users/:id", tell "delete")
        app:get("/files/*path", tell "files")
        app:get("/files/list", tell "list")
        app:route("*", "/any", tell "any")
        app:get("/a b", tell "blank")
    """

    def test_words_go_before_names_and_names_before_the_rest(self):
        self.open(self.ROUTES)
        for target, name, params in (("/", "root", {}), ("/users", "users", {}), ("/users/7", "user", {"id": "7"}),
                                     ("/users/me", "me", {}), ("/users/me/posts/2", "post", {"id": "me", "post": "2"}),
                                     ("/users/a%2Fb%20c", "user", {"id": "a/b c"}), ("/users/7?x=/y", "user", {"id": "7"}),
                                     ("/files/a/b.txt", "files", {"path": "a/b.txt"}), ("/files/", "files", {"path": ""}),
                                     ("/files/list", "list", {}), ("/files/list/x", "files", {"path": "list/x"}),
                                     ("/any", "any", {}), ("/a%20b", "blank", {})):
            status, text, _ = self.ask("GET", target)
            self.assertEqual(status, 200, (target, text))
            said = json.loads(text)
            self.assertEqual((said["route"], said["params"] or {}), (name, params), target)

    def test_what_is_not_there(self):
        self.open(self.ROUTES)
        for target in ("/nothing", "/users/", "/users/7/", "/users/7/posts", "/USERS", "//users", "/users//posts/1"):
            self.assertEqual(self.ask("GET", target)[0], 404, target)
        for target in ("/%zz", "/users/%", "/users/%4"):
            self.assertEqual(self.ask("GET", target)[0], 400, target)
        self.assertEqual(json.loads(self.ask("GET", "/nothing")[1]), {"error": {"message": "there is nothing at this path"}})
        self.assertEqual(self.service.err.text(), "")

    def test_other_methods(self):
        self.open(self.ROUTES)
        status, _, headers = self.ask("POST", "/users/7", "x")
        self.assertEqual((status, headers["Allow"]), (405, "DELETE, GET, HEAD, OPTIONS"))
        status, text, headers = self.ask("OPTIONS", "/users/7")
        self.assertEqual((status, text, headers["Allow"]), (204, "", "DELETE, GET, HEAD, OPTIONS"))
        status, text, headers = self.ask("HEAD", "/users/7")
        self.assertEqual((status, text), (200, ""))
        self.assertEqual(int(headers["Content-Length"]), len(self.ask("GET", "/users/7")[1]) + 1)
        self.assertEqual(json.loads(self.ask("PURGE", "/any")[1])["method"], "PURGE")

    def test_a_function_for_all_that_has_no_route(self):
        self.open("""
            local app = http.server(function(request) return "else " .. request.path end)
            app:get("/one", function() return "one" end)
        """)
        self.assertEqual([self.ask("GET", t)[1] for t in ("/one", "/two%20x")], ["one", "else /two x"])
        self.assertEqual(self.ask("POST", "/one")[1], "else /one")

    def test_wrong_patterns_and_options_are_told_where_they_are_written(self):
        for line, words in (("app:get('users', f)", "expected a path that begins with /"),
                            ("app:get('/:', f)", "expected a name behind :"),
                            ("app:get('/:a/:a', f)", "names two parts 'a'"),
                            ("app:get('/*rest/x', f)", "expected nothing behind the rest"),
                            ("app:get('/x', f) app:get('/x', f)", "has a handler already"),
                            ("app:get('/x')", "expected a function as the handler"),
                            ("app:route('get', '/x', f)", "expected a method in capital letters"),
                            ("app:get('/x', f, { bdy = 1 })", "unknown option 'bdy'"),
                            ("http.server({ headr = 1 })", "did you mean 'header'"),
                            ("http.server({ body = -1 })", "'body': expected a number"),
                            ("http.server(7)", "expected a table of options"),
                            ("app:use(7)", "expected a function"),
                            ("app:before(7)", "expected a function"),
                            ("http.server({ headers = 'X: 1' })", "'headers': expected a table of header fields"),
                            ("http.server({ headers = { 'X' } })", "'headers': expected header fields by name"),
                            ("http.server({ headers = { X = { true } } })", "'headers': the header field 'X'"),
                            ("http.server({ headers = { Date = 'now' } })", "'headers': "),
                            ("http.server({ headers = { X = 'a\\nb' } })", "'headers': "),
                            ("app:listen('nowhere')", "expected PORT, a numeric ADDRESS:PORT"),
                            ("http.serve(7)", "expected a server"),
                            ("http.serve(app)", "nowhere to listen")):
            result = self.run_clouds("run", self.file("w.lua", "local http = require 'clouds.http' local app, f = http.server(), print\n" + line))
            self.assertEqual(result.returncode, 1, line)
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stderr, r"w\.lua:2:", line)


class Results(Web):
    def test_what_a_handler_returns_is_the_answer(self):
        self.open("""
            local app = http.server({ server = "mine" })
            app:get("/text", function() return "a\\n" end)
            app:get("/table", function() return { a = { 1, 2 } } end)
            app:get("/status", function() return 201, "made", { Location = "/x", ["Set-Cookie"] = { "a=1", "b=2" } } end)
            app:get("/nothing", function() end)
            app:get("/type", function() return "<p>", { ["content-type"] = "text/html" } end)
            app:get("/later", function() clouds.sleep(0.01) return 202 end)
            app:get("/set", function(_, response) response:header("X-A", 1):header("X-B", "2") return "set" end)
            app:get("/raise", function() http.raise(409, "not so", { ["X-Why"] = "because" }) end)
            app:get("/json", function(request) return request:json() end)
        """)
        status, text, headers = self.ask("GET", "/text")
        self.assertEqual((status, text, headers["Content-Type"], headers["Server"]), (200, "a\n", "text/plain; charset=utf-8", "mine"))
        status, text, headers = self.ask("GET", "/table")
        self.assertEqual((json.loads(text), headers["Content-Type"]), ({"a": [1, 2]}, "application/json"))
        status, text, headers = self.ask("GET", "/status")
        self.assertEqual((status, text, headers["Location"], headers.get_all("Set-Cookie")), (201, "made", "/x", ["a=1", "b=2"]))
        self.assertEqual(self.ask("GET", "/nothing")[:2], (204, ""))
        self.assertEqual(self.ask("GET", "/type")[2].get_all("Content-Type"), ["text/html"])
        self.assertEqual(self.ask("GET", "/later")[:2], (202, ""))
        status, text, headers = self.ask("GET", "/set")
        self.assertEqual((text, headers["X-A"], headers["X-B"]), ("set", "1", "2"))
        status, text, headers = self.ask("GET", "/raise")
        self.assertEqual((status, json.loads(text), headers["X-Why"]), (409, {"error": {"message": "not so"}}, "because"))
        self.assertEqual(self.service.err.text(), "")

    def test_a_handler_is_given_the_answer_when_it_takes_it(self):
        self.open("""
            local app = http.server(function(_, response) return response:header("X-By", "all") and "all" end)
            app:get("/one", function(request) return request.method end)
            app:get("/none", function() return "none" end)
            app:get("/two", function(_, response) return response:header("X-By", "two") and "two" end)
            app:get("/rest", function(...)
                local _, response = ...
                response:header("X-By", "rest")
                return tostring(select("#", ...))
            end)
            app:get("/raise", function() http.raise(404, "none", { ["X-By"] = "raise" }) end)
            app:get("/fail", function(_, response) response:header("X-By", "fail") error("so") end)
            app:get("/raise-more", function(_, response)
                response:header("X-By", "more")
                http.raise(404, "none", { ["X-And"] = "raise" })
            end)
        """)
        for path, status, text, by in (("/one", 200, "GET", None), ("/none", 200, "none", None), ("/two", 200, "two", "two"),
                                       ("/rest", 200, "2", "rest"), ("/nothing", 200, "all", "all"),
                                       ("/raise", 404, '{"error":{"message":"none"}}', "raise"),
                                       ("/fail", 500, '{"error":{"message":"internal error"}}', None),
                                       ("/raise-more", 404, '{"error":{"message":"none"}}', "more")):
            for _ in range(2):
                answer = self.ask("GET", path)
                self.assertEqual((*answer[:2], answer[2]["X-By"]), (status, text, by), path)
        self.assertEqual(answer[2]["X-And"], "raise")

    def test_what_is_wrong_in_a_handler_is_500_and_a_line_with_the_reason(self):
        self.open("""
            local app = http.server()
            app:get("/raise", function() clouds.sleep(0) error("told") end)
            app:get("/true", function() return true end)
            app:get("/number", function() return 99 end)
            app:get("/body", function() return 200, print end)
            app:get("/cycle", function() local t = {} t.t = t return t end)
            app:get("/name", function() return "x", { ["a b"] = "c" } end)
            app:get("/value", function() return "x", { a = "b\\r\\nc: d" } end)
            app:get("/own", function() return "x", { ["Content-Length"] = 7 } end)
            app:get("/list", function() return "x", { "a" } end)
            app:get("/twice", function(_, response) response:start(200) response:write("a") response:start(200) end)
            app:get("/both", function(_, response) response:start(200) response:finish("a") return "b" end)
        """)
        for target, words in (("/raise", "told"), ("/true", "returned a boolean"), ("/number", "expected a status from 200 to 599, got 99"),
                              ("/body", "returned a function"), ("/cycle", "cannot be sent"), ("/name", "a header field cannot be sent"),
                              ("/value", "a header field cannot be sent"), ("/own", "a header field cannot be sent"),
                              ("/list", "expected header fields by name")):
            status, text, _ = self.ask("GET", target)
            self.assertEqual((status, json.loads(text)), (500, {"error": {"message": "internal error"}}), target)
            begin = f"handler of GET {target}: "
            self.assertIn(words, self.service.err.wait_for(begin).split(begin)[1])
        said = self.raw(b"GET /twice HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(said.endswith(b"1\r\na\r\n"), said)  # no end of it: the client sees that it is not whole
        self.service.err.wait_for("the answer has begun already")
        self.assertEqual(self.ask("GET", "/both")[:2], (200, "a"))
        self.service.err.wait_for("returned something although")

    def test_errors_of_calls_that_a_handler_hands_on(self):
        self.redis()
        self.open("""
            local app = http.server()
            local client = clouds.client {}
            local server = clouds.server {}
            server:register("fails", function() error({ code = "SECRET", message = "secret" }) end)
            server:register("sleeps", function() clouds.sleep(50) end)
            for _, name in ipairs { "fails", "sleeps", "nobody" } do
                local options = name == "sleeps" and { timeout = 1 } or {}
                app:get("/" .. name, function() return client:call(name, {}, options) end)
                app:get("/assert/" .. name, function() return assert(client:call(name, {}, options)) end)
            end
        """)
        for prefix in ("/", "/assert/"):
            for name, status in (("fails", 500), ("sleeps", 504), ("nobody", 503)):
                got, text, _ = self.ask("GET", prefix + name)
                self.assertEqual(got, status, prefix + name)
                self.assertNotIn("secret", text.lower())
        self.service.err.wait_for("secret")


class Requests(Web):
    def test_what_a_request_says(self):
        self.open("""
            local app = http.server({ forwarded = { "unix" } })
            app:post("/a b", function(request)
                local query, headers = request.query, request.headers
                return { request.method, request.path, request.target, query.x, query["y z"], tostring(query.none), headers.host, headers["x-two"],
                    headers.cookie, request.version, request.remote, request.scheme, tostring(request.port):match("^unix:") }
            end)
            app:get("/late", function(request)
                clouds.spawn(function() clouds.sleep(0.01) print(pcall(function() return request.headers end)) end)
                return "ok"
            end)
        """)
        said = self.raw(b"POST /a%20b?x=1&y+z=%26+&x=2 HTTP/1.1\r\nHost: h\r\nX-Two: a\r\nx-two: b\r\nCookie: c=1\r\nCookie: d=2\r\n"
                        b"X-Forwarded-For: 1.2.3.4, 5.6.7.8, unix\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
        self.assertEqual(json.loads(said.split(b"\r\n\r\n")[1]), ["POST", "/a b", "/a%20b?x=1&y+z=%26+&x=2", "2", "& ", "nil", "h", "a, b",
                                                                "c=1; d=2", "1.1", "5.6.7.8", "https", "unix:"])
        self.assertEqual(self.ask("GET", "/late")[1], "ok")
        self.service.out.wait_for("has to be read before")

    def test_bodies_whole_and_in_pieces(self):
        self.open("""
            local app = http.server({ body = 200000 })
            app:post("/whole", function(request)
                local body = request:body()
                return tostring(#body) .. " " .. tostring(body == request:body())
            end)
            app:post("/pieces", function(request)
                local count, bytes = 0, 0
                for piece in function() return request:read() end do count, bytes = count + 1, bytes + #piece end
                return { count = count, bytes = bytes, after = tostring(request:read()) }
            end, { body = 1e9 })
            app:post("/ignored", function() return "ignored" end)
            app:post("/small", function(request) return request:body() end, { body = 3 })
        """)
        for size in (0, 1, 16383, 70000, 200000):
            self.assertEqual(self.ask("POST", "/whole", b"x" * size)[:2], (200, f"{size} true"), size)
            self.assertEqual(self.ask("POST", "/whole", iter([b"y"] * min(size, 500)))[0], 200)
        self.assertEqual(self.ask("POST", "/whole", b"x" * 200001)[0], 413)
        said = json.loads(self.ask("POST", "/pieces", b"x" * 5000000)[1])
        self.assertEqual((said["bytes"], said["after"]), (5000000, "nil"))
        self.assertGreater(said["count"], 100)
        self.assertEqual(self.ask("POST", "/small", b"abc")[:2], (200, "abc"))
        self.assertEqual(self.ask("POST", "/small", b"abcd")[0], 413)
        self.assertEqual(self.ask("POST", "/small", iter([b"ab", b"cd"]))[0], 413)
        self.assertEqual(self.service.err.text(), "")

    def test_a_body_that_nobody_reads_is_read_off_or_ends_the_connection(self):
        self.open("""
            local app = http.server()
            app:post("/x", function() return "x" end)
        """)
        def post(size, more=b""):
            return b"POST /x HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n" % (more, size)
        said = self.raw(post(5) + b"12345" + post(60000) + b"z" * 60000 + post(0, b"Connection: close\r\n"))
        self.assertEqual((said.count(b"200 OK"), said.count(b"keep-alive")), (3, 2), said)
        said = self.raw(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + post(0, b"Connection: close\r\n"))
        self.assertEqual(said.count(b"200 OK"), 2)
        said = self.raw(post(1000000) + b"z" * 100000)
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK") and b"Connection: close" in said, said)

    def test_a_client_that_asks_before_it_sends(self):
        self.open("""
            local app = http.server()
            app:post("/read", function(request) return request:body() end)
            app:post("/refused", function() return 403, "no" end)
        """)
        for target, told, last in ((b"/read", True, b"abc"), (b"/refused", False, b"no")):
            client = self.connect()
            client.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n" % target)
            said = self.read(client, b"\r\n\r\n")
            self.assertEqual(said.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"), told)
            if told:
                client.sendall(b"abc")
                self.assertTrue(self.read(client, last).endswith(last))
            else:
                self.assertTrue((said + self.read(client)).endswith(last))
                self.assertIn(b"Connection: close", said)

    def test_json(self):
        self.open("""
            local app = http.server({ body = 100 })
            app:post("/json", function(request) return { got = request:json() } end)
        """)
        kind = {"Content-Type": "application/json; charset=utf-8"}
        self.assertEqual(self.ask("POST", "/json", '{"a":[1]}', kind)[1], '{"got":{"a":[1]}}')
        self.assertEqual(self.ask("POST", "/json", "[]", {"Content-Type": "application/vnd.x+json"})[0], 200)
        for text in ("{", "", "nul", '{"a":1}x', "\xff"):
            self.assertEqual(self.ask("POST", "/json", text.encode("latin-1"), kind)[0], 400, text)
        self.assertEqual(self.ask("POST", "/json", "{}", {"Content-Type": "text/plain"})[0], 415)
        self.assertEqual(self.ask("POST", "/json", '"' + "x" * 100 + '"', kind)[0], 413)
        self.assertEqual(self.service.err.text(), "")

    def test_functions_before_handlers(self):
        self.open("""
            local app = http.server()
            app:before(function(request, response)
                response:header("X-First", "1")
                if request.query.stop then return 403, "stopped", { ["X-Why"] = "asked" } end
                if request.query.fail then return nil, "it broke" end
                if request.query.raise then http.raise(418, "a teapot") end
            end)
            app:before(function(request) clouds.sleep(0) request.user = "glen" end)
            app:use(function(request, response, next) return "around " .. next() end)
            app:get("/x", function(request) return "hello " .. request.user end)
        """)
        status, text, headers = self.ask("GET", "/x")
        self.assertEqual((status, text, headers["X-First"]), (200, "around hello glen", "1"))
        status, text, headers = self.ask("GET", "/x?stop=1")
        self.assertEqual((status, text, headers["X-First"], headers["X-Why"]), (403, "stopped", "1", "asked"))
        self.assertEqual(self.ask("GET", "/x?raise=1")[0], 418)
        self.assertEqual(self.ask("GET", "/nothing?stop=1")[0], 403)
        self.assertEqual(self.service.err.text(), "")
        self.assertEqual(self.ask("GET", "/x?fail=1")[0], 500)
        self.service.err.wait_for("it broke")

    def test_header_fields_of_all_answers(self):
        self.open("""
            local app = http.server({ server = "mine", headers = { ["X-All"] = "1", ["X-Two"] = { "a", "b" } }, target = 100 })
            app:get("/x", function() return "x" end)
            app:get("/start", function(_, response) response:start(200) response:finish("pieces") end)
            app:get("/fail", function() error("no") end)
        """)
        for target, wanted in (("/x", 200), ("/start", 200), ("/fail", 500), ("/nothing", 404), ("/" + "x" * 200, 414)):
            status, _, headers = self.ask("GET", target)
            self.assertEqual((status, headers["Server"], headers["X-All"], headers.get_all("X-Two")), (wanted, "mine", "1", ["a", "b"]))

    def test_functions_around_handlers(self):
        self.open("""
            local app = http.server()
            app:use(function(request, response, next)
                response:header("X-Outer", "1")
                if request.query.stop then return 403, "stopped" end
                return next()
            end)
            app:use(function(request, response, next)
                request.user = "glen"
                local result = next()
                return result .. "!"
            end)
            app:get("/x", function(request) clouds.sleep(0) return "hello " .. request.user end)
        """)
        status, text, headers = self.ask("GET", "/x")
        self.assertEqual((status, text, headers["X-Outer"]), (200, "hello glen!", "1"))
        status, text, headers = self.ask("GET", "/x?stop=1")
        self.assertEqual((status, text, headers["X-Outer"]), (403, "stopped", "1"))
        self.assertEqual(self.ask("GET", "/nothing")[2]["X-Outer"], "1")


class Streams(Web):
    CODE = """
        local app = http.server({ write_stall = 60 })
        app:get("/chunks", function(_, response)
            response:start(200, { ["X-A"] = "b" })
            for i = 1, 3 do response:write(i .. "\\n") clouds.sleep(0.01) end
        end)
        app:get("/counted", function(_, response)
            response:start(200, { ["Content-Length"] = 4 })
            response:write("ab")
            response:finish("cd")
        end)
        app:get("/short", function(_, response)
            response:start(200, { ["Content-Length"] = 4 })
            response:finish("ab")
        end)
        app:get("/long", function(_, response)
            response:start(200, { ["Content-Length"] = 4 })
            response:write("abcdef")
        end)
        app:get("/much", function(_, response)
            local piece, n = ("x"):rep(100000), 0
            while response:write(piece) do n = n + 1 if n == 300 then break end end
            print("wrote " .. n)
        end)
        app:post("/echo", function(request, response)
            for piece in function() return request:read() end do response:write(piece) end
        end, { body = 1e9 })
    """

    def test_an_answer_in_pieces(self):
        self.open(self.CODE)
        said = self.raw(b"GET /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertIn(b"Transfer-Encoding: chunked\r\n", said)
        self.assertTrue(said.endswith(b"\r\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n2\r\n3\n\r\n0\r\n\r\n"), said)
        said = self.raw(b"GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertTrue(said.endswith(b"Connection: close\r\n\r\n1\n2\n3\n"), said)
        said = self.raw(b"HEAD /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertTrue(said.endswith(b"Connection: close\r\n\r\n"), said)
        said = self.raw(b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\nGET /counted HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(said.count(b"200 OK"), 2)
        self.assertTrue(said.endswith(b"\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd"), said)

    def test_what_was_promised_is_kept_or_the_connection_ends(self):
        self.open(self.CODE)
        self.assertTrue(self.raw(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"\r\n\r\nab"))
        self.service.err.wait_for("less was written than Content-Length says")
        self.assertTrue(self.raw(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"\r\n\r\n"))
        self.service.err.wait_for("more was written than Content-Length says")

    def test_who_writes_waits_for_who_reads(self):
        self.open(self.CODE)
        client = self.connect()
        client.sendall(b"GET /much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.read(client, b"\r\n\r\n")
        before = self.service.resident_kb()
        self.assertNotIn("wrote", self.service.out.text())
        total = len(self.read(client))
        self.assertGreater(total, 300 * 100000 - 70000)
        self.service.out.wait_for("wrote 300")
        if not os.environ.get("CLOUDS_SANITIZE"):
            self.assertLess(self.service.resident_kb() - before, 20000)

    def test_who_does_not_read_loses_the_connection(self):
        self.open(self.CODE.replace("write_stall = 60", "write_stall = 0.3"))
        client = self.connect()
        client.sendall(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
        self.service.out.wait_for("wrote ")
        self.assertNotIn("wrote 300", self.service.out.text())

    def test_both_ways_at_once(self):
        self.open(self.CODE)
        connection = Unix(self.path)
        connection.request("POST", "/echo", b"abc" * 10000)
        self.assertEqual(connection.getresponse().read(), b"abc" * 10000)
        connection.close()


class Leaving(Web):
    def test_what_a_handler_waits_for_ends_when_its_client_goes(self):
        self.open("""
            local app = http.server()
            local server, client = clouds.server {}, clouds.client {}
            server:register("slow", function() clouds.sleep(50) end)
            local function told(name, ...) local _, err = ... print(name .. " " .. tostring(err and err.code)) end
            app:get("/sleep", function(request)
                request:on_close(function() print("closed " .. tostring(request:closed()) .. " " .. request.headers.host) end)
                print("begun") told("sleep", clouds.sleep(50))
                return "nobody reads it"
            end)
            app:get("/call", function() print("begun") told("call", client:call("slow", {})) end)
            app:post("/body", function(request) print("begun") told("body", request:read()) error("not shown? it is") end)
            app:get("/assert", function() print("begun") assert(clouds.sleep(50)) end)
            app:get("/spawned", function()
                clouds.spawn(function() told("spawned", clouds.sleep(50)) end)
                print("begun") clouds.sleep(50)
            end)
        """)
        for method, name in (("GET", "sleep"), ("GET", "call"), ("POST", "body"), ("GET", "spawned")):
            seen = self.service.out.text().count("begun")
            client = self.connect()
            client.sendall(f"{method} /{name} HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n".encode())
            wait_until(lambda: self.service.out.text().count("begun") > seen, "the handler runs")
            client.close()
            self.service.out.wait_for(f"{name} CLOUDS_CANCELED")
        self.service.out.wait_for("closed true here")
        self.service.err.wait_for("not shown? it is")
        client = self.connect()
        client.sendall(b"GET /assert HTTP/1.1\r\nHost: here\r\n\r\n")
        client.close()
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)
        self.assertNotIn("CANCELED", self.service.err.text())


class HalfClosed(Web):
    CODE = """
        local app = http.server { half_close = %s, body_timeout = 300 }
        app:get("/:word", function(request) print("begun") clouds.sleep(0.1) return request.params.word end)
        app:post("/body", function(request) return request:body() end)
    """

    def said_to(self, data):
        client = self.connect()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return self.read(client).decode()

    def test_who_has_said_all_gets_the_answers(self):
        self.open(self.CODE % "true")
        get, host = "GET /%s HTTP/1.1\r\n", "Host: a\r\n\r\n"
        said = self.said_to((get % "first" + host + get % "second" + host).encode())
        self.assertEqual(re.findall("first|second", said), ["first", "second"])
        said = self.said_to((get % "first" + host + get % "second").encode())
        self.assertEqual((said.count("HTTP/1.1"), re.findall("first|second", said)), (1, ["first"]))
        self.assertIn("whole", self.said_to(b"POST /body HTTP/1.1\r\nContent-Length: 5\r\n" + host.encode() + b"whole"))
        said = self.said_to(b"POST /body HTTP/1.1\r\nContent-Length: 9\r\n" + host.encode() + b"a part")
        self.assertEqual(said.count("HTTP/1.1 200"), 0)
        self.assertIn("first", self.said_to((get % "first").encode() + b"Content-Length: 9\r\n" + host.encode() + b"a part"))
        self.assertEqual(self.service.err.text(), "")

    def test_otherwise_it_is_gone(self):
        self.open(self.CODE % "false")
        self.assertEqual(self.said_to(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"), "")
        self.service.stop()

    def test_a_wrong_option(self):
        result = self.run_clouds("run", self.file("wrong.lua", BEGIN + "http.server { half_close = 1 }"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("'half_close': expected true or false", result.stderr)


class Stopping(Web):
    CODE = """
        local app = http.server()
        local client = clouds.client {}
        app:get("/slow", function(request)
            io.stderr:write("accepted\\n")
            clouds.sleep(tonumber(request.query.s or 0))
            while request.query.file and not io.open(request.query.file) do clouds.sleep(0.01) end
            return "finished " .. tostring(client:call("hello", {}))
        end)
        app:get("/fast", function() return "fast" end)
    """

    def test_what_was_accepted_is_answered_and_then_it_ends(self):
        self.redis()
        other = self.serve("""
            local server = require("clouds").server {}
            assert(server:register("hello", function() return "hello" end))
            print("ready")""")
        self.open(self.CODE)
        idle, busy = self.connect(), self.connect()
        idle.sendall(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        self.read(idle, b"fast")
        now = os.path.join(self.folder, "now")
        busy.sendall(f"GET /slow?file={now} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.service.err.wait_for("accepted")
        self.service.signal(signal.SIGTERM)
        wait_until(lambda: not os.path.exists(self.path), "it listens no more")
        idle.sendall(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        said = self.read(idle)
        self.assertIn(b"200 OK", said)
        self.assertIn(b"Connection: close", said)
        self.file("now", "")
        self.assertTrue(self.read(busy).endswith(b"finished hello"))
        self.assertEqual(self.service.wait(), 0)
        self.assertEqual(other.stop(), 0)

    def test_what_takes_longer_is_cut_and_named(self):
        self.open(self.CODE, "--drain", "0.3")
        busy = self.connect()
        busy.sendall(b"GET /slow?s=50 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.service.err.wait_for("accepted")
        self.assertEqual(self.service.stop(), 0)
        self.assertEqual(self.read(busy), b"")
        self.assertIn("not answered within the 0.3 s of the drain: GET /slow", self.service.err.text())

    def test_who_keeps_a_connection_does_not_keep_the_program(self):
        self.open(self.CODE)
        idle = self.connect()
        idle.sendall(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        self.read(idle, b"fast")
        self.assertEqual(self.service.stop(), 0)
        self.assertEqual(self.read(idle), b"")

    def test_methods_are_taken_back_while_http_drains(self):
        self.redis()
        self.open(self.CODE + """
            local server = clouds.server {}
            assert(server:register("hello", function() return "own" end))
        """)
        busy = self.connect()
        busy.sendall(b"GET /slow?s=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.service.err.wait_for("accepted")
        self.service.signal(signal.SIGTERM)
        def gone():
            result = self.run_clouds("status", "--json")
            return "hello" not in result.stdout
        wait_until(gone, "the method is gone")
        self.assertIn(b"finished", self.read(busy))
        self.assertEqual(self.service.wait(), 0)

    def test_closing_one_server(self):
        self.open(self.CODE + """
            app:get("/close", function() clouds.spawn(function() app:close(5) print("closed") end) return "bye" end)
        """)
        self.assertEqual(self.ask("GET", "/close")[1], "bye")
        self.service.out.wait_for("closed")
        self.assertEqual(self.service.wait(), 0)


class Annotations(Web):
    def test_they_say_what_there_is(self):
        with open(os.path.join(SOURCE, "lua/meta/http.lua"), encoding="utf-8") as file:
            text = file.read()
        said = sorted(re.findall(r"^function ([\w.:]+)\(", text, re.M))
        result = self.run_clouds("run", "-e", """
            local http, exchange = require "clouds.http", require "clouds.http_request"
            local function names(prefix, of)
                for name, value in pairs(of) do
                    if type(value) == "function" and not name:find("^__") and name ~= "handle" then print(prefix .. name) end
                end
            end
            names("http.", http)
            names("Server:", getmetatable(http.server()))
            names("Request:", exchange.Request)
            names("Response:", exchange.Response)
            names("WebSocket:", require("clouds.http_websocket").Socket)
        """)
        self.assertEqual(sorted(result.stdout.split()), said, result.stderr)
        options = re.search(r"@class clouds.http.Options\n(.*?)\n\n", text, re.S).group(1)
        result = self.run_clouds("run", "-e", "require('clouds.http').server({ zzzz = 1 })")
        self.assertEqual(sorted(re.findall(r"@field (\w+)", options)), sorted(re.search(r"expected one of (.*)", result.stderr).group(1).split(", ")))


class Page(Web):
    def test_the_blocks_of_the_page_are_one_program(self):
        with open(os.path.join(SOURCE, "docs/HTTP.md"), encoding="utf-8") as file:
            program = "".join(re.findall(r"^```lua\n(.*?)^```$", file.read(), re.S | re.M))
        self.path = os.path.join(self.folder, "page.sock")
        self.serve_page = self.start("run", "--listen", f"unix:{self.path}", self.file("page.lua", program + "\nprint('ready')"))
        self.serve_page.out.wait_for("ready")
        known = {"Authorization": "me", "Content-Type": "application/json"}
        self.assertEqual(self.ask("POST", "/sum", "[1,2,3]", known)[:2], (200, '{"sum":6}'))
        self.assertEqual(self.ask("POST", "/sum", "[1]")[:2], (401, "who are you?\n"))
        self.assertEqual(self.ask("GET", "/hello/Glen", None, known)[0], 503)
        client = self.connect()
        client.sendall(b"GET /count HTTP/1.1\r\nHost: a\r\nAuthorization: me\r\n\r\n")
        self.assertIn(b"Content-Type: text/event-stream\r\n", self.read(client, b"data: 2\n\n"))
        client.close()
        self.assertEqual(self.serve_page.stop(), 0)


class Listening(Web):
    SCRIPT = """
        local http = require "clouds.http"
        http.serve(function(request) return tostring(request.port) .. " " .. request.remote end)
        print("ready")
    """

    def get(self, host, port):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("GET", "/")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def test_several_addresses(self):
        one, two = free_port(), free_port()
        path = os.path.join(self.folder, "s.sock")
        service = self.start("run", "--listen", str(one), "--listen", f"127.0.0.1:{two}", "--listen", f"unix:{path}?mode=0660",
                             self.file("s.lua", self.SCRIPT))
        service.out.wait_for("ready")
        self.assertEqual(self.get("127.0.0.1", one), f"{one} 127.0.0.1")
        self.assertEqual(self.get("127.0.0.1", two), f"{two} 127.0.0.1")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        self.path = path
        self.assertEqual(self.ask("GET", "/")[1], f"unix:{path}?mode=0660 unix")
        self.assertEqual(service.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_a_free_port_is_told(self):
        service = self.start("run", "--listen", "127.0.0.1:0", self.file("s.lua", self.SCRIPT))
        said = service.err.wait_for("\n")
        port = int(said.split("listening at port ")[1])
        self.assertEqual(self.get("127.0.0.1", port), f"{port} 127.0.0.1")

    def test_what_cannot_be(self):
        for address in ("70000", "host.example:1", "unix:", "unix:/x?mode=9", "", "127.0.0.1"):
            result = self.run_clouds("run", "--listen", address, self.file("s.lua", self.SCRIPT))
            self.assertEqual(result.returncode, 2, address)
            self.assertIn("--listen", result.stderr)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = self.run_clouds("run", "--listen", f"127.0.0.1:{port}", self.file("s.lua", self.SCRIPT))
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"s.lua:3: cannot listen at 127.0.0.1:{port}: address already in use", result.stderr)

    def test_a_script_that_serves_nothing_there(self):
        result = self.run_clouds("run", "--listen", "127.0.0.1:0", self.file("s.lua", "print('done')"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("nothing listens at 127.0.0.1:0: the script has not called http.serve", result.stderr)

    def test_without_the_program_there_is_no_such_module(self):
        self.path = None
        result = self.run_clouds("run", "-e", "package.preload['clouds.host'] = nil package.loaded['clouds.host'] = nil "
                                 "print(pcall(require, 'clouds.http'))")
        self.assertIn("clouds.http is part of the program clouds", result.stdout)


if __name__ == "__main__":
    unittest.main()
