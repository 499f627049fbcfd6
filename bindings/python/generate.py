#!/usr/bin/env python3
"""Makes clouds/_abi.py, the declarations for ctypes, and clouds/errors.py, an exception for each error, from clouds.h;
and clouds/_keywords.py, the options as keyword arguments, from the library's table of options.

Usage: generate.py [--check] [--cc COMPILER]. The header goes through the preprocessor and pycparser, so what is
declared is what a compiler sees. --check writes nothing and ends with 1 when a file is not what it would write.
"""
import argparse
import builtins
import os
import re
import subprocess
import sys
import textwrap
from typing import Dict, List, Tuple

from pycparser import c_ast, c_parser

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEADER = os.path.join(ROOT, "capi", "include", "clouds.h")
OPTIONS = os.path.join(ROOT, "capi", "api", "options.def")
PACKAGE = os.path.join(HERE, "clouds")
WIDTH = 120

STANDARD = {"size_t": "unsigned long", "uint32_t": "unsigned int", "int32_t": "int", "uint64_t": "unsigned long",
            "int64_t": "long"}
CTYPES = {"int": "c_int", "double": "c_double", "size_t": "c_size_t", "uint32_t": "c_uint32", "int32_t": "c_int32",
          "uint64_t": "c_uint64", "int64_t": "c_int64", "void": "None"}
# Exceptions are named after the error's name on the wire, but for these.
RENAMED = {"CLOUDS_CALL_SERVICE_TIMEOUT": "CallTimeout", "CLOUDS_SYSTEM_ERROR": "SystemCallError"}
# What an error also is, besides a clouds.Error.
BASES = {"CallTimeout": "Timeout", "Expired": "Timeout", "ConnectionLost": "Error, ConnectionError",
         "Unreachable": "Error, ConnectionError", "InvalidArgument": "Error, ValueError",
         "InvalidOption": "Error, ValueError", "InvalidUrl": "Error, ValueError"}

Rows = List[Tuple[str, int, str, str, str]]


def preprocess(cc: str, text: str) -> str:
    """What the preprocessor makes of `text`, without what the system's headers bring."""
    command = [cc, "-E", "-x", "c", "-I", os.path.dirname(HEADER), "-"]
    lines = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.split("\n")
    kept, ours = [], False
    for line in lines:
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            ours = marker.group(1).endswith("/clouds.h") or marker.group(1) == "<stdin>"
        elif ours:
            kept.append(line)
    return "\n".join(kept)


def parse(cc: str) -> c_ast.FileAST:
    types = "".join(f"typedef {meaning} {name};\n" for name, meaning in STANDARD.items())
    return c_parser.CParser().parse(types + preprocess(cc, '#include "clouds.h"\n'))


def errors(cc: str) -> Rows:
    """The rows of the table CLOUDS_ERRORS: symbol, number, outcome, name, text."""
    text = preprocess(cc, '#include "clouds.h"\nCLOUDS_ERRORS(THE_ROW)\n')
    rows = re.findall(r'THE_ROW\s*\(\s*(\w+),\s*(-\d+),\s*(\w+),\s*"([^"]*)",\s*"([^"]*)"\s*\)', text)
    if not rows:
        raise SystemExit("generate.py: no error table in clouds.h")
    return [(symbol, int(number), outcome, name, words) for symbol, number, outcome, name, words in rows]


def class_name(name: str) -> str:
    """CLOUDS_NO_AVAILABLE_SERVER -> NoAvailableServer."""
    made = RENAMED.get(name) or "".join(word.capitalize() for word in name.split("_")[1:])
    if hasattr(builtins, made):
        raise SystemExit(f"generate.py: {name} would hide Python's own {made}: give it a name in RENAMED")
    return made


