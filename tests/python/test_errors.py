"""Exceptions: one for each error of the library, and what a handler's error becomes."""
import asyncio
import pickle
import threading
import unittest
from unittest import mock

from support import BOUND, PythonCase, wait_until

import clouds
from clouds import _abi, errors
from clouds._events import Event, failure
from clouds._library import error


class Classes(PythonCase):

    def test_one_for_each(self):
        self.assertGreater(len(errors.BY_NUMBER), 25)
        for number, kind in errors.BY_NUMBER.items():
            self.assertTrue(issubclass(kind, clouds.Error), kind)
            self.assertIs(getattr(clouds, kind.__name__), kind)
            problem = kind()
            self.assertTrue(number < 0 and problem.message and problem.code.startswith("CLOUDS_"), kind)
            self.assertIn(problem.outcome, ("APP_ERROR", "NOT_DONE", "UNKNOWN"))

    def test_kinship(self):
        for kind in (clouds.CallTimeout, clouds.Expired):
            self.assertTrue(issubclass(kind, (clouds.Timeout,)) and issubclass(kind, TimeoutError))
            self.assertTrue(issubclass(kind, asyncio.TimeoutError))
        self.assertTrue(issubclass(clouds.Unreachable, ConnectionError))
        self.assertTrue(issubclass(clouds.ConnectionLost, ConnectionError))
        self.assertTrue(issubclass(clouds.InvalidOption, ValueError))

    def test_members(self):
        problem = clouds.ServiceError("no such user", code="E_USER", more={"id": 7}, values=[1])
        self.assertEqual((problem.message, problem.code, problem.more, problem.values, problem.outcome),
                         ("no such user", "E_USER", {"id": 7}, (1,), "APP_ERROR"))
        self.assertEqual(str(problem), "E_USER: no such user")
        self.assertEqual(str(clouds.ServiceError("plain")), "plain")
        self.assertFalse(problem.retryable)
        self.assertTrue(clouds.NoAvailableServer().retryable)
        self.assertFalse(clouds.CallTimeout().retryable)
        self.assertIn("E_USER", repr(problem))

    def test_those_of_a_later_library(self):
        fewer = {number: kind for number, kind in errors.BY_NUMBER.items() if kind is not clouds.Draining}
        event = Event(_abi.CLOUDS_EVENT_RESULT, clouds.Draining.number, 2, 1, 0, 0.0, "", "", "", '{"message":"wait"}')
        with mock.patch("clouds._library.BY_NUMBER", fewer):
            problem = failure(event)
            self.assertEqual((type(problem), problem.code, problem.message, problem.outcome),
                             (clouds.Error, "CLOUDS_DRAINING", "wait", "NOT_DONE"))
            problem = failure(event._replace(error=""))
            self.assertEqual(problem.message, clouds.Draining().message)
            problem = error(clouds.Draining.number)
            self.assertEqual((type(problem), problem.code, problem.outcome), (clouds.Error, "CLOUDS_DRAINING", "NOT_DONE"))
        problem = error(-99)
        self.assertEqual((type(problem), problem.code, problem.outcome), (clouds.Error, "CLOUDS_E?", "UNKNOWN"))

    def test_pickle(self):
        for problem in (clouds.ServiceError("a", code="E", more={"x": 1}, values=(2,)), clouds.CallTimeout(),
                        clouds.Unreachable("gone", outcome="UNKNOWN")):
            copy = pickle.loads(pickle.dumps(problem))
            self.assertIs(type(copy), type(problem))
            self.assertEqual(vars(copy), vars(problem))
            self.assertEqual(str(copy), str(problem))


class Facts(PythonCase):
    """What an error concerns, as members and in its words; and its class says which it is."""

    bus = "local"

    def test_each(self):
        server, client = self.node("Server", id="s.facts", workers=2), self.node("Client", timeout=BOUND)
        release = threading.Event()
        self.addCleanup(release.set)
        server.register("wait", lambda: release.wait(BOUND))
        server.register("large", lambda: "x" * 5000000)
        server.register("quick", lambda: 1)
        server.ready()
        said = self.raises(clouds.NoAvailableServer, "for nobody on local:", client.call, "nobody")
        self.assertEqual((said.method, said.server, said.received), ("nobody", None, True))
        self.assertIn("local:", said.cluster)
        self.assertEqual(client.call("quick"), 1)  # the way is open: the next one leaves, and runs out of time there
        said = self.raises(clouds.CallTimeout, "wait", client.call, "wait", timeout=1)
        self.assertEqual((said.method, said.server), ("wait", "s.facts"))
        said = self.raises(clouds.Error, "s.nobody", client.call, "wait", server="s.nobody", timeout=1)
        self.assertEqual((said.method, said.server), ("wait", "s.nobody"))
        said = self.raises(clouds.TooBig, "wait: the list of arguments has 5000004 bytes, max_message is 4194304", client.call, "wait", "x" * 5000000)
        self.assertEqual((said.method, said.limit), ("wait", 4194304))
        self.assertGreater(said.size, 5000000)
        with self.assertLogs("clouds", "INFO") as logged:
            said = self.raises(clouds.Error, "4194304", client.call, "large")
            wait_until(lambda: logged.output)  # its caller hears of it first
        self.assertIn(type(said), (clouds.TooBig, clouds.ServiceError))
        said = self.raises(clouds.InvalidUrl, "redis://:", clouds.Client, "redis://:x")
        copy = pickle.loads(pickle.dumps(said))
        self.assertEqual((type(copy), str(copy)), (type(said), str(said)))

    def test_of_a_service(self):
        """Its own members stay in `more`, whatever their names."""
        server, client = self.node("Server"), self.node("Client", timeout=BOUND)

        def fail():
            raise clouds.ServiceError("no", more={"method": "own", "limit": [1], "toString": 1})
        server.register("fail", fail)
        server.ready()
        said = self.raises(clouds.ServiceError, "no", client.call, "fail")
        self.assertEqual((said.method, said.server, said.limit), ("fail", server.id, None))
        self.assertEqual(said.more, {"method": "own", "limit": [1], "toString": 1})

    def test_handed_on(self):
        """The caller of a handler that hands an error of the library on gets what it concerns."""
        server, client = self.node("Server"), self.node("Client", timeout=BOUND)
        server.register("hands.on", lambda: server.call("nobody.inside"))
        server.ready()
        with self.assertLogs("clouds", "INFO"):
            said = self.raises(clouds.ServiceError, "for nobody.inside on", client.call, "hands.on")
        self.assertEqual((said.code, said.method), ("CLOUDS_NO_AVAILABLE_SERVER", "hands.on"))
        self.assertEqual(said.more, {"method": "nobody.inside", "cluster": self.url})

    def test_a_code_that_is_null(self):
        failed = Event(_abi.CLOUDS_EVENT_RESULT, clouds.ServiceError.number, 1, 1, 0, 0.0, "s.x", "m", "",
                       '{"message":"a\\u0000b","code":null,"more":1}')
        problem = failure(failed)
        self.assertEqual((problem.message, problem.code, problem.more), ("a\0b", "CLOUDS_SERVICE_ERROR", {"more": 1}))


