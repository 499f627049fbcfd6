#!/usr/bin/env python3
"""The ABI is the recorded one: added functions pass, anything else fails. After a deliberate change:
tools/abi-record.sh. Every bit of what abidiff says counts. That it notices what it must: mutants.py.
Usage: abi.py [debug] [functions] [constants]: these checks only."""
import os
import subprocess
import sys
import tempfile

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]


def debug():
    """A stripped library would compare as equal: insist on debug information."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([source + "/tools/abi-record.sh", library, os.path.join(folder, "now.abi")]).returncode == 0


def functions():
    recorded = source + "/capi/abi/libclouds-0.abi"
    return subprocess.run(["abidiff", "--no-added-syms", "--harmless", recorded, library]).returncode == 0


def constants():
    now = subprocess.run([source + "/tools/abi-constants.py"], check=True, capture_output=True, text=True).stdout
    with open(source + "/capi/abi/clouds-0.constants") as recorded:
        then = set(recorded.read().splitlines())
    gone = sorted(then - set(now.splitlines()))
    for line in gone:
        print("a constant is gone, or has another value:", line)
    print(len(then), "constants")
    return not gone and len(then) >= 50


CHECKS = {"debug": debug, "functions": functions, "constants": constants}
results = [CHECKS[name]() for name in sys.argv[1:] or CHECKS]
sys.exit(0 if all(results) else 1)
