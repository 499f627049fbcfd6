#!/usr/bin/env python3
"""Nothing has grown too long: a function has at most 60 lines, a file 500, a file of the tests 900."""
import ast
import os
import re
import sys

source = os.environ["CLOUDS_SOURCE"]
FUNCTION, FILE, TEST = 60, 500, 900
FOLDERS = ("capi", "lua", "host", "bindings", "tests", "tools", "examples")
# Declarations and data, which are read row by row; nothing in them has a flow.
DATA = ("capi/include/clouds.h", "capi/abi/", "bindings/node/index.d.ts", "lua/meta/clouds.lua",
        "tests/conformance/table.json")
# Longer for a reason; each line is a promise to make it shorter, or says why not.
KNOWN = {}


def files():
    for folder in FOLDERS:
        for root, folders, names in os.walk(os.path.join(source, folder)):
            folders[:] = [name for name in folders if name not in ("node_modules", "corpus", "__pycache__")]
            for name in names:
                path = os.path.relpath(os.path.join(root, name), source)
                if name.endswith((".c", ".h", ".lua", ".py", ".js", ".sh")) and not path.startswith(DATA):
                    yield path


def functions_of_c(lines):
    """A function begins with a line that ends its head, before a brace at the left margin."""
    start = None
    for number, line in enumerate(lines):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            head = next((lines[i] for i in range(start - 1, -1, -1) if re.match(r"\w", lines[i])), "")
            found = re.search(r"(\w+)\(", head)
            yield found.group(1) if found else head.strip(), number - start + 1
            start = None


def functions_of_lua(lines):
    """Those that begin at the left margin, and end there."""
    start, name = None, ""
    for number, line in enumerate(lines):
        found = re.match(r"(?:local )?function ([\w.:]+)|(?:return )?function\(|[\w.\[\]\"]+ = function\(|return function", line)
        if found:
            start, name = number, found.group(1) or line.strip()
        elif line.startswith("end") and start is not None:
            yield name, number - start + 1
            start = None


def functions_of_js(lines):
    """Functions at the left margin, and the methods of a class or of an object there."""
    start, name, indent = None, "", ""
    for number, line in enumerate(lines):
        found = re.match(r"(  )?(?:async )?(?:function )?(?:get )?([\w$.]+)(?: = function)? ?\([^;]*\) \{$", line)
        if found and start is None and found.group(2) not in ("if", "for", "while", "switch"):
            start, name, indent = number, found.group(2), found.group(1) or ""
        elif start is not None and re.match(indent + r"\}", line):
            yield name, number - start + 1
            start = None


def functions_of_python(lines):
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


READERS = {".c": functions_of_c, ".h": functions_of_c, ".lua": functions_of_lua, ".js": functions_of_js,
           ".py": functions_of_python}


def check(path):
    lines = open(os.path.join(source, path), errors="replace").read().splitlines()
    most = TEST if path.startswith("tests/") else FILE
    if len(lines) > most:
        yield path, f"{path}: {len(lines)} lines, at most {most}"
    if "Made by" in "\n".join(lines[:3]):
        return
    for name, length in READERS.get(os.path.splitext(path)[1], lambda _: ())(lines):
        if length > FUNCTION:
            yield f"{path}:{name}", f"{path}: {name} has {length} lines, at most {FUNCTION}"


def main():
    found = {key: text for path in files() for key, text in check(path)}
    bad = [text for key, text in found.items() if key not in KNOWN]
    bad += [f"{key} is short now: take it out of tests/lint/sizes.py" for key in KNOWN if key not in found]
    print("\n".join(sorted(bad)) or f"{len(KNOWN)} exceptions")
    return 1 if bad else 0


sys.exit(main())
