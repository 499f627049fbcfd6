#!/usr/bin/env python3
"""The bindings in Ruby and Perl of docs/BINDINGS.md: each serves and calls, with itself, with the other, and with Lua."""
import json
import os
import signal
import subprocess
import sys
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS + "/support", TESTS + "/conformance"]
sys.dont_write_bytecode = True

import table  # noqa: E402
from harness import BOUND, SOURCE, Case, Process  # noqa: E402

LANGUAGES = {  # what runs a program, the ending of its name, and what must be there
    "ruby": (["ruby", "-w"], "rb", ["ruby", "-e", 'require "fiddle/import"; require "json"']),
    "perl": (["perl"], "pl", ["perl", "-MFFI::Platypus=2.00", "-MJSON::PP", "-e", "1"]),
}
SERVICE = """
    local server = require("clouds").server()
    assert(server:register("test.hello", function(name, message) return "Lua greets " .. name .. ", " .. message end))
    assert(server:register("test.echo", function(...) return ... end))
    assert(server:register("test.never", function(...) print "asked"; io.stdout:flush(); require("clouds").sleep(1000) end))
    assert(server:register("test.refuse", function(day) error { message = "not on " .. day, code = "E_DAY", day = day } end))
    print "ready"
    """


def is_here(language):
    try:
        return subprocess.run(LANGUAGES[language][2], capture_output=True).returncode == 0
    except OSError:
        return False


