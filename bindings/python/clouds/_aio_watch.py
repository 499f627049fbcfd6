"""Watching what is published, with asyncio."""
import asyncio
from typing import TYPE_CHECKING, Any, Awaitable, Dict, Optional, Tuple, TypeVar, cast

from clouds._channels import Message, Watch
from clouds._options import with_options

if TYPE_CHECKING:
    from clouds._node import NodeBase

_Self = TypeVar("_Self", bound="AsyncWatch")


class AsyncWatch(Watch):
    """For the async API: ``async with node.watch("chat.*") as watch: async for message in watch: ...``."""

    def __init__(self, node: "NodeBase", topics: Tuple[str, ...], options: Any) -> None:
        super().__init__(node, topics, options)
        self._ready: "Optional[asyncio.Event]" = None

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> Message:
        message = await self.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def _wake(self) -> None:
        if self._ready is not None:
            self._ready.set()

    async def get(self) -> Optional[Message]:
        """The next message; None when it is closed."""
        while True:
            message = self._take()
            if message is not None:
                return message
            if self._problem is not None:
                raise self._problem
            if self.closed:
                return None
            self._ready = asyncio.Event()
            await self._ready.wait()


@with_options
class AsyncPublishing:
    """What of a node of the async API has to do with channels."""

    def publish(self: Any, topic: str, value: Any = None, *, confirm: bool = False, meta: Optional[Dict[str, Any]] = None,
                timeout: Optional[float] = None) -> "Awaitable[Optional[int]]":
        """Publishes a value at a topic: everybody who has subscribed to it gets it, at most once each.

        It is sent at once, awaited or not. With confirm, awaiting it gives how many got it; None: not known. timeout:
        the longest wait for that, in seconds. meta: a dict that goes along.
        """
        self._own_loop()
        future = self._begin_publish(topic, value, confirm, meta, timeout)
        if future is None:
            future = self._new_future()
            future.set_result(None)
        return cast("Awaitable[Optional[int]]", future)

    def watch(self: Any, *topics: str, all: bool = False, group: Optional[str] = None, queue: Optional[int] = None,
              queue_bytes: Optional[int] = None) -> AsyncWatch:
        """What is published: ``async with node.watch("chat.*") as watch: async for message in watch: ...``.

        The messages are clouds.Message. So many as `queue` (1024) wait; the oldest is dropped then. See subscribe().
        """
        self._own_loop()
        watch: AsyncWatch = self._begin_watch(AsyncWatch, topics, all, group, queue, queue_bytes)
        return watch
