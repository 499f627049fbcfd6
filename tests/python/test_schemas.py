"""What a method says of itself: of its type hints, or as a dict."""
import unittest
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

from support import AsyncCase, PythonCase

import clouds
from clouds import aio


class User(TypedDict):
    name: str
    tags: List[str]


def greet(name: str, times: int = 1, *rest: Optional[float]) -> str:
    """Greets somebody."""
    return name * times


def keep(user: User, kind: Literal["a", "b"] = "a", size: Annotated[Dict[str, int], "sizes"] = {}, data: Union[bytes, None] = None,
         pair: Tuple[int, str] = (1, "a"), what: Any = None):
    return data


class Sync(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server", id="s.schemas")
        self.client = self.node("Client", timeout=20)
        self.server.register("greet", greet, schema=True)
        self.server.register("keep", keep, schema=True, serial=True)
        self.server.register("given", lambda number: number, schema={"doc": "Gives it.", "args": ["number: integer"]})
        self.server.ready()

    def test_hints(self):
        schema = self.client.ask("s.schemas", "methods")["methods"]["greet"]["schema"]
        number = {"title": "rest", "anyOf": [{"type": "number"}, {"type": "null"}]}
        self.assertEqual(schema, {
            "doc": "Greets somebody.",
            "args": {"type": "array", "prefixItems": [{"title": "name", "type": "string"}, {"title": "times", "type": "integer"}],
                     "minItems": 1, "items": number},
            "returns": {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 1, "items": False}})
        user = {"name": "n", "tags": []}
        self.assertEqual(self.client.call("keep", user, "b", {"x": 1}, b"abc", [1, "a"], {}), b"abc")
        for method, arguments, words in (
                ("greet", (3,), r"argument 1 \(name\): expected a text, got 3"), ("greet", (), "expected at least 1 argument"),
                ("greet", ("a", 1, "b"), r"argument 3 \(rest\): expected a number or null"),
                ("keep", ({"name": "n", "tags": [1]},), r"argument 1 \(user\)\.tags\[0\]: expected a text"),
                ("keep", (user, "c"), r'argument 2 \(kind\): expected "a" or "b"'),
                ("keep", (user, "a", {"x": 1.5}), r"argument 3 \(size\)\.x: expected an integer"),
                ("keep", (user, "a", {}, "text"), r"argument 4 \(data\): expected an object or null"),
                ("keep", (user, "a", {}, None, [1]), r"argument 5 \(pair\): expected at least 2 elements"),
                ("given", ("1",), r"argument 1 \(number\): expected an integer")):
            with self.subTest(words), self.assertRaisesRegex(clouds.BadArgument, words):
                self.client.call(method, *arguments)

    def test_what_is_no_schema(self):
        def of_a_set(a: set):
            pass
        for schema, handler, kind, words in (
                (5, greet, TypeError, "expected True .* got 5"), (True, of_a_set, TypeError, "is no type of a value that can be sent"),
                ({"args": ["a"]}, greet, clouds.InvalidArgument, 'expected "name: type"')):
            with self.subTest(words), self.assertRaisesRegex(kind, words):
                self.server.register("bad", handler, schema=schema)
        self.assertNotIn("bad", self.client.ask("s.schemas", "methods")["methods"])


class Aio(AsyncCase):

    async def test_hints(self):
        server, client = aio.Server(id="s.schemas"), aio.Client()

        @server.register("greet", schema=True)
        async def hello(name: str) -> str:
            return "hi " + name
        await server.ready()
        self.assertEqual(await client.call("greet", "a"), "hi a")
        with self.assertRaisesRegex(clouds.BadArgument, "expected a text"):
            await client.call("greet", 1)
        await client.close()
        await server.close(0)


if __name__ == "__main__":
    unittest.main()
