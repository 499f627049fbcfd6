#!/usr/bin/env python3
"""Programs that were built with the clouds.h of a recorded version run with today's library, and with a later one whose
every record has grown; and one that was built with a later header runs with today's."""
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import grown
from abi import folder as recorded, versions

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
program = source + "/tests/lint/recorded.c"


def functions_of(header):
    return set(re.findall(r"^CLOUDS_API[^;(]*?\b(\w+)\(", open(header).read(), re.M))


def check_record(version):
    functions = functions_of(f"{recorded}{version}/clouds.h")
    if os.path.exists(f"{recorded}{version}/clouds_extend.h"):
        functions |= functions_of(f"{recorded}{version}/clouds_extend.h")
    kept = set(re.findall(r"<elf-symbol name='(clouds_\w+)'", open(f"{recorded}{version}/libclouds.abi").read()))
    if functions != kept:
        sys.exit(f"header and ABI of {version} were not recorded together (tools/abi-record.sh): {functions ^ kept}")


def check_uses(header):
    unused = functions_of(header) - set(re.findall(r"\b(clouds_\w+)\(", open(program).read()))
    if unused:
        sys.exit(f"tests/lint/recorded.c does not use {unused}")


def run(include, against, what, temporary):
    """Builds the program with a header and runs it with a library: with that one and no other."""
    made, place = tempfile.mktemp(dir=temporary), os.path.dirname(against)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-I" + include, program, against,
                    "-Wl,--disable-new-dtags,-rpath," + place, "-o", made], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    found = subprocess.run([made], env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, text=True).stdout
    if f"=> {place}/libclouds.so" not in found:
        sys.exit(f"{what}: another library would be loaded: {found}")
    # A function that is gone ends it at once.
    done = subprocess.run([made], env={**environment, "LD_BIND_NOW": "1"}, timeout=100)
    if done.returncode:
        sys.exit(f"{what}: the program ended with {done.returncode}")
    print(what)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        for version in versions():
            check_record(version)
        check_uses(source + "/capi/include/clouds.h")
        headers = [(version, recorded + version) for version in versions()] + [("today", source + "/capi/include")]
        for version, include in headers:
            run(include, library, f"a program of {version} with the library of today", temporary)
        later = grown.library(temporary + "/later")
        for version, include in headers:
            run(include, later, f"a program of {version} with a library whose records have grown", temporary)
        run(temporary + "/later/include", library, "a program whose records have grown with the library of today", temporary)


if __name__ == "__main__":
    main()
