#!/usr/bin/env python3
"""The examples in C: the service answers the client over local:, and over Redis if there is one."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

folder = os.environ["CLOUDS_BUILD_DIR"] + "/examples/c/"
number = 0
failed = False


def check(good, name):
    global number, failed
    number += 1
    failed = failed or not good
    print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)


def client(arguments, url):
    done = subprocess.run([folder + "client", arguments, url], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr


def flow(url):
    service = subprocess.Popen([folder + "service", url])
    try:
        until = time.time() + 20
        got = client("[1,2]", url)
        while got != (0, "[3]", "") and time.time() < until:
            got = client("[1,2]", url)
        check(got == (0, "[3]", ""), f"an answer over {url.split(':')[0]}: {got}")
        code, text, _ = client('["x"]', url)
        check(code == 1 and text.startswith("APP_ERROR") and "two integers" in text, "the error of the service")
        check(service.poll() is None, "the service lives")
    finally:
        service.kill()
        service.wait()


def redis(home):
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", home + "/redis.sock", "--save", "", "--dir", home],
                              stdout=subprocess.DEVNULL)
    try:
        until = time.time() + 20
        while not os.path.exists(home + "/redis.sock") and time.time() < until:
            time.sleep(0.01)
        flow("redis+unix://" + home + "/redis.sock")
    finally:
        server.kill()
        server.wait()


with tempfile.TemporaryDirectory(prefix="clouds-") as home:
    os.environ["XDG_RUNTIME_DIR"] = home
    flow("local:examples")
    if shutil.which("redis-server"):
        redis(home)
    code, _, words = client("[1,2]", "nonsense:")
    check(code == 1 and "expected redis:" in words, "a bad address says so: " + words.strip())
print(f"1..{number}")
sys.exit(1 if failed else 0)
