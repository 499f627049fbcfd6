#!/usr/bin/env python3
"""The keys of a cluster.lua as tables in docs/HOST.md, from the table that they are checked by.

host_keys.py CLOUDS FILE [--check]: writes them between the two marks of FILE; with --check, tells whether they are there.
"""
import subprocess
import sys

BEGIN, END = "<!-- keys: tools/host_keys.py -->\n", "<!-- end of keys -->\n"


def main():
    program, path = sys.argv[1:3]
    text = subprocess.run([program, "run", "-e", 'io.write(require("clouds.master.keys").markdown())'], check=True,
                          capture_output=True, text=True).stdout
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    found, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{path} has not the marks {BEGIN.strip()} and {END.strip()}")
    if "--check" in sys.argv:
        if found != text:
            sys.exit(f"{path} is not what the program says: run tools/host_keys.py {program} {path}")
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + text + END + after)


main()
