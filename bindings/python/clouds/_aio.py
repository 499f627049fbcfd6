"""The nodes of the async API; clouds.aio has their kinds."""
import asyncio
import collections
import ctypes
import math
import threading
import types
import weakref
from typing import (TYPE_CHECKING, Any, Awaitable, Callable, Deque, Dict, Iterator, List, Optional, Set, Type, TypeVar, cast)

from clouds import _abi
from clouds._again import hand_in, hand_in_on
from clouds._asking import AsyncAsking
from clouds._call import Call, _set_result as set_result
from clouds._aio_watch import AsyncPublishing
from clouds._explain import AsyncExplaining
from clouds._error import Error
from clouds._events import Event, Records, failure
from clouds._faults import ignore, is_interrupt, log_failure
from clouds._delayed import contained, finish_later, outcome_of_hook, serve_later
from clouds._library import lib, undeclared
from clouds._listeners import QueuedEvent, await_listener, run_listeners
from clouds._node import NodeBase
from clouds._operations import settle
from clouds._options import About, CallOptions, Key, Meta, Number, drain_seconds, method_name, with_options
from clouds._readable import LoopReader
from clouds._request import Request, call_record, detached_context, inner as _inner, serve, serving as _serving
from clouds._retry import Hooked, HookedCall, begin_attempt
from clouds._signals import begin_signals, end_signals, has_run
from clouds._status import Status
from clouds._values import encode_list, results, results_at, with_bytes
from clouds.errors import AfterFork

_Self = TypeVar("_Self", bound="Node")

EVENTS, TEXT = 1024, 262144
_RESULT = _abi.CLOUDS_EVENT_RESULT
_running = asyncio.get_running_loop
_thread = threading.get_ident
_begin_call = undeclared("clouds_node_call")

if TYPE_CHECKING:
    from clouds._keywords import Awaited as _Keywords
else:
    class _Keywords:
        """The options as keyword arguments: which there are, the library says."""

        def __init__(self, url: Optional[str] = None, **options: Any) -> None:
            """Connects by itself, again and again; nothing has to wait for it.

            url: where to; without it the environment's CLOUDS_URL, else "local:". All other keyword arguments are
            options of docs/CONFIGURATION.md, and `retry`.
            """
            self._start(url, options)


