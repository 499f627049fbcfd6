#!/usr/bin/env python3
"""Runs a test, with what CLOUDS_PRELOAD names loaded first: only into the test, not into the tools that CMake runs."""
import os
import sys

preload = os.environ.pop("CLOUDS_PRELOAD", None)
if preload:
    os.environ["LD_PRELOAD"] = preload
os.execv(sys.executable, [sys.executable, "-X", "faulthandler", "-W", "default", *sys.argv[1:]])
