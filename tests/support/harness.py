"""What the script tests share: private Redis servers, processes of `clouds`, and waiting for a condition.

Every test gets a folder of its own, an environment in which local: lives in that folder, and the end of whatever it
started. Nothing here sleeps to be on the safe side: it waits for something to be seen, with a generous bound.
"""
import base64
import codecs
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import weakref

BOUND = float(os.environ.get("CLOUDS_TEST_BOUND", "60"))  # seconds until a test says that something will not come
CLOUDS = os.environ.get("CLOUDS_BIN", "clouds")
SANITIZED = bool(os.environ.get("CLOUDS_SANITIZE"))  # memory and time say nothing then
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


def freeze(pid):
    """Stops a process, and waits until it is: its threads run on until each has seen the signal."""
    def threads():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{thread}/stat") as stat:
                yield stat.read().rpartition(")")[2].split()[0]  # but of one that has ended meanwhile
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(state == "T" for state in threads()), f"{pid} is stopped")


class Output:
    """Collects what a pipe says, as text, while the test goes on."""

    def __init__(self, pipe):
        self._pipe, self._text, self._changed, self._ended = pipe, "", threading.Condition(), False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # what is read may end within a character
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            data = os.read(self._pipe.fileno(), 65536)
            with self._changed:
                self._text += self._decoder.decode(data, not data)
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

    def __init__(self, arguments, env, stdin=subprocess.DEVNULL, cwd=None, pass_fds=()):
        self.popen = subprocess.Popen(arguments, env=env, stdin=stdin, cwd=cwd, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True, pass_fds=pass_fds)
        self.out, self.err = Output(self.popen.stdout), Output(self.popen.stderr)

    @property
    def pid(self):
        return self.popen.pid

    def signal(self, number):
        if number == signal.SIGSTOP:
            freeze(self.pid)
        else:
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


class Lines:
    """A program that does what JSON lines on its standard input say.

    A command {"n": 1, "do": ...} has one answer, with the same n; a "problem" in it is an error. Lines without n are events.
    """

    def __init__(self, name, arguments, env):
        self.name = name
        self.popen = subprocess.Popen(arguments, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
        self.err = Output(self.popen.stderr)
        self._changed, self._writing = threading.Condition(), threading.Lock()
        self._answers, self._events, self._count, self._ended = {}, [], 0, False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.popen.pid

    def _read(self):
        for line in self.popen.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"problem": f"said no JSON: {line[:200]!r}"}
            with self._changed:
                if "n" in said:
                    self._answers[said.pop("n")] = said
                else:
                    self._events.append(said)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, condition, what, bound=BOUND):
        """Waits until condition() is true and returns what it returned; fails at once when the program ends without it."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, bound)
            found = condition()
        if not found:
            raise AssertionError(f"{self.name}: {'it ended before' if self._ended else 'not in time'}: {what}; "
                                 f"it said {self.events()[-5:]} {self.err.text()!r}")
        return found

    def begin(self, do, **words):
        """Gives a command; what finish() takes."""
        with self._writing:
            self._count += 1
            number = self._count
            try:
                self.popen.stdin.write(json.dumps({"n": number, "do": do, **words}, separators=(",", ":")).encode() + b"\n")
                self.popen.stdin.flush()
            except BrokenPipeError:
                pass  # finish() tells
        return number

    def finish(self, number, what="an answer", bound=BOUND):
        self.wait_for(lambda: number in self._answers, what, bound)
        with self._changed:
            answer = self._answers.pop(number)
        if "problem" in answer:
            raise AssertionError(f"{self.name}: {answer['problem']}")
        return answer

    def ask(self, do, **words):
        return self.finish(self.begin(do, **words), f"the answer to {do} {str(words)[:200]}")

    def event(self, condition, what="an event"):
        """Waits for the first event, of now or before, for which condition(event) is true."""
        return self.wait_for(lambda: next((e for e in self.events() if condition(e)), None), what)

    def events(self):
        with self._changed:
            return list(self._events)

    def forget(self):
        """Forgets what it has said so far."""
        with self._changed:
            self._answers, self._events = {}, []

    def is_alive(self):
        return self.popen.poll() is None

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """Asks for an orderly stop and waits for it; the exit code."""
        self.popen.terminate()
        return self.popen.wait(BOUND)

    def end(self):
        """Ends its input and waits for it to end thereby; the exit code."""
        self._close(self.popen.stdin)
        return self.popen.wait(BOUND)

    def discard(self):
        if self.is_alive():
            self.kill()
        self._reader.join(BOUND)
        self.err.join()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            self._close(pipe)

    def _close(self, pipe):
        try:
            pipe.close()
        except BrokenPipeError:
            pass  # of what was still to be written


def say(path, data):
    """Says `data` at a unix socket, on a connection of its own, and waits until the other side has had enough of it."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(BOUND)
        link.connect(path)
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass


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
        freeze(self._popen.pid)

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
            connection.sendall(redis_command(*words))
            with connection.makefile("rb") as answer:
                return read_answer(answer)


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Etcd:
    """An etcd of the test's own, on free loopback ports, with its data in a folder of its own.

    The folder is in memory: etcd waits for the disk at each write, and a busy disk takes seconds, which is no answer.
    """

    def __init__(self, folder, *options):
        self._folder, self._popen = folder, None
        self.data = tempfile.mkdtemp(prefix="clouds-etcd-", dir=MEMORY)
        weakref.finalize(self, shutil.rmtree, self.data, True)
        self.client, peer = free_port(), free_port()
        tls = "s" if "--auto-tls" in options or "--cert-file" in options else ""
        self.url = f"etcd{tls}://127.0.0.1:{self.client}"
        here, there = f"http{tls}://127.0.0.1:{self.client}", f"http://127.0.0.1:{peer}"
        self._here, self._trust = here, ssl._create_unverified_context() if tls else None
        self._wants_certificate = "--client-cert-auth" in options
        self._arguments = ["etcd", "--data-dir", self.data, "--listen-client-urls", here,
                           "--advertise-client-urls", here, "--listen-peer-urls", there,
                           "--initial-advertise-peer-urls", there, "--initial-cluster", "default=" + there,
                           "--heartbeat-interval", "50", "--election-timeout", "500", "--bcrypt-cost", "4", *options]
        self.start()

    def start(self):
        with open(os.path.join(self._folder, "etcd.log"), "ab") as log:
            self._popen = subprocess.Popen(self._arguments, stdout=log, stderr=log)
        wait_until(self._answers, "etcd answers")

    def _answers(self):
        if self._popen.poll() is not None:
            raise AssertionError("etcd ended at its start")
        try:
            self.post("/v3/kv/range", key=self.b64("a"))
            return True
        except urllib.error.HTTPError:
            return True  # it wants to know who asks
        except OSError as error:
            return self._wants_certificate and "alert" in str(error)

    @staticmethod
    def b64(text):
        return base64.b64encode(text.encode()).decode()

    def post(self, path, token=None, **body):
        """What its gateway answers; urllib.error.HTTPError when it refuses."""
        request = urllib.request.Request(self._here + path, json.dumps(body).encode(),
                                         {"Authorization": token} if token else {})
        with urllib.request.urlopen(request, timeout=BOUND, context=self._trust) as answer:
            return json.load(answer)

    def forget(self):
        """Removes its data; it does not run."""
        shutil.rmtree(self.data)

    def keys(self):
        """All keys, each with its record."""
        got = self.post("/v3/kv/range", key="AA==", range_end="AA==").get("kvs", [])
        return {base64.b64decode(kv["key"]).decode(): json.loads(base64.b64decode(kv["value"])) for kv in got}

    def lease_of(self, key):
        got = self.post("/v3/kv/range", key=self.b64(key)).get("kvs", [])
        return got[0].get("lease") if got else None

    def kill(self):
        self._popen.kill()
        self._popen.wait()

    def pause(self):
        freeze(self._popen.pid)

    def resume(self):
        self._popen.send_signal(signal.SIGCONT)

    def stop(self):
        if self._popen.poll() is None:
            self.resume()
            self.kill()


