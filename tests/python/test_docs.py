"""The examples of docs/PYTHON.md and of examples/python run as they stand, and everything public is documented."""
import contextlib
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import unittest

from support import Process, PythonCase

import clouds

SOURCE = os.environ["CLOUDS_SOURCE"]


def blocks():
    with open(SOURCE + "/docs/PYTHON.md", encoding="utf-8") as file:
        return re.findall(r"```python\n(.*?)```", file.read(), re.S)


class Docs(PythonCase):
    bus = "local"

    def setUp(self):
        super().setUp()
        del self.env["CLOUDS_URL"]

    def served(self, process, method="test.hello"):
        """Waits until the service is there."""
        with clouds.Client("local:", timeout=0.5) as client:
            client.call(method, "x", "y", retry=120)
        return process

    def test_the_first_page(self):
        server, client, many, *_ = blocks()
        service = self.served(self.python(server))
        for program, said in ((client, "Hello Glen, hi\n"), (many, "1000 Hello Glen, 999\n")):
            process = self.python(program)
            self.assertEqual(process.wait(), 0, process.err.text())
            self.assertEqual(process.out.text(), said)
        service.signal(signal.SIGINT)
        self.assertEqual(service.wait(), 0, service.err.text())

    def test_the_reference(self):
        scope, said = {"clouds": clouds}, io.StringIO()
        with contextlib.redirect_stdout(said):
            for text in blocks()[3:]:
                exec(compile(text, "PYTHON.md", "exec"), scope)
        self.assertIn("NOW\n", said.getvalue())
        self.assertIn("E_USER no such user {'number': 7}\n", said.getvalue())
        self.assertIn("sum ['s.mine']\n", said.getvalue())

    def example(self, name, *arguments, stdin=subprocess.DEVNULL):
        process = Process([sys.executable, f"{SOURCE}/examples/python/{name}.py", *arguments], self.env, stdin)
        self.addCleanup(process.discard)
        return process

    def test_examples(self):
        service = self.example("hello_server")
        service.out.wait_for("serving as s.")
        for name, said in (("hello_client", "Hello Glen, hi\n"), ("later", "reversed\n"),
                           ("many", "1000 answers, the last: Hello Glen, 999\n"), ("monitor", "test.hello s.")):
            process = self.example(name)
            self.assertEqual(process.wait(), 0, process.err.text())
            self.assertIn(said, process.out.text())
        self.assertEqual(service.stop(), 0, service.err.text())

    def say(self, person, line):
        person.popen.stdin.write(line.encode() + b"\n")
        person.popen.stdin.flush()

    def test_the_chat(self):
        """Rooms in Lua, people in Python."""
        for room in "lobby", "attic":
            self.start("run", SOURCE + "/examples/lua/chat.lua", "room", room).out.wait_for("is open")
        ann, bob, cid = [self.example("chat", *words, stdin=subprocess.PIPE)
                         for words in (("ann", "lobby"), ("bob", "lobby"), ("cid", "attic"))]
        for person, name in (ann, "ann"), (bob, "bob"), (cid, "cid"):
            person.out.wait_for(f"* {name} joined\n")
        for line in "hello", "", "again":
            self.say(bob, line)
        self.say(cid, "alone")
        for person in ann, bob:
            person.out.wait_for("bob: hello\nbob: again\n" if person is ann else "bob: again\n")
        bob.out.wait_for("* nothing to say\n")
        cid.out.wait_for("cid: alone\n")
        for person in ann, bob, cid:
            person.popen.stdin.close()
            person.popen.stdin = None
            self.assertEqual(person.wait(), 0, person.err.text())
        self.assertNotIn("alone", ann.out.text() + bob.out.text())
        dan = self.example("chat", "dan", "cellar")
        self.assertEqual(dan.wait(), 0, dan.err.text())
        self.assertIn("* no available server for chat.cellar.join", dan.out.text())

    def test_no_example_is_missing(self):
        there = {name[:-3] for name in os.listdir(SOURCE + "/examples/python") if name.endswith(".py")}
        servers = {"wsgi", "asgi", "lines"}  # tests/host/test_worker_servers.py
        self.assertEqual(there, {"hello_server", "hello_client", "later", "many", "monitor", "chat"} | servers)


class Documented(PythonCase):

    def members(self):
        for module in (clouds, clouds.aio):
            for name in module.__all__:
                value = getattr(module, name)
                yield f"{module.__name__}.{name}", value
                if inspect.isclass(value) and value.__module__.startswith("clouds"):
                    for member, found in inspect.getmembers(value):
                        if not member.startswith("_") and (inspect.isfunction(found) or isinstance(found, property)):
                            yield f"{module.__name__}.{name}.{member}", found

    def test_everything_public_has_a_docstring(self):
        missing = [name for name, value in self.members()
                   if (inspect.isclass(value) or callable(value) or isinstance(value, property)) and not value.__doc__]
        self.assertEqual(missing, [])

    def test_everything_public_is_annotated(self):
        bare = []
        for name, value in self.members():
            function = value.fget if isinstance(value, property) else value
            if not inspect.isfunction(function) or not function.__module__.startswith("clouds"):
                continue
            signature = inspect.signature(function)
            parameters = [p for p in signature.parameters.values() if p.name != "self"]
            if signature.return_annotation is signature.empty or any(p.annotation is p.empty for p in parameters):
                bare.append(name)
        self.assertEqual(bare, [])

    def test_both_faces_have_the_same_shape(self):
        for kind in ("Client", "Server", "Monitor", "Base"):
            def shape(face):
                return {name: [p.name for p in inspect.signature(member).parameters.values()]
                        for name, member in inspect.getmembers(getattr(face, kind), inspect.isfunction)
                        if not name.startswith("_")}
            self.assertEqual(shape(clouds), shape(clouds.aio))

    def test_options_are_those_of_the_library(self):
        with open(SOURCE + "/docs/CONFIGURATION.md", encoding="utf-8") as file:
            known = set(re.findall(r"^\| `(\w+)` \| (?:string|number|bool)", file.read(), re.M))
        from clouds._options import _ACCEPTED
        self.assertEqual(known - set(_ACCEPTED), {"mode", "url", "retries", "user_data"})


if __name__ == "__main__":
    unittest.main()