class Binding:
    """What every one of them does; a class for each language below."""

    def setUp(self):
        super().setUp()
        self.url = self.redis().url if os.environ["CLOUDS_TEST_BUS"] == "redis" else "local:bindings"
        self.env["CLOUDS_LIBRARY"] = os.environ["CLOUDS_LIB"]

    def command(self, name, *arguments, language=None, folder=SOURCE + "/examples"):
        language = language or self.language
        run, ending, _ = LANGUAGES[language]
        return [*run, f"{folder}/{language}/{name}.{ending}", *arguments]

    def foreign(self):
        preload = os.environ.get("CLOUDS_PRELOAD")
        return {**self.env, "LD_PRELOAD": preload} if preload else self.env

    def begin(self, *words, **more):
        process = Process(self.command(*words, **more), self.foreign())
        self.addCleanup(process.discard)
        return process

    def service(self, **more):
        process = self.begin("service", self.url, **more)
        process.out.wait_for("serving")
        return process

    def run_it(self, *words, input="", **more):
        return subprocess.run(self.command(*words, **more), env=self.foreign(), input=input, capture_output=True, text=True,
                              timeout=BOUND)

    def client(self, method, arguments, **more):
        return self.run_it("client", method, json.dumps(arguments), self.url, **more)

    def own(self, name):
        """A program of the tests, with the folder of the binding."""
        done = self.run_it(name, self.url, f"{SOURCE}/examples/{self.language}", folder=SOURCE + "/tests/examples")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def lua(self):
        return self.serve(SERVICE, env={"CLOUDS_URL": self.url})

    def results(self, done):
        """What a client printed: in one language all results, in the other the one there is."""
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_it_calls_a_service_in_lua(self):
        self.lua()
        self.assertEqual(self.results(self.client("test.hello", ["Glen", "hi"])), self.one("Lua greets Glen, hi"))
        for values in ([None, 1], [[], {}], ["ä€\u0000", -1.5, 2 ** 53 - 1], [True, {"a": [None, False]}]):
            self.assertEqual(self.results(self.client("test.echo", values)), values)
        self.assertEqual(self.results(self.client("test.echo", [])), self.none)

    def values(self):
        """The lists of arguments that the JSON of the language can carry, by name."""
        with open(TESTS + "/conformance/table.json", encoding="utf-8") as file:
            rows = table.expand(json.load(file, parse_int=table.number)["values"])
        self.assertLessEqual(self.without, set(rows))
        return {name: values for name, values in rows.items() if name not in self.without}

    def echoed(self):
        """What comes back of each list that is sent to test.echo."""
        rows = self.values()
        sent = "".join(json.dumps(values) + "\n" for values in rows.values())
        done = self.run_it("values", self.url, f"{SOURCE}/examples/{self.language}", folder=TESTS + "/examples", input=sent)
        lines = done.stdout.split("\n")[:-1]
        self.assertEqual(len(lines), len(rows), done.stderr)
        for (name, values), line in zip(rows.items(), lines):
            with self.subTest(name):
                self.assertEqual(table.canonical(json.loads(line, parse_int=table.number)), table.canonical(values))

    def test_every_value_comes_back_from_lua(self):
        self.lua()
        self.echoed()

    def test_every_value_comes_back_from_itself(self):
        self.service()
        self.echoed()

    def test_it_serves_a_client_in_lua(self):
        service = self.service()
        said = self.run_clouds("run", "--url", self.url, "-e", """
            local clouds = require("clouds")
            local client = clouds.client()
            print(client:call("test.hello", { "Lua", "hi" }))
            print(clouds.json.encode { client:call("test.echo", { 1, "ä€", { 1, 2 } }) })
            local _, e = client:call("test.refuse", { "Sunday" })
            print(e.message, e.code, e.outcome, e.day)
            local _, e = client:call("test.hello", { "\\255" })
            for id in pairs(client:status().servers) do client:send(id, { word = "hello" }) end""")
        self.assertEqual(said.stdout.splitlines()[:3], [
            "Hello Lua, hi", '[1,"ä€",[1,2]]', "not on Sunday\tE_DAY\tAPP_ERROR\tSunday"], said.stderr)
        service.out.wait_for('says {"word":"hello"}')

    def test_it_serves_itself_and_the_other(self):
        self.service()
        for language in filter(is_here, LANGUAGES):
            done = self.client("test.hello", ["you", language], language=language)
            self.assertIn(f'"Hello you, {language}"', done.stdout, done.stderr)

    def test_an_error_has_its_class_its_code_and_its_outcome(self):
        self.lua()
        done = self.client("test.refuse", ["Monday"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('Clouds::ServiceError: not on Monday (E_DAY, APP_ERROR, {"day":"Monday"})', done.stderr)
        done = self.client("test.none", [])
        self.assertIn("Clouds::NoAvailableServer: ", done.stderr)
        self.assertIn("(CLOUDS_NO_AVAILABLE_SERVER, NOT_DONE, ", done.stderr)
        self.assertIn('"method":"test.none"', done.stderr)

    def test_what_cannot_be_begun_says_why(self):
        done = self.run_it("client", "test.echo", "[]", "nonsense:")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("expected redis:", done.stderr)
        done = subprocess.run(self.command("client"), env={**self.foreign(), "CLOUDS_LIBRARY": "/nowhere/libclouds.so.0"},
                              capture_output=True, text=True, timeout=BOUND)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "/nowhere/libclouds.so.0|CLOUDS_LIBRARY")

    def test_a_handler_that_is_wrong_answers_and_its_service_goes_on(self):
        self.lua()
        service = self.begin("wrong", self.url, f"{SOURCE}/examples/{self.language}", folder=SOURCE + "/tests/examples")
        service.out.wait_for("serving")
        said = self.run_clouds("run", "--url", self.url, "-e", """
            local client = require("clouds").client()
            local function say(method, timeout)
              local _, e = client:call(method, {}, { timeout = timeout })
              print(e.message, e.code, e.outcome, e.depth)
            end
            say "test.raise" say "test.infinite" say "test.code" say("test.asks", 1) say "test.raise" """)
        lines = [line.split("\t") for line in said.stdout.splitlines()]
        self.assertEqual(len(lines), 5, said.stderr)
        self.assertEqual((lines[0][0], lines[0][2]), ("oops", "APP_ERROR"))
        self.assertEqual(lines[1][2], "APP_ERROR", "what is no JSON is an error that says so")
        self.assertEqual(lines[2], ["refused", "E_OWN", "APP_ERROR", "3"])
        self.assertEqual(lines[3][2], "UNKNOWN", "what the handler calls has the time of its request, not 1000 s")
        self.assertEqual(lines[4][0], "oops")
        self.assertIn("test.raise: ", service.err.text(), "a fault of the program is written down")
        self.assertNotIn("test.code: ", service.err.text(), "an intended refusal is not")
        self.assertEqual(service.stop(), 0)

    def test_ctrl_c_gives_up_what_waits(self):
        lua = self.lua()
        client = self.begin("client", "test.never", "[]", self.url)
        lua.out.wait_for("asked")
        client.signal(signal.SIGINT)
        self.assertNotEqual(client.wait(), 0)
        self.assertEqual(client.err.text(), "given up\n")

    def test_ctrl_c_ends_a_service_in_order(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            service = self.service()
            service.signal(number)
            self.assertEqual(service.wait(), 0, service.err.text())
            self.assertEqual(service.err.text(), "")
            status = self.json(self.run_clouds("status", "--json", "--url", self.url))
            self.assertEqual(status["methods"], {}, "nobody is left in the registry")

    def test_many_calls_at_a_time_and_large_texts(self):
        self.lua()
        self.assertEqual(self.own("many"), ["CLOUDS_CANCELED UNKNOWN", "true", "500000", "900000", "NOT_DONE",
                                            "no option: timeot"])

    def test_forks_and_nodes_that_nobody_holds(self):
        self.lua()
        self.assertEqual(self.own("ends"), ["7", "true", "still here"])


@unittest.skipUnless(is_here("ruby"), "Ruby, or its Fiddle, is not here")
class Ruby(Binding, Case):
    language, none = "ruby", None
    without = {"lone surrogates"}

    def one(self, value):
        return value


@unittest.skipUnless(is_here("perl"), "Perl's FFI::Platypus is not here")
class Perl(Binding, Case):
    language, none = "perl", []
    # JSON::PP writes doubles with 15 digits, and whole numbers beyond 64 bits as text.
    without = {"lone surrogates", "large integral doubles", "sums and fractions", "doubles at the ends", "small doubles"}

    def one(self, value):
        return [value]


unittest.main()
