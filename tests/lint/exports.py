#!/usr/bin/env python3
"""The functions of clouds.h, the list in clouds.map and what the library exports are the same."""
import os
import re
import subprocess
import sys

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
header = open(source + "/capi/include/clouds.h").read()
version_map = open(source + "/capi/clouds.map").read()

declared = set(re.findall(r"^CLOUDS_API[^;(]*?\b(\w+)\(", header, re.M))
listed = set(re.findall(r"^\s+(clouds_\w+);", version_map, re.M))
lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout.split("\n")
exported = {line.split()[-1].split("@")[0] for line in lines if line}
exported -= {"CLOUDS_0"}

bad = 0
for name, a, b in (("clouds.h", declared, listed), ("clouds.map", listed, exported), ("the library", exported, declared)):
    for symbol in sorted(a - b):
        print(f"only in {name}: {symbol}")
        bad = 1
if not declared:
    sys.exit("no functions found in clouds.h")
print(f"{len(declared)} functions")
sys.exit(bad)
