"""What a method says of itself: of its type hints and its docstring, or as it is given."""
import ctypes
import inspect
from typing import Any, Callable, Dict, List, Literal, Mapping, Sequence, Tuple, Union, get_args, get_origin, get_type_hints

from clouds import _abi
from clouds._values import Values, encode

Schema = Dict[str, Any]
Declared = Union[None, bool, Schema]

_BASIC: Dict[Any, Schema] = {
    Any: {}, object: {}, inspect.Parameter.empty: {}, type(None): {"type": "null"}, bool: {"type": "boolean"},
    int: {"type": "integer"}, float: {"type": "number"}, str: {"type": "string"}, list: {"type": "array"},
    tuple: {"type": "array"}, dict: {"type": "object"}, bytes: {"type": "object", "required": ["$bytes"]},
}


def _of_object(hint: Any) -> Schema:
    """Of a TypedDict."""
    members = {name: _of_hint(inner) for name, inner in get_type_hints(hint).items()}
    return {"type": "object", "properties": members, "required": sorted(hint.__required_keys__)}


def _of_tuple(hints: Tuple[Any, ...]) -> Schema:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return {"type": "array", "items": _of_hint(hints[0])}
    return {"type": "array", "prefixItems": [_of_hint(hint) for hint in hints], "minItems": len(hints), "items": False}


def _is_union(hint: Any, origin: Any) -> bool:
    return origin is Union or type(hint).__name__ == "UnionType"


def _of_generic(hint: Any) -> Schema:
    origin, inner = get_origin(hint), get_args(hint)
    if _is_union(hint, origin):
        return {"anyOf": [_of_hint(each) for each in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if hasattr(hint, "__metadata__"):
        notes = [note for note in hint.__metadata__ if isinstance(note, str)]
        return {**_of_hint(hint.__origin__), **({"description": notes[0]} if notes else {})}
    if origin is tuple:
        return _of_tuple(inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of_hint(inner[1])}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _of_hint(inner[0])}
    raise TypeError(f"{hint!r} is no type of a value that can be sent; expected str, int, float, bool, None, bytes, list, "
                    "dict, tuple, Literal, Union, TypedDict or Any")


def _of_hint(hint: Any) -> Schema:
    try:
        basic = _BASIC.get(hint)
    except TypeError:  # it has no hash
        basic = None
    if basic is not None:
        return dict(basic)
    if isinstance(hint, type) and issubclass(hint, dict) and hasattr(hint, "__required_keys__"):
        return _of_object(hint)
    return _of_generic(hint)


def _of_arguments(handler: Callable[..., Any], hints: Dict[str, Any]) -> Schema:
    first: List[Schema] = []
    rest: Any = False
    least = 0
    for parameter in inspect.signature(handler).parameters.values():
        schema = {"title": parameter.name, **_of_hint(hints.get(parameter.name, parameter.empty))}
        if parameter.kind == parameter.VAR_POSITIONAL:
            rest = schema
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            first.append(schema)
            least = len(first) if parameter.default is parameter.empty else least
    return {"type": "array", "prefixItems": first, "minItems": least, "items": rest}


def _of_function(handler: Callable[..., Any]) -> Schema:
    function = handler if inspect.isroutine(handler) else getattr(type(handler), "__call__")
    hints = get_type_hints(function, include_extras=True)
    declaration: Schema = {"args": _of_arguments(handler, hints)}
    doc = inspect.getdoc(handler)
    if doc and inspect.isroutine(handler):
        declaration["doc"] = doc
    gives = hints.get("return", Values)
    if gives is not Values:
        declaration["returns"] = [] if gives is type(None) else [_of_hint(gives)]
    return declaration


def _text_of(schema: Declared, handler: Callable[..., Any]) -> bytes:
    """For the library, which says whether it is right."""
    if schema is not True and not isinstance(schema, dict):
        raise TypeError(f"schema: expected True (of the type hints), or a dict of doc, args and returns, got {schema!r}")
    return encode(_of_function(handler) if schema is True else schema)


def offer_of(limits: Any, schema: Declared, handler: Callable[..., Any]) -> Any:
    """A reference to the record of limits, or to a new one, with the schema of this handler; None: neither is given."""
    if schema is None or schema is False:
        return limits and ctypes.byref(limits)
    text, record = _text_of(schema, handler), _abi.clouds_offer_options(size=ctypes.sizeof(_abi.clouds_offer_options))
    if limits:
        ctypes.pointer(record)[0] = limits  # of its own: a decorator may be used again
    record.schema, record.schema_len = text, len(text)
    return ctypes.byref(record)
