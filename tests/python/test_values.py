"""Values cross exactly, or are refused with their place."""
import collections
import enum
import json
import math
import pickle
import typing
import unittest
from unittest import mock

from support import PythonCase

import clouds
from clouds import _values
from clouds._values import decode, encode, encode_list


class Color(enum.IntEnum):
    RED = 3


class Text(str):
    pass


class Shade(str, enum.Enum):
    DARK = "dark"


class Loud(str):
    def __str__(self):
        return "LOUD"

    __repr__ = __str__


class Whole(int):
    def __int__(self):
        return 99

    __str__ = __repr__ = __abs__ = __index__ = lambda self: 98


class Real(float):
    def __float__(self):
        return 99.5

    __str__ = __repr__ = lambda self: "99.5"


class Point(typing.NamedTuple):
    x: int
    y: Shade


class Status(enum.IntFlag):
    ON = 4


class Codec(PythonCase):

    def stable(self, value):
        back = decode(encode(value).decode())
        self.assertEqual(back, value)
        return back

    def test_whole_numbers(self):
        for n in (0, 1, -1, 2 ** 31, 2 ** 53 - 1, -(2 ** 53 - 1), 10 ** 15, 999999999999999):
            self.assertEqual(encode(n), str(n).encode())
            self.assertIs(type(self.stable(n)), int)

    def test_whole_numbers_that_others_do_not_have(self):
        for n in (2 ** 53, 2 ** 60, -2 ** 63, 10 ** 22, 2 ** 1000):
            self.assertEqual(self.stable([n]), [n])  # a float that is the same
        for n in (2 ** 53 + 1, -2 ** 63 - 1, 10 ** 23, 10 ** 400):
            self.raises(ValueError, "at [0]['n']: whole numbers beyond 2**53", encode, {"n": n})
        self.assertEqual(decode("[9223372036854776000]"), [2.0 ** 63])
        self.assertEqual(decode("[" + "1" * 5000 + "]"), [math.inf])

    def test_floats_bit_for_bit(self):
        for x in (0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e21, 1e23, 0.1 + 0.2, 1e-7):
            for y in (x, -x):
                self.assertEqual(self.stable(y).hex(), y.hex())
        self.assertEqual(math.copysign(1, self.stable(-0.0)), -1)

    def test_what_is_no_number(self):
        self.raises(ValueError, "cannot send nan at [1]", encode_list, [1, math.nan])
        self.raises(ValueError, "cannot send inf at [0]['a']", encode, {"a": math.inf})

    def test_text(self):
        for text in ("", "a\0b", "äöü€😀", '"\\/\b\f\n\r\t\x1f\x7f', "\ud800", "a\udfffb\ud83d", "x" * 100000):
            self.assertEqual(self.stable(text), text)
            self.assertEqual(self.stable({text: [text]}), {text: [text]})
        self.assertEqual(encode("äöü"), '"äöü"'.encode())
        self.assertEqual(encode("\ud800é"), b'"\\ud800\\u00e9"')

    def test_kinds(self):
        self.stable([None, True, False, [], {}, [[]], {"": None}, {"1": 1}, [None, None]])
        self.assertEqual(encode((1, (2, [3]))), b"[1,[2,[3]]]")
        self.assertEqual(encode([Color.RED, True]), b"[3,true]")
        self.assertEqual(encode({Text("k"): Text("v")}), b'{"k":"v"}')

    def test_what_derives_from_a_kind_travels_as_its_value(self):
        for value, text in ((Shade.DARK, '"dark"'), (Loud("quiet"), '"quiet"'), (Whole(5), "5"), (Real(0.5), "0.5"),
                            (Status.ON, "4"), (Point(1, Shade.DARK), '[1,"dark"]'), (True, "true"),
                            (collections.OrderedDict(b=1, a=Shade.DARK), '{"b":1,"a":"dark"}'),
                            (collections.defaultdict(list, k=[Loud("v")]), '{"k":["v"]}'),
                            (collections.Counter("a"), '{"a":1}'), (type("L", (list,), {})([Whole(1)]), "[1]"),
                            ({Shade.DARK: {Loud("k"): Text("v")}}, '{"dark":{"k":"v"}}')):
            self.assertEqual(encode(value), text.encode())
            if type(value) not in (Whole, Real):  # those say something else of themselves to json too
                self.assertEqual(json.loads(json.dumps(value)), json.loads(text))

    def test_refused(self):
        self.raises(TypeError, "cannot send bytes at [0]: only arguments, results", encode_list, [b"x"])
        self.raises(TypeError, "cannot send bytearray at [0][1]['a']", encode, [0, {"a": bytearray()}])
        self.raises(TypeError, "object of type set", encode, {1})
        self.raises(TypeError, "object of type function at [0][0]", encode, [encode])
        self.raises(TypeError, "dict with the key 1 at [0][0]: keys are text", encode, [{1: 2}])
        self.raises(TypeError, "dict with the key None", encode, {None: 2})
        self.raises(TypeError, "dict with the key b'x'", encode, {b"x": 2})

    def test_nesting(self):
        deep = json.loads("[" * 255 + "]" * 255)
        self.assertEqual(decode(encode(deep).decode()), deep)
        circle = []
        circle.append({"circle": circle})
        self.raises(ValueError, "contains itself", encode, circle)
        for inmost in ("1", '"x"', str(2 ** 53)):  # the last takes the careful way
            self.stable(json.loads("[" * 255 + inmost + "]" * 255))
            for levels in (256, 300, 400, 3000):
                deep = inmost
                for _ in range(levels):
                    deep = [deep]
                self.raises(ValueError, "nests deeper than 256", encode, deep)
                self.raises(ValueError, "nests deeper than 256", encode, {"a": deep})

    def test_another_interpreters_encoder(self):
        """What the quick way rests on may be gone one day: then the ordinary one gives the same."""
        quick = _values._prebuilt()
        with mock.patch.object(json.encoder, "c_make_encoder", None):
            plain = _values._prebuilt()
        for value in ((1, "ä", None), ({"a": [1.5, True]}, "\0"), ()):
            self.assertEqual("".join(quick(value, 0)), "".join(plain(value, 0)))

    def test_values(self):
        two = clouds.Values(1, None)
        self.assertEqual(two, (1, None))
        self.assertEqual(repr(two), "Values(1, None)")
        self.assertEqual(pickle.loads(pickle.dumps(two)), two)
        self.assertEqual(encode(two), b"[1,null]")


