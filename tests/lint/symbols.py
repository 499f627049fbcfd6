#!/usr/bin/env python3
"""The library, clouds.core, the host and the Node addon can be linked into one program: no external symbol is defined
twice, and each part's symbols begin with its own prefix."""
import collections
import re
import subprocess
import sys

# How the external symbols of a part begin. Its objects stand in the file that is given, each line with the part before it.
PREFIXES = {"capi": r"cl_|clouds_", "lua/core": r"lc_|luaopen_clouds_core$", "host": r"host_|main$",
            "bindings/node": r"addon_|napi_register_module_v1$|node_api_module_"}
OPTIONAL = {"bindings/node"}  # without node there is no addon
GENERATED = r"__odr_asan|_?_asan|__tsan|__ubsan|DW\.ref"  # by the sanitizers


def symbols(objects):
    lines = subprocess.run(["nm", "-g", "--defined-only", "-P", *objects], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in lines.splitlines() if line and not line.endswith(":")]


def main():
    objects, everywhere = collections.defaultdict(list), collections.defaultdict(list)
    for line in open(sys.argv[1]):
        part, _, path = line.strip().partition(" ")
        if path:
            objects[part].append(path)
    bad = [f"no objects of {part}" for part in PREFIXES.keys() - objects.keys() - OPTIONAL]
    for part, paths in objects.items():
        for name in symbols(paths):
            if re.match(GENERATED, name):
                continue
            everywhere[name].append(part)
            if not re.match(PREFIXES[part], name):
                bad.append(f"{part}: the external symbol {name} does not begin as those of its part")
    bad += [f"{name} is defined in {' and in '.join(parts)}" for name, parts in everywhere.items() if len(parts) > 1]
    print("\n".join(sorted(bad)) or f"{len(everywhere)} external symbols")
    return 1 if bad else 0


sys.exit(main())
