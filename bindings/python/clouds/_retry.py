"""Calls with a hook before every attempt. The rules are here once; each face walks through the steps in its own way."""
import time
from typing import TYPE_CHECKING, Any, Callable, Generator, NamedTuple, Optional, Tuple, Union

from clouds._options import CallOptions, check_retry
from clouds._request import request
from clouds.errors import CallTimeout, ConnectionLost, Draining, Expired, NoAvailableServer

if TYPE_CHECKING:
    from clouds._node import NodeBase

LONGEST = 86400.0
_AT_ONCE = (CallTimeout, ConnectionLost, Expired)
_LATER = (NoAvailableServer, Draining)


class Ask(NamedTuple):
    """Run the hook; it gives the arguments of this attempt, or None for the original ones."""

    arguments: Tuple[Any, ...]


class Attempt(NamedTuple):
    """Call once."""

    arguments: Tuple[Any, ...]
    timeout: float
    deadline: float

    def options(self, flags: int) -> CallOptions:
        """What limits this attempt."""
        return CallOptions(flags, self.timeout, self.deadline, 0)


class Pause(NamedTuple):
    """Wait."""

    seconds: float


Step = Union[Ask, Attempt, Pause]


class Hooked(NamedTuple):
    """How a bound function with a hook makes its attempts. What it leaves open, its node says when a call begins."""

    node: "NodeBase"
    on_retry: Callable[..., Any]
    retry: Optional[int]
    timeout: float
    deadline: float

    def steps(self, arguments: Tuple[Any, ...]) -> Generator[Step, Any, Any]:
        """The steps of one call; its result is what the last attempt gave. The rules are those of the library."""
        retry = self.node._retry if self.retry is None else self.retry
        timeout, stop = self.timeout or self.node._timeout, time.monotonic() + self._longest()
        for left in range(retry, -1, -1):
            chosen = _chosen((yield Ask(arguments)), arguments)
            remaining = stop - time.monotonic()
            if remaining <= 0:
                raise Expired()
            try:
                return (yield Attempt(chosen, timeout, remaining))
            except _AT_ONCE + _LATER as problem:
                pause = timeout if isinstance(problem, _LATER) else 0.0
                if left == 0 or time.monotonic() + pause >= stop:
                    raise
            if pause:
                yield Pause(pause)
        return None

    def _longest(self) -> float:
        """So many seconds may the whole call take."""
        serving = request()
        inherited = serving.time_left if serving is not None and serving.open else None
        return min(self.deadline or self.node._deadline or LONGEST, LONGEST if inherited is None else inherited)


def _chosen(given: Any, arguments: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """The arguments of an attempt, from what the hook gave."""
    if given is None:
        return arguments
    if isinstance(given, (list, tuple)):
        return tuple(given)
    raise TypeError(f"on_retry gave {given!r}: expected a list or tuple of arguments, or None")


def hooked(node: "NodeBase", on_retry: Any, retry: Optional[int], options: CallOptions) -> Hooked:
    """Checks what bind() was given."""
    if not callable(on_retry):
        raise TypeError(f"on_retry: expected a function, got {on_retry!r}")
    return Hooked(node, on_retry, None if retry is None else check_retry(retry), options.timeout, options.deadline)
