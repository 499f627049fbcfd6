#!/usr/bin/env python3
"""A directory and a transport of one's own, built by somebody who has nothing but what is installed."""
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_BUILD_DIR"]
sys.path.insert(0, SOURCE + "/tests")
sys.dont_write_bytecode = True
from support.harness import Case  # noqa: E402

EXAMPLE = SOURCE + "/examples/extend/"


class Installed(Case):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.prefix = cls.temporary.name + "/prefix"
        for component in ("library", "development"):
            subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix, "--component", component], check=True,
                           stdout=subprocess.DEVNULL)
        folders = [root for root, _, names in os.walk(cls.prefix) if "clouds.pc" in names]
        cls.flags = subprocess.run(["pkg-config", "--cflags", "--libs", "clouds"], check=True, capture_output=True, text=True,
                                   env={**os.environ, "PKG_CONFIG_PATH": folders[0]}).stdout.split()
        cls.library = os.path.dirname(folders[0])

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def build(self, name, *sources):
        program = f"{self.temporary.name}/{name}"
        done = subprocess.run(["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", *sources,
                               *self.flags, "-Wl,-rpath," + self.library, "-o", program], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return program

    def test_from_outside(self):
        program = self.build("outside", "-D_GNU_SOURCE", "-pthread", "-I" + SOURCE + "/tests", SOURCE + "/tests/extend/outside.c",
                             EXAMPLE + "board.c", EXAMPLE + "entries.c", EXAMPLE + "box.c")
        done = subprocess.run([program], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_example_between_processes(self):
        program = self.build("extend", *(EXAMPLE + name for name in ("extend.c", "board.c", "entries.c", "box.c")))
        for scheme in ("board", "box+board"):
            with self.subTest(scheme), tempfile.TemporaryDirectory() as folder:
                url = f"{scheme}:{folder}"
                call = [program, url, "call", "Glen"]
                servers = [subprocess.Popen([program, url, "serve"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
                try:
                    for one in servers:
                        self.assertEqual(one.stdout.readline(), "serving\n")
                    done = subprocess.run(call, capture_output=True, text=True)
                    self.assertEqual((done.returncode, done.stdout), (0, '["Hello Glen"]\n'), done.stderr)
                    servers[0].kill()
                    servers[0].wait()
                    # Calls go to the other one, as soon as the lock of the dead one is seen to be free.
                    answers = [subprocess.run(call, capture_output=True, text=True).returncode for _ in range(4)]
                    self.assertEqual(answers[-1], 0, answers)
                    servers[1].kill()
                    servers[1].wait()
                    done = subprocess.run(call, capture_output=True, text=True)
                    self.assertEqual(done.returncode, 1)
                    self.assertRegex(done.stdout, "CLOUDS_(NO_AVAILABLE_SERVER|CONNECTION_LOST|CALL_SERVICE_TIMEOUT)")
                finally:
                    for one in servers:
                        one.kill()
                        one.wait()
                        one.stdout.close()


if __name__ == "__main__":
    unittest.main()
