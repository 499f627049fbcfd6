"""The end of a program: Ctrl-C, SIGTERM, forgetting to close, fork. Real processes and real signals."""
import importlib.util
import signal
import unittest

from support import PythonCase

SILENT = """
import clouds, sys, time
def register():
    server = clouds.Server(drain_timeout=0.2)
    server.register("never", lambda: time.sleep(1000))
    server.ready()
    return server
"""

# Tells the test when something is true.
TELL = """
import os, threading, time
def tell_when(condition):
    def tell():
        while not condition(): time.sleep(0.01)
        os.write(1, b"begun\\n")
    threading.Thread(target=tell, daemon=True).start()
"""


class Ends(PythonCase):
    bus = "local"

    def ends(self, text, code=0, err=""):
        """Runs a program to its end; what it printed."""
        process = self.python(text)
        self.assertEqual(process.wait(), code, process.err.text())
        if err is not None:
            self.assertIn(err, process.err.text())
            self.assertNotIn("Fatal", process.err.text())
        return process.out.text()

    def interrupted(self, text, number=signal.SIGINT):
        process = self.python(text)
        process.out.wait_for("begun")
        process.signal(number)
        return process


class Interrupts(Ends):

    def test_in_a_call(self):
        self.server = self.python(SILENT + """
server = register(); print("serving", flush=True); server.run()""")
        self.server.out.wait_for("serving")
        process = self.interrupted(TELL + """
import clouds
client = clouds.Client(timeout=1000)
tell_when(lambda: client.counters()["calls"])
try:
    client.call("never")
except KeyboardInterrupt:
    end = time.monotonic() + 20
    while client.counters()["results"] < client.counters()["calls"] and time.monotonic() < end: time.sleep(0.01)
    print("interrupted", client.counters()["calls"] - client.counters()["results"])
    print(client.status()["methods"].keys())
""")
        self.assertEqual(process.wait(), 0, process.err.text())
        self.assertIn("interrupted 0\ndict_keys(['never'])", process.out.text())
        self.assertEqual(self.server.stop(), 0, self.server.err.text())

    def test_not_caught(self):
        process = self.interrupted(SILENT + TELL + """
server = register()
tell_when(lambda: server.counters()["calls"])
server.call("never")
""")
        self.assertEqual(process.wait(), -signal.SIGINT, process.err.text())
        self.assertIn("KeyboardInterrupt", process.err.text())

    def test_a_handler_of_a_signal_that_raises_or_calls(self):
        out = self.ends("""
import clouds, signal, time
server = clouds.Server("inproc:")
server.register("wait", lambda seconds: time.sleep(seconds) or seconds)
server.ready()
client = clouds.Client("inproc:", timeout=20)
class Alarm(Exception): pass
def alarm(*_): raise Alarm
signal.signal(signal.SIGALRM, alarm)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    client.call("wait", 0.5)
except Alarm:
    print("raised")
end = time.monotonic() + 20
while client.counters()["results"] < client.counters()["calls"] and time.monotonic() < end: time.sleep(0.01)
print(client.counters()["calls"] - client.counters()["results"])
inner = []
signal.signal(signal.SIGALRM, lambda *_: inner.append(client.call("wait", 0)))
signal.setitimer(signal.ITIMER_REAL, 0.1)
print(client.call("wait", 0.5), inner)
client.close()
server.close()
""")
        self.assertEqual(out, "raised\n0\n0.5 [0]\n")

    def test_several_run_in_one_loop(self):
        out = self.ends("""
import asyncio, clouds, os, signal
async def end():
    while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL: await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
async def main():
    servers = [clouds.aio.Server() for _ in range(3)]
    await asyncio.gather(end(), *(server.run() for server in servers))
    print(all(server.closed for server in servers))
asyncio.run(main())
""")
        self.assertEqual(out, "True\n")

    def test_a_signal_that_comes_as_soon_as_it_can(self):
        out = self.ends("""
import clouds, os, signal
set_handler = signal.signal
def interrupted(number, handler):
    before = set_handler(number, handler)
    if handler is signal.default_int_handler: os.kill(os.getpid(), number)
    return before
signal.signal = interrupted
server = clouds.Server()
server.run()
print(server.closed, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
""")
        self.assertEqual(out, "True True\n")

    def test_signals_are_given_back(self):
        for face in ("server.run()", "asyncio.run(server.run())"):
            module = "clouds.aio" if "asyncio" in face else "clouds"
            out = self.ends(f"""
import asyncio, clouds, os, signal, threading, time
def own(*_): print("own")
signal.signal(signal.SIGTERM, own)
before = signal.getsignal(signal.SIGINT)
def end():
    while signal.getsignal(signal.SIGTERM) is own: time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
server = {module}.Server()
threading.Thread(target=end).start()
{face}
print(server.closed, signal.getsignal(signal.SIGINT) is before)
os.kill(os.getpid(), signal.SIGTERM)
""")
            self.assertEqual(out, "True True\nown\n")

    def test_a_loops_own_handler(self):
        """It cannot be given back; then the signal ends the program as it does any other, and is not lost."""
        process = self.python("""
import asyncio, clouds, os, signal
async def main():
    loop, server = asyncio.get_running_loop(), clouds.aio.Server()
    loop.add_signal_handler(signal.SIGTERM, print, "loop")
    loop.call_soon(lambda: asyncio.ensure_future(server.close()))
    await server.run()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(1000)
asyncio.run(main())
""")
        self.assertEqual(process.wait(), -signal.SIGTERM, process.err.text())

    def test_in_ready_and_close(self):
        process = self.interrupted(TELL + """
import clouds
client = clouds.Client("redis+unix:///nowhere/at/all")
tell_when(lambda: client._waiting)
try:
    client.ready()
except KeyboardInterrupt:
    print("interrupted")
client.close()
print("closed")
""")
        self.assertEqual(process.wait(), 0, process.err.text())
        self.assertIn("interrupted\nclosed\n", process.out.text())

    def test_run(self):
        for face in ("server.run()", "asyncio.run(server.run())"):
            for number in (signal.SIGINT, signal.SIGTERM):
                module = "clouds.aio" if "asyncio" in face else "clouds"
                process = self.interrupted(TELL + f"""
import asyncio, clouds, signal
tell_when(lambda: signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)
server = {module}.Server()
server.on("exit", lambda left: print("exit", left, flush=True))
{face}
print("after")
""", number)
                self.assertEqual(process.wait(), 0, process.err.text())
                self.assertIn("after", process.out.text())
                self.assertEqual(process.err.text(), "")


