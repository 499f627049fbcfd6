"""The connections of a worker: who takes them, what is under way, and the listeners of a program that accepts.

A connection is open while its taker runs or its socket is not closed, whichever is longer: a socket may be handed on, as to a
transport of asyncio, and a taker may have put another in its place, as for TLS.
"""
import contextvars
import ctypes
import functools
import inspect
import json
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple, Union

from clouds import _abi
from clouds._faults import log, log_failure
from clouds._library import error, lib
from clouds._worker_sockets import Connection, Listener

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop as _Loop
    from types import TracebackType
    from typing import Type

Port = Union[int, str]
Taker = Callable[[socket.socket, Port], Any]


def check(code: int) -> None:
    """The error of a function of the library, but for the end of the master, which is told otherwise."""
    if code < 0 and code != _abi.CLOUDS_ECLOSED:
        raise error(code)


class _Open:
    """An open connection."""

    def __init__(self, sock: Connection, port: Port, ended: "Callable[[_Open], None]") -> None:
        self.sock, self.port, self.begun = weakref.ref(sock), port, 0
        self._users, self._lock, self._ended = 2, threading.Lock(), ended
        sock._release = self.release

    def release(self) -> None:
        """Its taker has ended, or its socket is closed."""
        with self._lock:
            self._users -= 1
            is_over = self._users == 0
        if is_over:
            self._ended(self)


_current: "contextvars.ContextVar[Optional[_Open]]" = contextvars.ContextVar("clouds_connection", default=None)


class Transaction:
    """What is under way, until it is left, or released."""

    def __init__(self, connections: "Connections") -> None:
        self._connections = connections

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(self, kind: "Optional[Type[BaseException]]", problem: Optional[BaseException],
                 traceback: "Optional[TracebackType]") -> None:
        self._connections.release()


