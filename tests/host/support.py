"""Makes the shared harness importable, whatever the current folder."""
import codecs
import fcntl
import http.client
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SANITIZED, SOURCE, Case, Process, free_port, freeze, wait_until  # noqa: E402,F401

LONG = bool(os.environ.get("CLOUDS_LONG"))


def pending(pid, number):
    """Whether a signal to the process waits to be taken."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("ShdPnd:"):
                    return bool(int(line.split()[1], 16) & (1 << (number - 1)))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def runs(pid):
    """Whether the process is there and has not ended; who collects it, when its parent is gone, is not ours to say."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid):
    return not runs(pid)


class Unix(http.client.HTTPConnection):
    """A client of HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)

    def get(self, target):
        """The status and the text of an answer; the connection ends with it."""
        self.request("GET", target)
        answer = self.getresponse()
        text = answer.read().decode()
        self.close()
        return answer.status, text


class Caller:
    """A client that calls a method again and again, one call after the other, until the end of the test."""
    CODE = """
        local clouds = require "clouds"
        local method, client, bad, count, stop = "%s", clouds.client { timeout = 20 }, 0, 0, false
        client:on("message", function() stop = true end)
        print("id " .. client.id)
        while not stop do
          local _, err = client:call(method)
          count = count + 1
          if err then bad = bad + 1 print(err) end
          if count == 100 then print("many") end
        end
        print("bad " .. bad)
        client:close(0)
    """

    def __init__(self, case, method):
        self.case, self.process = case, case.start("run", "-e", self.CODE % method)
        self.node = re.search(r"id (\S+)\n", self.process.out.wait_for("\n")).group(1)

    def finish(self):
        """Calls no more, when many calls were made; all were answered."""
        self.process.out.wait_for("many\n")
        result = self.case.run_clouds("send", self.node, "1")
        self.case.assertEqual(result.returncode, 0, result.stderr)
        self.process.out.wait_for("bad 0\n")


class Terminal:
    """A program on a pseudo terminal of its own; `size` is that of the window, in lines and columns.

    `text` is all that was shown, without carriage returns."""

    def __init__(self, case, arguments, env, size=None):
        self.master, self.slave = pty.openpty()
        if size:
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.text, self.seen = "", 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.popen = subprocess.Popen(arguments, env={**env, "TERM": "xterm"}, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                      start_new_session=True, preexec_fn=lambda: fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0))
        case.addCleanup(self.discard)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.1):
        """Takes what is shown within so long; whether anything is."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.text += self.decoder.decode(os.read(self.master, 65536)).replace("\r", "")
        return True

    def wait_for(self, pattern):
        """Waits for a text that matches, after what was matched before."""
        end = time.monotonic() + BOUND
        while True:
            found = re.compile(pattern).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if time.monotonic() > end:
                raise AssertionError(f"never seen: {pattern!r}; seen: {self.text[self.seen:]!r}")
            self.read()

    def enter(self, line, answer):
        self.type(line + "\n")
        self.wait_for(re.escape(line[-20:]))
        return self.wait_for(answer)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def end(self):
        """Waits for its end, and reads until then: the exit code, and whether the terminal is as it was."""
        end = time.monotonic() + BOUND
        while self.popen.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"still runs; seen: {self.text[self.seen:]!r}")
            self.read()
        while self.read(0):
            pass
        return self.popen.returncode, self.is_as_before()

    def discard(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        os.close(self.master)
        os.close(self.slave)


class Master(Case):
    """A test of an application that `clouds start` runs; its master is `self.master`."""

    def ports(self):
        """Where it listens, in the order of its listeners."""
        return [int(port) for port in re.findall(r"listening at port (\d+)", self.master.err.text())]

    def status(self, name="web"):
        return self.json(self.run_clouds("ps", "--json", name))

    def workers(self, name="web"):
        """What is known of each worker of its first group."""
        return self.status(name)["groups"][0]["workers"]

    def wait_until_under_way(self, count):
        """Until workers of its first group have read so many requests that are not answered yet."""
        wait_until(lambda: sum(row["board"]["in_flight"] for row in self.workers() if "board" in row) == count, f"{count} under way")

    def descriptors(self):
        """How many its master has."""
        return len(os.listdir(f"/proc/{self.master.pid}/fd"))

    def ask_over_reloads(self, group, generations, resets=()):
        """Reloads while `ask` is called again and again: none is refused, none is lost. `resets`: what a client tries again after."""
        stop, count, failed = threading.Event(), [0], []

        def run():
            while not stop.is_set():
                try:
                    self.ask()
                    count[0] += 1
                except resets:
                    pass
                except Exception as problem:
                    failed.append(repr(problem))
        threads = [threading.Thread(target=run, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for generation in generations:
            before = count[0]
            self.master.signal(signal.SIGHUP)
            self.master.err.wait_for(f"{group} reloaded: {group} 2, generation {generation}")
            wait_until(lambda: count[0] > before + 20 or failed, "more are asked")
        stop.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failed, [])

    def end(self, code=0, number=signal.SIGTERM):
        self.master.signal(number)
        self.assertEqual(self.master.wait(), code, self.master.err.text())


class OnSocket(Case):
    """A test of a service that listens at the unix socket `self.path`."""

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(self.path)
        return client

    def read(self, client, until=None):
        """All that comes until the end, or until `until` was seen."""
        data = bytearray()
        while until is None or until not in data:
            try:
                piece = client.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        return bytes(data)
