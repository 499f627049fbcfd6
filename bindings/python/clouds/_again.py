"""What ends something in the library, and nobody waits for. It is handed in again while there is no room for it."""
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional

from clouds import _abi

if TYPE_CHECKING:
    import asyncio

_NO_ROOM = (_abi.CLOUDS_ELIMIT, _abi.CLOUDS_ENOMEM)


def hand_in(node: Any, function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function of the library on the node's context: the end of a call or a subscription, a choice.

    Its result, which is fine too when there is no room now: until it is done, it is tried again meanwhile.
    """
    def order() -> int:
        code = function(node._context, *arguments)
        if code not in _NO_ROOM:
            return code
        node._finish_later(_again(node, function, arguments))
        return 0
    number: int = node._answer(order)
    return number


def hand_in_on(loop: "Optional[asyncio.AbstractEventLoop]", node: Any, function: Callable[..., int],
               *arguments: Any) -> None:
    """The same for a node of this loop, perhaps while it does not run."""
    if loop is None or loop.is_closed():
        return
    if loop.is_running():
        hand_in(node, function, *arguments)
    else:
        loop.call_soon(hand_in, node, function, *arguments)


def _again(node: Any, function: Callable[..., int], arguments: Any) -> Iterator[float]:
    """The seconds to wait before each time."""
    pause = 0.001
    while True:
        yield pause
        if function(node._context, *arguments) not in _NO_ROOM:
            node._schedule_flush()
            return
        pause = min(2 * pause, 0.1)
