"""Who would be called, and why; what links there are; what was counted: explain(), links() and stats() of the nodes of
both APIs."""
from typing import Any, Awaitable, Dict, List, Optional, cast

from clouds._library import lib
from clouds._options import method_name, with_options


def _begin(node: Any, method: str, timeout: Optional[float]) -> Any:
    name = method_name(method)
    return node._begin(lib.clouds_node_explain, name, len(name), timeout=timeout)


@with_options
class SyncExplaining:
    """What of a node of the sync API explains."""

    def explain(self: Any, method: str, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Who would be called for a method now, and why; nothing is called.

        ``{"method", "bus", "balance", "choice": {"server", "rule", "among"}, "servers": [{"id", "state", ...}]}``.
        """
        return cast("Dict[str, Any]", _begin(self, method, timeout).result())

    def links(self: Any, timeout: Optional[float] = None) -> List[Dict[str, Any]]:
        """The direct links to other processes: ``[{"peer", "ours", "state", "address", "security", ...}]``."""
        return cast("List[Dict[str, Any]]", self._begin(lib.clouds_node_links, timeout=timeout).result())

    def stats(self: Any, timeout: Optional[float] = None) -> Dict[str, Any]:
        """What was counted by method, where the option ``stats`` is on:
        ``{"bounds": [seconds], "methods": {name: {"calls", "requests"}}}``, with ``{"open", "ok", "app_error",
        "not_done", "unknown", "took", "seconds"}`` in each of the last, and "waiting", "limit", "queue" and "refused" of
        requests that have limits."""
        return cast("Dict[str, Any]", self._begin(lib.clouds_node_stats, timeout=timeout).result())


@with_options
class AsyncExplaining:
    """What of a node of the asyncio API explains."""

    def explain(self: Any, method: str, *, timeout: Optional[float] = None) -> "Awaitable[Dict[str, Any]]":
        """Who would be called for a method now, and why; nothing is called.

        ``{"method", "bus", "balance", "choice": {"server", "rule", "among"}, "servers": [{"id", "state", ...}]}``.
        """
        return cast("Awaitable[Dict[str, Any]]", _begin(self, method, timeout))

    def links(self: Any, timeout: Optional[float] = None) -> "Awaitable[List[Dict[str, Any]]]":
        """The direct links to other processes: ``[{"peer", "ours", "state", "address", "security", ...}]``."""
        return cast("Awaitable[List[Dict[str, Any]]]", self._begin(lib.clouds_node_links, timeout=timeout))

    def stats(self: Any, timeout: Optional[float] = None) -> "Awaitable[Dict[str, Any]]":
        """What was counted by method, where the option ``stats`` is on:
        ``{"bounds": [seconds], "methods": {name: {"calls", "requests"}}}``, with ``{"open", "ok", "app_error",
        "not_done", "unknown", "took", "seconds"}`` in each of the last, and "waiting", "limit", "queue" and "refused" of
        requests that have limits."""
        return cast("Awaitable[Dict[str, Any]]", self._begin(lib.clouds_node_stats, timeout=timeout))
