"""What nodes of the sync and the async API have in common: options, events, methods, operations."""
import ctypes
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, TypeVar, overload

from clouds import _abi
from clouds._asking import Asking
from clouds._channels import Channels, Publishing
from clouds._error import Error, Timeout
from clouds._events import Event
from clouds._handle import Handle, note_node
from clouds._dispatch import dispatch
from clouds._faults import log
from clouds._library import lib
from clouds._schema import offer_of
from clouds._operations import Operation, Operations, Registration, settle, take_all
from clouds._options import (HOOKS, About, CallOptions, Hooks, Key, Meta, Number, Options, check_wait, choose, limit_of,
                            method_name, method_text, more_of, seconds_of, with_options)
from clouds._payload import payload_of
from clouds._request import Canceled, Request, request
from clouds._retry import Hooked, check_hook
from clouds._threads import SPARE, Limits
from clouds.errors import CallTimeout

EVENTS = ("message", "unknown message", "ready", "exit", "up", "down", "peer", "stop", "paused")
# A registration goes on until it is there: ready() has the limit, and knows the reason.
_UNLIMITED = _abi.clouds_operation_options(size=ctypes.sizeof(_abi.clouds_operation_options), timeout=_abi.CLOUDS_LONGEST_SECONDS)


def _limit(timeout: Optional[float]) -> Any:
    """The limit of an operation, which the library keeps; None: that of the node. There 0 is none of its own."""
    if timeout is None:
        return None
    size, seconds = ctypes.sizeof(_abi.clouds_operation_options), max(float(timeout), 0.001)
    return ctypes.byref(_abi.clouds_operation_options(size=size, timeout=seconds))

_Handler = Callable[..., Any]
_F = TypeVar("_F", bound=_Handler)
_Arguments = Callable[[], Sequence[Any]]  # makes them, when it is their turn


def listener_name(event: str) -> str:
    """The event as it is kept; a ValueError for one that does not exist."""
    name = event.replace("_", " ") if isinstance(event, str) else event
    if name not in EVENTS:
        raise ValueError(f"no such event: {event!r}; expected one of {', '.join(EVENTS)}")
    return name


def check_function(fn: Any) -> Any:
    """A TypeError for what cannot be called."""
    if not callable(fn):
        raise TypeError(f"expected a function, got {fn!r}")
    return fn


CLOSE_MARGIN = 1.0  # seconds that closing may take beside what it waits for on purpose


class MethodEntry:
    """A handler, from one registration on: the same function, registered again, is another."""

    __slots__ = ("handler",)

    def __init__(self, handler: _Handler) -> None:
        self.handler = handler


if TYPE_CHECKING:
    from clouds._keywords import Live as _Live
else:
    class _Live:
        """The options as keyword arguments: which there are, the library says."""

        def configure(self, **options: Any) -> None:
            """Changes options while the node lives: timeout, deadline, retry, find_server and such.

            None gives a hook back. InvalidOption for one that can only be given at the creation.
            """
            self._configure(options)


