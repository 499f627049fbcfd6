"""Requests: what a handler is asked, and how it is answered."""
import contextvars
import time
from typing import Any, Awaitable, Callable, Dict, List, Optional, Tuple

from clouds._error import Error
from clouds._events import Event
from clouds._library import lib
from clouds._options import CallOptions
from clouds._values import Values, encode, encode_list
from clouds.errors import ServiceError, StaleId

_current: "contextvars.ContextVar[Optional[Request]]" = contextvars.ContextVar("clouds.request", default=None)


def request() -> "Optional[Request]":
    """The request that is being served, in a handler and in the tasks it makes; elsewhere None."""
    return _current.get()


def enter(request: "Optional[Request]") -> None:
    """From here on this request is being served, in this task."""
    _current.set(request)


def outside() -> contextvars.Context:
    """A copy of the context in which no request is being served."""
    context = contextvars.copy_context()
    context.run(enter, None)
    return context


# ---- how results and errors are written

def encode_result(result: Any) -> bytes:
    """What a handler returned, as the list of its results: one value, or the members of Values."""
    return encode_list(result if type(result) is Values else (result,))


def _sendable(members: Dict[str, Any]) -> Dict[str, Any]:
    """Without what cannot be sent: the others say more than an error about the error would."""
    kept = {}
    for name, value in members.items():
        try:
            encode({name: value})
        except (TypeError, ValueError):
            continue
        kept[name] = value
    return kept


def is_deliberate(problem: BaseException) -> bool:
    """Is it the handler's answer, and not a fault in the program?"""
    return isinstance(problem, Error) or isinstance(getattr(problem, "code", None), str)


def encode_error(problem: BaseException) -> Tuple[bytes, bytes]:
    """An exception as the error's members and the values beside it. Never the stack."""
    code = getattr(problem, "code", None)
    values: Tuple[Any, ...] = ()
    more: Dict[str, Any] = {}
    if isinstance(problem, Error):
        more, values, message = _sendable(problem.more), problem.values, problem.message
        code = None if code == ServiceError.default_code else code
    else:
        code = code if isinstance(code, str) else type(problem).__name__
        message = str(problem) or type(problem).__name__
    members = {"message": str(message), **({} if code is None else _sendable({"code": code})), **more}
    try:
        return encode(members), encode_list(values) if values else b""
    except (TypeError, ValueError):
        return encode(members), b""


class Request:
    """A call that is being served: who asks, what for, and until when. ``clouds.request()`` gives it to a handler."""

    __slots__ = ("caller", "method", "_owner", "_context", "_id", "_until", "_open", "_detached", "__weakref__")

    def __init__(self, owner: Any, context: Any, event: Event) -> None:
        #: The id of the calling node.
        self.caller = event.peer
        #: The name of the method.
        self.method = event.method
        self._owner, self._context, self._id = owner, context, event.id
        self._until = time.monotonic() + event.time_left if event.time_left >= 0 else None
        self._open, self._detached = True, False

    @property
    def time_left(self) -> Optional[float]:
        """Seconds until the caller gives up; None when it did not say."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    @property
    def open(self) -> bool:
        """Can it still be answered?"""
        return self._open

    def detach(self) -> "Request":
        """What the handler returns will be no answer: reply() or fail() will, later and from anywhere."""
        self._detached = True
        return self

    def reply(self, result: Any = None) -> None:
        """Answers now, with what a handler would return. StaleId when it was answered before or has expired."""
        text = encode_result(result)
        self._answer(lib.clouds_reply, text, len(text))

    def fail(self, problem: BaseException) -> None:
        """Answers now with an error, as if the handler had raised it."""
        text, values = encode_error(problem)
        self._answer(lib.clouds_fail, text, len(text), values or None, len(values))

    def _answer(self, function: Callable[..., int], *arguments: Any) -> None:
        if not self._open:
            raise StaleId("the request is answered")
        self._open = False
        try:
            code = self._owner._answer(function, self._context, self._id, *arguments)
        except BaseException:  # it may not have been answered
            self._open = True
            raise
        if code < 0:
            raise self._owner._problem(code)

    def _finish(self, result: Any) -> None:
        """What the handler returned."""
        if self._detached or not self._open:
            return
        try:
            self.reply(result)
        except StaleId:
            return
        except Exception as problem:  # it cannot be sent; its caller waits
            self._open = True
            if type(problem) in (TypeError, ValueError):
                problem = type(problem)(f"the result cannot be sent: {problem}")
            self._finish_failed(problem)

    def _finish_failed(self, problem: BaseException) -> None:
        """What the handler raised."""
        self._owner._tell_fault(problem, self.method)
        if self._open:
            try:
                self.fail(problem)
            except Error:
                pass

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            words = "forgotten" if self._detached else "dropped"
            self._owner._forget(self._context, self._id, f'{{"message":"the request was {words}"}}'.encode())

    def __repr__(self) -> str:
        return f"<clouds.Request {self.method!r} of {self.caller}>"


# ---- serving

def serve(request: Request, handler: Callable[..., Any], arguments: List[Any]) -> Optional[Awaitable[Any]]:
    """Runs a handler, and answers with what it returns or raises. What must be awaited first is given back."""
    token = _current.set(request)
    try:
        result = handler(*arguments)
    except BaseException as problem:
        request._finish_failed(problem)
        return None
    finally:
        _current.reset(token)
    if hasattr(result, "__await__"):
        awaitable: Awaitable[Any] = result
        return awaitable
    request._finish(result)
    return None


# ---- what calls inherit

def call_record(context: Any, options: CallOptions) -> Any:
    """The options of a call as the library takes them. One made while a request is served inherits its time."""
    serving = _current.get()
    if serving is None or not serving._open:
        return options.prepared
    if serving._context is context:
        return options.record(serving._id, options.deadline)
    left = serving.time_left
    if left is None:
        return options.prepared
    left = max(left, 0.001)  # 0 would be the default
    return options.record(0, min(left, options.deadline) if options.deadline > 0 else left)