class Forgotten(Ends):

    def test_a_client(self):
        self.assertEqual(self.ends("import clouds; c = clouds.Client(); print(1)"), "1\n")

    def test_with_everything_going_on(self):
        self.assertEqual(self.ends(SILENT + """
import os, threading
server = register()
client = clouds.Client(timeout=1000)
client.on_message(print)
for node in (client, server):
    for i in range(3):
        threading.Thread(target=node.call, args=("never",), daemon=True).start()
deadline = time.monotonic() + 20
while client.counters()["calls"] < 3 and time.monotonic() < deadline: time.sleep(0.01)
print("end")
""", err=None), "end\n")

    def test_its_methods_are_unregistered(self):
        self.ends(SILENT + "server = register()")
        out = self.ends("import clouds\nwith clouds.Monitor() as m: print(m.status())")
        self.assertEqual(out, "{'servers': {}, 'methods': {}}\n")

    def test_asyncio(self):
        self.assertEqual(self.ends("""
import asyncio, clouds
kept = []
async def main():
    server, client = clouds.aio.Server(), clouds.aio.Client()
    @server.register("never")
    async def never(): await asyncio.sleep(1000)
    await server.ready()
    kept.extend([server, client, client.call("never")])
    print("end")
asyncio.run(main())
""", err=None), "end\n")
        out = self.ends("import clouds\nwith clouds.Monitor() as m: print(m.status())")
        self.assertEqual(out, "{'servers': {}, 'methods': {}}\n")

    def test_with_nobody_to_reach(self):
        self.assertEqual(self.ends("""
import clouds
server = clouds.Server("redis+unix:///nowhere/at/all")
server.register("x", print)
client = clouds.aio.Client("redis+unix:///nowhere/at/all")
print("end")
""", err=None), "end\n")

    def test_exit_in_a_handler_thread(self):
        self.ends("""
import clouds, os
server = clouds.Server()
server.register("end", lambda: os._exit(3))
server.ready()
server.call("end")
""", code=3)


