"""Two machines: network namespaces with a wire between, that may lose what goes one way."""
import os
import shutil
import subprocess

import support  # noqa: F401 (makes the harness importable)
from harness import CLOUDS, Process

_PREFIX = f"cl{os.getpid()}"


def _ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def reason():
    """Why there can be none here; None: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nsenter", "unshare"):
        if not shutil.which(program):
            return f"network namespaces need {program}"
    made = _ip("netns", "add", _PREFIX + "x")
    wire = _ip("-n", _PREFIX + "x", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    mounts = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/tmp"], capture_output=True, text=True)
    _ip("netns", "del", _PREFIX + "x")
    for result in (made, wire, mounts):
        if result.returncode:
            return f"no network namespaces here: {result.stderr.strip()}"
    return None


class Machines:
    """`here` and `there`, at 10.213.7.1 and 10.213.7.2."""

    def __init__(self, case):
        self._case, self._env = case, case.env
        self.names = {"here": _PREFIX + "a", "there": _PREFIX + "b"}
        self.addresses = {"here": "10.213.7.1", "there": "10.213.7.2"}
        for name in self.names.values():
            self._must("netns", "add", name)
            case.addCleanup(_ip, "netns", "del", name)
        self._must("-n", self.names["here"], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.names["there"])
        for who, name in self.names.items():
            self._must("-n", name, "address", "add", self.addresses[who] + "/24", "dev", "wire")
            self._must("-n", name, "link", "set", "lo", "up")
            self._must("-n", name, "link", "set", "wire", "up")

    @staticmethod
    def _must(*words):
        result = _ip(*words)
        if result.returncode:
            raise AssertionError(f"ip {' '.join(words)}: {result.stderr}")

    def lose_answers(self, on):
        """What `there` sends gets nowhere, and nobody is told."""
        self._must("-n", self.names["there"], "route", "add" if on else "del", "blackhole", self.addresses["here"] + "/32")

    def run(self, who, script, *arguments, own_files=False):
        """`clouds run` on one of them, also with a runtime folder that only it sees."""
        words = ["nsenter", f"--net=/var/run/netns/{self.names[who]}"]
        if own_files:
            mount = 'mount -t tmpfs -o mode=700 none "$CLOUDS_RUNTIME_DIR" && exec "$@"'
            words += ["unshare", "-m", "sh", "-c", mount, "sh"]
        process = Process([*words, CLOUDS, "run", script, *arguments], self._env)
        self._case.addCleanup(process.discard)
        return process
