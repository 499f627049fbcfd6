#!/usr/bin/env python3
"""A program that was built with the recorded header runs with today's library; and it uses every function of then."""
import os
import re
import subprocess
import sys
import tempfile

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
header, program = source + "/capi/abi/clouds-0.h", source + "/tests/lint/recorded.c"
functions = set(re.findall(r"^CLOUDS_API[^;(]*?\b(\w+)\(", open(header).read(), re.M))
recorded = set(re.findall(r"<elf-symbol name='(\w+)'", open(source + "/capi/abi/libclouds-0.abi").read())) - {"CLOUDS_0"}
if functions != recorded:
    sys.exit(f"header and ABI were not recorded together (tools/abi-record.sh): {functions ^ recorded}")
unused = functions - set(re.findall(r"\b(clouds_\w+)\(", open(program).read()))
if unused:
    sys.exit(f"tests/lint/recorded.c does not use {unused}")

with tempfile.TemporaryDirectory() as folder:
    os.symlink(header, folder + "/clouds.h")
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-I" + folder, program, library,
                    "-Wl,-rpath," + os.path.dirname(library), "-o", folder + "/recorded"], check=True)
    environment = {**os.environ, "LD_BIND_NOW": "1"}  # a function that is gone ends it at once
    done = subprocess.run([folder + "/recorded"], env=environment, timeout=100)
print(len(functions), "functions of the recorded header")
if done.returncode:
    sys.exit(f"the program ended with {done.returncode}")
