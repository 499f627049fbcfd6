#!/usr/bin/env python3
"""with_redis.py PROGRAM [arguments]: runs it with the address of a redis-server of its own as first argument, ready to have the
name of a prefix appended."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

if not shutil.which("redis-server"):
    print("ok 1 - no redis-server here # SKIP\n1..1")
    sys.exit(0)
with tempfile.TemporaryDirectory(prefix="clouds-") as home:
    socket = home + "/redis.sock"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", home],
                              stdout=subprocess.DEVNULL)
    try:
        until = time.time() + 20
        while not os.path.exists(socket) and time.time() < until:
            time.sleep(0.01)
        code = subprocess.run([sys.argv[1], f"redis+unix://{socket}?prefix="] + sys.argv[2:]).returncode
    finally:
        server.kill()
        server.wait()
sys.exit(code if code >= 0 else 1)