class Declarations:
    """What the header declares, as lines of Python."""

    def __init__(self, tree: c_ast.FileAST) -> None:
        self.constants: List[str] = []
        self.structs: List[str] = []
        self.functions: List[str] = []
        self.records: List[str] = []
        self._known: Dict[str, str] = dict(CTYPES)
        for node in tree.ext:
            kind = node.type
            if isinstance(node, c_ast.Typedef):
                self._typedef(node)
            elif isinstance(kind, c_ast.Enum):
                self._enum(kind)
            elif isinstance(kind, c_ast.FuncDecl):
                self._function(node.name, kind)

    def _enum(self, enum: c_ast.Enum) -> None:
        value = -1
        for item in enum.values.enumerators:
            value = self._number(item.value) if item.value is not None else value + 1
            self.constants.append(f"{item.name} = {value}")

    @staticmethod
    def _number(node: c_ast.Node) -> int:
        if isinstance(node, c_ast.UnaryOp):
            return -int(node.expr.value, 0)
        return int(node.value, 0)

    def _typedef(self, node: c_ast.Typedef) -> None:
        kind = node.type
        if isinstance(kind, c_ast.PtrDecl):
            self._known[node.name] = node.name
            self.structs.append(f"{node.name} = {self._prototype(kind.type, 'CFUNCTYPE({})')}\n")
        elif isinstance(kind.type, c_ast.Struct) and kind.type.decls:
            self._known[node.name] = node.name
            self.records.append(node.name)
            self._struct(node.name, kind.type)
        elif isinstance(kind.type, c_ast.Struct):
            self._known[node.name] = ""  # opaque: only ever a pointer

    def _struct(self, name: str, struct: c_ast.Struct) -> None:
        lines = [f"class {name}(Structure):", "    _fields_ = ["]
        lines += [f'        ("{member.name}", {self._type(member.type)}),' for member in struct.decls]
        self.structs.append("\n".join(lines + ["    ]", ""]))

    def _type(self, node: c_ast.Node) -> str:
        """The ctypes expression for a type."""
        if not isinstance(node, c_ast.PtrDecl):
            return self._known[node.type.names[0]]
        target = node.type
        if isinstance(target, c_ast.PtrDecl):
            return f"POINTER({self._type(target)})"
        name = target.type.names[0]
        if name == "char" or (name == "void" and "const" in target.quals):  # a member keeps what it is given alive
            return "c_char_p" if "const" in target.quals else "c_void_p"
        known = self._known[name]
        return f"POINTER({known})" if known not in ("", "None") else "c_void_p"

    def _prototype(self, function: c_ast.FuncDecl, form: str) -> str:
        result = self._type(function.type)
        arguments = [self._type(p.type) for p in function.args.params] if function.args else []
        if arguments == ["None"]:
            arguments = []
        return form.format(", ".join([result] + arguments))

    def _function(self, name: str, function: c_ast.FuncDecl) -> None:
        line = f'    "{name}": ({self._prototype(function, "{},")}),'
        indent = " " * (len(name) + 9)
        self.functions.append("\n".join(textwrap.wrap(line, WIDTH, initial_indent="    ", subsequent_indent=indent)))


def version(cc: str) -> Tuple[str, int]:
    """CLOUDS_VERSION and CLOUDS_VERSION_NUMBER."""
    found = re.findall(r'^"([\d.]+)" (\d+)$', preprocess(cc, '#include "clouds.h"\nCLOUDS_VERSION CLOUDS_VERSION_NUMBER\n'),
                       re.M)
    if not found:
        raise SystemExit("generate.py: no version in clouds.h")
    return found[0][0], int(found[0][1])


def outcomes(constants: List[str]) -> str:
    """Their names, by number."""
    prefix = "CLOUDS_OUTCOME_"
    rows = [line[len(prefix):].split(" = ") for line in constants if line.startswith(prefix)]
    if [int(number) for _, number in rows] != list(range(len(rows))):
        raise SystemExit("the outcomes are not numbered from 0")
    return ", ".join(f'"{name}"' for name, _ in rows)


def render_abi(declared: Declarations, cc: str) -> str:
    words, number = version(cc)
    return "\n".join([
        '"""The C ABI for ctypes. Made from clouds.h by generate.py: do not edit."""',
        "from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t",
        "from ctypes import c_uint32, c_uint64, c_void_p",
        "from typing import Any, Dict, Tuple",
        "",
        f'VERSION = "{words}"',
        f"VERSION_NUMBER = {number}",
        "",
        *declared.constants,
        "",
        f"OUTCOMES = ({outcomes(declared.constants)})",
        "",
        "\n\n".join(declared.structs),
        "",
        "RECORDS: Tuple[Any, ...] = (",
        *[f"    {name}," for name in declared.records],
        ")",
        "",
        "# Name: type of the result, types of the arguments.",
        "FUNCTIONS: Dict[str, Tuple[Any, ...]] = {",
        *declared.functions,
        "}",
        ""])


