"""What nodes that serve have besides: methods."""
from typing import Any, Callable, Optional, TypeVar, overload

from clouds._limits import Count, limits_of
from clouds._node import NodeBase
from clouds._options import Number, method_name, with_options
from clouds._schema import Declared

_Handler = Callable[..., Any]
_F = TypeVar("_F", bound=_Handler)


@with_options
class Serving(NodeBase):
    """What nodes that serve have besides."""

    @overload
    def register(self, method: str, *, serial: Optional[bool] = None, key: Optional[int] = None,
                 concurrency: Optional[Count] = None, queue: Optional[int] = None, queue_age: Optional[Number] = None,
                 queue_target: Optional[Number] = None, rate: Optional[Number] = None, burst: Optional[Number] = None,
                 caller_rate: Optional[Number] = None, caller_burst: Optional[Number] = None,
                 schema: Declared = None) -> Callable[[_F], _F]: ...

    @overload
    def register(self, method: str, handler: _F, *, serial: Optional[bool] = None, key: Optional[int] = None,
                 concurrency: Optional[Count] = None, queue: Optional[int] = None, queue_age: Optional[Number] = None,
                 queue_target: Optional[Number] = None, rate: Optional[Number] = None, burst: Optional[Number] = None,
                 caller_rate: Optional[Number] = None, caller_burst: Optional[Number] = None,
                 schema: Declared = None) -> _F: ...

    def register(self, method: str, handler: Optional[_Handler] = None, *, serial: Optional[bool] = None,
                 key: Optional[int] = None, concurrency: Optional[Count] = None, queue: Optional[int] = None,
                 queue_age: Optional[Number] = None, queue_target: Optional[Number] = None,
                 rate: Optional[Number] = None, burst: Optional[Number] = None, caller_rate: Optional[Number] = None,
                 caller_burst: Optional[Number] = None, schema: Declared = None) -> Any:
        """Offers a method: ``server.register("name", fn)``, or as a decorator ``@server.register("name")``.

        The handler gets the arguments as they were sent, and what it returns is the result. In the sync API it runs
        in a thread of a pool, an ``async def`` in an event loop of its own thread; with asyncio an ``async def`` runs
        as a task, any other function at once, so it should not wait. What it raises answers the caller with an error.
        ready() waits for the registration; nothing has to. Registering again replaces the handler and the limits.

        Limits: `serial`, one request at a time, in order. `key`, requests with the same value of this argument (0 is
        the first) one at a time and in order, beside those of other values. `concurrency`, requests that run at a time
        ("auto": the server finds it); `queue` (1000) wait, for `queue_age` seconds at most (0.1 with a concurrency,
        else for as long as their callers; math.inf: so), and for `queue_target` (0.005) once the queue was not empty
        for `queue_age`. `rate` a second, `burst` (`rate`) at once; `caller_rate` and `caller_burst` for each caller.
        What they refuse ends as Overloaded, and was not begun.
        `schema`: True, of the type hints and the docstring, or a dict of "doc", "args" and "returns". Calls with other
        arguments end as BadArgument.
        """
        limits = limits_of({"serial": serial, "key": key, "concurrency": concurrency, "queue": queue,
                            "queue_age": queue_age, "queue_target": queue_target, "rate": rate, "burst": burst,
                            "caller_rate": caller_rate, "caller_burst": caller_burst})
        if handler is None:
            method_name(method)

            def decorate(decorated: _Handler) -> _Handler:
                self._begin_register(method, decorated, limits, schema)
                return decorated
            return decorate
        self._begin_register(method, handler, limits, schema)
        return handler