@with_options
class Node(_Keywords, AsyncPublishing, AsyncExplaining, AsyncAsking, NodeBase):
    """What clients, servers, monitors and bases share."""

    _mode = "inline"

    def _start(self, url: Optional[str], options: Dict[str, Any]) -> None:
        self._make(url, options)
        self._calls: Dict[int, Call] = {}
        self._hooked_calls: Dict[int, HookedCall] = {}  # of calls with a hook
        self._tasks: "Set[asyncio.Future[Any]]" = set()  # handlers and hooks
        self._closing: "Set[asyncio.Future[Any]]" = set()  # those of them that wait for the end
        self._events: "Deque[QueuedEvent]" = collections.deque()  # what waits for a listener that takes its time
        self._event_bytes, self._full, self._flushing = 0, False, False
        self._listening: "Optional[asyncio.Future[Any]]" = None
        self._records = Records(EVENTS, TEXT)
        self._call_id = ctypes.c_uint64()
        self._call_ref = ctypes.byref(self._call_id)
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._reader = LoopReader(self._handle)
        self._finalizer = weakref.finalize(self, self._reader.end)
        self._closers: "List[asyncio.Future[Any]]" = []
        self._detached_context = detached_context()
        try:
            loop = _running()
        except RuntimeError:
            return  # made outside of a loop: it belongs to the one that uses it first
        self._attach(loop)

    async def __aenter__(self: _Self) -> _Self:
        self._own_loop()
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                        traceback: Optional[types.TracebackType]) -> None:
        await self.close()

    def __del__(self) -> None:
        self._warn_unclosed()

    # ---- the loop

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._reader.start(loop, self)
        self._loop = loop
        self._schedule_flush()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; a RuntimeError when it is not the node's."""
        loop = _running()
        if loop is not self._loop:
            if self._loop is not None:
                state = "is closed" if self._loop.is_closed() else "is another"
                raise RuntimeError(f"{self!r} belongs to an event loop, and that {state}")
            self._handle.check_usable()
            self._attach(loop)
        return loop

    def _pump(self) -> None:
        """Does the I/O that is due, and takes a batch of events: one foreign call."""
        self._flushing = False
        records = self._records
        count = records.poll(self._context, 0.0)
        if count < 0:
            self._fail_all(count)
            return
        if count == 0:
            return
        base, pop, text = records.text_address, self._calls.pop, records.ascii(count)
        room, interrupt, future = len(text), None, None
        left = enumerate(records.results(count))
        while True:
            try:
                for index, (kind, code, call, at, length, along) in left:
                    if kind != _RESULT:
                        self._event(records.event(records.at(index)))
                        continue
                    future = pop(call, None)
                    if future is None:
                        continue
                    try:
                        if future._about is not None:
                            future._about["server"] = records.peer(index)
                        if code:
                            future.set_exception(failure(records.event(records.at(index))))
                            continue
                        if along:
                            result = records.results_along(index)
                        elif length == 0 or at + length - base > room:
                            result = results(records.string(at, length))
                        else:
                            result = results_at(text, at - base, length)
                        set_result(future, result)
                    except asyncio.InvalidStateError:
                        continue
                    except Exception as problem:
                        future.set_exception(problem)
                        continue
                    wake = future._wake
                    if wake is not None:
                        future._wake = None
                        future._context.run(wake, future)
                break
            except BaseException as problem:  # Ctrl-C, or what ended a task: the others of this batch are not lost
                interrupt = problem
                if future is not None and future.done():
                    future._wake_later()
        if self._handle.over.is_set():
            self._end()
        if interrupt is not None:
            raise interrupt

    def _schedule_flush(self) -> None:
        if not self._flushing and self._loop is not None:
            self._flushing = True
            self._loop.call_soon(self._pump, context=self._detached_context)

    def _fail_all(self, code: int) -> None:
        """No event will come any more: the context is gone, or this is a forked child."""
        problem = self._problem(code)
        self._reader.stop()
        calls, self._calls = self._calls, {}
        for future in calls.values():
            settle(future, None, problem)
        self._end_operations()
        self._resolve_closers()

    def _end(self) -> None:
        self._reader.stop()
        self._handle.destroy()
        self._finalizer.detach()
        self._end_operations()
        for task in self._tasks - self._closing:
            task.cancel()
        self._resolve_closers()

    def _resolve_closers(self) -> None:
        closers, self._closers = self._closers, []
        for future in closers:
            settle(future)

    def _wait_over(self) -> "asyncio.Future[Any]":
        """A future for the end."""
        future = self._new_future()
        self._closers.append(future)
        if self._handle.over.is_set():
            self._resolve_closers()
        return future

    # ---- how the async API waits, and runs code of the program

    def _new_future(self) -> "asyncio.Future[Any]":
        return self._own_loop().create_future()

    def _spawn(self, awaitable: Awaitable[Any], then: Callable[["asyncio.Future[Any]"], None]) -> "asyncio.Future[Any]":
        task = asyncio.ensure_future(awaitable)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(then)
        return task

    def _run(self, fns: List[Callable[..., Any]], make: Callable[[], Any], size: int, spare: int) -> bool:
        if self._listening is None and not self._events:
            going = run_listeners(fns, make)
            first = next(going, None)
            if first is not None:
                self._listening = asyncio.ensure_future(self._drain_events(first, going))
            return True
        kept = self._enqueue(fns, make, size, spare)
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._drain_events(None, iter(())))
        return kept

    def _enqueue(self, fns: List[Callable[..., Any]], make: Callable[[], Any], size: int, spare: int) -> bool:
        """Keeps an event until the listeners are through with those before; False when too much waits already."""
        count, limits = len(self._events), self._limits
        if count and (count >= limits.items + spare or (self._event_bytes + size > limits.bytes and not spare)):
            if not self._full:
                self._full = True
                self._too_slow("listeners", "further messages are dropped")
            return False
        self._event_bytes += size
        self._events.append((fns, make, size))
        return True

    async def _drain_events(self, first: Optional[Awaitable[Any]], going: Iterator[Awaitable[Any]]) -> None:
        """The listeners of one event after those of the other, since one of them has to be awaited."""
        try:
            while True:
                while first is not None:
                    await await_listener(first)
                    first = next(going, None)
                if not self._events:
                    return
                fns, make, size = self._events.popleft()
                self._event_bytes -= size
                self._full = self._full and bool(self._events)
                going = run_listeners(fns, make)
                first = next(going, None)
        finally:
            self._listening = None

    def _run_hook(self, fn: Callable[..., Any], arguments: List[Any], then: Callable[[Any], None], size: int) -> bool:
        answer = None
        try:
            answer = fn(*arguments)
        except BaseException as problem:
            log_failure("a hook failed", problem)
            if is_interrupt(problem):
                then(None)
                raise
        if not asyncio.iscoroutine(answer) or isinstance(answer, Call):
            then(answer)
        elif len(self._tasks) >= self._most_requests:
            answer.close()
            return False
        else:
            self._spawn(contained(answer), lambda task: then(outcome_of_hook(task)))
        return True

    def _serve(self, request: Request, handler: Callable[..., Any], event: Event) -> bool:
        if len(self._tasks) >= self._most_requests:
            return False
        result = serve(request, handler, event, self._finish_later)
        if result is not None:
            self._canceled.watch(request.id, self._spawn(serve_later(request, result), ignore))
        return True

    def _finish_later(self, rest: Iterator[float]) -> None:
        """What could not be queued now is tried again meanwhile."""
        self._spawn(finish_later(rest), ignore)

    def _on_other_thread(self) -> bool:
        """Is this another thread than that of the running loop?"""
        return (self._loop is not None and self._loop.is_running()
                and threading.get_ident() != self._reader.thread)

    def _check_usable(self) -> None:
        super()._check_usable()
        if self._on_other_thread():
            raise RuntimeError(f"{self!r} belongs to an event loop, and may be used on the thread of that only")

    def _answer(self, function: Callable[..., int], *arguments: Any) -> int:
        loop = self._loop
        if loop is not None and self._on_other_thread():  # whether it was in time is not reported
            loop.call_soon_threadsafe(self._answer, function, *arguments)
            return 0
        self._own_loop()
        return super()._answer(function, *arguments)

    def _forget(self, context: Any, request: int, error: bytes) -> None:
        loop = self._loop
        if loop is None or not loop.is_running():
            return
        if self._on_other_thread():
            loop.call_soon_threadsafe(self._forget, context, request, error)
            return
        super()._forget(context, request, error)
        self._schedule_flush()

    def _cancel_call(self, call: int) -> None:
        if self._calls.pop(call, None) is not None:
            hand_in_on(self._loop, self, lib.clouds_cancel, call)

    def _invoke(self, method: bytes, arguments: Any, options: CallOptions) -> Call:
        loop = self._loop
        if loop is None or _thread() != self._reader.thread or not loop.is_running():
            # It is not known to be the running loop; to ask for that costs a system call.
            try:
                loop = _running()
            except RuntimeError:
                if not self._on_other_thread():
                    raise
                return cast(Call, self._invoke_on_loop(self._invoke, method, arguments, options))
            self._own_loop()
        text = encode_list(arguments, with_bytes)
        plain = _serving() is None and _inner() is None and type(text) is bytes
        code = _begin_call(self._node, method, len(method), text, len(text),
                           options.prepared if plain else call_record(self._context, options, text), self._call_ref)
        future = Call(loop=loop)
        future._owner, future._about, future._wake = self, options.about, None
        if code:
            future._id = 0
            future.set_exception(self._problem(code))
            return future
        future._id = call = self._call_id.value
        self._calls[call] = future
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._pump, context=self._detached_context)
        return future

    async def _invoke_on_loop(self, invoke: Callable[..., Call], *arguments: Any) -> Any:
        """On another thread a call is a coroutine for the node's loop: asyncio.run_coroutine_threadsafe takes it."""
        return await invoke(*arguments)

    def _invoke_hooked(self, method: bytes, arguments: Any, how: Hooked) -> Call:
        if self._on_other_thread():
            return cast(Call, self._invoke_on_loop(self._invoke_hooked, method, arguments, how))
        call = self._invoke(method, arguments, how.options)
        if not call.done():
            number, hooked = call._id, HookedCall(how, arguments, encode_list(arguments, with_bytes))
            self._hooked_calls[number] = hooked
            call.add_done_callback(lambda _: self._hooked_call_ended(number))
        return call

    def _hooked_call_ended(self, call: int) -> None:
        hooked = self._hooked_calls.pop(call, None)
        if hooked is not None:
            hooked.end()

    def _on_attempt(self, event: Event) -> None:
        call, found = event.id, self._hooked_calls.get(event.id)
        if found is None:
            return
        hooked: HookedCall = found
        try:
            given = hooked.on_retry(*hooked.arguments)
            if asyncio.iscoroutine(given) and not isinstance(given, Call):
                hooked.going = asyncio.ensure_future(contained(given))
                hooked.going.add_done_callback(lambda task: self._hook_done(call, hooked, task))
                return
            begin_attempt(self, call, hooked.answer(given))
        except BaseException as problem:
            self._hook_failed(call, problem)
            if is_interrupt(problem):
                raise

    def _hook_done(self, call: int, hooked: HookedCall, task: "asyncio.Future[Any]") -> None:
        try:
            begin_attempt(self, call, hooked.answer_of(task))
        except BaseException as problem:
            self._hook_failed(call, problem)

    def _hook_failed(self, call: int, problem: BaseException) -> None:
        """What the hook raised ends the call."""
        future = self._calls.pop(call, None)
        if future is not None:
            hand_in(self, lib.clouds_cancel, call)
            if not future.done():
                future.set_exception(problem)

    # ---- what programs use

    def call(self, method: str, *args: Any, timeout: Optional[Number] = None, deadline: Optional[Number] = None,
             retry: Optional[int] = None, server: Optional[str] = None, meta: Meta = None, key: Key = None,
             once: Key = None, hedge: Optional[Number] = None, idempotent: bool = False, reply_to: Optional[str] = None,
             correlation: Optional[str] = None, about: About = None) -> "Call":
        """Calls a method: ``await client.call("test.hello", "Glen")`` gives its result, or raises clouds.Error.

        The call begins at once, awaited or not. timeout: seconds for one attempt, deadline: for the whole call. server:
        the id of the only node to ask. The others: docs/PYTHON.md. Several results come as clouds.Values.
        """
        options = self._options(timeout, deadline, retry, server, meta, key, once, hedge, idempotent, reply_to,
                                correlation, about)
        return self._invoke(method.encode() if type(method) is str else method_name(method), args, options)

    def bind(self, method: str, retry: Optional[int] = None, *, timeout: Optional[Number] = None,
             deadline: Optional[Number] = None, server: Optional[str] = None,
             on_retry: Optional[Callable[..., Any]] = None) -> "Callable[..., Call]":
        """A function of the method's arguments, to be awaited.

        on_retry, which may be async, is called with the arguments before every attempt, the first included; a list or
        tuple that it gives are the arguments of that attempt.
        """
        return self._bind(method, retry, timeout, deadline, server, on_retry)

    def send(self, receiver: str, value: Any = None, *, confirm: bool = False,
             timeout: Optional[float] = None) -> "Awaitable[Optional[int]]":
        """Sends a value to another node, and forgets; it is sent at once, awaited or not.

        With confirm, awaiting it gives how many nodes got it; None: not known. timeout: the longest wait for that, in
        seconds.
        """
        self._own_loop()
        future = self._begin_send(receiver, value, confirm, timeout)
        if future is None:
            future = self._new_future()
            future.set_result(None)
        return cast("Awaitable[Optional[int]]", future)

    def status(self, timeout: Optional[float] = None) -> "Awaitable[Status]":
        """Who serves what: ``{"servers": {id: [methods]}, "methods": {name: [ids]}}``, and states, seen and own."""
        return cast("Awaitable[Status]", self._begin(lib.clouds_node_status, timeout=timeout))

    async def ping(self, timeout: Optional[float] = None) -> float:
        """Goes to the bus and back, and gives the seconds that it took; raises why it could not."""
        loop = self._own_loop()
        begun = loop.time()
        self._check_ping(await self._begin_ping(timeout), timeout)
        return loop.time() - begun

    async def ready(self, timeout: Optional[float] = None) -> None:
        """Waits until the node listens, and everything that was registered until now is. Nothing has to wait for it.

        Raises what went wrong; clouds.Timeout when `timeout` seconds passed first (without it: those of the option
        operation_timeout). It is tried on then, and may be waited for again.
        """
        seconds, future = self._wait_limit(timeout), self._begin_ready()
        timer = self._own_loop().call_later(
            seconds, lambda: settle(future, None, self._not_in_time("not ready", seconds)))
        future.add_done_callback(lambda _: timer.cancel())
        await future

    async def close(self, drain: Optional[float] = None) -> None:
        """Stops the node in order: unregisters, serves what it has accepted for up to `drain` seconds, and disconnects.

        Without `drain` the option drain_timeout says how long. A second time does nothing. In a handler of this node it
        only begins that, since the handler is one of those that are waited for.
        """
        if not self._finalizer.alive:
            return
        if self._handle.forked():
            self._finalizer()
            return
        seconds, future = drain_seconds(drain), self._wait_over()
        self._handle.close(seconds)
        self._schedule_flush()
        if self._serves_here():
            return
        task = asyncio.current_task()
        if task is not None:
            self._closing.add(task)
        try:
            limit = self._longest_close(seconds)
            await asyncio.wait([future], timeout=None if math.isinf(limit) else limit)
        finally:
            self._closing.discard(cast("asyncio.Future[Any]", task))
        if not future.done():  # it takes longer than it may
            self._fail_all(_abi.CLOUDS_ECLOSED)
            self._end()

    async def run(self) -> None:
        """Waits until the node is closed. SIGINT, SIGTERM and cancelling close it in order."""
        if self._handle.forked():
            raise AfterFork()
        loop, stop, over = self._own_loop(), self._new_future(), self._wait_over()
        begin_signals(loop, stop, self)
        try:
            await asyncio.wait([stop, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            end_signals(loop, stop)
            await self.close()
            await has_run(loop)
