"""Requests: what a handler is asked, and how it is answered."""
import contextvars
import ctypes
import logging
import time
import types
from typing import Any, Awaitable, Callable, Dict, Iterator, NamedTuple, Optional

from clouds import _abi
from clouds._bytes import area_of
from clouds._error import Error
from clouds._events import Event
from clouds._faults import encode_error, escaped, is_interrupt, log, log_failure, text_of
from clouds._library import lib
from clouds._options import CallOptions
from clouds._payload import reply_of
from clouds._values import Values, decode_along, encode_list, members, with_bytes
from clouds.errors import LimitReached, Overloaded, ServiceError, StaleId

MAX_REPLY_WAIT = 60.0  # seconds that a handler waits to hand in an answer whose caller did not say how long it waits
MOST_CANCELED = 100000  # ids that are remembered
RECENT = 0.01  # seconds: whether a request that is younger has expired, the library has looked just now
# After these codes a request is over: it was answered, or its caller got an error.
_ENDED = (_abi.CLOUDS_ESTALE, _abi.CLOUDS_ETOOBIG, _abi.CLOUDS_ECLOSED, _abi.CLOUDS_EHANDLE)

_current: "contextvars.ContextVar[Optional[Request]]" = contextvars.ContextVar("clouds.request", default=None)


#: The request that is served here, answered or not, or None.
serving: "Callable[[], Optional[Request]]" = _current.get


def request() -> "Optional[Request]":
    """The request that is being served, in a handler and in the tasks it makes; elsewhere None."""
    return _current.get()


def set_current(request: "Optional[Request]") -> None:
    """From here on this request is being served, in this task."""
    _current.set(request)


class Inner(NamedTuple):
    """A span of the program's own in a request, or in none: the text of clouds_span_begin."""

    request: "Optional[Request]"
    text: bytes


_inner: "contextvars.ContextVar[Optional[Inner]]" = contextvars.ContextVar("clouds.span", default=None)

#: The span that this code is in, or was when it was started, or None.
inner: "Callable[[], Optional[Inner]]" = _inner.get
enter_span = _inner.set
leave_span = _inner.reset


def inner_text() -> bytes:
    """The text of the span that this code is in; b"": none, or none of the request that is served here."""
    span = _inner.get()
    return span.text if span is not None and span.request is _current.get() else b""


def here_text() -> bytes:
    """What says in which trace this code is: the text of a span, the meta of a request, or nothing."""
    request = _current.get()
    return inner_text() or (b"" if request is None else request._meta.encode())


def detached_context() -> contextvars.Context:
    """A copy of the context in which no request is being served, and that is in no span."""
    context = contextvars.copy_context()
    context.run(set_current, None)
    context.run(enter_span, None)
    return context


class LogFilter(logging.Filter):
    """Gives each record `method`, `request`, `caller` and `trace` of the request that is being served, for a formatter.

    Where none is served they are "". ``handler.addFilter(clouds.LogFilter())``; it lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds them to `record`; true."""
        serving = _current.get()
        facts = _NO_FACTS if serving is None else _facts_of(serving)
        for name, value in facts.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


_NO_FACTS = {"method": "", "request": "", "caller": "", "trace": ""}


def _facts_of(request: "Request") -> Dict[str, Any]:
    return {"method": request.method, "request": request.id, "caller": request.caller, "trace": request.trace}


# ---- how results are written

def encode_result(result: Any) -> bytes:
    """What a handler returned, as the list of its results: one value, or the members of Values."""
    return encode_list(result if isinstance(result, Values) else (result,), with_bytes)