@with_options
class NodeBase(Publishing, Asking, _Live):
    """One identity on the bus."""

    _kind = "base"
    _mode = ""
    _flags = 0

    def _make(self, url: Optional[str], options: Dict[str, Any]) -> None:
        chosen = choose(self._kind, self._mode, url, options)
        chosen.node.setdefault("cancel_events", True)  # a handler hears of it, unless the program wants otherwise
        self._hooks: Hooks = chosen.hooks
        self._listeners: Dict[str, List[_Handler]] = {}
        self._methods: Dict[str, MethodEntry] = {}
        self._operations = Operations()
        self._channels = Channels()
        self._failed: Dict[str, Error] = {}  # methods that could not be registered
        self._readiness: Any = None          # True, or why it will not be
        self._waiting: List[Any] = []        # the futures of ready()
        self._down: Optional[Error] = None   # why it is not connected
        self._connected = False
        self._canceled = Canceled()          # the requests whose callers have given up
        self._counts: Dict[str, int] = {}    # what the queues of the binding add to the library's counters
        self._counting = threading.RLock()   # a finalizer may count in the middle of it
        self._limits = Limits(limit_of(chosen, "max_events"), limit_of(chosen, "max_event_bytes"))
        self._most_requests = limit_of(chosen, "max_in_flight")
        self._drain = seconds_of(chosen.node, "drain_timeout")
        self._operation_timeout = seconds_of(chosen.node, "operation_timeout")
        self._linger = seconds_of(chosen.context, "linger")
        self._plain = CallOptions(self._flags)
        self._handle = Handle(chosen)
        self._context, self._node = self._handle.context, self._handle.node
        note_node(self)

    # ---- what each API does in its own way

    def _new_future(self) -> Any:
        raise NotImplementedError

    def _run(self, fns: List[_Handler], make: _Arguments, size: int, spare: int) -> bool:
        """Runs listeners, in the order of the events. False when too many wait for their turn."""
        raise NotImplementedError

    def _run_hook(self, fn: _Handler, arguments: List[Any], then: Callable[[Any], None], size: int) -> bool:
        """Runs a function that takes over a question, and hands on what it gave; None when it failed.

        False when too many wait for their turn.
        """
        raise NotImplementedError

    def _serve(self, request: Request, handler: _Handler, event: Event) -> bool:
        """Runs a handler with the arguments that came with the event. False when too many wait for their turn."""
        raise NotImplementedError

    def _request_canceled(self, request: int) -> None:
        """The caller of a request has given up."""
        self._canceled.add(request)

    def _schedule_flush(self) -> None:
        """There is something to send. In thread mode the library does so by itself."""

    def _invoke(self, method: bytes, arguments: Any, options: CallOptions) -> Any:
        raise NotImplementedError

    def _invoke_hooked(self, method: bytes, arguments: Any, how: Hooked) -> Any:
        raise NotImplementedError

    def _on_attempt(self, event: Event) -> None:
        """A call that nobody waits for in the library asks before an attempt."""

    # ---- what both have

    @property
    def id(self) -> str:
        """The id of the node, by which others send messages to it and ask it alone."""
        return self._handle.id

    @property
    def connected(self) -> bool:
        """Is it connected now, as far as it knows?"""
        return self._connected and not self.closed

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._handle.closing

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.id}{state}>"

    def _problem(self, number: int) -> Error:
        return self._handle.problem(number)

    def _checked(self, number: int) -> int:
        if number < 0:
            raise self._problem(number)
        return number

    def _check_usable(self) -> None:
        """Raises when the node cannot be used, or not here."""
        self._handle.check_usable()

    def _answer(self, function: Callable[..., int], *arguments: Any) -> int:
        code = function(*arguments)
        self._schedule_flush()
        return code

    def _forget(self, context: Any, request: int, error: bytes) -> None:
        self._canceled.ended(request)
        lib.clouds_fail(context, request, error, len(error), None, 0)

    def _longest_close(self, drain: float) -> float:
        """So long may closing take in all, whatever a peer or Redis does. Below 0 is the node's own limit."""
        return (self._drain if drain < 0 else drain) + self._linger + CLOSE_MARGIN

    def _serves_here(self) -> bool:
        """Is this in a handler of this node, which has not answered yet?"""
        serving = request()
        return serving is not None and serving._owner is self and serving._open

    def _count(self, name: str) -> None:
        with self._counting:
            self._counts[name] = self._counts.get(name, 0) + 1

    def _too_slow(self, what: str, then: str) -> None:
        log.warning("%s: %s are too slow: %d events or %d bytes wait for them; %s", self.id, what, *self._limits, then)

    def _warn_unclosed(self) -> None:
        handle: Optional[Handle] = getattr(self, "_handle", None)
        if handle is None or sys.is_finalizing() or handle.forked():
            return
        if handle.forgotten or not handle.closing:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=3, source=self)

    # ---- operations: they end with an event

    def _begin(self, function: Callable[..., int], *arguments: Any, then: Optional[Callable[[], None]] = None,
               timeout: Optional[float] = None) -> Any:
        """Starts an operation; its future."""
        self._handle.check_usable()
        future, number = self._new_future(), ctypes.c_uint64()
        future.add_done_callback(self._operation_ended)
        self._checked(function(self._node, *arguments, _limit(check_wait(timeout)), ctypes.byref(number)))
        self._operations.begun(number.value, Operation(future, then))
        self._check_closed()
        self._schedule_flush()
        return future

    def _operation_ended(self, future: Any) -> None:
        """Does nothing. By this the future references the node, else the node could be collected meanwhile."""

    def _check_closed(self) -> None:
        """Ends what was just added, when another thread has meanwhile read the last event."""
        if self._handle.over.is_set():
            self._end_operations()

    def _begin_send(self, receiver: Any, value: Any, confirm: bool, timeout: Optional[float]) -> Any:
        """A future for the number of receivers, with `confirm`; else None."""
        if not isinstance(receiver, str):
            raise TypeError(f"expected the id of a node, got {receiver!r}")
        to, what = receiver.encode(), payload_of(value)
        if confirm:
            return self._begin(lib.clouds_node_send_payload, to, len(to), what, _abi.CLOUDS_SEND_CONFIRM,
                               timeout=timeout)
        self._checked(lib.clouds_node_send_payload(self._node, to, len(to), what, 0, None, None))
        self._schedule_flush()
        return None

    def _begin_ping(self, timeout: Optional[float]) -> Any:
        """A future that ends when the bus has answered: to whom it is sent, nobody is."""
        to = f"{self.id}.ping".encode()
        return self._begin(lib.clouds_node_send, to, len(to), b"null", 4, _abi.CLOUDS_SEND_CONFIRM, timeout=timeout)

    def _check_ping(self, receivers: Optional[int], timeout: Optional[float]) -> None:
        """Raises when the bus did not say how many got it: it has not answered in time."""
        if receivers is None:
            raise self._not_in_time("the bus did not answer", self._wait_limit(timeout))

    def _known_reason(self) -> Optional[Error]:
        """Why things do not go on, as far as it is known."""
        if isinstance(self._readiness, Error):
            return self._readiness
        return self._down or next(iter(self._failed.values()), None)

    def _wait_limit(self, timeout: Optional[float]) -> float:
        """The longest wait where `timeout` was given, or not."""
        seconds = check_wait(timeout)
        return self._operation_timeout if seconds is None else seconds

    def _not_in_time(self, what: str, timeout: float) -> Timeout:
        """Somebody waited too long."""
        reason = self._known_reason()
        words = f"{what} within {timeout:g} s" + (f": {reason}" if reason is not None else "")
        problem = Timeout(words, code=CallTimeout.default_code, outcome="UNKNOWN" if reason is None else reason.outcome)
        problem.node, problem.__cause__ = self.id, reason
        return problem

    def _begin_unregister(self, method: Any, timeout: Optional[float]) -> Any:
        method = method_text(method)
        name, entry = method.encode(), self._methods.get(method)
        future = self._begin(lib.clouds_node_unregister, name, len(name), timeout=timeout,
                             then=lambda: self._withdraw(method, entry))
        self._failed.pop(method, None)
        return future

    def _begin_pause(self, method: Optional[str], paused: bool, timeout: Optional[float]) -> Any:
        name = b"" if method is None else method_name(method)
        return self._begin(lib.clouds_node_pause, name, len(name), int(paused), timeout=timeout)

    def _withdraw(self, method: str, entry: Optional[MethodEntry]) -> None:
        """Forgets a handler, unless the method was registered anew meanwhile."""
        found = self._methods.pop(method, None)
        if found is not None and found is not entry:
            self._methods.setdefault(method, found)

    def _begin_register(self, method: str, handler: _Handler, limits: Any, schema: Any) -> None:
        """Registers a method. It goes on by itself; ready() waits for it."""
        method = method_text(method)
        name, number = method.encode(), ctypes.c_uint64()
        self._check_usable()
        offer = offer_of(limits, schema, check_function(handler))
        before = self._methods.get(method)
        self._methods[method] = MethodEntry(handler)
        code = lib.clouds_node_offer(self._node, name, len(name), offer, ctypes.byref(_UNLIMITED), ctypes.byref(number))
        if code < 0:
            if before is None:
                del self._methods[method]
            else:
                self._methods[method] = before
            raise self._problem(code)
        self._operations.begun(number.value, Registration())
        self._check_ready()
        self._handle.serves = True
        self._schedule_flush()

    def _begin_ready(self) -> Any:
        """A future that ends when the node listens and everything registered until now is."""
        self._handle.check_usable()
        future = self._new_future()
        self._waiting.append(future)
        future.add_done_callback(self._waits_no_more)
        self._check_ready()
        self._check_closed()
        return future

    def _waits_no_more(self, future: Any) -> None:
        try:
            self._waiting.remove(future)
        except ValueError:  # it was taken out to be resolved
            pass

    def _check_ready(self) -> None:
        if self._readiness is None or not self._waiting or self._operations.registering():
            return
        problem: Optional[Error] = next(iter(self._failed.values()), None)
        problem = self._readiness if isinstance(self._readiness, Error) else problem
        for future in take_all(self._waiting):
            settle(future, None, problem)

    def _end_operations(self) -> None:
        """The context is gone: nothing will come any more."""
        problem = self._problem(_abi.CLOUDS_ECLOSED)
        self._operations.fail(problem)
        self._channels.end(problem)
        for future in take_all(self._waiting):
            settle(future, None, problem)

    def counters(self) -> Dict[str, int]:
        """The library's counters of this connection, by name."""
        self._check_usable()
        found: Dict[str, int] = {}
        name, value = ctypes.c_char_p(), ctypes.c_uint64()
        while lib.clouds_counter(self._context, None, len(found), ctypes.byref(name), ctypes.byref(value)) == 0:
            found[(name.value or b"").decode()] = value.value
        for counted, number in list(self._counts.items()):
            found[counted] = found.get(counted, 0) + number
        return found

    def _configure(self, options: Dict[str, Any]) -> None:
        self._check_usable()
        chosen = choose(self._kind, self._mode, None, {name: options[name] for name in options if name != "url"})
        for name in ("url", *chosen.context):
            if name in options:
                raise TypeError(f"option '{name}' belongs to the connection, and cannot be changed")
        values = {name: value for name, value in chosen.node.items() if name != "type" or "type" in options}
        values.update({name: False for name in HOOKS if name in options and name not in chosen.hooks})
        self._drain = float(values.get("drain_timeout", self._drain))
        self._operation_timeout = float(values.get("operation_timeout", self._operation_timeout))
        with Options(values) as made:
            self._checked(lib.clouds_node_configure(self._node, made))
        hooks = {name: hook for name, hook in self._hooks.items() if name not in options}
        self._hooks = {**hooks, **chosen.hooks}
        self._schedule_flush()

    # ---- calling

    def _options(self, timeout: Optional[Number], deadline: Optional[Number], retry: Optional[int],
                 server: Optional[str], meta: Meta = None, key: Key = None, once: Key = None,
                 hedge: Optional[Number] = None, idempotent: bool = False, reply_to: Optional[str] = None,
                 correlation: Optional[str] = None, about: About = None) -> CallOptions:
        # Most calls have none, and a loop over them would be a good part of what a call in asyncio costs.
        if (timeout is None and deadline is None and retry is None and server is None and meta is None and key is None
                and once is None and hedge is None and reply_to is None and correlation is None and about is None
                and not idempotent):
            return self._plain
        more = more_of(key, once, hedge, idempotent, reply_to, correlation, about)
        return CallOptions(self._flags, timeout, deadline, retry, server, meta, more)

    def notify(self, method: str, *args: Any, timeout: Optional[Number] = None, deadline: Optional[Number] = None,
               retry: Optional[int] = None, server: Optional[str] = None, meta: Meta = None, key: Key = None,
               once: Key = None, reply_to: Optional[str] = None, correlation: Optional[str] = None,
               about: About = None) -> Any:
        """Calls a method, and wants no answer: it ends (to be awaited, in asyncio) when one server has the call.

        It is executed once at most. Raises clouds.Error when no server has it, or that is not known.
        """
        options = CallOptions(self._flags | _abi.CLOUDS_CALL_NOTIFY, timeout, deadline, retry, server, meta,
                              more_of(key, once, None, False, reply_to, correlation, about))
        return self._invoke(method_name(method), args, options)

    def _bind(self, method: str, retry: Optional[int], timeout: Optional[Number], deadline: Optional[Number],
              server: Optional[str], on_retry: Optional[_Handler]) -> _Handler:
        name, options = method_name(method), self._options(timeout, deadline, retry, server)
        if on_retry is None:
            def bound(*arguments: Any) -> Any:
                return self._invoke(name, arguments, options)
        else:
            how = Hooked(check_hook(on_retry), CallOptions(self._flags | _abi.CLOUDS_CALL_ASK, timeout, deadline, retry,
                                                           server))

            def bound(*arguments: Any) -> Any:
                return self._invoke_hooked(name, arguments, how)
        bound.__name__ = bound.__qualname__ = name.decode("utf-8", "replace")
        bound.__doc__ = f"Calls the method {method!r}."
        return bound

    # ---- listeners

    @overload
    def on(self, event: str) -> Callable[[_F], _F]: ...

    @overload
    def on(self, event: str, fn: _F) -> _F: ...

    def on(self, event: str, fn: Optional[_Handler] = None) -> Any:
        """Calls ``fn`` each time it happens: ``client.on("message", fn)``, or ``@client.on("message")``.

        "message": id of the sender, value. "unknown message": type, id of the sender, value, raw text. "ready".
        "exit": how many requests were left unanswered. "up"; "down": the error. "peer" (option peer_events): a server's id, its
        state, the method. "stop": who asks, seconds. "paused": who, the method, whether. A later one still gets "ready", "up".
        """
        name = listener_name(event)
        if fn is None:
            return lambda decorated: self.on(event, decorated)
        self._listeners[name] = self._listeners.get(name, []) + [check_function(fn)]
        if (name == "ready" and self._readiness is True) or (name == "up" and self.connected):
            self._run([fn], tuple, 0, SPARE)
        return fn

    def off(self, event: str, fn: Optional[_Handler] = None) -> None:
        """Takes a listener back, or all listeners of an event."""
        name = listener_name(event)
        self._listeners[name] = [other for other in self._listeners.get(name, []) if fn is not None and other != fn]

    def on_message(self, fn: _F) -> _F:
        """Calls ``fn`` with the sender's id and the value of each message: ``@client.on_message``."""
        return self.on("message", fn)

    def _emit(self, name: str, make: _Arguments = tuple, size: int = 0) -> None:
        fns = self._listeners.get(name)
        if fns and not self._run(fns, make, size, 0 if size else SPARE):
            self._count("dropped_events")

    def _event(self, event: Event) -> None:
        dispatch(self, event)
