"""Where the library is found, and what is said when it is not, or too old."""
import os
import re
import shutil
import subprocess
import sys
import unittest

from support import PythonCase

LIBRARY = os.environ["CLOUDS_LIB"]
OLD = "#include <stdint.h>\nconst char *clouds_version(void) { return \"0.0.9\"; }\n"


class Loading(PythonCase):

    def run_import(self, **env):
        environment = {**self.env, **env}
        return subprocess.run([sys.executable, "-c", "import clouds; print(clouds.version, clouds.__version__)"],
                              env=environment, capture_output=True, text=True)

    def library(self, text):
        path = os.path.join(self.folder, "libold.so")
        source = self.file("old.c", text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source], check=True)
        return path

    def last_line(self, result):
        self.assertNotEqual(result.returncode, 0)
        return result.stderr.strip().split("\n")[-1]

    def test_found(self):
        result = self.run_import()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^\d+\.\d+\.\d+ ")

    def test_who_uses_no_asyncio_does_not_load_it(self):
        result = subprocess.run([sys.executable, "-c", "import sys, clouds; print('asyncio' in sys.modules)"],
                                env=self.env, capture_output=True, text=True)
        self.assertEqual((result.stdout, result.stderr), ("False\n", ""))

    def test_missing(self):
        line = self.last_line(self.run_import(CLOUDS_LIBRARY="/nowhere/libclouds.so"))
        self.assertIn("ImportError: clouds: the library libclouds.so.0 cannot be loaded", line)
        self.assertIn("CLOUDS_LIBRARY is /nowhere/libclouds.so", line)

    def test_no_library_at_all(self):
        line = self.last_line(self.run_import(CLOUDS_LIBRARY="", LD_LIBRARY_PATH="")) \
            if not self.system_has_one() else "ImportError: clouds: CLOUDS_LIBRARY may name its path"
        self.assertIn("CLOUDS_LIBRARY may name its path", line)

    def system_has_one(self):
        return "libclouds.so.0" in subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout

    @unittest.skipIf(os.environ.get("CLOUDS_SANITIZE"), "the compiled library would need the sanitizer")
    def test_older(self):
        line = self.last_line(self.run_import(CLOUDS_LIBRARY=self.library(OLD)))
        self.assertIn("is older than this package", line)
        self.assertIn("undefined symbol", line)
        from clouds import _abi
        functions = "".join(f"void {name}(void) {{}}\n" for name in _abi.FUNCTIONS if "version" not in name)
        text = OLD + "uint32_t clouds_version_number(void) { return 9; }\n" + functions
        line = self.last_line(self.run_import(CLOUDS_LIBRARY=self.library(text)))
        self.assertIn(f"is version 0.0.9, and this package needs {_abi.VERSION} or later", line)

    def grown(self, pattern, to):
        """The package of another version: with another clouds_event."""
        package = os.path.join(self.folder, "clouds")
        source = os.path.join(os.environ["CLOUDS_SOURCE"], "bindings", "python", "clouds")
        if not os.path.exists(package):
            shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        with open(package + "/_abi.py", encoding="utf-8") as file:
            text, n = re.subn(pattern, to, file.read())
        self.assertEqual(n, 1)
        with open(package + "/_abi.py", "w", encoding="utf-8") as file:
            file.write(text)
        return self.run_import(CLOUDS_LIBRARY=LIBRARY, PYTHONPATH=self.folder)

    def test_another_layout(self):
        line = self.last_line(self.grown(r'\("number", c_int64\)(?=,\s+\("time_left)', '("sooner", c_int64), ("number", c_int64)'))
        self.assertRegex(line, r"does not fit this package .*: it has clouds_event.sooner nowhere, expected 8 bytes at \d+")
        line = self.last_line(self.grown(r'\("sooner", c_int64\), ', '("id", c_uint64), '))
        self.assertRegex(line, r"it has clouds_event.id 8 bytes at \d+, expected 8 bytes at \d+")

    def test_a_member_more_than_the_library_has(self):
        line = self.last_line(self.grown(r'(class clouds_event\(Structure\):\n(?:.*\n)*?)    \]\n',
                                         r'\1        ("later", c_uint64),\n    ]\n'))
        self.assertRegex(line, r"it has clouds_event.later nowhere, expected 8 bytes at \d+")

    def test_beside_the_package(self):
        package = os.path.join(self.folder, "clouds")
        source = os.path.join(os.environ["CLOUDS_SOURCE"], "bindings", "python", "clouds")
        subprocess.run(["cp", "-r", source, package], check=True)
        os.mkdir(package + "/_lib")
        os.symlink(LIBRARY, package + "/_lib/libclouds.so.0")
        result = self.run_import(CLOUDS_LIBRARY="", PYTHONPATH=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_version_of_the_package(self):
        from clouds import _abi
        with open(os.path.join(os.environ["CLOUDS_SOURCE"], "CMakeLists.txt"), encoding="utf-8") as file:
            self.assertEqual(re.search(r"VERSION (\d+\.\d+\.\d+)", file.read()).group(1), _abi.VERSION)


if __name__ == "__main__":
    unittest.main()
