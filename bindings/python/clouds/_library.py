"""Finds libclouds, loads it, and declares its functions.

Looked at, in this order: the path in CLOUDS_LIBRARY; the library that a wheel carries beside this file; the system's.
"""
import ctypes
import os
from typing import Any, Dict, List, Optional, Tuple

from clouds import _abi
from clouds._error import Error, set_facts, take_facts
from clouds._bytes import set_mark
from clouds._values import members
from clouds.errors import BY_NUMBER

SONAME = "libclouds.so.0"
_BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib")


def _load_bundled() -> Any:
    """The wheel's own library. What it needs lies beside it, and is loaded first so that it is found."""
    for name in sorted(os.listdir(_BUNDLED)):
        if name != SONAME and ".so" in name:
            ctypes.CDLL(os.path.join(_BUNDLED, name))
    return ctypes.CDLL(os.path.join(_BUNDLED, SONAME))


def _open() -> Tuple[str, Any]:
    """Where the library is, and the library."""
    named = os.environ.get("CLOUDS_LIBRARY")
    try:
        if named:
            return named, ctypes.CDLL(named)
        if os.path.exists(os.path.join(_BUNDLED, SONAME)):
            return os.path.join(_BUNDLED, SONAME), _load_bundled()
        return SONAME, ctypes.CDLL(SONAME)
    except OSError as problem:
        where = f"CLOUDS_LIBRARY is {named}" if named else "CLOUDS_LIBRARY may name its path"
        raise ImportError(f"clouds: the library {SONAME} cannot be loaded: {problem}. {where}") from None


def _declare(where: str, library: Any) -> None:
    """Gives each function its types; an ImportError when the library is older than the declarations."""
    try:
        for name, (result, *arguments) in _abi.FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        version, number = library.clouds_version().decode(), library.clouds_version_number()
    except AttributeError as problem:
        raise ImportError(f"clouds: {where} is older than this package ({_abi.VERSION}): {problem}") from None
    if number < _abi.VERSION_NUMBER:
        raise ImportError(f"clouds: {where} is version {version}, and this package needs {_abi.VERSION} or later")


def _layout(library: Any) -> Dict[Tuple[str, str], Tuple[int, int]]:
    """The offset and the length of each member of each record of the library."""
    rows: Dict[Tuple[str, str], Tuple[int, int]] = {}
    info = _abi.clouds_layout_info(size=ctypes.sizeof(_abi.clouds_layout_info))
    while library.clouds_layout(len(rows), ctypes.byref(info)) == 0:
        rows[info.record.decode(), info.member.decode()] = (info.offset, info.length)
    return rows


def _compare(where: str, library: Any) -> None:
    """An ImportError when a record is not declared as the library has it. What a later one has more is at its end."""
    rows = _layout(library)
    for record in _abi.RECORDS:
        for name, *_ in record._fields_:
            declared, found = getattr(record, name), rows.get((record.__name__, name))
            if found != (declared.offset, declared.size):
                place = "{1} bytes at {0}".format(*found) if found else "nowhere"
                raise ImportError(f"clouds: {where} does not fit this package ({_abi.VERSION}): it has {record.__name__}."
                                  f"{name} {place}, expected {declared.size} bytes at {declared.offset}")


def _load() -> Any:
    where, library = _open()
    _declare(where, library)
    _compare(where, library)
    return library


lib: Any = _load()
set_mark(lib.clouds_bytes_mark)


def undeclared(name: str) -> Any:
    """A function of the library without declared arguments, which saves an object for each of them at each call.

    It takes bytes, whole numbers of 32 bits, None, and what byref() or an instance of c_void_p points to.
    """
    return lib[name]


version: str = lib.clouds_version().decode()


def make_error(number: int, message: Optional[str], *, outcome: Optional[str] = None, **members: Any) -> Error:
    """The exception for an error's number. The library knows one that this package does not know yet."""
    kind = BY_NUMBER.get(number)
    if kind is not None:
        return kind(message, outcome=outcome, **members)
    members["code"] = lib.clouds_err_name(number).decode()
    return Error(lib.clouds_strerror(number).decode() if message is None else message,
                 outcome=outcome or _abi.OUTCOMES[lib.clouds_err_outcome(number) & 3], **members)


def error(number: int) -> Error:
    """The exception for a result below 0, with the words that the library has for it."""
    more = members(lib.clouds_last_error_json().decode("utf-8", "replace")) or {}
    words = more.get("message")
    return set_facts(make_error(number, words if isinstance(words, str) and words else None), take_facts(more))


def check(number: int) -> int:
    """Raises what a result below 0 means; gives any other back."""
    if number < 0:
        raise error(number)
    return number


class Option:
    """One row of the library's table of options."""

    __slots__ = ("name", "type", "scope", "default", "maximum")

    def __init__(self, info: _abi.clouds_option_info) -> None:
        self.name: str = info.name.decode()
        self.type: str = info.type.decode()
        self.scope: str = info.scope.decode()
        self.default: str = (info.default_value or b"").decode()
        self.maximum: float = info.maximum


def _options() -> List[Option]:
    rows: List[Option] = []
    info = _abi.clouds_option_info(size=ctypes.sizeof(_abi.clouds_option_info))
    while lib.clouds_option_describe(len(rows), ctypes.byref(info)) == 0:
        rows.append(Option(info))
    return rows


OPTIONS: List[Option] = _options()
