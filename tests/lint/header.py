#!/usr/bin/env python3
"""The public header compiles as C99 -pedantic and as C++, and loads in LuaJIT's ffi.cdef and in pycparser."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from preprocess import header

source = os.environ["CLOUDS_SOURCE"]
include = "-I" + source + "/capi/include"
sizes = '#include <stdio.h>\n#include "clouds.h"\nint main(void) { printf("%u %u %u", (unsigned)sizeof(clouds_event), ' \
        '(unsigned)sizeof(clouds_call_options), (unsigned)sizeof(clouds_option_info)); return 0; }\n'


def run(command, **more):
    return subprocess.run(command, check=True, text=True, **more)


def compiles(folder):
    for name, command in (("c99.c", ["cc", "-std=c99"]), ("c11.c", ["cc", "-std=c11"]), ("cxx.cc", ["c++", "-std=c++17"]),
                          ("cxx11.cc", ["c++", "-std=c++11"])):
        path = os.path.join(folder, name)
        open(path, "w").write(sizes)
        run(command + ["-pedantic", "-Wall", "-Wextra", "-Werror", include, path, "-o", path + ".out"])
        print(name, "compiles")
    return subprocess.run([path + ".out"], capture_output=True, text=True).stdout.split()


def luajit(shape):
    run(["luajit", source + "/tests/lint/cdef.lua"] + shape, input=header())


def pycparser():
    from pycparser import c_parser
    types = "".join(f"typedef {t};\n" for t in ("unsigned long size_t", "unsigned int uint32_t", "int int32_t",
                                                "unsigned long uint64_t", "long int64_t"))
    tree = c_parser.CParser().parse(types + header())
    functions = [node.name for node in tree.ext if type(node).__name__ == "Decl" and node.name]
    assert "clouds_poll" in functions and len(functions) > 30, functions
    print("pycparser reads", len(functions), "functions")


with tempfile.TemporaryDirectory() as folder:
    shape = compiles(folder)
luajit(shape)
pycparser()
