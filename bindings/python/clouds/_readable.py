"""The registration of a node's descriptor with an event loop, which does not keep the node alive."""
import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Optional

from clouds._handle import Handle, finalize, poll_until_closed
from clouds._library import lib

if TYPE_CHECKING:
    from clouds._aio import Node


class LoopReader:
    """The reader of a node's descriptor in an event loop. Neither it nor the loop keeps the node alive."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.thread = 0
        self._fd = -1

    def start(self, loop: asyncio.AbstractEventLoop, node: "Node") -> None:
        self._fd = lib.clouds_fd(self.handle.context)
        if self._fd < 0:
            raise self.handle.problem(self._fd)
        self.loop, self.thread = loop, threading.get_ident()
        node._detached_context.run(loop.add_reader, self._fd, _readable, weakref.ref(node))

    def stop(self) -> None:
        """On the loop's thread, or when the loop does not run."""
        if self.loop is not None and not self.loop.is_closed() and self._fd >= 0:
            self.loop.remove_reader(self._fd)
        self._fd = -1

    def end(self) -> None:
        """The end of a node that nobody closed, on whatever thread the last reference was dropped."""
        if self.loop is not None and self.loop.is_running() and threading.get_ident() != self.thread:
            try:
                self.loop.call_soon_threadsafe(self._end_now)
                return
            except RuntimeError:
                pass  # it was closed just now
        self._end_now()

    def _end_now(self) -> None:
        if not self.handle.forked():  # the loop's descriptors are the parent's too
            self.stop()
        finalize(self.handle, poll_until_closed)


def _readable(ref: "weakref.ref[Node]") -> None:
    node = ref()
    if node is not None:
        node._pump()
