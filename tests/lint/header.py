#!/usr/bin/env python3
"""The public header compiles as C99 -pedantic and as C++, and loads in LuaJIT's ffi.cdef and in pycparser.
Usage: header.py [c] [c++] [luajit] [pycparser] [macros]: these checks only."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from preprocess import header

source = os.environ["CLOUDS_SOURCE"]
include = "-I" + source + "/capi/include"
extended = '#include "clouds_extend.h"\nint main(void) { return CLOUDS_PENDING == 1 && sizeof(clouds_directory_ops) > 0; }\n'
worker = '#include "clouds_worker.h"\nint main(void) { return sizeof(clouds_board) > CLOUDS_CHANNEL_READY; }\n'
program = '#include "clouds.h"\nint main(void) { return CLOUDS_VERSION_NUMBER > 0 && sizeof(clouds_event) > 0; }\n'


def run(command, **more):
    return subprocess.run(command, check=True, text=True, **more)


def compiles(compiler, language, *standards):
    for standard in standards:
        for one in (program, extended, worker):
            run([compiler, "-std=" + standard, "-x", language, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                 include, "-"], input=one)
        print(standard, "compiles")


def luajit():
    run(["luajit", source + "/tests/lint/cdef.lua"], input=header())


def pycparser():
    from pycparser import c_parser
    types = "".join(f"typedef {t};\n" for t in ("unsigned long size_t", "unsigned int uint32_t", "int int32_t",
                                                "unsigned long uint64_t", "long int64_t"))
    tree = c_parser.CParser().parse(types + header(), "clouds.h for pycparser")
    functions = [node.name for node in tree.ext if type(node).__name__ == "Decl" and node.name]
    assert "clouds_poll" in functions and len(functions) > 30, functions
    print("pycparser reads", len(functions), "functions")
    plain(tree)


def by_value(kind, names):
    """Is it a struct, and no pointer to one?"""
    return type(kind).__name__ == "TypeDecl" and (type(kind.type).__name__ == "Struct" or
                                                  names & set(getattr(kind.type, "names", ())))


def plain(node, structs=frozenset()):
    """Nothing that a binding would have to copy by hand."""
    structs = structs or {n.name for n in node.ext if type(n).__name__ == "Typedef" and by_value(n.type, set())}
    for _, child in node.children():
        name = type(child).__name__
        if name == "FuncDef":
            sys.exit(f"a function with a body: {child.decl.name}")
        if name == "EllipsisParam":
            sys.exit("varargs")
        if name == "Decl" and child.bitsize is not None:
            sys.exit(f"a bitfield: {child.name}")
        if name == "FuncDecl":
            for one in [child.type] + [p.type for p in (child.args.params if child.args else ())
                                      if hasattr(p, "type")]:
                if by_value(one, structs):
                    sys.exit("a struct by value")
        plain(child, structs)


def macros():
    with open(source + "/capi/include/clouds.h") as file:
        for name in re.findall(r"^\s*#\s*define (\w+)", file.read(), re.M):
            if name not in ("CLOUDS_H", "CLOUDS_API", "CLOUDS_ERRORS", "CLOUDS_ERROR_ENUM_", "CLOUDS_VERSION",
                            "CLOUDS_VERSION_NUMBER"):
                sys.exit(f"the macro {name} is no use to a binding: make it an enum")


CHECKS = {"c": lambda: compiles("cc", "c", "c99", "c11"), "c++": lambda: compiles("c++", "c++", "c++11", "c++17"),
          "luajit": luajit, "pycparser": pycparser, "macros": macros}
for check in sys.argv[1:] or CHECKS:
    CHECKS[check]()
