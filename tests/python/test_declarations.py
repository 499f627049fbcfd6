#!/usr/bin/env python3
"""The declarations are those of clouds.h, and a change of the header is noticed."""
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]
GENERATE = "bindings/python/generate.py"


@unittest.skipUnless(importlib.util.find_spec("pycparser"), "pycparser is not here")
class Declarations(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="clouds-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        for path in ("CMakeLists.txt", "capi/include/clouds.h", "capi/api/options.def", GENERATE,
                     "bindings/python/clouds/_abi.py", "bindings/python/clouds/errors.py",
                     "bindings/python/clouds/_keywords.py"):
            os.makedirs(os.path.dirname(os.path.join(self.folder, path)), exist_ok=True)
            shutil.copy(os.path.join(SOURCE, path), os.path.join(self.folder, path))

    def check(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(self.folder, GENERATE), *arguments], capture_output=True,
                              text=True)

    def change(self, before, after, path="capi/include/clouds.h"):
        path = os.path.join(self.folder, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(before, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(before, after, 1))

    def test_they_are_fresh(self):
        result = self.check("--check")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_each_kind_of_change_is_noticed(self):
        for before, after, stale in (
                ("int clouds_wakeup(", "long clouds_wakeup(", "_abi.py"),
                ("CLOUDS_EVENT_READY = 1", "CLOUDS_EVENT_READY = 99", "_abi.py"),
                ("int32_t code; ", "int64_t code; ", "_abi.py"),
                ('"CLOUDS_EXISTS", "exists already")', '"CLOUDS_THERE", "there already")', "errors.py")):
            with self.subTest(before):
                shutil.copy(SOURCE + "/capi/include/clouds.h", self.folder + "/capi/include/clouds.h")
                self.change(before, after) if "long" not in after else self.change(before, "double clouds_wakeup(")
                result = self.check("--check")
                self.assertEqual(result.returncode, 1)
                self.assertIn(f"clouds/{stale} is stale", result.stderr)

    def test_a_new_error_becomes_an_exception(self):
        self.change('"CLOUDS_EXISTS", "exists already")',
                    '"CLOUDS_EXISTS", "exists already") \\\n'
                    'X(CLOUDS_ENEW, -99, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_BRAND_NEW", "new")')
        self.assertEqual(self.check().returncode, 0)
        with open(os.path.join(self.folder, "bindings/python/clouds/errors.py"), encoding="utf-8") as file:
            self.assertIn('class BrandNew(Error):\n    """CLOUDS_BRAND_NEW: new."""', file.read())
        self.assertEqual(self.check("--check").returncode, 0)

    def test_a_name_of_pythons_own_is_refused(self):
        self.change('"CLOUDS_EXISTS", "exists already")', '"CLOUDS_EXCEPTION", "x")')
        result = self.check()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("would hide Python's own Exception", result.stderr)


if __name__ == "__main__":
    unittest.main()
