#!/usr/bin/env python3
"""with_server.py redis|etcd PROGRAM [arguments]: runs it with the address of a server of its own as first argument, ready to have
the name of a prefix appended."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import Etcd, Redis  # noqa: E402

kind, program, *arguments = sys.argv[1:]
needed = {"redis": "redis-server", "etcd": "etcd"}[kind]
if not shutil.which(needed):
    print(f"ok 1 - no {needed} here # SKIP\n1..1")
    sys.exit(0)
with tempfile.TemporaryDirectory(prefix="clouds-") as home:
    server = Redis(home) if kind == "redis" else Etcd(home)
    url = server.url + ("?prefix=" if kind == "redis" else "/")
    try:
        code = subprocess.run([program, url, *arguments]).returncode
    finally:
        server.stop()
sys.exit(code if code >= 0 else 1)