def free_port():
    """A port that nobody listens at. The system gives none of these away by itself: such a one may be taken by any connection
    before a server listens there, or while that is started anew, even by one that is just made to it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as given:
        first = int(given.read().split()[0])
    while first > 22000:
        port = random.randrange(11000, first)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def redis_command(*words):
    """The bytes of a command to Redis."""
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def read_answer(answer):
    """The next answer of Redis in a file: simple, bulk, integer and array; RuntimeError for an error."""
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
        return None if rest == b"-1" else [read_answer(answer) for _ in range(int(rest))]
    return rest


class Watcher:
    """A connection that collects what Redis says: everything published, or every command (MONITOR)."""

    def __init__(self, path, *words):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._changed, self.seen = threading.Condition(), []
        self._socket.sendall(redis_command(*words))
        read_answer(self._file)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                answer = read_answer(self._file)
            except (OSError, ValueError):
                return
            with self._changed:
                self.seen.append(answer)
                self._changed.notify_all()

    def all(self):
        with self._changed:
            return list(self.seen)

    def wait_for(self, condition, what="it", bound=BOUND):
        """Waits for the first answer for which condition is true."""
        def first():
            return next((a for a in self.seen if condition(a)), None)
        with self._changed:
            if not self._changed.wait_for(first, bound):
                raise AssertionError(f"never seen: {what}; seen was {self.seen[-20:]}")
            return first()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


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

    def etcd(self, *options):
        """Starts an etcd and makes it the cluster of the processes started from now on."""
        folder = tempfile.mkdtemp(prefix="etcd-", dir=self.folder)
        server = Etcd(folder, *options)
        self.addCleanup(server.stop)
        self.env["CLOUDS_URL"] = server.url
        return server

    def file(self, name, text):
        """Writes a file into the test's folder, whole at once: a process that starts from it meanwhile reads no half of it; its path."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        os.replace(path + ".new", path)
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
