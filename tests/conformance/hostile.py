"""Those of bad will: bytes at a node's door, and one who answers in the name of a server."""
import glob
import json
import os

from harness import Watcher


def sockets(runtime, pid):
    """The sockets that a process listens on: that of its context, and those of local:, each with a lock file beside it that has
    the pid of its owner."""
    found = sockets_of_contexts(runtime, pid)
    for lock in glob.glob(os.path.join(runtime, "*", "*.lock")):
        try:
            with open(lock) as holder:
                if holder.read().split()[:1] == [str(pid)]:
                    found.append(lock[:-len("lock")] + "sock")
        except FileNotFoundError:
            pass  # of a node that has just gone
    return found


def sockets_of_contexts(runtime, pid):
    """A socket has its name in the folder since it listens; the kernel knows it by the name it was bound to."""
    held = set()
    for descriptor in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            held.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass  # closed meanwhile
    folder, found = os.path.join(runtime, ".links") + "/", []
    with open("/proc/net/unix") as sockets:
        for line in sockets:
            words = line.split()
            if len(words) == 8 and words[7].startswith(folder) and f"socket:[{words[6]}]" in held:
                path = words[7].removesuffix(".new")
                if words[3] == "00010000" and os.path.exists(path):
                    found.append(path)
    return found


def call(redis, caller, server, what):
    """Publishes a call to a server as a node `caller` would, and gives what the result has in `d`."""
    results = Watcher(redis.socket, "SUBSCRIBE", f"clouds:L:{caller}")
    try:
        redis.command("PUBLISH", f"clouds:L:{server}", json.dumps({"t": "c", "s": caller, "d": what}))
        return json.loads(results.wait_for(lambda _: True, "the result")[2])["d"]
    finally:
        results.close()


class Impostor:
    """Registers a method on Redis as a server would, and answers one call with a text of its choice."""

    def __init__(self, redis, method, client):
        self.method = f"{method}.{client}"
        self._redis, self._id = redis, f"s.00000000.2.{abs(hash(self.method)) % 10 ** 8}"

    def __enter__(self):
        self._calls = Watcher(self._redis.socket, "SUBSCRIBE", f"clouds:L:{self._id}")
        self._key = f"clouds:S:{self.method}:{self._id}"
        self._redis.command("SETEX", self._key, 600, 1)
        return self

    def answer(self, row):
        call = json.loads(self._calls.wait_for(lambda _: True, "the call")[2])
        head = json.dumps({"t": "r", "s": self._id})[:-1]
        text = f'{head},"d":{{"i":{json.dumps(row.get("id", call["d"]["i"]))}{row["is"]}}}}}'
        self._redis.command("PUBLISH", f"clouds:L:{call['s']}", text)

    def __exit__(self, *_):
        self._redis.command("DEL", self._key)
        self._calls.close()
