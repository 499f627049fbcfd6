"""The methods of the servers in Python, but for those that wait: see README.md."""
import threading
from typing import Any, Callable, Dict, List

import clouds
from shared import canonical


class Methods:
    def __init__(self) -> None:
        self._lock, self._counts, self._kept, self._watched = threading.Lock(), {}, {}, {}

    def canceled(self, key: str) -> bool:
        return any(request.canceled for request in self._watched.get(key, ()))

    def all_names(self) -> List[str]:
        return [name for name in dir(self) if not name.startswith("_") and name not in ("all_names", "named", "held", "canceled")]

    def named(self, name: str) -> Callable[..., Any]:
        return getattr(self, name)

    def _count(self, key: str) -> int:
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            return self._counts[key]

    def _keep(self, key: str) -> int:
        """Keeps the request for later; how many of the key there are."""
        with self._lock:
            self._kept.setdefault(key, []).append(clouds.request().detach())
            return len(self._kept[key])

    def held(self, key: str) -> int:
        return len(self._kept.get(key, ()))

    def _answer_kept(self, key: str, result: Any) -> bool:
        with self._lock:
            requests = self._kept.pop(key, [])
        for request in requests:
            request.reply(result)
        return bool(requests)

    def echo(self, *values: Any) -> Any:
        return clouds.Values(*values)

    def describe(self, *values: Any) -> str:
        return canonical(list(values))

    def add(self, a: float, b: float) -> float:
        return a + b

    def many(self) -> Any:
        return clouds.Values(1, "two", None, [3], None)

    def nothing(self) -> Any:
        return clouds.Values()

    def one_null(self, *_: Any) -> None:
        return None

    def big(self, size: int) -> str:
        return "x" * size

    def meet(self, key: str, wanted: int) -> None:
        if self._keep(key) == wanted:
            self._answer_kept(key, wanted)

    def hold(self, key: str) -> None:
        self._keep(key)

    def release(self, key: str, *values: Any) -> bool:
        return self._answer_kept(key, clouds.Values(*values))

    def fail(self, error: Dict[str, Any], *values: Any) -> None:
        more = dict(error)
        raise clouds.ServiceError(more.pop("message"), code=more.pop("code", None), more=more, values=values)

    def fail_text(self, text: str) -> None:
        raise clouds.ServiceError(text)

    def throws(self) -> Any:
        return {}["nothing"]

    def unsendable(self) -> Any:
        values: List[Any] = []
        values.append(values)
        return values

    def count_failures(self, key: str) -> None:
        raise clouds.ServiceError("counted", code="E_COUNT", more={"count": self._count(key)})

    def time_left(self) -> bool:
        left = clouds.request().time_left
        return left is not None and 0 < left <= 45

    def never(self, *values: Any) -> None:
        self._keep("for ever")

    def attempts(self, key: str, silent: int) -> int:
        attempt = self._count(key)
        if attempt <= silent:
            self._keep("for ever")
        return attempt

    def meta(self) -> Dict[str, Any]:
        return clouds.request().meta

    def watch_caller(self, key: str) -> None:
        with self._lock:
            self._watched.setdefault(key, []).append(clouds.request().detach())

    def second(self) -> str:
        return "second"
