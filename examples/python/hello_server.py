"""A service. Its address: the first argument, else CLOUDS_URL, else "local:"."""
import sys

import clouds

server = clouds.Server(*sys.argv[1:])


@server.register("test.hello")
def hello(name, msg):
    return f"Hello {name}, {msg}"


@server.register("test.slow")
async def slow(text):
    return text.upper()


server.ready()
print("serving as", server.id, flush=True)
server.run()
