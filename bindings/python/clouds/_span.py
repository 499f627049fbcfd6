"""Spans of the program's own, and the trace that the running code is in."""
import contextlib
import ctypes
import types
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple, Optional, Tuple

from clouds import _abi
from clouds._faults import encode_error
from clouds._handle import nodes
from clouds._library import lib
from clouds._request import Inner, enter_span, here_text, leave_span, serving

if TYPE_CHECKING:
    from clouds._node import NodeBase


class Trace(NamedTuple):
    """Where code is in a trace: the id of that, of the span, and whether it is recorded."""

    trace: str
    span: str
    recorded: bool


def trace() -> Optional[Trace]:
    """The trace and the span that this code is in; None where it is in none."""
    meta, ids = here_text(), (ctypes.create_string_buffer(33), ctypes.create_string_buffer(17))
    if not lib.clouds_trace_id(meta, len(meta), ids[0]):
        return None
    recorded = lib.clouds_span_id(meta, len(meta), ids[1])
    return Trace(ids[0].value.decode(), ids[1].value.decode(), recorded == 1)


def _begin_at(node: "NodeBase", meta: bytes) -> bytes:
    """The text of a span; b"" when that node records none."""
    if node.closed or node._handle.forked():
        return b""
    text = ctypes.create_string_buffer(len(meta) + _abi.CLOUDS_SPAN_MORE)
    length = lib.clouds_span_begin(node._node, meta, len(meta), text, len(text))
    return text.raw[:length] if length > 0 else b""


def _begin() -> "Tuple[Optional[NodeBase], bytes]":
    """By the connection of the node that serves, else by one that records."""
    meta, request = here_text(), serving()
    if request is not None and request._open:
        return request._owner, _begin_at(request._owner, meta)
    for node in nodes():
        text = _begin_at(node, meta)
        if text:
            return node, text
    return None, b""


def _end(node: "NodeBase", text: bytes, name: str, problem: Optional[BaseException],
         kind: int = _abi.CLOUDS_SPAN_INTERNAL) -> None:
    error = encode_error(problem)[0] if problem is not None else b""
    called = name.encode("utf-8", "replace")
    lib.clouds_span_end(node._node, text, len(text), kind, called, len(called), error, len(error))


def consuming(node: "NodeBase", meta: str, topic: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a subscription for a message with this meta: in a span of the trace of that, if it is in one."""
    if '"traceparent"' not in meta and '"trace-to"' not in meta:
        return fn

    def end(text: bytes, problem: Optional[BaseException]) -> None:
        if text:
            _end(node, text, topic, problem, _abi.CLOUDS_SPAN_CONSUMER)

    @contextlib.contextmanager
    def inside(text: bytes) -> Iterator[None]:
        token = enter_span(Inner(serving(), text or meta.encode()))  # where nothing is recorded, that is handed on
        try:
            yield
        except BaseException as problem:
            end(text, problem)
            raise
        finally:
            leave_span(token)

    async def finished(text: bytes, result: Any) -> Any:
        with inside(text):
            value = await result
        end(text, None)
        return value

    def consume(*arguments: Any) -> Any:
        text = _begin_at(node, meta.encode())
        with inside(text):
            result = fn(*arguments)
        if isinstance(result, types.CoroutineType):  # a Call goes on by itself
            return finished(text, result)
        end(text, None)
        return result
    return consume


@contextlib.contextmanager
def span(name: str) -> Iterator[None]:
    """``with clouds.span("name"):`` what is called in it, also after an await and in tasks that it makes, is in a span of
    this name. What is raised there is its error, and goes on."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"span: expected a name, got {name!r}")
    node, text = _begin()
    if node is None or not text:
        yield
        return
    token = enter_span(Inner(serving(), text))
    try:
        yield
    except BaseException as problem:
        _end(node, text, name, problem)
        raise
    else:
        _end(node, text, name, None)
    finally:
        leave_span(token)
