"""Threads for handlers and listeners, and their queues. None delays the end of the main interpreter."""
import _thread
import atexit
import collections
import ctypes
import importlib
import threading
import time
import types
from typing import Any, Callable, Deque, NamedTuple, Optional, Set, Tuple

# That of C, whatever was patched over it: its users are real threads.
SimpleQueue: Any = importlib.import_module("_queue").SimpleQueue
SPARE = 1000  # so many events that are no messages find room in a full queue
# Seconds that threads have to end when the main interpreter ends, and when another does.
_MAIN_EXIT_TIMEOUT, _EXIT_TIMEOUT = 0.2, 10.0


# ---- threads

_alive: "Set[threading.Thread]" = set()
_at_exit: "Set[Callable[[], Any]]" = set()  # what ends the nodes that nobody has closed


def check_real() -> None:
    """A RuntimeError where threads are not real ones: the first foreign call that waits would stop all of them."""
    if isinstance(_thread.start_new_thread, types.BuiltinFunctionType):
        return
    who = getattr(_thread.start_new_thread, "__module__", None) or "something"
    raise RuntimeError(f"threads are patched by {who.partition('.')[0]}: clouds needs real ones. Leave them out of the "
                       "patching, as by gevent.monkey.patch_all(thread=False) or eventlet.monkey_patch(thread=False), "
                       "or use a process of its own")


def start(name: str, target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Starts a thread, which is waited for when the interpreter ends."""
    def run() -> None:
        try:
            target(*arguments)
        finally:
            _alive.discard(thread)
    thread = threading.Thread(target=run, name=name, daemon=True)
    _alive.add(thread)
    try:
        thread.start()
    except BaseException:
        _alive.discard(thread)
        raise
    return thread


def at_exit(end: Callable[[], Any]) -> None:
    """Calls this when the interpreter ends, before its threads are waited for."""
    _at_exit.add(end)


def cancel_at_exit(end: Callable[[], Any]) -> None:
    """Takes that back."""
    _at_exit.discard(end)


def _is_main_interpreter() -> bool:
    get, number = ctypes.pythonapi.PyInterpreterState_Get, ctypes.pythonapi.PyInterpreterState_GetID
    get.restype, number.argtypes, number.restype = ctypes.c_void_p, [ctypes.c_void_p], ctypes.c_int64
    return bool(number(get()) == 0)


def _exit() -> None:
    """The end of the interpreter. One that is not the main one must not end while a thread of its is left."""
    for end in list(_at_exit):
        end()
    until = time.monotonic() + (_MAIN_EXIT_TIMEOUT if _is_main_interpreter() else _EXIT_TIMEOUT)
    for thread in list(_alive):
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))


atexit.register(_exit)


# ---- pools

class Limits(NamedTuple):
    """The most that may wait in a queue."""

    items: int
    bytes: int


class _Work(NamedTuple):
    fn: Callable[..., Any]
    arguments: Tuple[Any, ...]
    size: int
    given_up: Optional[Callable[[], bool]]


class _Load:
    """What is to be done, and how much of it is not finished: so many threads are needed."""

    __slots__ = ("tokens", "waiting", "lock", "unfinished", "bytes", "full")

    def __init__(self) -> None:
        self.tokens = SimpleQueue()  # True: something may wait; False: the end of a thread
        self.waiting: "Deque[_Work]" = collections.deque()
        self.lock = threading.RLock()  # a finalizer may submit in the middle of a submission
        self.unfinished = 0
        self.bytes = 0
        self.full = False

    def take(self) -> Optional[_Work]:
        """The next thing to be done; None when it was taken out meanwhile."""
        with self.lock:
            if not self.waiting:
                return None
            work = self.waiting.popleft()
            self.bytes -= work.size
            if not self.waiting:
                self.full = False
            return work

    def done(self) -> None:
        with self.lock:
            self.unfinished -= 1


class Pool:
    """Runs functions in at most `size` threads, which are started when they are needed.

    What waits is limited; `on_full` is called once each time that the limit is met, until the queue was empty again.
    """

    def __init__(self, size: int, name: str, limits: Limits, on_full: Callable[[], None]) -> None:
        self._size, self._name, self._started = size, name, 0
        self._limits, self._on_full = limits, on_full
        self._load = _Load()

    def submit(self, fn: Callable[..., Any], *arguments: Any, size: int = 0, spare: int = 0,
               given_up: Optional[Callable[[], bool]] = None) -> bool:
        """Runs fn as soon as a thread is free; False when too much waits already.

        given_up: asked when the queue is full; what says True does not have to be done any more.
        """
        load = self._load
        with load.lock:
            if not self._has_room(size, spare) and not self._make_room(size, spare):
                first, load.full = not load.full, True
            else:
                first = False
                load.unfinished += 1
                load.bytes += size
                load.waiting.append(_Work(fn, arguments, size, given_up))
                load.tokens.put(True)
                if load.unfinished <= self._started or self._started == self._size:
                    return True
                if self._grow():
                    return True
                load.waiting.pop()
                load.unfinished -= 1
                load.bytes -= size
                first, load.full = not load.full, True
        if first:
            self._on_full()
        return False

    def _grow(self) -> bool:
        """Starts one more thread. False when the system gives none, and there is none."""
        self._started += 1
        try:
            start(f"{self._name}-{self._started}", _work, self._load)
        except RuntimeError:
            self._started -= 1
        return self._started > 0

    def _has_room(self, size: int, spare: int) -> bool:
        waiting, limits = len(self._load.waiting), self._limits
        fits = self._load.bytes + size <= limits.bytes or spare > 0
        return waiting == 0 or (waiting < limits.items + spare and fits)

    def _make_room(self, size: int, spare: int) -> bool:
        load = self._load
        while load.waiting:
            oldest = load.waiting[0]
            if oldest.given_up is None or not oldest.given_up():
                break
            load.waiting.popleft()
            load.bytes -= oldest.size
            load.unfinished -= 1
        return self._has_room(size, spare)

    def stop(self) -> None:
        """The threads end when they have done what was submitted."""
        with self._load.lock:
            for _ in range(self._started):
                self._load.tokens.put(False)


def _work(load: _Load) -> None:
    """The loop of a thread. It has no reference to the pool, so that the pool's owner can be collected."""
    while load.tokens.get():
        work = load.take()
        if work is None:
            continue
        try:
            work.fn(*work.arguments)
        finally:
            del work
            load.done()
