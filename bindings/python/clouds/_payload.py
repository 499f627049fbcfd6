"""Values as the library takes them, with what goes along."""
import ctypes
from typing import Any, Callable, Mapping, Optional, Tuple

from clouds import _abi
from clouds._bytes import WithBytes, area_of
from clouds._library import lib
from clouds._values import encode, encode_list, with_bytes


def payload(text: bytes, area: bytes, meta: bytes = b"", trace: bytes = b"") -> Any:
    """A pointer to the record."""
    return ctypes.byref(_abi.clouds_payload(size=ctypes.sizeof(_abi.clouds_payload), json=text, json_len=len(text),
                                            bytes=area or None, bytes_len=len(area), meta=meta or None,
                                            meta_len=len(meta), trace=trace or None, trace_len=len(trace)))


def payload_of(value: Any, meta: Optional[Mapping[str, Any]] = None, trace: bytes = b"") -> Any:
    """That of one value: what is published, or sent. trace: what that has on behalf of which it is published."""
    text = encode_list((value,), with_bytes)
    return payload(text[1:-1], area_of(text), b"" if meta is None else encode(meta), trace)


def reply_of(text: bytes) -> Tuple[Callable[..., int], Tuple[Any, ...]]:
    """How a list of results is handed in: the function, and what it takes behind the request."""
    if isinstance(text, WithBytes):
        return lib.clouds_reply_payload, (payload(text, text.area),)
    return lib.clouds_reply, (text, len(text))
