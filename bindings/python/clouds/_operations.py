"""Operations of a node: they end with an event of their id."""
from typing import Any, Callable, Dict, List, Optional

from clouds import _abi
from clouds._error import Error
from clouds._events import Event, failure
from clouds._values import decode


def settle(future: Any, result: Any = None, problem: Optional[Error] = None) -> None:
    """Ends a future of either kind, unless it has ended."""
    if future.done():
        return
    if problem is not None:
        future.set_exception(problem)
    else:
        future.set_result(result)


def take_all(things: List[Any]) -> List[Any]:
    """Empties a list that other threads may be emptying as well: each thing goes to one of them."""
    taken: List[Any] = []
    try:
        while things:
            taken.append(things.pop(0))
    except IndexError:
        pass
    return taken


# What an operation gives.
RESULT: Dict[int, Callable[[Event], Any]] = {
    _abi.CLOUDS_EVENT_SENT: lambda event: event.number if event.number >= 0 else None,
    _abi.CLOUDS_EVENT_STATUS: lambda event: decode(event.data),
    _abi.CLOUDS_EVENT_UNREGISTERED: lambda event: None,
    _abi.CLOUDS_EVENT_PAUSED: lambda event: None,
}


class Operation:
    """One that somebody waits for. `then` is done first when it went well."""

    __slots__ = ("_future", "_then")

    def __init__(self, future: Any, then: Optional[Callable[[], None]] = None) -> None:
        self._future, self._then = future, then

    def ended(self, event: Event) -> None:
        """Its event came."""
        if event.code:
            self.failed(failure(event))
            return
        if self._then is not None:
            self._then()
        settle(self._future, RESULT[event.type](event))

    def failed(self, problem: Error) -> None:
        """No event will come."""
        settle(self._future, None, problem)


class Registration(Operation):
    """One that only ready() waits for."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None)

    def ended(self, event: Event) -> None:
        """Its event came."""

    def failed(self, problem: Error) -> None:
        """No event will come."""


class Operations:
    """Those that go on, by their ids.

    In thread mode the event may come before its operation is noted here: who comes second ends it. There is no lock:
    a signal's handler or a finalizer may begin an operation in the middle of this, and wait for its end.
    """

    def __init__(self) -> None:
        self._pending: Dict[int, Any] = {}

    def _pair(self, number: int, mine: Any) -> Any:
        """Stores the first of an operation and its event; returns the first to the second, and None to the first."""
        other = self._pending.setdefault(number, mine)
        if other is mine:
            return None
        return self._pending.pop(number, other)  # fail() may have taken it just now

    def begun(self, number: int, operation: Operation) -> None:
        """Notes an operation."""
        event = self._pair(number, operation)
        if event is not None:
            operation.ended(event)

    def ended(self, event: Event) -> None:
        """Ends the operation of an event."""
        operation = self._pair(event.id, event)
        if operation is not None:
            operation.ended(event)

    def registering(self) -> bool:
        """Does a registration go on?"""
        return any(isinstance(one, Registration) for one in list(self._pending.values()))

    def fail(self, problem: Error) -> None:
        """No event will come any more."""
        try:
            while self._pending:
                _, one = self._pending.popitem()
                if isinstance(one, Operation):
                    one.failed(problem)
        except KeyError:  # another thread does it too
            pass
