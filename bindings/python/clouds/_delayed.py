"""What is awaited in an event loop. Loaded when it is needed, since asyncio takes long to load."""
import asyncio
import concurrent.futures
import os
import threading
import time
import types
from typing import Any, Awaitable, Coroutine, Iterator, Optional, Tuple

from clouds._faults import is_interrupt, log_failure
from clouds._request import RECENT, Request, set_current
from clouds._threads import at_exit, start
from clouds.errors import Canceled


async def finish_later(rest: Iterator[float]) -> None:
    """Goes on answering until the answer could be queued."""
    for pause in rest:
        await asyncio.sleep(pause)


async def serve_later(request: Request, result: Awaitable[Any]) -> None:
    """Waits for the result of a handler, and answers."""
    set_current(request)
    if time.monotonic() - request._arrived >= RECENT and request._over():
        if isinstance(result, types.CoroutineType):
            result.close()
        return
    try:
        value = await result
    except (asyncio.CancelledError, GeneratorExit):
        request._finish_failed(Canceled("the handler was cancelled"))
        raise
    except BaseException as problem:  # SystemExit would end the loop, and all that runs in it
        request._finish_failed(problem)
        if is_interrupt(problem):
            raise
        return
    rest = request._finish(value)
    if rest is not None:
        await finish_later(rest)


async def contained(coroutine: Awaitable[Any]) -> Tuple[Any, Optional[BaseException]]:
    """What a function of the program gave, or raised. SystemExit would end the loop, and all that runs in it."""
    try:
        return await coroutine, None
    except GeneratorExit:
        raise
    except BaseException as problem:
        if is_interrupt(problem) or isinstance(problem, asyncio.CancelledError):
            raise
        return None, problem


def outcome_of_hook(task: "asyncio.Future[Any]") -> Any:
    """What a hook gave; None when it failed."""
    if task.cancelled() or task.exception() is not None:
        return None
    value, problem = task.result()
    if problem is not None:
        log_failure("a hook failed", problem)
    return value


class _Loop:
    """The event loop for async functions of sync nodes: one for the process, made when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None
        self._pid = 0

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = start("clouds-async", _run_for_ever, self._loop)
                at_exit(self.end)
            return self._loop

    def end(self) -> None:
        """The end of the interpreter."""
        if self._loop is not None and self._pid == os.getpid():
            self._loop.call_soon_threadsafe(self._loop.stop)

    def is_here(self) -> bool:
        """Is this its thread?"""
        return self._thread is threading.current_thread()


def _run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """Until it is stopped: sys.exit() in a task that a handler has made ends that task, and no other."""
    logged = ""
    while True:
        try:
            loop.run_forever()
            return
        except Exception as problem:  # not of a task, but of the loop: what it waits with was patched, or lacks memory
            if logged != type(problem).__name__:
                logged = type(problem).__name__
                log_failure("the loop of async functions failed, and goes on", problem)
            time.sleep(0.01)
        except BaseException as problem:
            log_failure("a task failed", problem)


_loop = _Loop()


def on_the_loop() -> bool:
    """Is this the thread of the loop for async functions?"""
    return _loop.is_here()


def in_background(coroutine: "Coroutine[Any, Any, Any]") -> "concurrent.futures.Future[Any]":
    """Runs a coroutine of the sync API in the loop of the process."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop.get())
