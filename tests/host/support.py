"""Makes the shared harness importable, whatever the current folder."""
import http.client
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import BOUND, CLOUDS, SANITIZED, SOURCE, Case, Process, free_port, wait_until  # noqa: E402,F401


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
        data = b""
        while until is None or until not in data:
            try:
                piece = client.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        return data
