"""What the script tests share: private Redis servers, processes of `clouds`, and waiting for a condition.

Every test gets a folder of its own, an environment in which local: lives in that folder, and the end of whatever it
started. Nothing here sleeps to be on the safe side: it waits for something to be seen, with a generous bound.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BOUND = float(os.environ.get("CLOUDS_TEST_BOUND", "30"))  # seconds until a test says that something will not come
CLOUDS = os.environ.get("CLOUDS_BIN", "clouds")
SOURCE = os.environ.get("CLOUDS_SOURCE", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def wait_until(condition, what="the condition", bound=BOUND):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + bound
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {bound} s: {what}")
        time.sleep(0.01)


class Output:
    """Collects what a pipe says, as text, while the test goes on."""

    def __init__(self, pipe):
        self._pipe, self._text, self._changed, self._ended = pipe, "", threading.Condition(), False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            data = os.read(self._pipe.fileno(), 65536)
            with self._changed:
                self._text += data.decode("utf-8", "replace")
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def text(self):
        with self._changed:
            return self._text

    def wait_for(self, text, bound=BOUND):
        """Waits until `text` was written; fails at once when the pipe ends without it."""
        with self._changed:
            self._changed.wait_for(lambda: text in self._text or self._ended, bound)
            if text not in self._text:
                raise AssertionError(f"never written: {text!r}; written was {self._text!r}")
            return self._text

    def join(self):
        self._thread.join(BOUND)
        return self.text()


class Process:
    """A running program with collected output."""

    def __init__(self, arguments, env, stdin=subprocess.DEVNULL, cwd=None):
        self.popen = subprocess.Popen(arguments, env=env, stdin=stdin, cwd=cwd, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
        self.out, self.err = Output(self.popen.stdout), Output(self.popen.stderr)

    @property
    def pid(self):
        return self.popen.pid

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, bound=BOUND):
        """Waits for the end; the exit code, negative for a signal."""
        try:
            code = self.popen.wait(bound)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {bound} s; out: {self.out.text()!r} err: {self.err.text()!r}")
        self.out.join(), self.err.join()
        return code

    def stop(self):
        """Asks for an orderly stop and waits for it; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def discard(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.out.join(), self.err.join()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                pipe.close()

    def resident_kb(self):
        """The resident memory, in kB, without pages the sanitizers or the page cache hold elsewhere."""
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS")


class Redis:
    """A redis-server of the test's own, on a unix socket in a folder of its own; it saves nothing."""

    def __init__(self, folder, *options):
        self.socket = os.path.join(folder, "redis.sock")
        self.url = "redis+unix://" + self.socket
        self._arguments = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                           "--appendonly", "no", "--dir", folder,
                           "--logfile", os.path.join(folder, "redis.log"), *options]
        self._popen = None
        self.start()

    def start(self):
        self._popen = subprocess.Popen(self._arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "redis-server answers")

    def _answers(self):
        try:
            return self.command("PING") == b"PONG"
        except OSError:
            return False

    def kill(self):
        self._popen.kill()
        self._popen.wait()

    def pause(self):
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self._popen.send_signal(signal.SIGCONT)

    def stop(self):
        if self._popen.poll() is None:
            self.resume()
            self.kill()

    def command(self, *words):
        """One command on a connection of its own; simple, bulk, integer and array answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(BOUND)
            connection.connect(self.socket)
            parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with connection.makefile("rb") as answer:
                return _read_answer(answer)


def _read_answer(answer):
    line = answer.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("no whole answer from Redis")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else answer.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return None if rest == b"-1" else [_read_answer(answer) for _ in range(int(rest))]
    return rest


class Case(unittest.TestCase):
    """A test with a folder, an environment, and the end of all it started."""

    longMessage = True

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="clouds-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        runtime = os.path.join(self.folder, "run")
        os.mkdir(runtime, 0o700)
        self.env = {key: value for key, value in os.environ.items() if key != "CLOUDS_URL"}
        self.env["CLOUDS_RUNTIME_DIR"] = runtime

    def redis(self, *options):
        """Starts a Redis server and makes it the cluster of the processes started from now on."""
        folder = tempfile.mkdtemp(prefix="redis-", dir=self.folder)
        server = Redis(folder, *options)
        self.addCleanup(server.stop)
        self.env["CLOUDS_URL"] = server.url
        return server

    def file(self, name, text):
        """Writes a file into the test's folder; its path."""
        path = os.path.join(self.folder, name)
        with open(path, "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        return path

    def start(self, *arguments, stdin=subprocess.DEVNULL, env=None, cwd=None):
        """Starts `clouds` with these arguments."""
        process = Process([CLOUDS, *arguments], {**self.env, **(env or {})}, stdin, cwd)
        self.addCleanup(process.discard)
        return process

    def run_clouds(self, *arguments, input=None, env=None, cwd=None, bound=BOUND):
        """Runs `clouds` to its end: an object with returncode, stdout and stderr."""
        source = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run([CLOUDS, *arguments], env={**self.env, **(env or {})}, cwd=cwd, timeout=bound, text=True,
                              capture_output=True, **source)

    def serve(self, code, *arguments, env=None):
        """Starts `clouds run` of a script that prints the word ready, and waits for that."""
        process = self.start("run", self.file(f"service-{time.monotonic_ns()}.lua", code), *arguments, env=env)
        process.out.wait_for("ready")
        return process

    def json(self, result, code=0):
        """The JSON that a finished `clouds` printed."""
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)
