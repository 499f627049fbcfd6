"""What a worker does one at a time in its group, and again and again."""
import collections
import concurrent.futures
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Deque, List, Optional, Set

from clouds import _abi
from clouds._faults import log_failure

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop as _Loop
    from types import TracebackType
    from typing import Type

    _Future = concurrent.futures.Future[None]


class Turns:
    """The token of the group, and who waits for it in this process.

    tell(word) says a word to the master; without one the token is always there.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.is_solo = True
        self._tell, self._lock = tell, threading.RLock()
        self._waiting: "Deque[_Future]" = collections.deque()
        self._asked = False  # and not given back yet

    def _ask(self) -> None:
        if self._asked:
            return
        self._asked = True
        if self.is_solo:
            self.given()
        else:
            self._tell(_abi.CLOUDS_WORKER_WANT_TURN)

    def _end(self) -> None:
        self._asked = False
        if not self.is_solo:
            self._tell(_abi.CLOUDS_WORKER_END_TURN)

    def wait(self) -> "_Future":
        """Done when it is the turn of who asks, who gives it back, or cancels the future before."""
        future: "_Future" = concurrent.futures.Future()
        with self._lock:
            self._waiting.append(future)
            self._ask()
        return future

    def given(self) -> None:
        """The token is here: for the next that still waits."""
        with self._lock:
            while self._waiting:
                future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(None)
                    return
            self._end()

    def give_back(self) -> None:
        """Other workers come before those of this process that wait."""
        with self._lock:
            self._end()
            if self._waiting:
                self._ask()


class Turn:
    """``with worker.serial():`` and ``async with worker.serial():``."""

    def __init__(self, turns: Turns, find_loop: "Callable[[], Optional[_Loop]]") -> None:
        self._turns, self._find_loop = turns, find_loop

    def __enter__(self) -> None:
        if self._find_loop() is not None:
            raise RuntimeError("this would block the event loop: async with worker.serial()")
        future = self._turns.wait()
        try:
            future.result()
        except BaseException:  # Ctrl-C
            self._leave(future)
            raise

    def __exit__(self, kind: "Optional[Type[BaseException]]", problem: Optional[BaseException],
                 traceback: "Optional[TracebackType]") -> None:
        self._turns.give_back()

    async def __aenter__(self) -> None:
        import asyncio
        future = self._turns.wait()
        try:
            await asyncio.wrap_future(future)
        except BaseException:  # the task was cancelled
            self._leave(future)
            raise

    async def __aexit__(self, kind: "Optional[Type[BaseException]]", problem: Optional[BaseException],
                        traceback: "Optional[TracebackType]") -> None:
        self._turns.give_back()

    def _leave(self, future: "_Future") -> None:
        """Who waited does no longer: what came meanwhile goes back."""
        if not future.cancel() and not future.cancelled():
            self._turns.give_back()


class Repeated:
    """A function that is called again and again, not before the call before has ended, until it is stopped."""

    def __init__(self, seconds: float, fn: Callable[[], Any], loop: "Optional[_Loop]", ended: "Callable[[Repeated], None]") -> None:
        self._seconds, self._fn, self._loop, self._ended = seconds, fn, loop, ended
        self._stopped, self._over = threading.Event(), threading.Event()
        self._wake: "Optional[asyncio.Event]" = None
        if loop is None:
            threading.Thread(target=self._run, name="clouds-every", daemon=True).start()
        else:
            self._task = loop.create_task(self._run_on_loop())

    def stop(self) -> None:
        """It is not called any more; a call that runs goes on."""
        self._stopped.set()
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._stop_on_loop)
        except RuntimeError:
            self._has_ended()  # the loop was closed, and it with it

    def _stop_on_loop(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def _has_ended(self) -> None:
        self._over.set()
        self._ended(self)

    def _pause(self, begun: float) -> float:
        return max(0.0, begun + self._seconds - time.monotonic())

    def _run(self) -> None:
        """In a thread of its own."""
        pause = self._seconds
        while not self._stopped.wait(pause):
            begun = time.monotonic()
            try:
                result = self._fn()
                if hasattr(result, "__await__"):
                    from clouds._delayed import in_background
                    in_background(_awaited(result)).result()
            except BaseException as problem:
                log_failure("a function of worker.every failed", problem)
            pause = self._pause(begun)
        self._has_ended()

    async def _run_on_loop(self) -> None:
        import asyncio
        pause, self._wake = self._seconds, asyncio.Event()
        try:
            while not self._stopped.is_set():
                try:
                    await asyncio.wait_for(self._wake.wait(), pause)
                    return
                except asyncio.TimeoutError:
                    pass
                begun = time.monotonic()
                try:
                    result = self._fn()
                    if hasattr(result, "__await__"):
                        await result
                except Exception as problem:
                    log_failure("a function of worker.every failed", problem)
                pause = self._pause(begun)
        finally:
            self._has_ended()


async def _awaited(result: Any) -> None:
    await result


class Repetitions:
    """Those of a worker."""

    def __init__(self) -> None:
        self._all: "Set[Repeated]" = set()

    def begin(self, seconds: float, fn: Callable[[], Any], loop: "Optional[_Loop]") -> Repeated:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            raise ValueError(f"expected a number of seconds, more than 0, got {seconds!r}")
        if not callable(fn):
            raise TypeError(f"expected a function, got {fn!r}")
        one = Repeated(seconds, fn, loop, self._all.discard)
        self._all.add(one)
        return one

    def end(self, until: float) -> None:
        """None is called any more; those that run now are waited for."""
        running: List[Repeated] = list(self._all)
        for one in running:
            one.stop()
        for one in running:
            one._over.wait(max(0.0, until - time.monotonic()))
