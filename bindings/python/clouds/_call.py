"""The object that a call of the async API returns."""
import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable, Optional

from clouds._options import About

if TYPE_CHECKING:
    from clouds._aio import Node

_Task = asyncio.Task
_add_callback = asyncio.Future.add_done_callback
_set_result: Callable[..., None] = asyncio.Future.set_result

if TYPE_CHECKING:
    class _Future(asyncio.Future[Any], Coroutine[Any, Any, Any]):
        """What a Call is."""
else:
    _Future = asyncio.Future


class Call(_Future):
    """A call that goes on. Await it for the result; cancelling it cancels the call.

    It is a coroutine too, for those who insist on one: asyncio.create_task, TaskGroup.create_task.
    """

    __slots__ = ("_owner", "_about", "_id", "_steps", "_wake", "_context")

    _owner: "Node"
    _about: About  # gets who answered
    _id: int
    _steps: Any
    _wake: Optional[Callable[..., Any]]  # of the task that awaits it, and the context of that
    _context: Any

    def send(self, value: Any) -> Any:
        """One step of a coroutine: whoever drives it waits for the result."""
        return self._walk().send(value)

    def throw(self, *problem: Any) -> Any:
        """One step of a coroutine, with an exception."""
        return self._walk().throw(*problem)

    def close(self) -> None:
        """The end of a coroutine: nobody will take the result."""
        if not self.done() and not self.get_loop().is_closed():
            self.cancel()

    def _walk(self) -> Any:
        try:
            return self._steps
        except AttributeError:
            self._steps = self.__await__()
            return self._steps

    def cancel(self, msg: Optional[Any] = None) -> bool:
        """Gives the call up."""
        if not super().cancel(msg=msg):
            return False
        self._wake_later()
        self._owner._cancel_call(self._id)
        return True

    # A task that awaits a call is resumed where the result is read, which is a callback of the loop and in no task. The
    # further turn of the loop that asyncio takes for each would cost a third of the call. Every other callback, and the
    # task too when the call ends in another way, runs in the next turn of the loop.

    def add_done_callback(self, fn: Callable[..., Any], *, context: Any = None) -> None:
        """As that of every future."""
        if (context is not None and self._wake is None and type(getattr(fn, "__self__", None)) is _Task
                and not self.done()):
            self._wake, self._context = fn, context
        else:
            _add_callback(self, fn, context=context)

    def remove_done_callback(self, fn: Callable[..., Any]) -> int:
        """As that of every future."""
        count = super().remove_done_callback(fn)
        if self._wake is not None and self._wake == fn:
            self._wake = None
            return count + 1
        return count

    def set_result(self, result: Any) -> None:
        """As that of every future."""
        _set_result(self, result)
        self._wake_later()

    def set_exception(self, exception: Any) -> None:
        """As that of every future."""
        super().set_exception(exception)
        self._wake_later()

    def _wake_later(self) -> None:
        wake = self._wake
        if wake is not None:
            self._wake = None
            self.get_loop().call_soon(wake, self, context=self._context)


if not TYPE_CHECKING:
    Coroutine.register(Call)
