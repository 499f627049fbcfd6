"""What a node asks another, and is asked: ping, info, status, stats, methods, links, pause, resume, stop."""
from typing import TYPE_CHECKING, Any, Awaitable, Dict, Optional, Tuple

from clouds import _abi
from clouds._events import Event
from clouds._library import lib
from clouds._options import with_options
from clouds._threads import start
from clouds._values import encode

if TYPE_CHECKING:
    from clouds._node import NodeBase

# What each takes.
_TAKES: Dict[str, Tuple[str, ...]] = {"ping": (), "info": (), "status": (), "stats": (), "methods": (), "links": (),
                                      "pause": ("method",), "resume": ("method",), "stop": ("drain",)}


def _check(peer: Any, what: Any, args: Optional[Dict[str, Any]]) -> bytes:
    """The arguments as JSON; an exception for what cannot be asked."""
    if not isinstance(peer, str):
        raise TypeError(f"expected the id of a node, got {peer!r}")
    if not isinstance(what, str) or what not in _TAKES:
        raise ValueError(f"a node cannot be asked to {what!r}; expected one of {', '.join(_TAKES)}")
    if args is not None and not isinstance(args, dict):
        raise TypeError(f"expected a dict of what the question needs, got {args!r}")
    for name, value in (args or {}).items():
        if name not in _TAKES[what]:
            raise ValueError(f"{what!r} does not take {name!r}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number if name == "drain" else isinstance(value, str)):
            raise TypeError(f"{name}: expected {'a number of seconds' if name == 'drain' else 'a text'}, got {value!r}")
    return encode(args) if args else b""


class Asking:
    """Of both APIs."""

    def _begin_ask(self: Any, peer: Any, what: Any, args: Optional[Dict[str, Any]], timeout: Optional[float]) -> Any:
        question = _check(peer, what, args)
        to = peer.encode()
        return self._begin(lib.clouds_node_ask, to, len(to), what.encode(), question, len(question), timeout=timeout)

    def _stop(self, drain: Optional[float]) -> None:
        raise NotImplementedError

    def _asked_to_stop(self: Any, event: Event) -> None:
        drain = event.number / 1000 if event.number >= 0 else None
        if self._listeners.get("stop"):
            self._emit("stop", lambda: (event.peer, drain))
        else:
            self._stop(drain)


@with_options
class SyncAsking(Asking):
    """Of the sync API."""

    def ask(self: Any, peer: str, what: str, args: Optional[Dict[str, Any]] = None, *,
            timeout: Optional[float] = None) -> Dict[str, Any]:
        """Asks another node, whose library answers if its option `admin` allows that, and gives what it answers.

        "ping", "info", "status", "stats", "methods", "links", "pause" and "resume" (``{"method": name}``, or none for
        all), "stop" (``{"drain": seconds}``).
        """
        answer: Dict[str, Any] = self._begin_ask(peer, what, args, timeout).result()
        return answer

    def _stop(self: Any, drain: Optional[float]) -> None:
        start("clouds-stop", self.close, drain)


@with_options
class AsyncAsking(Asking):
    """Of the async API."""

    def ask(self: Any, peer: str, what: str, args: Optional[Dict[str, Any]] = None, *,
            timeout: Optional[float] = None) -> "Awaitable[Dict[str, Any]]":
        """Asks another node, whose library answers if its option `admin` allows that, and gives what it answers.

        "ping", "info", "status", "stats", "methods", "links", "pause" and "resume" (``{"method": name}``, or none for
        all), "stop" (``{"drain": seconds}``).
        """
        future: "Awaitable[Dict[str, Any]]" = self._begin_ask(peer, what, args, timeout)
        return future

    def _stop(self: Any, drain: Optional[float]) -> None:
        self._spawn(self.close(drain), lambda _: None)


# ---- events

def stop(node: "NodeBase", event: Event) -> None:
    """Another node asks this one to stop: its program hears of it, or it closes."""
    node._asked_to_stop(event)


def paused(node: "NodeBase", event: Event) -> None:
    """The end of a pause of the program's own, or one of another node's."""
    if event.id:
        node._operations.ended(event)
    else:
        node._emit("paused", lambda: (event.peer, event.method or None, event.number == 1))


HANDLERS = {_abi.CLOUDS_EVENT_STOP: stop, _abi.CLOUDS_EVENT_PAUSED: paused}
