"""The nodes of the sync API. A thread of the library does the I/O; callers wait in the library without the GIL.

One thread of each node takes its events and hands them to the threads that run handlers, listeners and hooks.
"""
import concurrent.futures
import ctypes
import os
import signal
import sys
import threading
import time
import types
import weakref
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Iterator, List, Optional, Type, TypeVar, Union

from clouds import _abi
from clouds._again import hand_in
from clouds._asking import SyncAsking
from clouds._channels import SyncPublishing
from clouds._explain import SyncExplaining
from clouds._events import Event, Records, log_line, size_of
from clouds._handle import Handle, finalize
from clouds._library import lib, undeclared
from clouds._faults import log_failure
from clouds._node import NodeBase
from clouds._options import About, CallOptions, Key, Meta, Number, drain_seconds, method_name, with_options
from clouds._request import Request, call_record, inner as _inner, serve, serving as _serving
from clouds._retry import HookedCall, Hooked, begin_attempt
from clouds._serving import Serving
from clouds._status import Status
from clouds._threads import SPARE, Limits, Pool, at_exit, check_real, cancel_at_exit, start
from clouds._values import encode_list, with_bytes
from clouds._worker import worker
from clouds.errors import AfterFork

_Self = TypeVar("_Self", bound="Node")

SLICE = 0.1  # so long a signal may wait for the main thread to hear of it
EVENTS, TEXT = 256, 65536
_call = undeclared("clouds_node_call")


class _ResultBuffer:
    """Where the result of a call arrives."""

    __slots__ = ("records", "call", "call_ref")

    def __init__(self) -> None:
        self.records = Records(1, 4096)
        self.call = ctypes.c_uint64()
        self.call_ref = ctypes.byref(self.call)


# Those that no call uses. Not one for each thread: a signal's handler or a finalizer may call in the middle of a call.
_result_buffers: List[_ResultBuffer] = []


def _deliver(ref: "weakref.ref[Node]", handle: Handle) -> None:
    """The thread that takes a node's events. It does not keep the node alive."""
    records = Records(EVENTS, TEXT)
    while True:
        count = records.poll(handle.context, -1)
        if count < 0:
            break
        node = ref()
        for event in records.events(count):
            if event.type == _abi.CLOUDS_EVENT_CONTEXT_CLOSED:
                handle.over.set()
            if node is not None:
                node._event(event)
            elif event.type == _abi.CLOUDS_EVENT_LOG:
                log_line(event)
        del node
        if handle.over.is_set():
            break
    handle.over.set()
    node = ref()
    if node is not None:
        node._end_operations()


class _Threads:
    """The threads of a node that run code of the program, apart from each other so that none waits for the other."""

    def __init__(self, workers: int, limits: Limits, too_slow: Callable[[str, str], None]) -> None:
        self.handlers = Pool(workers, "clouds-handler", limits,
                             lambda: too_slow("handlers", "further requests are refused"))
        self.listeners = Pool(1, "clouds-listener", limits,
                              lambda: too_slow("listeners", "further messages are dropped"))
        self.hooks = Pool(4, "clouds-hook", limits, lambda: too_slow("hooks", "no further ones are run"))

    def stop(self) -> None:
        for pool in (self.handlers, self.listeners, self.hooks):
            pool.stop()


def _wait_over(handle: Handle, seconds: float) -> None:
    handle.over.wait(seconds)


def _end(handle: Handle, threads: _Threads, deliverer: List[threading.Thread]) -> None:
    """The end of a node that nobody closed."""
    if threading.current_thread() in deliverer:
        handle.forgotten = True
        handle.destroy()  # it cannot wait for itself
    else:
        finalize(handle, _wait_over)
    if not handle.forked():
        threads.stop()


if TYPE_CHECKING:
    from clouds._keywords import Waiting as _Keywords
else:
    class _Keywords:
        """The options as keyword arguments: which there are, the library says."""

        def __init__(self, url: Optional[str] = None, *, workers: Optional[int] = None, **options: Any) -> None:
            """Connects by itself, again and again; nothing has to wait for it.

            url: where to; without it the environment's CLOUDS_URL, else "local:". workers: the most handlers that run
            at a time. All other keyword arguments are options of docs/CONFIGURATION.md, and `retry`.
            """
            self._start(url, workers, options)


