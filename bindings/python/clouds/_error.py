"""What all errors of clouds have in common."""
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Type


class Error(Exception):
    """What went wrong with a call, a connection or a node.

    A handler may raise it, to answer its caller with a code and further members:
    ``raise clouds.ServiceError("no such user", code="E_USER", more={"id": 7})``.
    """

    number: int = 0
    default_code: str = "CLOUDS_SERVICE_ERROR"
    default_outcome: str = "APP_ERROR"
    default_message: str = "error"

    #: What happened, for people.
    message: str
    #: The service's own code, or the name of one of the library's errors, as "CLOUDS_NO_AVAILABLE_SERVER".
    code: str
    #: "APP_ERROR": the service ran and failed. "NOT_DONE": guaranteed not executed. "UNKNOWN": it may have been.
    outcome: str
    #: Further members that the service sent with its error.
    more: Dict[str, Any]
    #: Values that were sent beside the error.
    values: Tuple[Any, ...]
    #: The method that was called; the id of the server that was asked last; the id of the node of ours it concerns;
    #: the limit that was met, the size that was too large for it, and the cluster. None where there is no such thing.
    method: Optional[str] = None
    server: Optional[str] = None
    node: Optional[str] = None
    limit: Optional[float] = None
    size: Optional[float] = None
    cluster: Optional[str] = None
    #: Why a server is busy ("rate", "queue", "age" or "concurrency"), and after how many seconds it is worth to ask again.
    reason: Optional[str] = None
    retry_after: Optional[float] = None
    #: Did it come with the answer to a call, or of the library? False for one that the program has made.
    received: bool = False

    def __init__(self, message: Optional[str] = None, *, code: Optional[str] = None, outcome: Optional[str] = None,
                 more: Optional[Mapping[str, Any]] = None, values: Sequence[Any] = ()) -> None:
        self.message = self.default_message if message is None else message
        super().__init__(self.message)
        self.code = self.default_code if code is None else code
        self.outcome = self.default_outcome if outcome is None else outcome
        self.more = dict(more or {})
        self.values = tuple(values)

    @property
    def retryable(self) -> bool:
        """May it be repeated without doing anything twice?"""
        return self.outcome == "NOT_DONE"

    def __str__(self) -> str:
        if self.code in ("CLOUDS_SERVICE_ERROR", self.message):
            return str(self.message)
        return f"{self.code}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, code={self.code!r}, outcome={self.outcome!r})"

    def __reduce__(self) -> Tuple[Callable[..., "Error"], Tuple[Any, ...], Dict[str, Any]]:
        return _rebuild, (type(self), self.message), dict(vars(self))


FACTS = ("method", "server", "node", "limit", "size", "cluster", "reason", "retry_after")


def take_facts(more: Dict[str, Any]) -> Dict[str, Any]:
    """Takes out of the members of an error of the library those that have a name of their own."""
    return {name: more.pop(name) for name in FACTS if name in more}


def set_facts(problem: "Error", facts: Mapping[str, Any]) -> "Error":
    """Says of an error what it concerns."""
    for name, fact in facts.items():
        if fact is not None:
            setattr(problem, name, fact)
    return problem


def _rebuild(kind: Type[Error], message: str) -> Error:
    new: Any = kind.__new__  # without __init__: a kind of the program's may want other arguments
    made: Error = new(kind, message)
    made.args = (message,)
    return made


if sys.version_info >= (3, 11):
    class Timeout(Error, TimeoutError):
        """The time was over. It is a TimeoutError, and so one of asyncio's."""
else:
    import asyncio

    class Timeout(Error, TimeoutError, asyncio.TimeoutError):
        """The time was over. It is a TimeoutError, and one of asyncio's."""