class Travelling(PythonCase):
    """The same through the library."""

    def setUp(self):
        super().setUp()
        server = self.node("Server")
        server.register("echo", lambda *values: clouds.Values(*values))
        server.register("give", lambda text: eval(text, {"clouds": clouds}))
        server.ready()
        self.client = self.node("Client", timeout=20)

    def test_echo(self):
        for value in (None, True, 0, -1.5, 2 ** 53 - 1, "a\0b", "\ud800x", "😀", [], {}, [None],
                      {"a": [1, {"b": None}]}):
            self.assertEqual(self.client.call("echo", value), value)
        for values in ((), (None,), (None, None), (1, 2, None), ([], {})):
            got = self.client.call("echo", *values)
            self.assertEqual(got, {0: None, 1: values[0] if values else None}.get(len(values), clouds.Values(*values)))

    def test_names_of_every_kind_of_text(self):
        self.node("Server").on(Loud("message"), print)
        server = self.node("Server", id=Loud("s.loud"))
        server.register(Shade.DARK, lambda: {Shade.DARK: Shade.DARK})
        server.ready()
        self.assertEqual(self.client.call(Shade.DARK, server=Loud("s.loud")), {"dark": "dark"})
        self.assertEqual(self.client.bind(Shade.DARK)(), {"dark": "dark"})
        server.unregister(Shade.DARK)
        self.assertEqual(server._methods, {})

        def fail():
            raise clouds.ServiceError(Shade.DARK, code=Shade.DARK, more={"shade": Shade.DARK})
        server.register("fail", fail)
        server.ready()
        problem = self.raises(clouds.ServiceError, "dark", self.client.call, "fail")
        self.assertEqual((problem.message, problem.code, problem.more), ("dark", "dark", {"shade": "dark"}))

    def test_results(self):
        self.assertIs(self.client.call("give", "None"), None)
        self.assertIs(self.client.call("give", "clouds.Values()"), None)
        self.assertEqual(self.client.call("give", "(1, 2)"), [1, 2])
        got = self.client.call("give", "clouds.Values(1, 2)")
        self.assertIs(type(got), clouds.Values)
        self.assertEqual(got, (1, 2))

    def test_unsendable_arguments(self):
        for bad in ({b"x"}, {1: 2}, math.nan, 2 ** 53 + 1, object()):
            self.assertRaises((TypeError, ValueError), self.client.call, "echo", bad)
        self.assertEqual(self.client.call("echo", 1), 1)

    def test_unsendable_results(self):
        for text, words in (("{b'x'}", "the result cannot be sent: cannot send an object of type set"),
                            ("{1: 2}", "cannot send a dict with the key 1"), ("float('nan')", "cannot send nan")):
            with self.assertLogs("clouds", "ERROR"):
                problem = self.raises(clouds.ServiceError, words, self.client.call, "give", text)
            self.assertIn(problem.code, ("TypeError", "ValueError"))

    def test_large(self):
        text = "x" * 3000000
        self.assertEqual(self.client.call("echo", text), text)
        problem = self.raises(clouds.TooBig, "", self.client.call, "echo", text * 2)
        self.assertEqual(problem.outcome, "NOT_DONE")


if __name__ == "__main__":
    unittest.main()