class Canceled:
    """The ids of open requests whose callers have given up; and what runs for the requests that can be stopped."""

    __slots__ = ("_ids", "_running")

    def __init__(self) -> None:
        self._ids: Dict[int, None] = {}  # in the order in which they came
        self._running: Dict[int, Any] = {}

    def __contains__(self, request: int) -> bool:
        return request in self._ids

    def add(self, request: int) -> None:
        """It is remembered, and the task that serves it is canceled."""
        self._ids[request] = None
        if len(self._ids) > MOST_CANCELED:  # they were answered at that moment, which nobody says again
            for oldest in list(self._ids)[:MOST_CANCELED // 2]:
                self._ids.pop(oldest, None)
        task = self._running.get(request)
        if task is not None:
            task.cancel()

    def ended(self, request: int) -> None:
        """It is answered."""
        self._ids.pop(request, None)

    def watch(self, request: int, task: Any) -> None:
        """This task, or future, serves it: canceled when the caller gives up."""
        self._running[request] = task
        task.add_done_callback(lambda _: self._running.pop(request, None))
        if request in self._ids:
            task.cancel()


class Request:
    """A call that is being served: who asks, what for, and until when. ``clouds.request()`` gives it to a handler."""

    __slots__ = ("caller", "method", "id", "_owner", "_context", "_arrived", "_until", "_open", "_detached", "_meta",
                 "_was_canceled", "__weakref__")

    def __init__(self, owner: Any, context: Any, event: Event) -> None:
        #: The id of the calling node.
        self.caller = event.peer
        #: The name of the method.
        self.method = event.method
        #: Its number, unlike that of any other request of the node: for logs.
        self.id = event.id
        self._owner, self._context = owner, context
        self._arrived = time.monotonic()
        # The same clock: whenever the process was stopped, nothing is taken for fresh.
        self._until = event.number / 1000 if event.number else None
        self._open, self._detached, self._was_canceled = True, False, False
        self._meta = event.meta

    @property
    def time_left(self) -> Optional[float]:
        """Seconds until the caller gives up; None when it did not say."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    @property
    def meta(self) -> Dict[str, Any]:
        """What came along with the call. What is called on its behalf has it too, but for names that begin with "-"."""
        return members(self._meta) or {}

    @property
    def trace(self) -> str:
        """The id of the trace that it is part of, 32 hexadecimal digits; "" when it is in none."""
        meta, found = self._meta.encode(), ctypes.create_string_buffer(33)
        lib.clouds_trace_id(meta, len(meta), found)
        return found.value.decode()

    @property
    def canceled(self) -> bool:
        """Has its caller given up, or its deadline passed? Nobody waits for the answer then."""
        return self._was_canceled or self.id in self._owner._canceled

    @property
    def open(self) -> bool:
        """Can it still be answered? False when it was, and when its deadline has passed; see also `canceled`."""
        if not self._open:
            return False
        code = lib.clouds_request_open(self._context, self.id)
        if code == _abi.CLOUDS_ETHREAD:  # another thread than that of the loop, where only the time can be checked
            return self._until is None or time.monotonic() < self._until
        return bool(code == 1)

    def detach(self) -> "Request":
        """What the handler returns will be no answer: reply() or fail() will, later and from anywhere."""
        self._detached = True
        return self

    def reply(self, result: Any = None) -> None:
        """Answers now, with what a handler would return.

        StaleId when it was answered before or has expired. LimitReached when the answer cannot be queued: then the
        request is still open.
        """
        self._hand_in(encode_result(result))

    def fail(self, problem: BaseException) -> None:
        """Answers now with an error, as if the handler had raised it."""
        text, values = encode_error(problem)
        self._answer(lib.clouds_fail, text, len(text), values or None, len(values))

    def _hand_in(self, text: bytes) -> None:
        """Answers with a list of results."""
        function, arguments = reply_of(text)
        self._answer(function, *arguments)

    def _answer(self, function: Callable[..., int], *arguments: Any) -> None:
        if not self._open:
            raise StaleId("the request is answered")
        self._open = False
        try:
            code = self._owner._answer(function, self._context, self.id, *arguments)
        except BaseException:  # it may not have been answered
            self._open = True
            raise
        if code < 0:
            self._open = code not in _ENDED
        if not self._open and self.id in self._owner._canceled:
            self._was_canceled = True
            self._owner._canceled.ended(self.id)
        if code < 0:
            raise self._owner._problem(code)

    def _over(self) -> bool:
        """Has its caller given up? Then nothing is done for it, and it is counted."""
        if not self.canceled and (time.monotonic() - self._arrived < RECENT or self.open):
            return False
        if self._open and not self._refuse(_abi.CLOUDS_EEXPIRED):
            if self._open:
                return False  # who repeats it waits for longer
            self._owner._count("expired_requests")  # the library had closed it, as it does one that is late
        return True

    def _refuse(self, code: int) -> bool:
        """Nothing has been done for it: its caller gets that code, and may ask another server. False: it was over."""
        try:
            self._answer(lib.clouds_refuse, code)
        except Error:
            return False
        return True

    def _without_room(self, handler: Callable[..., Any], result: Any) -> None:
        """What its handler gave cannot be awaited. Of an async function nothing has run yet; others did what they do."""
        is_coroutine = isinstance(result, types.CoroutineType)
        if is_coroutine and result.cr_code is getattr(handler, "__code__", None):
            self._refuse(_abi.CLOUDS_EOVERLOAD)
        else:
            self._fail_soon(Overloaded("too many results of handlers are awaited already"))
        if is_coroutine:
            result.close()

    def _fail_soon(self, problem: BaseException) -> None:
        """Answers with an error, as soon as there is room for it. Whether the caller still waits is not known."""
        if not self._try_fail(problem, True):
            self._owner._finish_later(self._retry(lambda again: self._try_fail(problem, again)))

    def _finish(self, result: Any) -> Optional[Iterator[float]]:
        """Answers with what the handler returned.

        When the answer cannot be queued, it gives what goes on trying: the seconds to wait before each time.
        """
        if self._detached or not self._open:
            return None
        try:
            text = encode_result(result)
        except Exception as problem:  # its caller waits
            if type(problem) in (TypeError, ValueError):
                problem = type(problem)(f"the result cannot be sent: {problem}")
            self._finish_failed(problem)
            return None
        try:
            self._hand_in(text)
        except StaleId:
            pass
        except LimitReached:
            if self._open:
                return self._retry(lambda again: self._try(text, again))
        except Exception as problem:
            self._finish_failed(problem)
        return None

    def _try(self, text: bytes, again: bool) -> bool:
        """Answers once more. False when there is no room for the answer, and it may be tried again."""
        try:
            self._hand_in(text)
        except StaleId:
            pass
        except Exception as problem:
            if again and isinstance(problem, LimitReached) and self._open:
                return False
            self._finish_failed(problem)
        return True

    def _try_fail(self, problem: BaseException, again: bool) -> bool:
        """The same with an error."""
        try:
            self.fail(problem)
        except LimitReached:
            return not (again and self._open)
        except Error:
            pass
        return True

    def _retry(self, attempt: Callable[[bool], bool]) -> Iterator[float]:
        """The seconds to wait before each attempt, which is told whether there may be another and says whether it is done."""
        until, pause = time.monotonic() + MAX_REPLY_WAIT, 0.001
        while True:
            yield pause
            if attempt(time.monotonic() < until if self._until is None else self.open):
                return
            pause = min(2 * pause, 0.1)

    def _finish_failed(self, problem: BaseException) -> None:
        """What the handler raised."""
        _log_failed(self, problem)
        if self._open:
            self._fail_soon(problem)

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            words = "forgotten" if self._detached else "dropped"
            self._owner._forget(self._context, self.id, f'{{"message":"the request was {words}"}}'.encode())

    def __repr__(self) -> str:
        return f"<clouds.Request {self.method!r} of {self.caller}>"


def _log_failed(request: Request, problem: BaseException) -> None:
    """Logs what a handler raised, with caller and method; what it raised on purpose is a debug line."""
    where = (escaped(request.method), escaped(request.caller), request.id)
    about = {"clouds": _facts_of(request)}
    if not isinstance(problem, Error):
        log_failure("the handler of '%s' failed: caller %s, request %d", problem, *where, about=about)
    elif isinstance(problem, ServiceError) and not problem.received:
        log.debug("the handler of '%s' refused: caller %s, request %d: %s", *where, escaped(text_of(problem)), extra=about)
    else:
        log.info("the handler of '%s' passed an error on: caller %s, request %d: %s", *where,
                 escaped(text_of(problem)), extra=about)


# ---- serving

def serve(request: Request, handler: Callable[..., Any], event: Event,
          retry_reply: Callable[[Iterator[float]], None]) -> Optional[Awaitable[Any]]:
    """Runs a handler with the arguments that came with an event, and answers with what it returns or raises.

    What must be awaited first is given back.

    retry_reply: takes what goes on trying when the answer cannot be queued.
    """
    token = _current.set(request)
    try:
        result = handler(*decode_along(event.data, event.area))
    except BaseException as problem:
        request._finish_failed(problem)
        if is_interrupt(problem):
            raise
        return None
    finally:
        _current.reset(token)
    if hasattr(result, "__await__"):
        awaitable: Awaitable[Any] = result
        return awaitable
    rest = request._finish(result)
    if rest is not None:
        retry_reply(rest)
    return None


# ---- what calls inherit

def call_record(context: Any, options: CallOptions, text: bytes) -> Any:
    """The options of a call as the library takes them. One made while a request is served inherits its time; and its
    trace, in what goes on when it is answered, too."""
    serving, area, span = _current.get(), area_of(text), inner_text()
    if serving is None:
        return options.record(0, options.deadline, area, span) if area or span else options.prepared
    if serving._open and serving._context is context:
        return options.record(serving.id, options.deadline, area, span)
    trace, deadline = span or serving._meta.encode(), options.deadline
    left = serving.time_left if serving._open else None
    if left == 0 and serving.open:
        left = None  # one with an idempotency key, which is still to be answered
    if left is not None:
        left = max(left, 0.001)  # 0 would be the default
        deadline = min(left, deadline) if deadline > 0 else left
    return options.record(0, deadline, area, trace)
