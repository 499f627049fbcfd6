"""The async API: the same classes as in clouds, whose calls are awaited.

Everything happens on the event loop's thread: the library's one descriptor is watched by the loop, and events are
taken in batches. A node belongs to the loop in which it is first used.
"""
from typing import Awaitable, Optional

from clouds._aio import Node
from clouds._call import Call
from clouds._options import with_options
from clouds._serving import Serving

__all__ = ["Client", "Server", "Monitor", "Base", "Call"]


class Client(Node):
    """A node that calls.

    ::

        async with clouds.aio.Client("redis://127.0.0.1:6379", timeout=2) as client:
            await asyncio.gather(*(client.call("test.hello", i) for i in range(1000)))
    """

    _kind = "client"


@with_options
class Server(Serving, Node):
    """A node that serves. It can also call.

    ::

        server = clouds.aio.Server("redis://127.0.0.1:6379")

        @server.register("test.hello")
        async def hello(name, msg):
            return f"Hello {name}, {msg}"

        asyncio.run(server.run())
    """

    _kind = "server"

    def unregister(self, method: str, *, timeout: Optional[float] = None) -> "Awaitable[None]":
        """Takes a method back; awaiting it waits until that is done. Requests it has accepted are still answered."""
        future: "Awaitable[None]" = self._begin_unregister(method, timeout)
        return future

    def pause(self, method: Optional[str] = None, *, timeout: Optional[float] = None) -> "Awaitable[None]":
        """Takes no calls for a method, or for all: callers go to other servers, or wait where they have retries.

        What was accepted is still answered.
        """
        future: "Awaitable[None]" = self._begin_pause(method, True, timeout)
        return future

    def resume(self, method: Optional[str] = None, *, timeout: Optional[float] = None) -> "Awaitable[None]":
        """Takes calls again; without a name for all methods."""
        future: "Awaitable[None]" = self._begin_pause(method, False, timeout)
        return future


class Monitor(Server):
    """A node that asks who serves what; it can do all that others can."""

    _kind = "monitor"


class Base(Server):
    """A node that can do everything. Its option `type` gives the id its first letter."""

    _kind = "base"
