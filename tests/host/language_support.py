"""What tests of workers in Python and Node have in common."""
import os
import sys
import textwrap

from support import SOURCE, Master, wait_until

BUILD = os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev"))
NODE = os.path.join(BUILD, "bindings", "node")
HAS_NODE = os.path.exists(os.path.join(NODE, "clouds.node"))
WITHOUT_NODE = "the Node package was not built"


class Languages(Master):
    def setUp(self):
        super().setUp()
        self.env.update(PATH=f"{os.path.dirname(sys.executable)}:{self.env['PATH']}",  # a python3 that is a script takes its time
                        PYTHONPATH=os.path.join(SOURCE, "bindings", "python"), PYTHONDONTWRITEBYTECODE="1",
                        CLOUDS_LIBRARY=os.path.join(BUILD, "capi", "libclouds.so"), CLOUDS_TEST_PACKAGE=NODE)

    def write(self, name, code):
        """A file with this, which may be indented."""
        return self.file(name, textwrap.dedent(code))

    def open(self, name, code, *options, workers=1):
        self.write(name, code)
        self.master = self.start("start", "--workers", str(workers), *options, name, cwd=self.folder)
        return self.master

    def ready(self, *rest, **words):
        self.open(*rest, **words)
        self.master.err.wait_for(" ready: ")

    def start_file(self, text):
        self.master = self.start("start", "-c", self.file("cluster.lua", text))
        self.master.err.wait_for(" ready: ")

    def call(self, *words):
        """The words that a call printed."""
        found = self.run_clouds("call", *words)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout.strip()

    def worker(self, index):
        """The process of a worker."""
        return next(row["pid"] for row in self.workers("svc") if row["index"] == index and row["state"] == "ready")

    def lines(self, count, text, output=None):
        output = output or self.master.err
        wait_until(lambda: output.text().count(text) >= count, f"{count} times {text!r}")

    def use_package(self):
        """A script of Node finds the package by its name."""
        modules = os.path.join(self.folder, "modules")
        os.mkdir(modules)
        os.symlink(NODE, os.path.join(modules, "clouds"))
        self.env["NODE_PATH"] = modules
