"""Processes of every kind: a driver in each language that does what JSON lines on its standard input say."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SOURCE, Etcd, Lines, Redis  # noqa: E402,F401

BUILD = os.path.abspath(os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev")))
LIBRARY = os.environ.get("CLOUDS_LIB", os.path.join(BUILD, "capi", "libclouds.so"))
NPM = os.environ.get("CLOUDS_INTEROP_NPM", os.path.join(BUILD, "interop"))
PYTHON = os.environ.get("CLOUDS_PYTHON", sys.executable)


def driver(*names):
    return os.path.join(HERE, *names)


def lua(role):
    """The server runs in the host, the client in plain LuaJIT: both are ways to run Lua."""
    if role == "server":
        return [CLOUDS, "run", driver("lua", "server.lua")], {}
    here, ours = driver("lua"), os.path.join(SOURCE, "lua")
    support = os.path.join(SOURCE, "tests", "support")
    return [shutil.which("luajit") or "luajit", driver("lua", "client.lua")], {
        "LUA_PATH": f"{here}/?.lua;{support}/?.lua;{ours}/?.lua;{ours}/?/init.lua;;",
        "LUA_CPATH": os.path.join(BUILD, "lua", "?.so") + ";;"}


def c(role):
    return [os.path.join(BUILD, "tests", "conformance", f"conformance_{role}")], {}


def python(role, face="sync"):
    path = os.path.join(SOURCE, "bindings", "python")
    return [PYTHON, driver("python", f"{face}_{role}.py")], {"PYTHONPATH": path, "CLOUDS_LIBRARY": LIBRARY,
                                                             "PYTHONDONTWRITEBYTECODE": "1"}


def aio(role):
    return python(role, "aio")


def javascript(role, module):
    return [shutil.which("node") or "node", driver("node", f"{role}.js")], {"CONFORMANCE_CLOUDS": module}


def node(role):
    return javascript(role, os.path.join(BUILD, "bindings", "node"))


def npm(role):
    return javascript(role, os.path.join(NPM, "node_modules", "clouds"))


PROGRAMS = {"lua": lua, "python": python, "aio": aio, "node": node, "c": c, "npm": npm}


class Peer(Lines):
    """A driver that runs. It says {"ready": id} first; then an answer to each command."""

    def __init__(self, kind, role, env):
        command, more = PROGRAMS[kind](role)
        super().__init__(f"the {kind} {role}", command, {**env, **more})
        self.kind, self.role, self.id = kind, role, None
        self._patience = BOUND

    def wait_for(self, condition, what, bound=BOUND):
        """Who was waited for in vain once is not waited for again and again."""
        try:
            return super().wait_for(condition, what, min(bound, self._patience))
        except AssertionError:
            self._patience = 1
            raise

    def wait_ready(self):
        self.id = self.event(lambda said: "ready" in said, "the word that it is ready")["ready"]

    def end(self):
        """The end of its input is the end of the driver: its exit code, and what it wrote to standard error."""
        try:
            code = super().end()
        except subprocess.TimeoutExpired:
            code = "none: it did not end"
        self.discard()
        return code, self.err.text()
