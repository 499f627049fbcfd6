"""Calls with a hook before every attempt. The rules are here once; each face walks through the steps in its own way."""
import time
from typing import Any, Callable, Generator, NamedTuple, Optional, Tuple, Union

from clouds._options import CallOptions, Number, check_retry
from clouds._request import request
from clouds.errors import CallTimeout, Expired, NoAvailableServer

LONGEST = 86400.0
_AGAIN = (CallTimeout, NoAvailableServer, Expired)


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
    """How a bound function with a hook makes its attempts."""

    on_retry: Callable[..., Any]
    retry: int
    timeout: float
    deadline: float

    def steps(self, arguments: Tuple[Any, ...]) -> Generator[Step, Any, Any]:
        """The steps of one call; its result is what the last attempt gave."""
        serving = request()
        inherited = serving.time_left if serving is not None and serving.open else None
        stop = time.monotonic() + min(self.deadline or LONGEST, LONGEST if inherited is None else inherited)
        for left in range(self.retry, -1, -1):
            changed = yield Ask(arguments)
            remaining = stop - time.monotonic()
            if remaining <= 0:
                raise Expired()
            try:
                return (yield Attempt(arguments if changed is None else tuple(changed), self.timeout, remaining))
            except _AGAIN as problem:
                if left == 0 or time.monotonic() >= stop:
                    raise
                if isinstance(problem, NoAvailableServer):
                    yield Pause(max(0.0, min(self.timeout, stop - time.monotonic())))
        return None


def hooked(on_retry: Any, retry: Optional[int], timeout: Optional[Number], deadline: Optional[Number], node_retry: int,
           node_timeout: float) -> Hooked:
    """Checks what bind() was given."""
    if not callable(on_retry):
        raise TypeError(f"on_retry: expected a function, got {on_retry!r}")
    chosen = node_retry if retry is None else check_retry(retry)
    return Hooked(on_retry, chosen, float(timeout or node_timeout), float(deadline or 0))
