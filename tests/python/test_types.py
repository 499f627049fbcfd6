"""The annotations: the package is strict, and a program that uses it gets the types that it should."""
import os
import shutil
import subprocess
import unittest

from support import PythonCase

MYPY = shutil.which("mypy", path="/usr/bin") or shutil.which("mypy")
CACHE = os.path.join(os.environ["CLOUDS_BUILD_DIR"], "mypy")  # what mypy knows of Python itself takes it long to learn
PACKAGE = os.path.join(os.environ["CLOUDS_SOURCE"], "bindings", "python")
PROGRAM = """
import asyncio
import socket
import clouds

server = clouds.Server("inproc:", workers=2)

@server.register("double")
def double(x: int) -> int:
    return 2 * x

@server.on("message")
def heard(sender: str, value: object) -> None:
    print(sender, value)

@server.on_message
async def heard_later(sender: str, value: object) -> None:
    print(sender, value)

server.on("down", print)
server.configure(timeout=5, find_server=lambda method, known: known[0])
reveal_type(double)
reveal_type(heard)
reveal_type(server.connected)
with clouds.Client(timeout=2) as client:
    reveal_type(client)
    reveal_type(client.send("c.x", 1, confirm=True))
    try:
        client.call("double", 1, retry=3)
    except clouds.NoAvailableServer as problem:
        reveal_type(problem.code)

async def main() -> None:
    async with clouds.aio.Client() as client:
        reveal_type(client)
        reveal_type(await client.status())
        task = asyncio.create_task(client.call("double", 1))
        hooked = asyncio.create_task(client.bind("double", on_retry=print)(1))
        await asyncio.gather(task, hooked, client.call("double", 1))

def serve(sock: socket.socket, port: object) -> None:
    with clouds.worker.transact():
        sock.close()

async def work() -> None:
    async with clouds.worker.serial():
        clouds.worker.every(1, work).stop()

clouds.worker.ready(serve)
reveal_type(clouds.worker.listeners())
clouds.worker.ready("serve")
client.call(5)
client.call("double", timout=1)
clouds.Client(timeot=1)
clouds.aio.Client(timeout="soon")
"""


@unittest.skipUnless(MYPY, "mypy is not here")
class Types(PythonCase):

    def mypy(self, *arguments):
        return subprocess.run([MYPY, "--strict", "--python-version", "3.9", "--cache-dir", CACHE, *arguments], cwd=PACKAGE,
                              env={**os.environ, "MYPYPATH": PACKAGE, "LD_PRELOAD": ""}, capture_output=True, text=True)

    def test_the_package_and_a_program(self):
        result = self.mypy("clouds")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        said = self.mypy(self.file("program.py", PROGRAM)).stdout
        for words in ('"def (x: builtins.int) -> builtins.int"', '"clouds._sync.Client"', '"clouds.aio.Client"',
                      '"Union[builtins.int, None]"', '"builtins.str"', "builtins.dict[builtins.str, builtins.list[",
                      'Argument 1 to "call" of "Node" has incompatible type "int"',
                      'Unexpected keyword argument "timout"', 'Unexpected keyword argument "timeot" for "Client"',
                      'Argument "timeout" to "Client" has incompatible type "str"',
                      '"def (sender: builtins.str, value: builtins.object)"', '"builtins.bool"',
                      '"builtins.list[socket.socket]"', 'Argument 1 to "ready" of "Worker" has incompatible type "str"'):
            self.assertIn(words, said)
        self.assertIn("Found 5 errors", said)


if __name__ == "__main__":
    unittest.main()
