"""What is finished in an event loop. Apart, because programs that only wait need no asyncio, which takes long to load."""
import asyncio
import concurrent.futures
import os
import threading
from typing import Any, Awaitable, Coroutine, Optional

from clouds._request import Request, enter
from clouds.errors import Canceled


async def serve_later(request: Request, result: Awaitable[Any]) -> None:
    """Waits for the result of a handler, and answers."""
    enter(request)
    try:
        value = await result
    except asyncio.CancelledError:
        request._finish_failed(Canceled("the handler was cancelled"))
        raise
    except Exception as problem:
        request._finish_failed(problem)
    except BaseException as problem:
        request._finish_failed(problem)
        raise
    else:
        request._finish(value)


class _Loop:
    """The event loop for async handlers of sync servers: one for the process, made when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._pid = 0

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="clouds-async", daemon=True).start()
            return self._loop


_loop = _Loop()


def in_background(coroutine: "Coroutine[Any, Any, Any]") -> "concurrent.futures.Future[Any]":
    """Runs a coroutine of the sync face in the loop of the process."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop.get())
