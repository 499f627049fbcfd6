"""Events: batches of records and their texts in memory of Python, read without a further foreign call."""
import ctypes
import logging
import struct
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from clouds import _abi
from clouds._error import Error, set_facts, take_facts
from clouds._faults import escaped, log, text_of
from clouds._library import lib, make_error
from clouds._values import decode, members, results

RECORD = ctypes.sizeof(_abi.clouds_event)
LARGE = 65536
OVERHEAD = 600  # bytes that an event takes beside its texts

_CODES: Dict[Any, str] = {ctypes.c_uint32: "I", ctypes.c_int32: "i", ctypes.c_uint64: "Q", ctypes.c_int64: "q",
                          ctypes.c_double: "d", ctypes.c_void_p: "P", ctypes.c_char_p: "P", ctypes.c_size_t: "N"}
# Every node has a context of its own, and gives no user data.
_UNREAD = ("user_data", "node", "owned")


_OF_RESULTS = ("type", "code", "id", "data", "data_len", "bytes_len")


def _format(read: Callable[[str], bool]) -> struct.Struct:
    """The layout of a record, with the members that are not read left out."""
    text = ""
    for name, kind in _abi.clouds_event._fields_:
        code = _CODES[kind]
        at = struct.calcsize(text + "0" + code)
        if at != getattr(_abi.clouds_event, name).offset:
            raise ImportError(f"clouds: the member {name} of an event is not where Python expects it")
        text += code if read(name) else f"0{code}{struct.calcsize(code)}x"
    if struct.calcsize(text) != RECORD:
        raise ImportError("clouds: an event is not as large as Python expects it")
    return struct.Struct(text)


LAYOUT = _format(lambda name: name not in _UNREAD)
LAYOUT_OF_RESULTS = _format(lambda name: name in _OF_RESULTS)

# type, code, outcome, flags, id, number, time_left, sequence; then pointer and length of peer, method, data, error, meta,
# bytes
Raw = Tuple[Any, ...]


class Event(NamedTuple):
    """One thing that happened; the members are those of clouds_event."""

    type: int
    code: int
    outcome: int
    id: int
    number: int
    time_left: float
    peer: str
    method: str
    data: str
    error: str
    flags: int = 0
    sequence: int = 0
    meta: str = ""
    area: bytes = b""  # the bytes that came with the data


