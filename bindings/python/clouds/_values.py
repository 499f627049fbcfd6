"""Values: what Python's mean as JSON text, exactly, and back.

A number is what every language holds: whole ones from -(2**53 - 1) to 2**53 - 1, and floats. A whole number beyond is
sent only when it is a float too, and comes as one: so what arrives always equals what was sent.
"""
import json
import math
import re
from json import encoder
from json.encoder import JSONEncoder
from typing import Any, Callable, FrozenSet, Iterable, List, Optional, Tuple, cast

from clouds._bytes import BYTES, Pieces, restorer

MAX_WHOLE = 2 ** 53 - 1
MAX_DEPTH = 256

_STR: FrozenSet[type] = frozenset((str,))
_PLAIN: FrozenSet[type] = frozenset((str, float, bool, type(None)))


class Values(Tuple[Any, ...]):
    """Several results of one call, or none: ``return clouds.Values(1, 2)``.

    A call gives its only result as it is, None when there is none, and Values when there are more.
    """

    __slots__ = ()

    def __new__(cls, *values: Any) -> "Values":
        return super().__new__(cls, values)

    def __repr__(self) -> str:
        return "Values(" + ", ".join(map(repr, self)) + ")"

    def __getnewargs__(self) -> Tuple[Any, ...]:
        return tuple(self)


# ---- to JSON

_encode_ascii: Callable[[Any], str] = JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def _refuse(value: Any) -> Any:
    raise TypeError(f"cannot send an object of type {type(value).__name__}")


def _prebuilt() -> Callable[[Any, int], Iterable[str]]:
    """JSONEncoder.encode makes one of these for each text that it writes, which takes longer than the writing.

    It is none of what Python promises, so it is tried first.
    """
    try:
        make = getattr(encoder, "c_make_encoder")(None, _refuse, getattr(encoder, "encode_basestring"), None, ":", ",",
                                                  False, False, False)
        if "".join(make([1, "a", {"b": None}], 0)) == '[1,"a",{"b":null}]':
            return cast(Callable[[Any, int], Iterable[str]], make)
    except (AttributeError, TypeError):
        pass
    encode = JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
    return lambda value, _: (encode(value),)


# The parts of a JSON text; the second argument is always 0.
_parts: Callable[[Any, int], Iterable[str]] = _prebuilt()


def _fits(value: Iterable[Any], left: int = MAX_DEPTH) -> bool:
    """Can the members of a list be sent, which may nest so deep? False when that takes a closer look."""
    if left == 0:
        return False
    kinds = set(map(type, value))
    if kinds <= _PLAIN:
        return True
    for item in value:
        kind = type(item)
        if kind is int:
            if not -MAX_WHOLE <= item <= MAX_WHOLE:
                return False
        elif kind not in _PLAIN and not _fits_in(item, kind, left - 1):
            return False
    return True


def _fits_in(value: Any, kind: type, left: int) -> bool:
    if kind is dict:
        return set(map(type, value)) <= _STR and _fits(value.values(), left)
    return (kind is list or kind is tuple) and _fits(value, left)


def _place(path: List[Any]) -> str:
    text = "".join(f"[{step!r}]" for step in path[1:])
    return f" at {text}" if text else ""


def _number(given: int, path: List[Any]) -> Any:
    value = int.__int__(given)
    if abs(value) <= MAX_WHOLE:
        return value
    try:
        near = float(value)
    except OverflowError:
        near = math.inf
    if near == value:
        return near
    raise ValueError(f"cannot send {_short(value)}{_place(path)}: whole numbers beyond 2**53 are not the same "
                     "everywhere; send it as text")


def _short(value: int) -> str:
    return str(value) if value.bit_length() < 200 else "a whole number this large"


def _float(given: float, path: List[Any]) -> float:
    value = float.__float__(given)
    if math.isfinite(value):
        return value
    raise ValueError(f"cannot send {value!r}{_place(path)}: it is no number in JSON")


def _object(value: "dict[Any, Any]", path: List[Any], pieces: Optional[Pieces]) -> Any:
    made = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"cannot send a dict with the key {key!r}{_place(path)}: keys are text")
        name = str.__str__(key)
        if pieces is not None and len(value) == 1:
            name = pieces.name(name)
        made[name] = _plain(item, path + [key], pieces)
    return made


def _bytes(value: Any, path: List[Any], pieces: Optional[Pieces]) -> Any:
    if pieces is None:
        raise TypeError(f"cannot send {type(value).__name__}{_place(path)}: only arguments, results, messages and what is "
                        "published may have bytes")
    return pieces.put(value)


