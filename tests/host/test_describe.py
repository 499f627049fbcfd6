"""clouds list and clouds describe: what methods say of themselves, for people and as code that calls them."""
import json
import os
import subprocess
import sys
import unittest

from support import CLOUDS, SANITIZED, SOURCE, Case

BUILD = os.path.dirname(os.path.dirname(os.path.abspath(CLOUDS)))
# What the tests of Node have installed in this build.
TSC = os.path.join(BUILD, "tests/node/npm/node_modules/typescript/bin/tsc")

SERVICE = """
    local clouds = require "clouds"
    local server = clouds.server{ id = "s.one", admin = "on" }
    server:register("shop.greet", function(name, times) return ("hi " .. name):rep(times or 1) end,
        { doc = "Greets somebody.\\nKindly.", args = { { "name", "string", "whom" }, "times: integer?" }, returns = "string" })
    server:register("sum", function(...) local all = 0 for _, n in ipairs{...} do all = all + n end return all end,
        { args = { "...numbers: number" }, returns = "number" })
    server:register("pick", function(o) return o.kind end, { args = { 'o: {kind: "a"|"b", size?: number[]}' } })
    server:register("plain", function() end)
    server:register("class", function(from) return from end, { args = { "from: string" } })
    local shut = clouds.server{ id = "s.shut", admin = "off" }
    shut:register("shut", function() end)
    print("ready")
"""


class Describe(Case):
    def setUp(self):
        super().setUp()
        self.serve(SERVICE)

    def say(self, *words, status=0):
        result = self.run_clouds(*words)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout if status == 0 else result.stderr

    def stub(self, form, name):
        return self.file(name, self.say("describe", "--as", form))

    def test_list(self):
        lines = self.say("list").splitlines()
        self.assertRegex(lines[0], r"^METHOD +SERVERS$")
        self.assertRegex("\n".join(lines), r"\nclass\(from: string\) +1\npick\(o: \{kind: \"a\"\|\"b\", size\?: number\[\]\}\) +1\nplain +1\n"
                                           r"shop\.greet\(name: string, times\?: integer\?\) -> string +1  Greets somebody\.\nshut +1\n"
                                           r"sum\(\.\.\.numbers: number\) -> number +1$")
        found = json.loads(self.say("list", "--json"))
        self.assertEqual((found["plain"], found["sum"]["schema"]["args"]["items"]["type"]), ({"servers": ["s.one"]}, "number"))

    def test_as_text(self):
        self.assertEqual(self.say("describe", "shop.greet"), "shop.greet(name: string, times?: integer?) -> string\n"
                         "  Greets somebody.\n  Kindly.\n  name    string    whom\n  times?  integer?\n  served by s.one\n")
        self.assertIn("it says nothing of itself", self.say("describe", "plain"))
        self.assertIn("no server of it answers questions", self.say("describe", "shut"))
        self.assertEqual(self.say("describe", "nobody", status=3), "clouds describe: nobody serves 'nobody'\n")
        self.assertIn("expected one of text, lua, python", self.say("describe", "--as", "perl", status=2))

    def test_lua(self):
        self.stub("lua", "methods.lua")
        code = """
            local methods = require "methods"(require("clouds").client{})
            print(methods.shop_greet("you"), methods.sum(1, 2, 3), methods.pick{ kind = "a" }, select(2, methods.shop_greet(3)).code)
        """
        result = self.run_clouds("run", "-e", code, env={"LUA_PATH": os.path.join(self.folder, "?.lua;;")})
        self.assertEqual((result.stdout, result.stderr), ("hi you\t6\ta\tCLOUDS_BAD_ARGUMENT\n", ""))

    @unittest.skipIf(SANITIZED, "a plain Python loads no sanitized library")
    def test_python(self):
        self.stub("python", "methods.py")
        code = ("import clouds, methods\nm = methods.Methods(clouds.Client())\n"
                "print(m.shop_greet('you'), m.shop_greet('a', 2), m.sum(1, 2), m.pick({'kind': 'b'}), m.class_('x'))")
        path = os.pathsep.join([self.folder, os.path.join(SOURCE, "bindings", "python"), os.environ.get("PYTHONPATH", "")])
        env = {**self.env, "PYTHONPATH": path, "CLOUDS_LIBRARY": os.path.join(BUILD, "capi/libclouds.so")}
        result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        self.assertEqual((result.stdout, result.stderr), ("hi you hi ahi a 3 b x\n", ""))

    @unittest.skipUnless(os.path.exists(TSC), "no TypeScript here")
    def test_typescript(self):
        path = self.stub("typescript", "methods.ts")
        use = self.file("use.ts", 'import { methods } from "./methods";\n'
                        'const m = methods({ call: async (method, args) => [method, args] });\n'
                        'const text: Promise<string> = m.shop_greet("a"); m.sum(1, 2); m.pick({ kind: "a", size: [1] }); void text;\n')
        result = subprocess.run(["node", TSC, "--noEmit", "--strict", "--target", "es2020", path, use], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_as_json(self):
        schema = json.loads(self.say("describe", "--as", "json-schema", "shop.greet"))["shop.greet"]
        self.assertEqual((schema["args"]["minItems"], schema["returns"]["prefixItems"]), (1, [{"type": "string"}]))
        api = json.loads(self.say("describe", "--as", "openapi"))
        post = api["paths"]["/call/shop.greet"]["post"]
        self.assertEqual((api["openapi"], post["operationId"]), ("3.1.0", "shop.greet"))
        self.assertEqual(post["requestBody"]["content"]["application/json"]["schema"], schema["args"])


if __name__ == "__main__":
    unittest.main()
