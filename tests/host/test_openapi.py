"""GET /openapi.json of the gateway, and clouds describe --as openapi: by the grammar of OpenAPI 3.1, and what stands in it."""
import json
import re
import time
import unittest

from gateway_support import Gateway, digest

SERVICES = """
    local clouds = require "clouds"
    local server = clouds.server{ id = "s.shop", admin = "on" }
    server:register("shop.greet", function(name, times) return ("hi " .. name):rep(times or 1) end,
        { doc = "Greets somebody.", args = { { "name", "string", "whom" }, "times: integer?" }, returns = "string" })
    server:register("shop.pick", function(o) return o.kind end, { args = { 'o: {kind: "a"|"b", size?: number[]}' } })
    server:register("shop.plain", function() end)
    server:register("shop.{odd} way/x", function() end)
    server:register("desk.close", function() end)
    server:register("secret.open", function() end, { doc = "Nobody outside may know." })
    print("ready")
"""
FRESH = 5  # seconds: FRESH of host/gateway/openapi_route.lua


def text(value, where):
    assert isinstance(value, str), where


def boolean(value, where):
    assert isinstance(value, bool), where


def anything(value, where):
    pass


def one_of(*words):
    def check(value, where):
        assert value in words, f"{where}: {value!r}"
    return check


def record(needs=(), /, **fields):
    """An object with these members, and no others."""
    def check(value, where):
        assert isinstance(value, dict), where
        for name, inner in value.items():
            key = name.lstrip("$")
            assert key in fields, f"{where}: unknown member {name}"
            fields[key](inner, f"{where}.{name}")
        assert set(needs) <= set(value), f"{where}: {needs} are required"
    return check


def map_of(inner, pattern=".*"):
    def check(value, where):
        assert isinstance(value, dict), where
        for name, each in value.items():
            assert re.fullmatch(pattern, name), f"{where}: {name!r}"
            inner(each, f"{where}.{name}")
    return check


def list_of(inner):
    def check(value, where):
        assert isinstance(value, list), where
        for i, each in enumerate(value):
            inner(each, f"{where}[{i}]")
    return check


def number(value, where):
    assert isinstance(value, (int, float)) and not isinstance(value, bool), where


def schema(value, where):
    """JSON Schema 2020-12, the words of it that are used."""
    if isinstance(value, bool):
        return
    record(type=types, enum=list_of(anything), const=anything, title=text, description=text, properties=map_of(schema),
           required=list_of(text), additionalProperties=schema, prefixItems=list_of(schema), items=schema, anyOf=list_of(schema),
           minItems=number, maxItems=number, minLength=number, maxLength=number, minimum=number, maximum=number,
           exclusiveMinimum=number, default=anything)(value, where)


def types(value, where):
    word = one_of("null", "boolean", "object", "array", "number", "integer", "string")
    if isinstance(value, list):
        list_of(word)(value, where)
    else:
        word(value, where)


def or_reference(inner):
    """What may stand somewhere else in the document."""
    def check(value, where):
        if "$ref" in value:
            record(("$ref",), ref=text)(value, where)
        else:
            inner(value, where)
    return check


MEDIA = map_of(record(schema=schema), r"[\w.+-]+/[\w.+*-]+")
RESPONSE = record(("description",), description=text, content=MEDIA)
PARAMETER = {"name": text, "in": one_of("query", "header", "path", "cookie"), "description": text, "required": boolean, "schema": schema}
SECURITY = list_of(map_of(list_of(text)))
OPERATION = record(
    ("responses",), operationId=text, summary=text, description=text, tags=list_of(text), security=SECURITY,
    parameters=list_of(or_reference(record(("name", "in", "schema"), **PARAMETER))),
    requestBody=record(("content",), description=text, required=boolean, content=MEDIA),
    responses=map_of(or_reference(RESPONSE), r"default|[1-5](\d\d|XX)"))
DOCUMENT = record(
    ("openapi", "info", "paths"), openapi=one_of("3.1.0"), info=record(("title", "version"), title=text, version=text, description=text),
    paths=map_of(record(("post",), post=OPERATION), r"/([\w.~/-]|%[0-9A-F]{2})*"), security=SECURITY,
    components=record(parameters=map_of(record(("name", "in", "schema"), **PARAMETER)), responses=map_of(RESPONSE),
                      securitySchemes=map_of(record(("type",), type=one_of("http"), scheme=one_of("bearer")))))


