"""Options: of a node, as keyword arguments, and of one call."""
import ctypes
import functools
import math
import os
import types
from typing import (Any, Callable, Dict, FrozenSet, Mapping, MutableMapping, NamedTuple, Optional, Sequence, Tuple, TypeVar,
                    Union)

from clouds import _abi
from clouds._library import OPTIONS, check, lib
from clouds._values import encode_list

Number = Union[int, float]
Meta = Optional[Mapping[str, Any]]
Key = Union[str, bytes, None]
About = Optional[MutableMapping[str, Any]]
Hooks = Dict[str, Callable[..., Any]]
_Class = TypeVar("_Class", bound=type)

HOOKS = ("find_server", "save_servers", "remove_server", "clear_servers")
LOG_LEVEL = "info"  # of what the library says; the level of the logger `clouds` decides on what is written
_IS_COROUTINE = 0x80  # inspect.CO_COROUTINE

_KNOWN = {option.name: option for option in OPTIONS}
MAX_RETRIES = int(_KNOWN["retries"].maximum)
# The API decides on the mode, and options without a use in Python are not accepted.
_HIDDEN = ("mode", "user_data", "retries", "url")
_ACCEPTED = sorted({name for name in _KNOWN if name not in _HIDDEN} | {"retry"})
_C_NAMES = {"retry": "retries"}
_OF_MODE = {"thread": ["url", "workers"], "inline": ["url"]}


class SortedOptions(NamedTuple):
    """The options of a node, sorted by whom they are for."""

    context: Dict[str, Any]
    node: Dict[str, Any]
    hooks: Hooks


def default_url() -> str:
    """The address for those who name none. An empty variable is as none."""
    return os.environ.get("CLOUDS_URL") or "local:"


def limit_of(chosen: SortedOptions, name: str) -> int:
    """A limit of the connection: what was given, else the library's default."""
    return int(chosen.context.get(name) or float(_KNOWN[name].default))


def seconds_of(values: Dict[str, Any], name: str) -> float:
    """A period: what was given, else the library's default."""
    return float(values[name] if name in values else _KNOWN[name].default)


def _unknown(name: str, known: Sequence[str], otherwise: str) -> TypeError:
    import difflib  # slow to load, and seldom needed
    near = difflib.get_close_matches(name, known, 1)
    return TypeError(f"unknown option '{name}'; " + (f"did you mean '{near[0]}'?" if near else otherwise))


def _checked(function: Callable[..., Any], options: Sequence[str], accepted: FrozenSet[str]) -> Callable[..., Any]:
    """The function, with an error of ours for an unknown option."""
    @functools.wraps(function)
    def checked(*arguments: Any, **given: Any) -> Any:
        if not given:
            return function(*arguments)
        if not given.keys() <= accepted:
            name = next(name for name in given if name not in accepted)
            raise _unknown(name, options, "expected " + ", ".join(options))
        return function(*arguments, **given)

    if not function.__code__.co_flags & _IS_COROUTINE:
        return checked

    @functools.wraps(function)
    async def awaited(*arguments: Any, **given: Any) -> Any:
        return await checked(*arguments, **given)
    return awaited


def with_options(cls: _Class) -> _Class:
    """Lets the functions of a class say of an unknown option which was meant."""
    for name, function in list(vars(cls).items()):
        if name.startswith("_") or not isinstance(function, types.FunctionType):
            continue
        code = function.__code__  # the module inspect is slow to load
        named = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
        options = named[code.co_argcount - len(function.__defaults__ or ()):]
        if options:
            setattr(cls, name, _checked(function, options, frozenset(named)))
    return cls


def _check_hook(name: str, value: Any) -> bool:
    """Is it a function that takes over a question of the library?"""
    if value is None or callable(value):
        return value is not None
    raise TypeError(f"option '{name}': expected a function, got {value!r}")