def _plain(value: Any, path: List[Any], pieces: Optional[Pieces]) -> Any:
    """The same in the types that JSON has; raises with the place of what cannot be sent. pieces: takes bytes.

    What is of a kind derived from one of them travels as its value, whatever it says of itself: str() of a member of
    an Enum that is also a str is its name.
    """
    if len(path) > MAX_DEPTH and isinstance(value, (list, tuple, dict)):
        raise ValueError(f"cannot send a value that contains itself, or nests deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _number(value, path)
    if isinstance(value, float):
        return _float(value, path)
    if isinstance(value, (list, tuple)):
        return [_plain(item, path + [index], pieces) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _object(value, path, pieces)
    if isinstance(value, BYTES):
        return _bytes(value, path, pieces)
    raise TypeError(f"cannot send an object of type {type(value).__name__}{_place(path)}")


def _plain_text(values: Any, pieces: Optional[Pieces]) -> bytes:
    plain = [_plain(value, [0, index], pieces) for index, value in enumerate(values)]
    return _encode_ascii(plain).encode("ascii")


def _encode_checked(values: Any) -> bytes:
    """For all that is not quite ordinary: subclasses, large numbers, mistakes."""
    return _plain_text(values, None)


def with_bytes(values: Any) -> bytes:
    """The same where bytes may be: WithBytes, if there are some."""
    pieces = Pieces()
    text = _plain_text(values, pieces)
    if not pieces.found:
        return text
    pieces.take()
    return pieces.text(_plain_text(values, pieces))


def encode_list(values: Any, unusual: Callable[[Any], bytes] = _encode_checked) -> bytes:
    """Arguments or results, a tuple or list, as the JSON array that the library takes.

    Raises TypeError or ValueError, with the place, for what cannot be sent. unusual: with_bytes where bytes may be.
    """
    try:
        for value in values:
            kind = type(value)
            if kind is int:
                if not -MAX_WHOLE <= value <= MAX_WHOLE:
                    break
            elif kind is not str and kind not in _PLAIN and not _fits_in(value, kind, MAX_DEPTH - 1):
                break
        else:
            return "".join(_parts(values, 0)).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):  # a lone surrogate, NaN, nested too deep
        pass
    return unusual(values)


def encode(value: Any) -> bytes:
    """One value as JSON text."""
    return encode_list((value,))[1:-1]


# ---- from JSON

_LONG = re.compile(r"[0-9][0-9]{15}")  # the first apart, so that the search for it is undeclared
_SHORTEST_LONG = 18


def whole(text: str) -> Any:
    """A whole number of a JSON text: an int where every language has it, else the nearest float."""
    if len(text) < 16:
        return int(text)
    if len(text) > 400:
        return float(text)
    value = int(text)
    return value if -MAX_WHOLE <= value <= MAX_WHOLE else float(value) if abs(value) < 1e308 else float(text)


_scan: Callable[[str, int], Tuple[Any, int]] = getattr(json.JSONDecoder(), "scan_once")
_scan_long: Callable[[str, int], Tuple[Any, int]] = getattr(json.JSONDecoder(parse_int=whole), "scan_once")


def decode(text: str) -> Any:
    """The value of a JSON text of the library, which has no white space around it; None of an empty one."""
    try:
        if len(text) >= _SHORTEST_LONG and _LONG.search(text):
            return _scan_long(text, 0)[0]
        return _scan(text, 0)[0] if text else None
    except StopIteration:
        raise ValueError(f"not JSON: {text[:100]!r}") from None


def _scan_along(text: str, area: bytes) -> Any:
    """The same of a text that came with bytes."""
    scan = getattr(json.JSONDecoder(parse_int=whole, object_hook=restorer(area)), "scan_once")
    return scan(text, 0)[0]


def decode_along(text: str, area: bytes) -> Any:
    """The value of a JSON text and of the bytes that came with it; empty: there are none."""
    return _scan_along(text, area) if area and text else decode(text)


def results_at(text: str, at: int, length: int) -> Any:
    """What a call gives for the array of its results, which is a part of a text."""
    try:
        if length < _SHORTEST_LONG or not _LONG.search(text, at, at + length):
            values = _scan(text, at)[0]
        else:
            values = _scan_long(text, at)[0]
    except StopIteration:
        raise ValueError(f"not JSON: {text[at:at + min(length, 100)]!r}") from None
    if len(values) == 1:
        return values[0]
    return Values(*values) if values else None


def results(text: str, area: bytes = b"") -> Any:
    """What a call gives for the array of its results."""
    values = decode_along(text, area)
    if len(values) == 1:
        return values[0]
    return Values(*values) if values else None


def members(text: str) -> Optional["dict[str, Any]"]:
    """The members of an error; None when the text is no object."""
    try:
        value = decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
