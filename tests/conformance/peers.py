"""Processes of every kind: a driver in each language that does what JSON lines on its standard input say."""
import json
import os
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SOURCE, Output, Redis, wait_until  # noqa: E402,F401

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
    return [shutil.which("luajit") or "luajit", driver("lua", "client.lua")], {
        "LUA_PATH": f"{here}/?.lua;{ours}/?.lua;{ours}/?/init.lua;;",
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


class Peer:
    """A driver that runs. It says {"ready": id} first; then an answer, with the number n, to each command."""

    def __init__(self, kind, role, env):
        command, more = PROGRAMS[kind](role)
        self.kind, self.role, self.id = kind, role, None
        self._popen = subprocess.Popen(command, env={**env, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
        self._err = Output(self._popen.stderr)
        self._changed, self._writing, self._answers = threading.Condition(), threading.Lock(), {}
        self._count, self._ended, self._patience = 0, False, BOUND
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._popen.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"n": 0, "problem": f"said no JSON: {line[:200]!r}"}
            with self._changed:
                self._answers["ready" if "ready" in said else said.pop("n")] = said
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, key, what):
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers or self._ended, self._patience)
            if key not in self._answers:
                self._patience = 1  # who did not answer once is not waited for again and again
                happened = "ended" if self._ended else "did not answer"
                raise AssertionError(f"the {self.kind} {self.role} {happened}: {what}; "
                                     f"it said {self._err.text()[-2000:]!r}")
            return self._answers.pop(key)

    @property
    def pid(self):
        return self._popen.pid

    def wait_ready(self):
        self.id = self._take("ready", "no word that it is ready")["ready"]

    def begin(self, do, **words):
        """Gives a command; finish() takes its answer."""
        with self._writing:
            self._count += 1
            number = self._count
            line = json.dumps({"n": number, "do": do, **words}, separators=(",", ":"))
            try:
                self._popen.stdin.write(line.encode() + b"\n")
                self._popen.stdin.flush()
            except BrokenPipeError:
                pass  # finish() tells
        return number, do

    def finish(self, begun):
        answer = self._take(*begun)
        if "problem" in answer:
            raise AssertionError(f"the {self.kind} {self.role}: {answer['problem']}")
        return answer

    def ask(self, do, **words):
        return self.finish(self.begin(do, **words))

    def stop(self):
        """The end of its input is the end of the driver: its exit code, and what it wrote to standard error."""
        if self._popen.stdin and not self._popen.stdin.closed:
            try:
                self._popen.stdin.close()
            except BrokenPipeError:
                pass
        try:
            code = self._popen.wait(BOUND)
        except subprocess.TimeoutExpired:
            code = "none: it did not end"
        self.discard()
        return code, self._err.join()

    def discard(self):
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        self._reader.join(BOUND)
        self._err.join()