class OpenApi(Gateway):
    def read(self, text_of_it):
        """The document, which is by the grammar, and in which each reference leads somewhere."""
        document = json.loads(text_of_it)
        DOCUMENT(document, "")
        for reference in re.findall(r'"\$ref":\s*"([^"]*)"', text_of_it):
            at = document
            for name in reference.removeprefix("#/").split("/"):
                at = at[name]
        names = [path["post"]["operationId"] for path in document["paths"].values()]
        self.assertEqual(len(names), len(set(names)))
        return document, set(names)

    def test_what_is_allowed(self):
        self.open("--allow", "shop.*", services=SERVICES)
        status, said, fields = self.ask("GET", "/openapi.json")
        self.assertEqual((status, fields["Content-Type"]), (200, "application/json"), said)
        document, names = self.read(said)
        self.assertEqual(names, {"shop.greet", "shop.pick", "shop.plain", "shop.{odd} way/x"})
        self.assertNotIn("s.shop", said)
        self.assertNotIn("security", document)
        greet = document["paths"]["/call/shop.greet"]["post"]
        self.assertEqual(greet["description"], "Greets somebody.")
        self.assertEqual(greet["requestBody"]["required"], True)
        args = greet["requestBody"]["content"]["application/json"]["schema"]
        self.assertEqual([(each["title"], each["type"]) for each in args["prefixItems"]], [("name", "string"), ("times", ["integer", "null"])])
        self.assertEqual(greet["responses"]["200"]["content"]["application/json"]["schema"]["prefixItems"], [{"type": "string"}])
        self.assertIn("/call/shop.%7Bodd%7D%20way%2Fx", document["paths"])
        self.assertEqual(document["paths"]["/call/shop.plain"]["post"]["requestBody"]["required"], False)

    def test_a_call_made_from_it(self):
        self.open("--allow", "shop.*", services=SERVICES)
        for path in json.loads(self.ask("GET", "/openapi.json")[1])["paths"]:
            args = {"/call/shop.greet": ["Ann"], "/call/shop.pick": [{"kind": "a"}]}.get(path, [])
            status, said, _ = self.ask("POST", path, json.dumps(args), {"Content-Type": "application/json"})
            self.assertEqual(status, 200, said)

    def test_who_may_not_call_does_not_see_it(self):
        tokens = self.tokens(f"front {digest('t-front')} shop.*", f"desk {digest('t-desk')}")
        self.open("--allow", "shop.>", "--allow", "desk.*", "--token-file", tokens, services=SERVICES)
        self.assertEqual(self.ask("GET", "/openapi.json")[0], 401)
        self.assertEqual(self.ask("GET", "/openapi.json", headers={"Origin": "http://example.org"})[0], 403)
        seen = {}
        for name in ("front", "desk"):
            said = self.ask("GET", "/openapi.json", headers={"Authorization": f"Bearer t-{name}"})[1]
            document, seen[name] = self.read(said)
            self.assertEqual(document["security"], [{"token": []}])
        self.assertEqual(seen["desk"] - seen["front"], {"desk.close"})
        self.assertNotIn("secret.open", seen["desk"])

    def test_servers_are_asked_once(self):
        self.open("--allow", "shop.*", services=SERVICES)
        begun = time.monotonic()
        before = json.loads(self.ask("GET", "/openapi.json")[1])
        self.service.popen.kill()
        after = json.loads(self.ask("GET", "/openapi.json")[1])
        if time.monotonic() - begun < FRESH:
            self.assertEqual(after, before, "what was said is told again for some seconds")

    def test_by_the_command_line(self):
        self.serve(SERVICES)
        _, names = self.read(self.run_clouds("describe", "--as", "openapi").stdout)
        self.assertIn("secret.open", names, "who is in the cluster sees all")

    def test_nothing_is_served(self):
        self.open("--allow", "shop.*", services="print('ready')")
        self.assertEqual(self.read(self.ask("GET", "/openapi.json")[1])[1], set())


if __name__ == "__main__":
    unittest.main()
