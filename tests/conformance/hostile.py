"""Those of bad will: bytes at a node's door, and one who answers in the name of a server."""
import glob
import json
import os

from harness import Watcher


def sockets(runtime, pid):
    """The sockets of local: that a process listens on; beside each is a lock file with the pid of its owner."""
    found = []
    for lock in glob.glob(os.path.join(runtime, "*", "*.lock")):
        try:
            with open(lock) as holder:
                if holder.read().split()[:1] == [str(pid)]:
                    found.append(lock[:-len("lock")] + "sock")
        except FileNotFoundError:
            pass  # of a node that has just gone
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
