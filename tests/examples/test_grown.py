#!/usr/bin/env python3
"""The bindings in Python, Ruby and Perl run with a later library, whose every public record has grown."""
import os
import subprocess
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS + "/support", TESTS + "/lint"]
sys.dont_write_bytecode = True

import grown  # noqa: E402
from harness import BOUND, SOURCE  # noqa: E402

PYTHON = """
import clouds
server, client = clouds.Server("inproc:"), clouds.Client("inproc:", timeout=100)
server.register("test.add", lambda *numbers: sum(numbers))
server.ready()
print(client.call("test.add", 1, 2))
try:
    client.call("test.add", 1, {})
except clouds.ServiceError as e:
    print(e.outcome)
try:
    client.call("test.none", timeout=0.01)
except clouds.NoAvailableServer as e:
    print(e.method)
client.close()
server.close()
"""
RUN = {
    "python": [sys.executable, "-c", PYTHON],
    "ruby": ["ruby", TESTS + "/examples/ruby/alone.rb", "inproc:", SOURCE + "/examples/ruby"],
    "perl": ["perl", TESTS + "/examples/perl/alone.pl", "inproc:", SOURCE + "/examples/perl"],
}
NEEDS = {"python": ["true"], "ruby": ["ruby", "-rfiddle/import", "-e", "1"], "perl": ["perl", "-MFFI::Platypus=2.00", "-e", "1"]}


class Grown(unittest.TestCase):
    def test_each_runs_with_a_later_library(self):
        with tempfile.TemporaryDirectory() as folder:
            for library in (os.environ["CLOUDS_LIB"], grown.library(folder)):
                for language, command in RUN.items():
                    with self.subTest(language=language, library=library):
                        self.check(language, command, library)

    def check(self, language, command, library):
        if subprocess.run(["sh", "-c", '"$@"', "sh", *NEEDS[language]], capture_output=True).returncode != 0:
            self.skipTest(f"what {language} needs is not here")
        env = {**os.environ, "CLOUDS_LIBRARY": library, "PYTHONPATH": SOURCE + "/bindings/python", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=BOUND)
        self.assertEqual(done.stdout.split(), ["3", "APP_ERROR", "test.none"], done.stderr)


unittest.main()
