"""The limits of a method: the keyword arguments of register, checked, as the library takes them."""
import ctypes
import math
from typing import Any, Callable, Dict, Literal, NamedTuple, Union

from clouds import _abi

Count = Union[int, Literal["auto"]]

_MAX_COUNT = 2147483647


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MAX_COUNT


class _Kind(NamedTuple):
    fits: Callable[[Any], bool]
    expected: str


_SECONDS = _Kind(lambda value: _is_number(value) and value > 0, "a number of seconds above 0")
_AMOUNT = _Kind(lambda value: _is_number(value) and 0 < value < math.inf, "a number above 0")
_KINDS = {
    "serial": _Kind(lambda value: isinstance(value, bool), "True or False"),
    "key": _Kind(lambda value: _is_count(value, 0), "the number of an argument, from 0 on"),
    "concurrency": _Kind(lambda value: value == "auto" or _is_count(value, 1), "a whole number above 0, or 'auto'"),
    "queue": _Kind(lambda value: _is_count(value, 0), "a whole number, 0 or more"),
    "queue_age": _SECONDS,
    "queue_target": _SECONDS,
    "rate": _AMOUNT,
    "burst": _AMOUNT,
    "caller_rate": _AMOUNT,
    "caller_burst": _AMOUNT,
}


def limits_of(given: Dict[str, Any]) -> Any:
    """The record, or None without limits. For the library 0 is the default, and below 0 is none."""
    limits = {name: value for name, value in given.items() if value is not None}
    if not limits:
        return None
    for name, value in limits.items():
        kind = _KINDS[name]
        if not kind.fits(value):
            raise (ValueError if _is_number(value) else TypeError)(f"{name}: expected {kind.expected}, got {value!r}")
    record = _abi.clouds_offer_options(size=ctypes.sizeof(_abi.clouds_offer_options))
    record.flags = _abi.CLOUDS_OFFER_SERIAL if limits.pop("serial", False) else 0
    record.key_arg = limits.pop("key", -1) + 1
    if limits.get("queue") == 0:
        limits["queue"] = -1
    if limits.get("concurrency") == "auto":
        limits["concurrency"] = -1
    for name, value in limits.items():
        setattr(record, name, -1 if value == math.inf else value)
    return record