class OfHandlers(PythonCase):

    def setUp(self):
        super().setUp()
        self.server = self.node("Server")
        self.client = self.node("Client", timeout=20)

    def fails(self, problem, logs=False):
        """What a caller gets when a handler raises `problem`."""
        def handler():
            raise problem
        self.server.register("fail", handler)
        self.server.ready()
        if not logs:
            with self.assertNoLogs("clouds", "WARNING"):
                return self.raises(clouds.ServiceError, "", self.client.call, "fail")
        with self.assertLogs("clouds", "ERROR") as said:
            caught = self.raises(clouds.ServiceError, "", self.client.call, "fail")
        self.assertIn("the handler of 'fail' failed", said.output[0])
        return caught

    def test_ordinary_exceptions(self):
        got = self.fails(ValueError("not so"), logs=True)
        self.assertEqual((got.message, got.code, got.more, got.outcome), ("not so", "ValueError", {}, "APP_ERROR"))
        self.assertEqual(self.fails(KeyError(), logs=True).message, "KeyError")
        self.assertEqual(self.fails(SystemExit(3), logs=True).code, "SystemExit")
        self.assertEqual(self.fails(ValueError("\ud800\0ä"), logs=True).message, "\ud800\0ä")

    def test_an_exception_with_a_code(self):
        class Denied(Exception):
            code = "E_DENIED"
        self.assertEqual(self.fails(Denied("no"), logs=True).code, "E_DENIED")

    def test_errors_of_ours(self):
        got = self.fails(clouds.ServiceError("no such user", code="E_USER", more={"id": [7]}, values=(1, None)))
        self.assertEqual((got.message, got.code, got.more, got.values),
                         ("no such user", "E_USER", {"id": [7]}, (1, None)))
        got = self.fails(clouds.ServiceError("plain"))
        self.assertEqual((got.message, got.code), ("plain", "CLOUDS_SERVICE_ERROR"))

    def test_what_cannot_be_sent_is_left_out(self):
        got = self.fails(clouds.ServiceError("m", code="E", more={"bad": b"x", "good": 1}, values=(b"x",)))
        self.assertEqual((got.more, got.values), ({"good": 1}, ()))

    def test_handed_on(self):
        self.fails(clouds.ServiceError("deep", code="E_DEEP", more={"a": 1}))
        self.server.register("outer", lambda: self.server.call("fail"))
        self.server.ready()
        got = self.raises(clouds.ServiceError, "E_DEEP: deep", self.client.call, "outer")
        self.assertEqual(got.more, {"a": 1})

    def test_wrong_number_of_arguments(self):
        self.server.register("two", lambda a, b: a)
        self.server.ready()
        with self.assertLogs("clouds", "ERROR"):
            got = self.raises(clouds.ServiceError, "missing 1 required positional argument", self.client.call, "two", 1)
        self.assertEqual(got.code, "TypeError")
        self.assertNotIn("File", got.message)

    def test_no_such_method(self):
        self.server.register("there", lambda: 1)
        self.server.ready()
        got = self.raises(clouds.NoAvailableServer, "no available server", self.client.call, "elsewhere")
        self.assertEqual((got.code, got.outcome), ("CLOUDS_NO_AVAILABLE_SERVER", "NOT_DONE"))
        self.raises(clouds.NoSuchMethod, "", self.client.call, "elsewhere", server=self.server.id)
        self.server._methods.clear()  # as between its end here and in the library
        got = self.raises(clouds.Error, "", self.client.call, "there")
        self.assertEqual(got.code, "CLOUDS_NO_SUCH_METHOD")


if __name__ == "__main__":
    unittest.main()