def _check_value(name: str, value: Any) -> None:
    kind = _KNOWN[_C_NAMES.get(name, name)].type
    if kind == "bool" and not isinstance(value, bool):
        raise TypeError(f"option '{name}': expected True or False, got {value!r}")
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value)):
        raise TypeError(f"option '{name}': expected a number, got {value!r}")
    if kind == "string" and not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"option '{name}': expected text, got {value!r}")


def choose(kind: str, mode: str, url: Optional[str], options: Dict[str, Any]) -> SortedOptions:
    """Sorts the keyword arguments of a node; a TypeError for an unknown name or a value of the wrong type."""
    if url is not None and not isinstance(url, str):
        raise TypeError(f"expected an address as text, got {url!r}")
    chosen = SortedOptions({"url": url or default_url(), "mode": mode, "log_level": LOG_LEVEL}, {"type": kind}, {})
    for name, value in options.items():
        if name not in _ACCEPTED:
            raise _unknown(name, _ACCEPTED + _OF_MODE[mode], "docs/CONFIGURATION.md lists them")
        if name in HOOKS:
            if _check_hook(name, value):
                chosen.hooks[name] = value
                chosen.node[name] = True
        elif value is not None:
            _check_value(name, value)
            if name == "retry":
                check_retry(value)
            known = _C_NAMES.get(name, name)
            (chosen.context if _KNOWN[known].scope == "context" else chosen.node)[known] = value
    return chosen


def _set(handle: ctypes.c_void_p, name: str, value: Any) -> int:
    key = name.encode()
    if isinstance(value, bool):
        return int(lib.clouds_options_set_bool(handle, key, value))
    if isinstance(value, (int, float)):
        return int(lib.clouds_options_set_number(handle, key, value))
    text = os.fsencode(value)
    if b"\0" in text:
        raise ValueError(f"option '{name}': NUL in {value!r}")
    return int(lib.clouds_options_set_string(handle, key, text))


class Options:
    """A set of options of the library, for the time of a with statement."""

    def __init__(self, values: Dict[str, Any]) -> None:
        self._handle = ctypes.c_void_p()
        self._values = values

    def __enter__(self) -> ctypes.c_void_p:
        check(lib.clouds_options_create(ctypes.byref(self._handle)))
        try:
            for name, value in self._values.items():
                check(_set(self._handle, name, value))
        except BaseException:
            lib.clouds_options_destroy(self._handle)
            raise
        return self._handle

    def __exit__(self, *_: object) -> None:
        lib.clouds_options_destroy(self._handle)


# ---- of one call

def drain_seconds(drain: Optional[Number]) -> float:
    """What close() was given, as the library takes it: below 0 is the node's default."""
    return -1.0 if drain is None else math.inf if drain == math.inf else _seconds("drain", drain)


def _seconds(name: str, value: Optional[Number]) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected a number of seconds, got {value!r}")
    if not value >= 0 or math.isinf(value):
        raise ValueError(f"{name}: expected a number of seconds, 0 or more, got {value!r}")
    return float(value)


def check_wait(timeout: Optional[Number]) -> Optional[float]:
    """The longest wait for an operation; None: the node's own limit."""
    return None if timeout is None else _seconds("timeout", timeout)


def check_retry(retry: Any) -> int:
    """The number of further attempts."""
    if isinstance(retry, bool) or not isinstance(retry, int):
        raise TypeError(f"retry: expected a whole number, got {retry!r}")
    if not 0 <= retry <= MAX_RETRIES:
        raise ValueError(f"retry: expected a whole number from 0 to {MAX_RETRIES}, got {retry!r}")
    return retry


class More(NamedTuple):
    """The rarer options of a call, as the record has them, and what is told of it."""

    flags: int
    hedge: float
    texts: Tuple[Any, ...]  # pointer and length of key, once, reply_to and correlation
    about: About = None


_NOTHING_MORE = More(0, 0.0, (None, 0) * 4)


