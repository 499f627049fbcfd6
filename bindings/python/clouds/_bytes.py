"""Bytes beside JSON: {"$bytes": [offset, length]} stands for a piece of them (clouds_bytes_mark in clouds.h)."""
from typing import Any, Callable, Dict, List, Union

BYTES = (bytes, bytearray, memoryview)
NAME = "$bytes"


class WithBytes(bytes):
    """JSON text with bytes beside it, which are the attribute `area`."""

    area: bytes = b""


def area_of(text: bytes) -> bytes:
    """The bytes beside a text; empty: there are none."""
    return text.area if isinstance(text, WithBytes) else b""


def _no_library(name: bytes, length: int) -> int:
    raise NotImplementedError


_marks: List[Callable[[bytes, int], int]] = [_no_library]


def set_mark(mark: Callable[[bytes, int], int]) -> None:
    """The library's function that knows the names."""
    _marks[0] = mark


def mark(name: str) -> int:
    """How many "$" are in the name of an object's only member, if it is one of those; else 0."""
    text = name.encode("utf-8", "surrogatepass")
    return _marks[0](text, len(text))


class Pieces:
    """The bytes of a message that is being encoded: looked for in a first run, and taken in a second."""

    def __init__(self) -> None:
        self.found = self.taking = False
        self._parts: List[bytes] = []
        self._size = 0

    def take(self) -> None:
        """The second run begins: objects that look like bytes are written otherwise."""
        self.taking = True

    def put(self, value: Union[bytes, bytearray, memoryview]) -> Any:
        """What stands for a piece."""
        self.found = True
        if not self.taking:
            return None
        part = bytes(value)
        self._parts.append(part)
        place = [self._size, len(part)]
        self._size += len(part)
        return {NAME: place}

    def name(self, name: str) -> str:
        """The name of an object's only member, as it is written."""
        return "$" + name if self.taking and mark(name) else name

    def text(self, json: bytes) -> WithBytes:
        """The whole. Bytes that are all empty are told from none by one that no piece has."""
        made = WithBytes(json)
        made.area = b"".join(self._parts) or b"\0"
        return made


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def restorer(area: bytes) -> Callable[[Dict[str, Any]], Any]:
    """A function of an object of a message with these bytes: what it stands for."""
    def restore(found: Dict[str, Any]) -> Any:
        if len(found) != 1:
            return found
        (name, value), = found.items()
        marks = mark(name)
        if marks > 1:
            return {name[1:]: value}
        if marks == 1 and isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)):
            offset, length = value
            if offset + length <= len(area):
                return area[offset:offset + length]
        return found
    return restore
