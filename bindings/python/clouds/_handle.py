"""A context and its one node in the library: made together, and freed exactly once."""
import ctypes
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, List

from clouds import _abi
from clouds._error import Error
from clouds._events import Records, log_line
from clouds._library import check, error, lib
from clouds._options import Options, SortedOptions
from clouds.errors import AfterFork, Closed

if TYPE_CHECKING:
    from clouds._node import NodeBase

FINALIZE_TIMEOUT = 0.5  # the longest that a node which nobody closed may take to end in order, in seconds
SPANS_TIMEOUT = 1.0  # and more for its spans, which the library gives up then


_nodes: "weakref.WeakSet[NodeBase]" = weakref.WeakSet()


def note_node(node: "NodeBase") -> None:
    """It is one of the nodes of this process."""
    _nodes.add(node)


def nodes() -> "List[NodeBase]":
    """All nodes of this process that are in use, or were."""
    while True:
        try:
            return list(_nodes)
        except RuntimeError:
            pass  # a thread has made one meanwhile


class Handle:
    """What must be freed. It has no reference to the node object, so that this can be collected."""

    def __init__(self, chosen: SortedOptions) -> None:
        context, node = ctypes.c_void_p(), ctypes.c_void_p()
        with Options(chosen.context) as options:
            check(lib.clouds_context_create(options, ctypes.byref(context)))
        try:
            with Options(chosen.node) as options:
                check(lib.clouds_node_create(context, options, ctypes.byref(node)))
        except BaseException:
            lib.clouds_context_destroy(context)
            raise
        self.context, self.node = context, node
        self.id: str = lib.clouds_node_id(node).decode()
        self.pid = os.getpid()
        self.serves = False  # methods are registered, which are unregistered at the end
        self.closing = False
        self.forgotten = False  # nobody closed it
        self.over = threading.Event()  # CLOUDS_EVENT_CONTEXT_CLOSED came, or the context is gone

    def forked(self) -> bool:
        """Is this a child of the process that made it?"""
        return os.getpid() != self.pid

    def problem(self, number: int) -> Error:
        """The exception for a result below 0."""
        if self.closing and number in (_abi.CLOUDS_EHANDLE, _abi.CLOUDS_ECLOSED, _abi.CLOUDS_ESTALE):
            return Closed("the node is closed")
        return error(number)

    def check_usable(self) -> None:
        """Raises when the node is closed, or was inherited by a fork."""
        if self.forked():
            raise AfterFork()
        if self.closing:
            raise Closed("the node is closed")

    def has_spans(self) -> bool:
        """Have spans been recorded? Those that wait go out when it is closed in order."""
        spans = ctypes.c_uint64()
        return lib.clouds_counter(self.context, b"spans", 0, None, ctypes.byref(spans)) == 0 and spans.value > 0

    def close(self, drain: float) -> None:
        """Begins the orderly end; a second time does nothing."""
        if self.closing:
            return
        self.closing = True
        code = lib.clouds_context_close(self.context, drain, None, None)
        if code < 0 and code != _abi.CLOUDS_ECLOSED:
            self.closing = False
            raise error(code)

    def destroy(self) -> None:
        """Frees everything; a second time does nothing."""
        self.closing = True
        lib.clouds_context_destroy(self.context)
        self.over.set()


def _is_over(records: Records, count: int) -> bool:
    """Is the end of the context among these events? What the library logs is written, where nobody hears of the rest."""
    is_over = False
    for raw in records.raw(count):
        if raw[0] == _abi.CLOUDS_EVENT_LOG:
            log_line(records.event(raw))
        is_over = is_over or raw[0] == _abi.CLOUDS_EVENT_CONTEXT_CLOSED
    return is_over


def poll_until_closed(handle: Handle, seconds: float) -> None:
    """Does the I/O of an inline-mode context until it is closed, or the time is over."""
    records, until = Records(64, 65536), time.monotonic() + seconds
    while True:
        count = records.poll(handle.context, max(0.0, until - time.monotonic()))
        if count < 0 or _is_over(records, count):
            return
        if time.monotonic() >= until:
            return


def finalize(handle: Handle, wait: Any) -> None:
    """The end of a node that nobody closed: its methods are unregistered and its spans sent if that is quick, and
    everything is freed.

    `wait` is called with the handle and seconds, and returns when the context is closed or the time is over.
    """
    handle.forgotten = True
    if not handle.closing and not handle.forked() and (handle.serves or handle.has_spans()):
        handle.close(0)
        wait(handle, FINALIZE_TIMEOUT + (SPANS_TIMEOUT if handle.has_spans() else 0))
    handle.destroy()