class Connections:
    """What worker.ready, transact, release and listeners do."""

    def __init__(self) -> None:
        self.is_solo = True
        self._taker: Optional[Taker] = None
        self._loop: "Optional[_Loop]" = None
        self._takes = 0  # what the library was told
        self._changed = threading.Condition()
        self._open: Set[_Open] = set()
        self._tasks: Set[Any] = set()
        self._remain: Optional[int] = None  # None: the program does not count
        self._listeners: Dict[int, Listener] = {}
        text = os.environ.get("CLOUDS_LISTEN", "")
        ports: Dict[str, Port] = json.loads(text) if text else {}
        self._ports = {int(number): ports[number] for number in sorted(ports, key=int)}

    def ports(self) -> List[Port]:
        return list(self._ports.values())

    # ---- who takes them

    def _take(self, what: int) -> None:
        """Says it to the library, once."""
        with self._changed:
            if self._takes != what:
                check(lib.clouds_worker_take(what))
                self._takes = what

    def be_taken_by(self, taker: Taker, loop: "Optional[_Loop]") -> None:
        if not callable(taker):
            raise TypeError(f"expected a function of a socket and a port, got {taker!r}")
        if not self.is_solo:
            self._taker, self._loop = taker, loop
            self._take(_abi.CLOUDS_WORKER_TAKE_CONNECTIONS)

    def arrive(self, fd: int, number: int) -> None:
        """A connection, on the thread that listens to the master."""
        try:
            sock = Connection(fileno=fd)
        except OSError as problem:
            os.close(fd)
            self._count(_abi.CLOUDS_WORKER_COUNT_CONNECTIONS, -1)
            log_failure("a connection cannot be taken", problem)
            return
        one = _Open(sock, self._ports.get(number, 0), self._has_ended)
        with self._changed:
            self._open.add(one)
        try:
            self._begin(one, sock)
        except RuntimeError as problem:  # the loop was closed, or there is no thread
            self._end(one, problem)

    def _begin(self, one: _Open, sock: Connection) -> None:
        loop, taker = self._loop, self._taker
        assert taker is not None
        is_async = inspect.iscoroutinefunction(taker)
        sock.setblocking(loop is None and not is_async)
        if loop is not None:
            loop.call_soon_threadsafe(self._serve_on_loop, loop, taker, one, sock)
        elif is_async:
            from clouds._delayed import in_background
            in_background(self._serve_later(taker(sock, one.port), one))
        else:
            threading.Thread(target=self._serve, args=(taker, one, sock), name="clouds-connection", daemon=True).start()

    def _serve(self, taker: Taker, one: _Open, sock: Connection) -> None:
        """In a thread of its own. The socket is closed when the taker returns."""
        _current.set(one)
        problem = None
        try:
            with sock:
                taker(sock, one.port)
        except BaseException as raised:
            problem = raised
        self._end(one, problem)

    def _serve_on_loop(self, loop: "_Loop", taker: Taker, one: _Open, sock: Connection) -> None:
        before = _current.set(one)
        try:
            result = taker(sock, one.port)
            if hasattr(result, "__await__"):
                task = loop.create_task(self._serve_later(result, one))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._end(one, None)
        except (Exception, SystemExit) as problem:
            self._end(one, problem)
        finally:
            _current.reset(before)

    async def _serve_later(self, result: Any, one: _Open) -> None:
        """The socket is closed by who uses it last."""
        problem: Optional[BaseException] = None
        try:
            await result
        except (Exception, SystemExit) as raised:
            problem = raised
        finally:
            self._end(one, problem)

    def _end(self, one: _Open, problem: Optional[BaseException]) -> None:
        """Its taker has ended, for good or ill."""
        if problem is not None:
            log_failure("the taker of a connection failed", problem)
        self._change(-one.begun, one)
        one.release()

    def _has_ended(self, one: _Open) -> None:
        with self._changed:
            self._open.discard(one)
            self._changed.notify_all()
        self._count(_abi.CLOUDS_WORKER_COUNT_CONNECTIONS, -1)

    # ---- what is under way

    def _count(self, what: int, change: int) -> None:
        code = 0 if self.is_solo else lib.clouds_worker_count(what, change)
        if code < 0 and code != _abi.CLOUDS_EFORK:  # a process that this one has forked counts for nobody
            log.error("a count of the worker cannot be told: %s", lib.clouds_last_error().decode("utf-8", "replace"))

    def _set_remain(self, remain: int) -> None:
        with self._changed:
            change = max(0, remain) - (self._remain or 0)
            self._remain = max(0, remain)
            self._count(_abi.CLOUDS_WORKER_COUNT_REMAIN, change)
            self._changed.notify_all()

    def _change(self, by: int, one: Optional[_Open]) -> None:
        with self._changed:
            if one is not None:
                one.begun = max(0, one.begun + by)
            if by:
                self._set_remain((self._remain or 0) + by)

    def transact(self) -> Transaction:
        self._change(1, _current.get())
        return Transaction(self)

    def release(self, remain: Optional[int] = None) -> None:
        if remain is None:
            self._change(-1, _current.get())
        elif isinstance(remain, bool) or not isinstance(remain, int) or remain < 0:
            raise TypeError(f"expected how many things remain, got {remain!r}")
        else:
            self._set_remain(remain)

    # ---- listeners

    def listeners(self, ready: Callable[[], None]) -> List[socket.socket]:
        """Says that this program accepts, then that it is ready, and waits until the master lets it."""
        if self.is_solo:
            return []
        self._take(_abi.CLOUDS_WORKER_TAKE_ACCEPTING)
        ready()
        with self._changed:
            self._changed.wait_for(lambda: len(self._listeners) == len(self._ports))
            return [self._listeners[number] for number in self._ports]

    def listen(self, fd: int, watch: int, number: int) -> None:
        """A listener came, on the thread that listens to the master."""
        with self._changed:
            self._listeners[number] = Listener(fd, watch, functools.partial(self._accept, number), self._accepts_by_itself)
            self._changed.notify_all()

    def _accept(self, number: int) -> Optional[Connection]:
        """Its end does not wait for such a connection: that is for the server, which hears of it in its own way."""
        fd = ctypes.c_int()
        code = lib.clouds_worker_accept(number, ctypes.byref(fd))
        if code <= 0:
            check(code)
            return None
        try:
            sock = Connection(fileno=fd.value)
        except OSError:
            os.close(fd.value)
            self._count(_abi.CLOUDS_WORKER_COUNT_CONNECTIONS, -1)
            raise
        sock._release = functools.partial(self._count, _abi.CLOUDS_WORKER_COUNT_CONNECTIONS, -1)
        return sock

    @staticmethod
    def _accepts_by_itself() -> None:
        check(lib.clouds_worker_tell(_abi.CLOUDS_WORKER_ACCEPTS, b"", 0))

    # ---- the end

    def drain(self, until: float) -> None:
        """Waits until none is open, or nothing is under way where that is counted; and ends what is open then."""
        with self._changed:
            self._changed.wait_for(lambda: self._remain == 0 if self._remain is not None else not self._open,
                                   max(0.0, until - time.monotonic()))
            left: List[Tuple[_Open, Optional[Connection]]] = [(one, one.sock()) for one in self._open]
        for _, sock in left:
            try:
                if sock is not None:
                    sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed
