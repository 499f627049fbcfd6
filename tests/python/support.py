"""What the tests of the Python package share."""
import asyncio
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.environ["CLOUDS_SOURCE"], "tests", "support"))

from harness import BOUND, Case, Process, wait_until  # noqa: E402,F401

import clouds  # noqa: E402

LONG = bool(os.environ.get("CLOUDS_LONG"))
SANITIZED = bool(os.environ.get("CLOUDS_SANITIZE"))
_numbers = itertools.count()


class PythonCase(Case):
    """A test with nodes in this process. `bus` is inproc, local or redis; `self.url` is the test's own of it."""

    bus = "inproc"

    def setUp(self):
        super().setUp()
        before = os.environ.get("CLOUDS_RUNTIME_DIR")
        os.environ["CLOUDS_RUNTIME_DIR"] = self.env["CLOUDS_RUNTIME_DIR"]
        self.addCleanup(lambda: os.environ.pop("CLOUDS_RUNTIME_DIR") and before and
                        os.environ.update(CLOUDS_RUNTIME_DIR=before))
        self.url = self.redis().url if self.bus == "redis" else f"{self.bus}:test{next(_numbers)}"
        self.env["CLOUDS_URL"] = self.url

    def node(self, kind, **options):
        """A node of the sync face, which is closed at the end."""
        options.setdefault("url", self.url)
        made = getattr(clouds, kind)(**options)
        self.addCleanup(made.close, 0)
        return made

    def raises(self, kind, words, fn, *arguments, **options):
        """fn raises this, with these words in it; the exception."""
        with self.assertRaises(kind) as caught:
            fn(*arguments, **options)
        self.assertIn(words, str(caught.exception))
        return caught.exception

    def python(self, text, *arguments, env=None):
        """Starts a Python program."""
        path = self.file(f"program{next(_numbers)}.py", text)
        process = Process([sys.executable, "-X", "faulthandler", path, *arguments], {**self.env, **(env or {})})
        self.addCleanup(process.discard)
        return process


class AsyncCase(PythonCase):
    """Its test_... may be coroutines, each in a loop of its own; what the loop complains of fails the test."""

    def __init__(self, name="runTest"):
        super().__init__(name)
        method = getattr(self, name, None)
        if asyncio.iscoroutinefunction(method):
            setattr(self, name, lambda: asyncio.run(self._guarded(method)))

    async def _guarded(self, method):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        await asyncio.wait_for(method(), BOUND)
        self.assertEqual(complaints, [])

    async def raises_in(self, kind, words, awaitable):
        with self.assertRaises(kind) as caught:
            await awaitable
        self.assertIn(words, str(caught.exception))
        return caught.exception

    async def eventually(self, condition, what="the condition"):
        end = asyncio.get_running_loop().time() + BOUND
        while not condition():
            self.assertLess(asyncio.get_running_loop().time(), end, f"never: {what}")
            await asyncio.sleep(0.005)


def over_each_bus(names, case, buses=("inproc", "local", "redis")):
    """Adds the test case to a module, once for each way to travel."""
    for bus in buses:
        name = f"{case.__name__}Over{bus.capitalize()}"
        names[name] = type(name, (case,), {"bus": bus, "__module__": names["__name__"]})
    del names[case.__name__]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


def resident_kb():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
