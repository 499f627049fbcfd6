#!/usr/bin/env python3
"""The ABI is the recorded one: added functions pass, anything else fails. After a deliberate change:
tools/abi-record.sh. Every bit of what abidiff says counts. That it notices what it must: mutants.py."""
import os
import subprocess
import sys
import tempfile

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
recorded = source + "/capi/abi/libclouds-0.abi"


def differs(a, b):
    done = subprocess.run(["abidiff", "--no-added-syms", "--harmless", a, b], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


with tempfile.TemporaryDirectory() as folder:
    # A stripped library would compare as equal: insist on debug information.
    subprocess.run([source + "/tools/abi-record.sh", library, os.path.join(folder, "now.abi")], check=True)
code, words = differs(recorded, library)
print(words)
now = set(subprocess.run([source + "/tools/abi-constants.py"], check=True, capture_output=True, text=True).stdout.splitlines())
then = set(open(source + "/capi/abi/clouds-0.constants").read().splitlines())
for line in sorted(then - now):
    print("a constant is gone, or has another value:", line)
print(len(then), "constants")
sys.exit(1 if code or then - now or len(then) < 50 else 0)