_FILLED = ("once", "reply_to")  # an empty one would be taken for none


def _text_of(name: str, value: Any, types_of: Tuple[type, ...]) -> Tuple[Any, int]:
    if value is None:
        return None, 0
    if not isinstance(value, types_of):
        raise TypeError(f"{name}: expected {'a str or bytes' if bytes in types_of else 'a str'}, got {value!r}")
    text = value.encode() if isinstance(value, str) else value
    if not text and name in _FILLED:
        raise ValueError(f"{name}: expected a text, and not an empty one")
    return text or None, len(text)


def _check_about(about: About) -> None:
    """Until the call has ended there is nothing to tell."""
    if about is None:
        return
    if not isinstance(about, MutableMapping):
        raise TypeError(f"about: expected a dict, got {about!r}")
    about["server"] = None


def more_of(key: Key, once: Key, hedge: Optional[Number], idempotent: bool, reply_to: Optional[str],
            correlation: Optional[str], about: About) -> Optional[More]:
    """None: there are none."""
    if all(value is None for value in (key, once, hedge, reply_to, correlation, about)) and not idempotent:
        return None
    if hedge is not None and (isinstance(hedge, bool) or not isinstance(hedge, (int, float))):
        raise TypeError(f"hedge: expected a number of seconds, got {hedge!r}")
    texts = (*_text_of("key", key, (str, bytes)), *_text_of("once", once, (str, bytes)),
             *_text_of("reply_to", reply_to, (str,)), *_text_of("correlation", correlation, (str,)))
    _check_about(about)
    return More(_abi.CLOUDS_CALL_IDEMPOTENT if idempotent else 0, float(hedge or 0), texts, about)


class CallOptions:
    """What limits a call, checked; None is the node's default. `flags` are those of the API."""

    __slots__ = ("timeout", "deadline", "retries", "about", "prepared", "_flags", "_server", "_meta", "_more")

    def __init__(self, flags: int, timeout: Optional[Number] = None, deadline: Optional[Number] = None,
                 retry: Optional[int] = None, server: Optional[str] = None,
                 meta: Meta = None, more: Optional[More] = None) -> None:
        if meta is not None and not isinstance(meta, Mapping):
            raise TypeError(f"meta: expected a dict, got {meta!r}")
        self._meta = b"" if not meta else encode_list((dict(meta),))[1:-1]
        if server is not None and not isinstance(server, str):
            raise TypeError(f"server: expected the id of a node, got {server!r}")
        if server == "":
            raise ValueError("server: expected the id of a node, and not an empty text")  # that would be taken for none
        self._flags, self._server = flags, (server or "").encode()
        self._more = more or _NOTHING_MORE
        self._flags |= self._more.flags
        self.about = self._more.about
        self.timeout, self.deadline = _seconds("timeout", timeout), _seconds("deadline", deadline)
        self.retries = 0 if retry is None else check_retry(retry) or -1  # for the library 0 is the node's default
        #: The record for calls that inherit nothing.
        self.prepared = self.record(0, self.deadline)

    def record(self, parent: int, deadline: float, area: bytes = b"", trace: bytes = b"") -> Any:
        """A pointer to the record that the library takes, with a parent, a deadline, bytes and a trace of one call."""
        return ctypes.byref(_abi.clouds_call_options(
            ctypes.sizeof(_abi.clouds_call_options), self._flags, self.retries, 0, self.timeout, deadline, self._more.hedge, parent, 0,
            self._server or None, len(self._server), self._meta or None, len(self._meta),
            area or None, len(area), *self._more.texts, None, 0, trace or None, len(trace)))


def method_text(name: Any) -> str:
    """The name of a method as plain text: what derives from str may hash as another thing does."""
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a method, got {name!r}")
    return str.__str__(name)


def method_name(name: Any) -> bytes:
    """The name of a method, as the library takes it."""
    return name.encode() if type(name) is str else method_text(name).encode()
