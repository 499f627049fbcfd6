"""clouds: services and calls over processes and machines, by name.

::

    with clouds.Client("redis://127.0.0.1:6379", timeout=2) as client:
        hello = client.bind("test.hello", retry=5)
        print(hello("Glen", "hi"))

Client, Server, Monitor and Base wait; the classes of the same names in clouds.aio are awaited.
"""
from typing import TYPE_CHECKING, Any

from clouds import errors
from clouds._channels import Message, Subscription
from clouds._library import version as __version__
from clouds._request import LogFilter, Request, request
from clouds._span import Trace, span, trace
from clouds._sync import Base, Client, Monitor, Server
from clouds._values import Values
from clouds._worker import worker
from clouds.errors import *  # noqa: F401,F403  the exceptions, one for each error of the library

if TYPE_CHECKING:
    from clouds import aio

version = __version__

__all__ = ["Base", "Client", "LogFilter", "Message", "Monitor", "Request", "Server", "Subscription", "Trace", "Values", "aio", "errors",
           "request", "span", "trace", "version", "worker", *errors.__all__]


def __getattr__(name: str) -> Any:
    """clouds.aio is loaded when it is first used: programs that only wait need no asyncio."""
    if name == "aio":
        import importlib
        return importlib.import_module("clouds.aio")
    raise AttributeError(f"module 'clouds' has no attribute {name!r}")