@with_options
class Node(_Keywords, SyncPublishing, SyncExplaining, SyncAsking, NodeBase):
    """What clients, servers, monitors and bases share. Any number of threads may use a node at the same time."""

    _mode = "thread"
    _flags = _abi.CLOUDS_CALL_WAIT

    def _start(self, url: Optional[str], workers: Optional[int], options: Dict[str, Any]) -> None:
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise ValueError(f"workers: expected a whole number from 1 on, got {workers!r}")
        check_real()
        self._make(url, options)
        self._threads = _Threads(workers or min(32, (os.cpu_count() or 1) + 4), self._limits, _weak_too_slow(self))
        self._running = 0  # async handlers
        deliverer: List[threading.Thread] = []
        self._finalizer = weakref.finalize(self, _end, self._handle, self._threads, deliverer)
        at_exit(self._finalizer)
        deliverer.append(start("clouds-events", _deliver, weakref.ref(self), self._handle))

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 traceback: Optional[types.TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        self._warn_unclosed()

    # ---- how the sync API waits, and runs code of the program

    def _new_future(self) -> "concurrent.futures.Future[Any]":
        return concurrent.futures.Future()

    def _run(self, fns: List[Callable[..., Any]], make: Callable[[], Any], size: int, spare: int) -> bool:
        return self._threads.listeners.submit(_run_listeners, fns, make, size=size, spare=spare)

    def _run_hook(self, fn: Callable[..., Any], arguments: List[Any], then: Callable[[Any], None], size: int) -> bool:
        return self._threads.hooks.submit(_run_hook, fn, arguments, then, size=size, spare=SPARE)

    def _serve(self, request: Request, handler: Callable[..., Any], event: Event) -> bool:
        return self._threads.handlers.submit(_serve, self, request, handler, event, size=size_of(event),
                                             given_up=request._over)

    def _finish_later(self, rest: Iterator[float]) -> None:
        from clouds._delayed import finish_later, in_background
        in_background(finish_later(rest))

    def _invoke(self, method: bytes, arguments: Any, options: CallOptions) -> Any:
        return self._begin_call(method, encode_list(arguments, with_bytes), options, None)

    def _invoke_hooked(self, method: bytes, arguments: Any, how: Hooked) -> Any:
        text = encode_list(arguments, with_bytes)
        hooked = HookedCall(how, arguments, text)
        try:
            return self._begin_call(method, text, how.options, hooked)
        finally:
            hooked.end()

    def _begin_call(self, method: bytes, text: bytes, options: CallOptions, hooked: Optional[HookedCall]) -> Any:
        plain = _serving() is None and _inner() is None and type(text) is bytes
        record = options.prepared if plain else call_record(self._context, options, text)
        try:
            buffer = _result_buffers.pop()
        except IndexError:
            buffer = _ResultBuffer()
        buffer.call.value = 0
        try:
            code = _call(self._node, method, len(method), text, len(text), record, buffer.call_ref)
            if code < 0:
                raise self._problem(code)
            return self._wait(buffer, options, hooked)
        except BaseException:
            if buffer.call.value:  # Ctrl-C, or what a signal's handler raised: nobody will take the result
                hand_in(self, lib.clouds_cancel, buffer.call.value)
                hand_in(self, lib.clouds_cancel, buffer.call.value)  # so it is dropped
            raise
        finally:
            _result_buffers.append(buffer)

    def _wait(self, buffer: _ResultBuffer, options: CallOptions, hooked: Optional[HookedCall]) -> Any:
        main = threading.get_ident() == threading.main_thread().ident
        while True:
            count = buffer.records.wait(self._context, buffer.call.value, SLICE if main else -1.0)
            if count == 0:
                continue
            if count < 0 or hooked is None or not buffer.records.is_attempt():
                break
            self._run_on_retry(buffer.call.value, hooked)
        buffer.call.value = 0  # it is over
        if hooked is not None and hooked.problem is not None:
            raise hooked.problem
        if count < 0:
            raise self._problem(count)
        if options.about is not None:
            options.about["server"] = buffer.records.peer()
        return buffer.records.result()

    def _run_on_retry(self, call: int, hooked: HookedCall) -> None:
        """Asks the hook, in the thread that waits. An async one is not waited for: the call may end before it does."""
        given = hooked.on_retry(*hooked.arguments)
        if not isinstance(given, types.CoroutineType):
            begin_attempt(self, call, hooked.answer(given))
            return
        from clouds._delayed import contained, in_background
        hooked.going = in_background(contained(given))
        hooked.going.add_done_callback(lambda future: self._hook_done(call, hooked, future))

    def _hook_done(self, call: int, hooked: HookedCall, future: "concurrent.futures.Future[Any]") -> None:
        try:
            begin_attempt(self, call, hooked.answer_of(future))
        except BaseException as problem:
            hooked.problem = problem
            hand_in(self, lib.clouds_cancel, call)

    def _await_result(self, request: Request, handler: Callable[..., Any], result: Awaitable[Any]) -> None:
        """Awaits what an async handler gives, in the loop for these."""
        from clouds._delayed import in_background, serve_later
        with self._counting:
            full = self._running >= self._most_requests
            self._running += 0 if full else 1
        if full:
            self._count("queue_refusals")
            request._without_room(handler, result)
            return
        future = in_background(serve_later(request, result))
        future.add_done_callback(self._awaited)
        self._canceled.watch(request.id, future)

    def _awaited(self, _: Any) -> None:
        with self._counting:
            self._running -= 1

    # ---- what programs use

    def call(self, method: str, *args: Any, timeout: Optional[Number] = None, deadline: Optional[Number] = None,
             retry: Optional[int] = None, server: Optional[str] = None, meta: Meta = None,
             key: Key = None, once: Key = None, hedge: Optional[Number] = None, idempotent: bool = False,
             reply_to: Optional[str] = None, correlation: Optional[str] = None, about: About = None) -> Any:
        """Calls a method, and gives its result; raises clouds.Error when it failed.

        timeout: seconds for one attempt. deadline: seconds for the whole call. retry: further attempts after a
        timeout, or when no server is there. server: the id of the only node to ask. meta: a dict that goes
        along. Several results come as clouds.Values.
        about: a dict that gets "server", the id of who answered. The others: docs/PYTHON.md.
        """
        return self._invoke(method_name(method), args, self._options(
            timeout, deadline, retry, server, meta, key, once, hedge, idempotent, reply_to, correlation, about))

    def bind(self, method: str, retry: Optional[int] = None, *, timeout: Optional[Number] = None,
             deadline: Optional[Number] = None, server: Optional[str] = None,
             on_retry: Optional[Callable[..., Any]] = None) -> Callable[..., Any]:
        """A function of the method's arguments.

        on_retry is called with the arguments before every attempt, the first included; a list or tuple that it gives
        are the arguments of that attempt.
        """
        return self._bind(method, retry, timeout, deadline, server, on_retry)

    def send(self, receiver: str, value: Any = None, *, confirm: bool = False,
             timeout: Optional[float] = None) -> Optional[int]:
        """Sends a value to another node, and forgets. With confirm it gives how many nodes got it; None: not known.

        timeout: the longest wait for that, in seconds.
        """
        future = self._begin_send(receiver, value, confirm, timeout)
        return None if future is None else future.result()

    def status(self, timeout: Optional[float] = None) -> Status:
        """Who serves what: ``{"servers": {id: [methods]}, "methods": {name: [ids]}}``, and states, seen and own."""
        future = self._begin(lib.clouds_node_status, timeout=timeout)
        result: Status = future.result()
        return result

    def ping(self, timeout: Optional[float] = None) -> float:
        """Goes to the bus and back, and gives the seconds that it took; raises why it could not."""
        begun = time.monotonic()
        self._check_ping(self._begin_ping(timeout).result(), timeout)
        return time.monotonic() - begun

    def ready(self, timeout: Optional[float] = None) -> None:
        """Waits until the node listens, and everything that was registered until now is. Nothing has to wait for it.

        Raises what went wrong; clouds.Timeout when `timeout` seconds passed first (without it: those of the option
        operation_timeout). It is tried on then, and may be waited for again.
        """
        seconds, future = self._wait_limit(timeout), self._begin_ready()
        if concurrent.futures.wait([future], seconds).done:
            future.result()
            return
        future.cancel()
        raise self._not_in_time("not ready", seconds)

    def close(self, drain: Optional[float] = None) -> None:
        """Stops the node in order: unregisters, serves what it has accepted for up to `drain` seconds, and disconnects.

        Without `drain` the option drain_timeout says how long. A second time does nothing. In a handler of this node it
        only begins that, since the handler is one of those that are waited for.
        """
        handle = self._handle
        if not self._finalizer.alive:
            return
        seconds = drain_seconds(drain)
        if handle.forked():
            self._close_rest(0)
            return
        handle.close(seconds)
        limit = self._longest_close(seconds)
        if self._serves_here() or _is_on_the_loop():
            start("clouds-close", self._close_rest, limit)
        else:
            self._close_rest(limit)

    def _close_rest(self, limit: float) -> None:
        """Waits for the end, and makes one when that takes longer than it may."""
        handle = self._handle
        try:
            if not handle.forked():
                handle.over.wait(min(limit, threading.TIMEOUT_MAX))
        finally:
            handle.destroy()
            cancel_at_exit(self._finalizer)
            if self._finalizer.detach() and not handle.forked():
                self._threads.stop()

    def run(self) -> None:
        """Waits until the node is closed. Ctrl-C, and in the main thread also SIGTERM, close it in order."""
        if self._handle.forked():
            raise AfterFork()
        main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM) if main else None
        worker._runs(self)
        try:
            if main:  # here, since from now on it may come at any moment
                signal.signal(signal.SIGTERM, signal.default_int_handler if worker.solo else worker._on_term)
            self._handle.over.wait()
        except KeyboardInterrupt:
            worker._signaled()
        finally:
            if main:
                signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
            self.close(worker._seconds)
            worker._has_run()


