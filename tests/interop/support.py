"""What the interop tests share: processes of both kinds that do what they are told, and eyes on Redis."""
import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
from harness import BOUND, CLOUDS, wait_until  # noqa: E402,F401

NPM = os.environ.get("CLOUDS_INTEROP_NPM") or os.path.join(
    os.environ.get("CLOUDS_BUILD_DIR", os.path.join(harness.SOURCE, "build", "dev")), "interop")
TIMEOUT, NO_SERVER = "CLOUDS_CALL_SERVICE_TIMEOUT", "CLOUDS_NO_AVAILABLE_SERVER"


class Agent:
    """A process that obeys JSON lines (agent.js, agent.lua): npm's clouds or ours."""

    def __init__(self, kind, env):
        self.kind = kind
        program = {"npm": [shutil.which("node") or "node", os.path.join(HERE, "agent.js")],
                   "lua": [CLOUDS, "run", os.path.join(HERE, "agent.lua")]}[kind]
        self.popen = subprocess.Popen(program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
        self.err = harness.Output(self.popen.stderr)
        self._changed, self._answers, self._events = threading.Condition(), {}, []
        self._count, self._ended = 0, False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            said = json.loads(line)
            with self._changed:
                if "n" in said:
                    self._answers[said.pop("n")] = said
                else:
                    self._events.append(said)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self, condition, what, bound=BOUND):
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, bound)
            found = condition()
            if not found:
                raise AssertionError(f"{self.kind}: {'it ended before' if self._ended else 'not in time'}: {what}; "
                                     f"it said {self.err.text()!r}")
            return found

    def begin(self, do, **words):
        """Gives the order; what it gave is fetched with finish."""
        self._count += 1
        words.update({"n": self._count, "do": do})
        self.popen.stdin.write(json.dumps(words).encode() + b"\n")
        self.popen.stdin.flush()
        return self._count

    def finish(self, number, what="an answer"):
        self._wait(lambda: number in self._answers, what)
        answer = self._answers.pop(number)
        if "problem" in answer:
            raise AssertionError(f"{self.kind}: {answer['problem']}")
        return answer

    def ask(self, do, **words):
        return self.finish(self.begin(do, **words), f"the answer to {do} {str(words)[:200]}")

    def node(self, kind, name=None, **options):
        """Creates a node; its id."""
        return self.ask("node", kind=kind, name=name or kind[0], options=options)["id"]

    def server(self, *methods, name="s", **options):
        """Creates a server with these methods, each behaving as its name (or the name behind a '=') says; its id."""
        id = self.node("server", name, **options)
        for method in methods:
            method, _, behaviour = method.partition("=")
            answer = self.ask("register", node=name, method=method, **({"as": behaviour} if behaviour else {}))
            assert not answer.get("error"), answer
        return id

    def call(self, method, *args, node="c", **more):
        return self.ask("call", node=node, method=method, args=list(args), **more)

    def event(self, condition, what="an event"):
        """Waits for the first event, of now or before, for which condition(event) is true."""
        return self._wait(lambda: next((e for e in self._events if condition(e)), None), what)

    def events(self):
        with self._changed:
            return list(self._events)

    def forget(self):
        """Ends its nodes and forgets what they told."""
        self.ask("forget")
        with self._changed:
            self._answers, self._events = {}, []

    def is_alive(self):
        return self.popen.poll() is None

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """Ours: stops in order; its exit code."""
        self.popen.terminate()
        return self.popen.wait(BOUND)

    def discard(self):
        if self.is_alive():
            self.kill()
        self._reader.join(BOUND)
        self.err.join()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class Watcher:
    """A connection that collects what Redis says: everything published, or every command (MONITOR)."""

    def __init__(self, path, *words):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._changed, self.seen = threading.Condition(), []
        self._socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        harness._read_answer(self._file)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                answer = harness._read_answer(self._file)
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


# Processes of the original that wait for the next test: their start takes longer than most tests.
idle = []
atexit.register(lambda: [agent.discard() for agent in idle])


class Case(harness.Case):
    """A test with a Redis server, and agents of both kinds on it."""

    def setUp(self):
        super().setUp()
        self.server = self.redis()
        self.env["CLOUDS_INTEROP_NPM"] = NPM

    def agent(self, kind):
        agent = idle.pop() if kind == "npm" and idle else Agent(kind, self.env)
        self.addCleanup(self.retire, agent)
        if kind == "npm":
            agent.ask("use", socket=self.server.socket)
        return agent

    def retire(self, agent):
        if agent.kind == "npm" and agent.is_alive():
            agent.forget()
            idle.append(agent)
        else:
            agent.discard()

    def agents(self, *kinds):
        return [self.agent(kind) for kind in kinds]

    def watch(self, *words):
        watcher = Watcher(self.server.socket, *words)
        self.addCleanup(watcher.close)
        return watcher

    def keys(self, pattern="clouds:S:*"):
        return sorted(key.decode() for key in self.server.command("KEYS", pattern))

    def wait_for_keys(self, count, pattern="clouds:S:*"):
        return wait_until(lambda: (lambda k: len(k) == count and k)(self.keys(pattern)), f"{count} keys {pattern}") \
            if count else wait_until(lambda: not self.keys(pattern), f"no keys {pattern}")

    def expect_code(self, result, code):
        self.assertIsNotNone(result["error"], result)
        self.assertEqual(result["error"].get("code"), code, result)


# Callers and servers of different kinds, and both of ours, which has to be the same.
PAIRS = (("npm", "lua"), ("lua", "npm"), ("lua", "lua"))
CROSS = PAIRS[:2]
