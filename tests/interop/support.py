"""What the interop tests share: processes of both kinds that do what they are told, and eyes on Redis."""
import atexit
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
from harness import CLOUDS, Lines, Watcher, wait_until  # noqa: E402,F401

NPM = os.environ.get("CLOUDS_INTEROP_NPM") or os.path.join(
    os.environ.get("CLOUDS_BUILD_DIR", os.path.join(harness.SOURCE, "build", "dev")), "interop")
TIMEOUT, NO_SERVER = "CLOUDS_CALL_SERVICE_TIMEOUT", "CLOUDS_NO_AVAILABLE_SERVER"


class Agent(Lines):
    """A process that obeys JSON lines (agent.js, agent.lua): npm's clouds or ours."""

    def __init__(self, kind, env):
        super().__init__(kind, {"npm": [shutil.which("node") or "node", os.path.join(HERE, "agent.js")],
                                "lua": [CLOUDS, "run", os.path.join(HERE, "agent.lua")]}[kind], env)
        self.kind = kind

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

    def end_nodes(self):
        """Ends its nodes and forgets what they told."""
        self.ask("forget")
        self.forget()


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
            agent.end_nodes()
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