class Records:
    """Room for a batch of events and their texts."""

    __slots__ = ("capacity", "array", "text", "text_size", "text_address", "needed", "needed_ref", "_view", "_hold")

    def __init__(self, capacity: int, text_size: int) -> None:
        self.capacity = capacity
        self.array = (_abi.clouds_event * capacity)()
        self._view = memoryview(self.array).cast("B")
        self.needed = ctypes.c_size_t()
        self.needed_ref = ctypes.byref(self.needed)
        self._make_text(text_size)

    def _make_text(self, size: int) -> None:
        self.text = bytearray(size)
        self._hold = (ctypes.c_char * size).from_buffer(self.text)
        self.text_address = ctypes.addressof(self._hold)
        self.text_size = size

    def poll(self, context: Any, timeout: float) -> int:
        """Fills itself with what happened: the number of events, or the error as a number below 0."""
        while True:
            count: int = lib.clouds_poll_into(context, self.array, RECORD, self.capacity, self.text_address,
                                              self.text_size, self.needed_ref, timeout)
            if count != _abi.CLOUDS_ETOOBIG:
                return count
            self._make_text(self.needed.value * 2)

    def wait(self, context: Any, call: int, timeout: float) -> int:
        """Waits for the completion of a call: 1 when it is here, 0 when the time was over, or the error below 0."""
        while True:
            count: int = lib.clouds_wait_into(context, call, timeout, self.array, RECORD, self.text_address,
                                              self.text_size, self.needed_ref)
            if count != _abi.CLOUDS_ETOOBIG:
                return count
            self._make_text(self.needed.value)

    def raw(self, count: int) -> Iterator[Any]:
        """The records without their texts."""
        return LAYOUT.iter_unpack(self._view[:count * RECORD])

    def results(self, count: int) -> Iterator[Raw]:
        """What the result of a call has of each record: type, code, id, its data and their length, that of its bytes."""
        return LAYOUT_OF_RESULTS.iter_unpack(self._view[:count * RECORD])

    def ascii(self, count: int) -> str:
        """The texts of the records as one; empty when they are not all ASCII."""
        raw = self.at(count - 1)
        end = max(raw[at] + raw[at + 1] if raw[at + 1] else 0 for at in (8, 10, 12, 14, 16))
        try:
            return str(memoryview(self.text)[:max(0, end - self.text_address)], "ascii")
        except UnicodeDecodeError:
            return ""

    def at(self, index: int) -> Raw:
        """One of the records as it is."""
        return LAYOUT.unpack_from(self._view, index * RECORD)

    def string(self, pointer: int, length: int) -> str:
        """A text that a record points to."""
        at = pointer - self.text_address
        return self.text[at:at + length].decode("utf-8", "replace") if length else ""

    def area(self, pointer: int, length: int) -> bytes:
        """The bytes that a record points to."""
        at = pointer - self.text_address
        return bytes(memoryview(self.text)[at:at + length]) if length else b""

    def event(self, raw: Raw) -> Event:
        """A record with its texts."""
        string = self.string
        return Event(raw[0], raw[1], raw[2], raw[4], raw[5], raw[6], string(raw[8], raw[9]), string(raw[10], raw[11]),
                     string(raw[12], raw[13]), string(raw[14], raw[15]), raw[3], raw[7], string(raw[16], raw[17]),
                     self.area(raw[18], raw[19]) if raw[19] else b"")

    def is_attempt(self) -> bool:
        """Is the record of a wait the event before an attempt, and not the end of the call?"""
        return bool(LAYOUT.unpack_from(self._view)[0] == _abi.CLOUDS_EVENT_ATTEMPT)

    def result(self) -> Any:
        """The results that a wait brought; raises the error of a call that failed."""
        raw: Raw = LAYOUT.unpack_from(self._view)
        if raw[1]:
            raise failure(self.event(raw))
        text, area = self.string(raw[12], raw[13]), self.area(raw[18], raw[19])
        if self.text_size > LARGE:  # the room that a large result took is given back
            self._make_text(LARGE)
        return results(text, area)

    def peer(self, index: int = 0) -> Optional[str]:
        """The id of the other node of one of the records, if it has one."""
        raw = self.at(index)
        return self.string(raw[8], raw[9]) or None

    def results_along(self, index: int) -> Any:
        """The results of one that came with bytes."""
        raw = self.at(index)
        return results(self.string(raw[12], raw[13]), self.area(raw[18], raw[19]))

    def events(self, count: int) -> List[Event]:
        """All of them, with their texts."""
        return [self.event(raw) for raw in self.raw(count)]


def size_of(event: Event) -> int:
    """So much memory an event takes while it waits for its turn."""
    return sys.getsizeof(event.data) + sys.getsizeof(event.error) + len(event.area) + OVERHEAD


_LEVELS = {_abi.CLOUDS_LOG_DEBUG: logging.DEBUG, _abi.CLOUDS_LOG_INFO: logging.INFO,
           _abi.CLOUDS_LOG_WARN: logging.WARNING, _abi.CLOUDS_LOG_ERROR: logging.ERROR}


def log_line(event: Event) -> None:
    """A line of the library's log."""
    line = members(event.data) or {}
    log.log(_LEVELS.get(event.number, logging.ERROR), "%s", escaped(text_of(line.pop("message", event.data))),
            extra={"clouds": line})


def failure(event: Event) -> Error:
    """The exception for an event whose code is not 0."""
    more = members(event.error)
    if more is None:
        more = {"message": event.error} if event.error else {}
    message = more.pop("message", None)
    code = more.pop("code", None)
    facts: Dict[str, Any] = {"method": event.method or None, "server": event.peer or None}
    if event.code != _abi.CLOUDS_EAPP:
        code = None  # the library's own, which the class knows
        facts.update(take_facts(more))
    values = decode(event.data) if event.type == _abi.CLOUDS_EVENT_RESULT else None
    problem = make_error(event.code, message if isinstance(message, str) else None, code=code,
                         outcome=_abi.OUTCOMES[event.outcome & 3], more=more,
                         values=values if isinstance(values, list) else ())
    problem.received = True
    return set_facts(problem, facts)
