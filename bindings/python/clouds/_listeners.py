"""Running the listeners of an event in an event loop, one after the other."""
import asyncio
from typing import Any, Awaitable, Callable, Iterator, List, Optional, Tuple

from clouds._call import Call
from clouds._delayed import contained
from clouds._faults import is_interrupt, log_failure

# The listeners, what makes their arguments, and how many bytes the event takes.
QueuedEvent = Tuple[List[Callable[..., Any]], Callable[[], Any], int]


def run_listeners(fns: List[Callable[..., Any]], make: Callable[[], Any]) -> Iterator[Awaitable[Any]]:
    """Runs the listeners of one event. Gives what must be awaited before it goes on."""
    interrupt: Optional[BaseException] = None
    try:
        arguments = make()
    except Exception as problem:
        log_failure("an event could not be read", problem)
        return
    for fn in fns:
        try:
            result = fn(*arguments)
        except BaseException as problem:
            log_failure("a listener failed", problem)
            interrupt = problem if is_interrupt(problem) else interrupt
            continue
        if asyncio.iscoroutine(result) and not isinstance(result, Call):
            yield result
    if interrupt is not None:
        raise interrupt


async def await_listener(coroutine: Awaitable[Any]) -> None:
    """Waits for a listener. Whatever ends it does not end those that come after it."""
    task = asyncio.ensure_future(contained(coroutine))
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        raise
    problem = None if task.cancelled() or task.exception() is not None else task.result()[1]
    if problem is not None:
        log_failure("a listener failed", problem)
