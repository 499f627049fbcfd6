"""One version: CMakeLists.txt says it, and everything else follows."""
import ctypes
import json
import os
import re
import unittest

from support import CLOUDS, SOURCE, project_version, run


def text(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


class Versions(unittest.TestCase):

    def setUp(self):
        self.version = project_version()

    def test_library(self):
        library = ctypes.CDLL(os.environ["CLOUDS_LIB"])
        library.clouds_version.restype = ctypes.c_char_p
        self.assertEqual(library.clouds_version().decode(), self.version)
        major, minor, patch = map(int, self.version.split("."))
        self.assertEqual(library.clouds_version_number(), major * 1000000 + minor * 1000 + patch)

    def test_program(self):
        self.assertIn(self.version, run(CLOUDS, "--version"))
        self.assertEqual(run(CLOUDS, "run", "-e", 'print(require("clouds").version)'), self.version)

    def test_python(self):
        declared = re.search(r'^VERSION = "(.*)"$', text("bindings/python/clouds/_abi.py"), re.M)
        self.assertEqual(declared.group(1), self.version)

    def test_node(self):
        self.assertEqual(json.loads(text("bindings/node/package.json"))["version"], self.version)

    def test_changelog(self):
        self.assertEqual(re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M).group(1), self.version)


if __name__ == "__main__":
    unittest.main()
