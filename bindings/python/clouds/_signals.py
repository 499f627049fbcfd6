"""SIGINT and SIGTERM in an event loop: they end the nodes that run in it."""
import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any, Dict, List

from clouds._operations import settle
from clouds._worker import worker

if TYPE_CHECKING:
    from clouds._node import NodeBase


class _Signals:
    """SIGINT and SIGTERM while nodes run in a loop. They are for all of these nodes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stops: "List[asyncio.Future[Any]]" = []
        self._loop = loop
        self._before = {number: self._take(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def _take(self, number: int) -> Any:
        """What the program did at this signal; None for what cannot be given back, as a handler of the loop."""
        before = signal.getsignal(number)
        self._loop.add_signal_handler(number, self._stop_all)
        return None if before == signal.getsignal(number) else before

    def _stop_all(self) -> None:
        if worker._signaled():
            return  # which closes the nodes
        for stop in self.stops:
            settle(stop)

    def give_back(self) -> None:
        """As it was before."""
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            if before is not None:
                signal.signal(number, before)


_running_in: "Dict[asyncio.AbstractEventLoop, _Signals]" = {}


def begin_signals(loop: asyncio.AbstractEventLoop, stop: "asyncio.Future[Any]", node: "NodeBase") -> None:
    """From here on a signal ends this future, if this is the main thread: no other hears of signals."""
    worker._runs(node)
    if threading.current_thread() is not threading.main_thread():
        return
    if loop not in _running_in:
        _running_in[loop] = _Signals(loop)
    _running_in[loop].stops.append(stop)


async def has_run(loop: asyncio.AbstractEventLoop) -> None:
    """run() of a node is over."""
    if worker.draining:  # otherwise no thread is needed
        await loop.run_in_executor(None, worker._has_run)


def end_signals(loop: asyncio.AbstractEventLoop, stop: "asyncio.Future[Any]") -> None:
    """Gives the signals back when this was the last future."""
    signals = _running_in.get(loop)
    if signals is None or stop not in signals.stops:
        return
    signals.stops.remove(stop)
    if not signals.stops:
        del _running_in[loop]
        signals.give_back()