class Client(Node):
    """A node that calls.

    ::

        with clouds.Client("redis://127.0.0.1:6379", timeout=2) as client:
            print(client.call("test.hello", "Glen", "hi"))
    """

    _kind = "client"


@with_options
class Server(Serving, Node):
    """A node that serves. It can also call.

    ::

        server = clouds.Server("redis://127.0.0.1:6379")

        @server.register("test.hello")
        def hello(name, msg):
            return f"Hello {name}, {msg}"

        server.run()
    """

    _kind = "server"

    def unregister(self, method: str, *, timeout: Optional[float] = None) -> None:
        """Takes a method back, and waits until that is done. Requests it has accepted are still answered."""
        self._begin_unregister(method, timeout).result()

    def pause(self, method: Optional[str] = None, *, timeout: Optional[float] = None) -> None:
        """Takes no calls for a method, or for all: callers go to other servers, or wait where they have retries.

        What was accepted is still answered.
        """
        self._begin_pause(method, True, timeout).result()

    def resume(self, method: Optional[str] = None, *, timeout: Optional[float] = None) -> None:
        """Takes calls again; without a name for all methods."""
        self._begin_pause(method, False, timeout).result()


class Monitor(Server):
    """A node that asks who serves what; it can do all that others can."""

    _kind = "monitor"


