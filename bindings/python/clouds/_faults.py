"""Failures in code of the program: how they are logged, and sent to a caller."""
import logging
import threading
import traceback
from typing import Any, Dict, Optional, Tuple

from clouds._error import FACTS, Error
from clouds._values import encode, encode_list
from clouds.errors import ServiceError

log = logging.getLogger("clouds")

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES.update({ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"})
_FRAME = "  File "


def escaped(text: str) -> str:
    """Text from elsewhere for one line of a log or a terminal: nothing in it begins a line or commands the terminal."""
    return text.translate(_ESCAPES)


def text_of(thing: Any) -> str:
    """An object as text; the name of its class where str() of it fails."""
    if isinstance(thing, str):
        return str.__str__(thing)
    try:
        return str.__str__(str(thing))
    except Exception:
        return type(thing).__name__


def _member(problem: BaseException, name: str) -> Any:
    """An attribute of an exception of the program; None when there is none, or it raises."""
    try:
        return getattr(problem, name, None)
    except Exception:
        return None


# ---- for the log

def _escaped_chunk(chunk: str) -> str:
    if chunk.startswith(_FRAME):
        return "\n".join(map(escaped, chunk.split("\n")))
    body = chunk.strip("\n")
    left, right = chunk[:len(chunk) - len(chunk.lstrip("\n"))], chunk[len(chunk.rstrip("\n")):]
    return left + escaped(body) + right if body else chunk


class _Escaping(logging.Filter):
    """What exceptions say may come from others: their text in our lines is written escaped."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            try:
                found = traceback.TracebackException(*record.exc_info)
                record.exc_text = "".join(map(_escaped_chunk, found.format())).rstrip("\n")
            except Exception:
                record.exc_text = f"{type(record.exc_info[1]).__name__}: (it cannot be shown)"
        return True


log.addFilter(_Escaping())


def log_failure(words: str, problem: BaseException, *arguments: Any, about: Optional[Dict[str, Any]] = None) -> None:
    """Logs a failure in code of the program, with its stack. The first frame is of this package, and left out."""
    trace = problem.__traceback__
    trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    log.error(words, *arguments, exc_info=(type(problem), problem, trace), extra=about)


def is_interrupt(problem: BaseException) -> bool:
    """Is it Ctrl-C? It reaches the main thread only; what another thread raises is a fault like any other."""
    return isinstance(problem, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def ignore(future: Any) -> None:
    """Takes the exception of a future or a task that nobody waits for, which asyncio would report."""
    if not future.cancelled():
        future.exception()


# ---- for the caller

def _sendable(members: Dict[str, Any]) -> Dict[str, Any]:
    """Without what cannot be sent: the others say more than an error about the error would."""
    kept = {}
    for name, value in members.items():
        try:
            encode({name: value})
        except Exception:
            continue
        kept[name] = value
    return kept


def _values(problem: Error) -> bytes:
    try:
        return encode_list(tuple(problem.values)) if problem.values else b""
    except Exception:
        return b""


def _facts(problem: Error) -> Dict[str, Any]:
    """What an error of the library concerns, which the caller gets too. Those of a service's error are about our call."""
    if isinstance(problem, ServiceError):
        return {}
    return _sendable({name: getattr(problem, name) for name in FACTS if getattr(problem, name) is not None})


def _members(problem: BaseException) -> Dict[str, Any]:
    code = _member(problem, "code")
    if isinstance(problem, Error):
        code = None if code is None or code == ServiceError.default_code else code
        return {**_facts(problem), "message": text_of(problem.message),
                **({} if code is None else _sendable({"code": code})), **_sendable(problem.more)}
    return {"message": text_of(problem) or type(problem).__name__,
            "code": text_of(code) if isinstance(code, str) else type(problem).__name__}


def encode_error(problem: BaseException) -> Tuple[bytes, bytes]:
    """An exception as the error's members and the values beside it. Never the stack; and whatever it is, an answer."""
    try:
        return encode(_members(problem)), _values(problem) if isinstance(problem, Error) else b""
    except Exception:
        name = type(problem).__name__
        return encode({"message": name, "code": name}), b""