class Interpreters(Ends):

    PATCHED = """
import _thread, sys
def start_new_thread(*_): raise AssertionError("it was used")
start_new_thread.__module__ = "greens.monkey"
if len(sys.argv) > 1: _thread.start_new_thread = start_new_thread
import clouds
try:
    clouds.Client("inproc:")
except RuntimeError as problem:
    print(problem)
"""

    def test_an_interpreter_that_ends(self):
        """Its threads end before it does; one that is left would abort the process."""
        out = self.ends("""
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create(isolated=False)
problem = interpreters.run_string(one, '''
import clouds
server, client = clouds.Server("inproc:"), clouds.Client("inproc:")
server.register("add", lambda a, b: a + b)
async def later(a): return a
server.register("later", later)
server.ready()
server.on_message(lambda *_: None)
assert client.call("add", 1, 2) == 3 and client.call("later", 4) == 4
client.send(server.id, 1, confirm=True)
client.close()
import atexit, sys
if sys.version_info < (3, 12): atexit._run_exitfuncs()  # that module asks for threads before it lets them end
''')
assert problem is None, problem
interpreters.destroy(one)
print("end")
""")
        self.assertEqual(out, "end\n")

    def test_threads_that_are_none(self):
        process = self.python(self.PATCHED, "patch")
        self.assertEqual(process.wait(), 0, process.err.text())
        self.assertIn("threads are patched by greens: clouds needs real ones", process.out.text())

    def test_gevent_and_eventlet(self):
        for name, patch in (("gevent", "import gevent.monkey; gevent.monkey.patch_all("),
                            ("eventlet", "import eventlet; eventlet.monkey_patch(")):
            if importlib.util.find_spec(name) is None:
                continue
            self.assertIn(f"threads are patched by {name}", self.ends(patch + ")" + self.PATCHED))
            out = self.ends(patch + """thread=False)
import clouds, threading
heard = threading.Event()
with clouds.Server("inproc:") as server, clouds.Client("inproc:", timeout=20) as client:
    server.register("add", lambda a, b: a + b)
    server.on_message(lambda *_: heard.set())
    server.ready()
    print(client.call("add", 1, 2), client.send(server.id, 1, confirm=True), heard.wait(20))
""", err=None)
            self.assertEqual(out, "3 1 True\n")


class Forks(Ends):

    def test_fork(self):
        out = self.ends("""
import asyncio, clouds, os, sys
server = clouds.Server()
server.register("pid", lambda: os.getpid())
server.ready()
client = clouds.Client(timeout=20)
outside = clouds.aio.Client()
client.call("pid")
child = os.fork()
if not child:
    for use in (lambda: client.call("pid"), lambda: client.send("c.x", 1), client.status, client.ready, client.counters,
                lambda: client.send("c.x", 1, confirm=True), lambda: server.register("x", print), client.run):
        try:
            use()
            print("used")
        except clouds.AfterFork as problem:
            assert "fork" in str(problem), problem
    async def use_outside():
        try:
            await outside.call("pid")
        except clouds.AfterFork:
            print("clear")
    asyncio.run(use_outside())
    client.close()
    with clouds.Client(timeout=20) as own:
        print("own", own.call("pid") == os.getppid(), flush=True)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("parent", client.call("pid") == os.getpid())
""")
        self.assertEqual(out, "clear\nown True\nparent True\n")

    def test_multiprocessing(self):
        out = self.ends("""
import clouds, multiprocessing, os
def work(n):
    with clouds.Client(timeout=20) as client:
        return client.call("double", n)
if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    server = clouds.Server(drain_timeout=0.2)
    server.register("double", lambda n: 2 * n)
    server.ready()
    with multiprocessing.Pool(2) as pool:
        print(pool.map(work, range(5)))
""")
        self.assertEqual(out, "[0, 2, 4, 6, 8]\n")


del Ends

if __name__ == "__main__":
    unittest.main()
