"""Handles the events of a node: one function for each type of event."""
from typing import TYPE_CHECKING, Any, Callable, Dict, List

from clouds import _abi, _asking, _channels
from clouds._again import hand_in
from clouds._events import Event, failure, log_line, size_of
from clouds._faults import escaped, is_interrupt, log, log_failure
from clouds._library import lib
from clouds._operations import RESULT
from clouds._request import Request
from clouds._values import decode, decode_along

if TYPE_CHECKING:
    from clouds._node import NodeBase

def _ignore(_: Any) -> None:
    pass


_HOOKS = {_abi.CLOUDS_EVENT_FIND_SERVER: "find_server", _abi.CLOUDS_EVENT_SAVE_SERVERS: "save_servers",
              _abi.CLOUDS_EVENT_REMOVE_SERVER: "remove_server", _abi.CLOUDS_EVENT_CLEAR_SERVERS: "clear_servers"}


def _ignore_event(node: "NodeBase", event: Event) -> None:
    """The result of a cancelled call, or an event of a later version of the library."""


def _operation(node: "NodeBase", event: Event) -> None:
    node._operations.ended(event)


def _registered(node: "NodeBase", event: Event) -> None:
    node._failed.pop(event.method, None)
    if event.code:
        node._failed[event.method] = problem = failure(event)
        if not node.closed:
            log.error("the method '%s' could not be registered: %s", escaped(event.method), escaped(str(problem)))
    node._operations.ended(event)
    node._check_ready()


def _ready(node: "NodeBase", event: Event) -> None:
    node._readiness = failure(event) if event.code else True
    node._check_ready()
    if not event.code:
        node._emit("ready")


def _request(node: "NodeBase", event: Event) -> None:
    entry = node._methods.get(event.method)
    request = Request(node, node._context, event)
    if entry is None:
        request._refuse(_abi.CLOUDS_ENOMETHOD)
    elif not node._serve(request, entry.handler, event):
        node._count("queue_refusals")
        request._refuse(_abi.CLOUDS_EOVERLOAD)


def _canceled(node: "NodeBase", event: Event) -> None:
    node._request_canceled(event.id)


def _message(node: "NodeBase", event: Event) -> None:
    node._emit("message", lambda: (event.peer, decode_along(event.data, event.area)), size_of(event))


def _unknown(node: "NodeBase", event: Event) -> None:
    node._emit("unknown message", lambda: (event.method, event.peer, decode(event.data), event.error), size_of(event))


def _node_closed(node: "NodeBase", event: Event) -> None:
    node._emit("exit", lambda: (event.number,))


def _context_closed(node: "NodeBase", _: Event) -> None:
    node._handle.over.set()


def _up(node: "NodeBase", _: Event) -> None:
    node._down, node._connected = None, True
    node._emit("up")


def _down(node: "NodeBase", event: Event) -> None:
    problem = failure(event)
    node._down, node._connected = problem, False
    node._emit("down", lambda: (problem,))


def _log_line(_: "NodeBase", event: Event) -> None:
    log_line(event)


_PEER_STATES = ("well", "avoided", "open", "probing", "paused", "draining", "gone")


def _peer(node: "NodeBase", event: Event) -> None:
    """A server is in another state."""
    state = _PEER_STATES[event.number] if event.number < len(_PEER_STATES) else str(event.number)
    node._emit("peer", lambda: (event.peer, state, event.method or None), size_of(event))


def _attempt(node: "NodeBase", event: Event) -> None:
    node._on_attempt(event)


def _server(answer: Any) -> bytes:
    """The id that find_server gave; empty: nobody."""
    try:
        if answer is None or isinstance(answer, str):
            return (answer or "").encode()
    except UnicodeError:
        pass
    log.error("find_server gave %r: expected the id of a node, or None", answer)
    return b""


def _hook(node: "NodeBase", event: Event) -> None:
    name = _HOOKS[event.type]
    hook = node._hooks.get(name)
    hook_id = event.id

    def choose_server(answer: Any) -> None:
        server = _server(answer)
        code = hand_in(node, lib.clouds_choose, hook_id, server, len(server))
        if code < 0 and code != _abi.CLOUDS_ESTALE:
            log.error("find_server gave %r: %s", answer, node._problem(code))

    then: Callable[[Any], None] = choose_server if name == "find_server" else _ignore
    if hook is None:
        then(None)
        return
    arguments: List[Any] = []
    if name == "remove_server":
        arguments = [event.peer, event.method]
    elif name != "clear_servers":
        arguments = [event.method, decode(event.data)]
    if not node._run_hook(hook, arguments, then, size_of(event)):
        node._count("dropped_events")
        then(None)


_HANDLERS: Dict[int, Callable[["NodeBase", Event], None]] = {
    _abi.CLOUDS_EVENT_READY: _ready,
    _abi.CLOUDS_EVENT_REQUEST: _request,
    _abi.CLOUDS_EVENT_CANCELED: _canceled,
    _abi.CLOUDS_EVENT_MESSAGE: _message,
    _abi.CLOUDS_EVENT_PUBLISHED: _channels.published,
    _abi.CLOUDS_EVENT_SUBSCRIBED: _channels.subscribed,
    _abi.CLOUDS_EVENT_UNSUBSCRIBED: _channels.unsubscribed,
    _abi.CLOUDS_EVENT_UNKNOWN: _unknown,
    _abi.CLOUDS_EVENT_REGISTERED: _registered,
    _abi.CLOUDS_EVENT_NODE_CLOSED: _node_closed,
    _abi.CLOUDS_EVENT_CONTEXT_CLOSED: _context_closed,
    _abi.CLOUDS_EVENT_BUS_UP: _up,
    _abi.CLOUDS_EVENT_BUS_DOWN: _down,
    _abi.CLOUDS_EVENT_ATTEMPT: _attempt,
    _abi.CLOUDS_EVENT_LOG: _log_line,
    _abi.CLOUDS_EVENT_PEER: _peer,
    **{kind: _operation for kind in RESULT},
    **{kind: _hook for kind in _HOOKS},
    **_asking.HANDLERS,
}


def dispatch(node: "NodeBase", event: Event) -> None:
    """Handles one event. A failure in it must not end the thread or the loop that reads the events."""
    try:
        _HANDLERS.get(event.type, _ignore_event)(node, event)
    except BaseException as problem:
        if is_interrupt(problem):
            raise
        log_failure("an event could not be handled", problem)