class Base(Server):
    """A node that can do everything. Its option `type` gives the id its first letter."""

    _kind = "base"


def _is_on_the_loop() -> bool:
    """Is this the thread of all async functions? It may not wait for one of them."""
    on_the_loop = getattr(sys.modules.get("clouds._delayed"), "on_the_loop", None)  # another thread may be loading it
    return on_the_loop is not None and bool(on_the_loop())


def _weak_too_slow(node: Node) -> Callable[[str, str], None]:
    """The node's way to say that something is too slow, which does not keep it alive."""
    ref = weakref.ref(node)

    def too_slow(what: str, then: str) -> None:
        found = ref()
        if found is not None:
            found._too_slow(what, then)
    return too_slow


# ---- what the threads run: nothing that goes wrong may end them

def _finished(result: Any) -> Any:
    """What a function of the program gave; of an `async def` what it gives in the end."""
    if not isinstance(result, types.CoroutineType):
        return result
    from clouds._delayed import contained, in_background
    value, problem = in_background(contained(result)).result()
    if problem is not None:
        raise problem
    return value


def _run_listeners(fns: List[Callable[..., Any]], make: Callable[[], Any]) -> None:
    try:
        arguments = make()
    except BaseException as problem:
        log_failure("an event could not be read", problem)
        return
    for fn in fns:
        try:
            _finished(fn(*arguments))
        except BaseException as problem:
            log_failure("a listener failed", problem)


def _run_hook(fn: Callable[..., Any], arguments: List[Any], then: Callable[[Any], None]) -> None:
    answer: Union[str, None] = None
    try:
        answer = _finished(fn(*arguments))
    except BaseException as problem:
        log_failure("a hook failed", problem)
    try:
        then(answer)
    except BaseException as problem:
        log_failure("what a hook gave could not be used", problem)


def _finish_now(rest: Iterator[float]) -> None:
    """Repeats an answer that could not be queued, in the thread of the handler."""
    for pause in rest:
        time.sleep(pause)


def _serve(node: Node, request: Request, handler: Callable[..., Any], event: Event) -> None:
    if request._over():
        return
    try:
        result = serve(request, handler, event, _finish_now)
        if result is not None:
            node._await_result(request, handler, result)
    except BaseException as problem:
        log_failure("a request could not be answered", problem)
