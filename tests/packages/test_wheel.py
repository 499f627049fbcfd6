"""The wheel: what it holds, and that it works from wherever pip has put it, with nothing of the build in reach."""
import glob
import os
import re
import subprocess
import unittest
import zipfile

from support import BUILD, Tried, package, project_version, readme, run, write

SERVICE = """import clouds
with clouds.Server() as server:
    @server.register("test.hello")
    def hello(name, msg):
        return f"Hello {name}, {msg}"
    server.ready()
    print("ready", flush=True)
    server.run()
"""

CLIENT = """import asyncio, clouds, clouds.aio, importlib.metadata
with clouds.Client(timeout=2) as c:
    print(c.bind("test.hello", retry=5)("Glen", "hi"))
async def main():
    async with clouds.aio.Client(timeout=2) as c:
        print(await c.call("test.hello", "Glen", "there"))
asyncio.run(main())
print(importlib.metadata.version("clouds"))
print(clouds.__file__)
print(*sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps")
               if any(name in line for name in ("libclouds", "libuv", "libhiredis"))}), sep="\\n")
"""


class Wheel(Tried):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wheel = package("*.whl")

    def test_name(self):
        pattern = rf"clouds-{re.escape(project_version())}-py3-none-manylinux_2_\d+_\w+\.whl"
        self.assertRegex(os.path.basename(self.wheel), f"^{pattern}$")

    def test_holds(self):
        with zipfile.ZipFile(self.wheel) as wheel:
            names = wheel.namelist()
            info = f"clouds-{project_version()}.dist-info/"
            self.assertIsNone(wheel.testzip())
            for name in ("clouds/__init__.py", "clouds/aio.py", "clouds/py.typed", "clouds/_lib/libclouds.so.0",
                         "clouds/_lib/libuv.so.1", info + "METADATA", info + "LICENSE"):
                self.assertTrue(name in names or name.replace(".py", "/__init__.py") in names, name)
            self.assertTrue(any(name.startswith("clouds/_lib/libhiredis.so") for name in names))
            words = {name: wheel.read(name) for name in names}
        self.assertIn(b"Salvatore Sanfilippo", b"".join(words[name] for name in names if "LICENSE.libhiredis" in name))
        self.assertIn(b"Joyent", b"".join(words[name] for name in names if "LICENSE.libuv" in name))
        self.assertIn(b"Requires-Python: >=3.9", words[info + "METADATA"])
        self.assertIn(b"Root-Is-Purelib: false", words[info + "WHEEL"])
        for name, text in words.items():
            self.assertNotIn(BUILD.encode(), text, name)
            self.assertNotIn("__pycache__", name)
        self.assert_page(words[info + "METADATA"].decode().split("\n\n", 1)[1])

    def try_it(self, python, folder, env):
        """A service and a client with the wheel installed below `folder`."""
        for name, text in (("service", SERVICE), ("client", CLIENT)):
            write(f"{env['HOME']}/{name}.py", text)
        service = self.start(python, env["HOME"] + "/service.py", env=env)
        service.out.wait_for("ready")
        said = run(python, env["HOME"] + "/client.py", env=env).split("\n")
        self.assertEqual(said[:3], ["Hello Glen, hi", "Hello Glen, there", project_version()])
        self.assertEqual(len(said), 7, said)  # the package and the three libraries
        for path in said[3:]:
            self.assertTrue(path.startswith(os.path.realpath(folder) + "/"), path)
        self.assertEqual(run(python, "-m", "clouds", "call", "test.hello", "-s", "Glen", "hi", env=env), '"Hello Glen, hi"')
        script = write(env["HOME"] + "/readme.py", readme("python"))
        self.assertEqual(run(python, script, env=env), "Hello Glen, hi")
        self.assertEqual(service.stop(), 0, service.err.text())

    def test_in_a_folder(self):
        target = self.home + "/my packages"
        run("/usr/bin/python3", "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", target, self.wheel,
            env=self.env)
        self.try_it("/usr/bin/python3", target, dict(self.env, PYTHONPATH=target))

    def test_in_a_venv(self):
        venv = self.home + "/my venv"
        run("/usr/bin/python3", "-m", "venv", "--without-pip", venv, env=self.env)
        python = venv + "/bin/python"
        # pip of the system, told whom it works for: an environment with a pip of its own takes seconds to make
        run("/usr/bin/python3", "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", self.wheel,
            env=self.env)
        self.try_it(python, venv, self.env)
        run("/usr/bin/python3", "-m", "pip", "--python", python, "uninstall", "-q", "-y", "clouds", env=self.env)
        gone = subprocess.run([python, "-c", "import clouds"], env=self.env, cwd=self.home, capture_output=True)
        self.assertEqual(gone.returncode, 1)
        self.assertEqual(glob.glob(venv + "/lib/python3*/site-packages/clouds*"), [])


if __name__ == "__main__":
    unittest.main()
