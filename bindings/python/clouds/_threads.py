"""Threads for handlers and listeners. They are daemons: none keeps the interpreter from its end."""
import queue
import threading
from typing import Any, Callable, Optional, Tuple

_Work = Tuple[Callable[..., Any], Tuple[Any, ...]]


class _Load:
    """What is to be done, and how much of it is not finished: so many threads are needed."""

    __slots__ = ("queue", "lock", "unfinished")

    def __init__(self) -> None:
        self.queue: "queue.SimpleQueue[Optional[_Work]]" = queue.SimpleQueue()
        self.lock = threading.RLock()  # a finalizer may submit in the middle of a submission
        self.unfinished = 0


class Pool:
    """Runs functions in at most `size` threads, which are started when they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name, self._started = size, name, 0
        self._load = _Load()

    def submit(self, fn: Callable[..., Any], *arguments: Any) -> None:
        """Runs fn as soon as a thread is free."""
        load = self._load
        with load.lock:
            load.unfinished += 1
            load.queue.put((fn, arguments))
            if load.unfinished <= self._started or self._started == self._size:
                return
            self._started += 1
            name = f"{self._name}-{self._started}"
        threading.Thread(target=_work, args=(load,), name=name, daemon=True).start()

    def stop(self) -> None:
        """The threads end when they have done what was submitted."""
        with self._load.lock:
            for _ in range(self._started):
                self._load.queue.put(None)


def _work(load: _Load) -> None:
    """The life of a thread. It knows what is to be done, not the pool, so that the pool's owner can be collected."""
    while True:
        work = load.queue.get()
        if work is None:
            return
        fn, arguments = work
        try:
            fn(*arguments)
        finally:
            del work, fn, arguments
            with load.lock:
                load.unfinished -= 1