def render_class(symbol: str, number: int, outcome: str, name: str, text: str) -> List[str]:
    made = class_name(name)
    return [f"class {made}({BASES.get(made, 'Error')}):",
            f'    """{name}: {text}."""',
            "",
            f"    number = {number}",
            f'    default_code = "{name}"',
            f'    default_outcome = "{outcome[len("CLOUDS_OUTCOME_"):]}"',
            f'    default_message = "{text}"',
            "", ""]


def render_errors(rows: Rows) -> str:
    classes = [class_name(name) for _, _, _, name, _ in rows]
    return "\n".join([
        '"""An exception for each error of the library. Made from clouds.h by generate.py: do not edit."""',
        "from typing import Dict, Type",
        "",
        "from clouds._error import Error, Timeout",
        "",
        "__all__ = [",
        *[f'    "{name}",' for name in ["Error", "Timeout"] + classes],
        "]",
        "", "",
        *[line for row in rows for line in render_class(*row)],
        "BY_NUMBER: Dict[int, Type[Error]] = {",
        *[f"    {number}: {class_name(name)}," for _, number, _, name, _ in rows],
        "}",
        ""])


HOOKS = ("find_server", "save_servers", "remove_server", "clear_servers")
KEYWORDS = {"TEXT": "Optional[str]", "NUMBER": "Optional[float]", "COUNT": "Optional[int]", "BOOL": "Optional[bool]"}


def keywords(scopes: Tuple[str, ...]) -> List[str]:
    """The options of these scopes as parameters of a function."""
    with open(OPTIONS, encoding="utf-8") as file:
        rows = re.findall(r"^OPTION\((\w+), (\w+), (\w+),", file.read(), re.M)
    if not rows:
        raise SystemExit("generate.py: no options in options.def")
    made = []
    for name, scope, kind in rows:
        if scope not in scopes or name in ("url", "mode", "user_data"):
            continue
        name = "retry" if name == "retries" else name
        text = "Optional[Union[str, os.PathLike[str]]]" if name.endswith("_file") else KEYWORDS[kind]
        made.append(f"{name}: {'Optional[Callable[..., Any]]' if name in HOOKS else text} = None")
    return made


def signature(name: str, first: List[str], parameters: List[str]) -> List[str]:
    head = f"    def {name}("
    parts = [part.replace(" ", "\0") for part in ["self"] + first + parameters]  # a parameter stays on one line
    text = head + ", ".join(parts) + ")\0->\0None:\0..."
    lines = textwrap.wrap(text, WIDTH, subsequent_indent=" " * len(head), break_long_words=False)
    return [line.replace("\0", " ") for line in lines]


def render_keywords() -> str:
    whole, live = keywords(("CONTEXT", "NODE", "LIVE")), keywords(("LIVE",))
    url = "url: Optional[str] = None"
    return "\n".join([
        '"""The options as keyword arguments, for type checkers only. Made from options.def by generate.py: do not edit."""',
        "import os",
        "from typing import Any, Callable, Optional, Union",
        "",
        "",
        "class Live:",
        '    """What can change while a node lives."""',
        "",
        *signature("configure", ["*"], live),
        "",
        "",
        "class Waiting:",
        '    """How nodes that wait are made."""',
        "",
        *signature("__init__", [url, "*", "workers: Optional[int] = None"], whole),
        "",
        "",
        "class Awaited:",
        '    """How nodes of asyncio are made."""',
        "",
        *signature("__init__", [url, "*"], whole),
        ""])


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main() -> int:
    options = argparse.ArgumentParser(description="Makes clouds/_abi.py, errors.py and _keywords.py.")
    options.add_argument("--check", action="store_true", help="only compare")
    options.add_argument("--cc", default=os.environ.get("CC", "cc"), help="the C compiler")
    chosen = options.parse_args()
    made = {"_abi.py": render_abi(Declarations(parse(chosen.cc)), chosen.cc), "errors.py": render_errors(errors(chosen.cc)),
            "_keywords.py": render_keywords()}
    stale = [name for name, text in made.items() if text != read(os.path.join(PACKAGE, name))]
    for name in stale:
        if chosen.check:
            print(f"clouds/{name} is stale: run bindings/python/generate.py", file=sys.stderr)
            continue
        with open(os.path.join(PACKAGE, name), "w", encoding="utf-8") as file:
            file.write(made[name])
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
