#!/usr/bin/env python3
"""with_redis.py PROGRAM [arguments]: runs it with the address of a redis-server of its own as first argument, ready to have the
name of a prefix appended."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import Redis  # noqa: E402

if not shutil.which("redis-server"):
    print("ok 1 - no redis-server here # SKIP\n1..1")
    sys.exit(0)
with tempfile.TemporaryDirectory(prefix="clouds-") as home:
    redis = Redis(home)
    try:
        code = subprocess.run([sys.argv[1], f"{redis.url}?prefix=", *sys.argv[2:]]).returncode
    finally:
        redis.stop()
sys.exit(code if code >= 0 else 1)
