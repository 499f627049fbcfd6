"""Calls with a hook before every attempt. The library has the retry rule; this checks what the hook returns."""
from typing import Any, Callable, NamedTuple, Optional, Tuple

from clouds import _abi
from clouds._bytes import area_of
from clouds._library import lib
from clouds._options import CallOptions
from clouds._payload import payload
from clouds._values import encode_list, with_bytes


class Hooked(NamedTuple):
    """How a bound function with a hook makes its calls."""

    on_retry: Callable[..., Any]
    options: CallOptions


class HookedCall:
    """One call with a hook before every attempt."""

    __slots__ = ("on_retry", "arguments", "text", "problem", "going", "_changed")

    def __init__(self, how: Hooked, arguments: Tuple[Any, ...], text: bytes) -> None:
        self.on_retry, self.arguments, self.text = how.on_retry, arguments, text
        self.problem: Optional[BaseException] = None  # what the hook raised: it ends the call
        self.going: Any = None                        # the future of a hook that takes its time
        self._changed = False

    def answer(self, given: Any) -> Optional[bytes]:
        """The arguments of the attempt from what the hook gave; None: those that it has."""
        if given is None:
            return self.text if self._changed else None
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"on_retry gave {given!r}: expected a list or tuple of arguments, or None")
        self._changed = True
        return encode_list(tuple(given), with_bytes)

    def answer_of(self, future: Any) -> Optional[bytes]:
        """The same for an async hook, from the future of what it gave and what it raised."""
        given, problem = future.result()
        if problem is not None:
            raise problem
        return self.answer(given)

    def end(self) -> None:
        """The call is over: an async hook is cancelled."""
        if self.going is not None:
            self.going.cancel()


def begin_attempt(node: Any, call: int, text: Optional[bytes]) -> None:
    """Begins an attempt with these arguments, and the bytes beside them; None: with those that it has."""
    if text is None:
        code = lib.clouds_attempt(node._context, call, None, 0)
    else:
        code = lib.clouds_attempt_payload(node._context, call, payload(text, area_of(text)))
    node._schedule_flush()
    if code < 0 and code != _abi.CLOUDS_ESTALE:  # else the call has ended meanwhile, and its result comes
        raise node._problem(code)


def check_hook(on_retry: Any) -> Any:
    """A TypeError for what is no function."""
    if not callable(on_retry):
        raise TypeError(f"on_retry: expected a function, got {on_retry!r}")
    return on_retry
