"""The load of web.py and gateway.py: http_load.c, which counts to an exact number and looks at each answer, or wrk."""
import json
import os
import re
import subprocess
import sys


def own(options, port, requests, path, body="", closes=False, connections=None):
    """What http_load says of so many requests; with a body, which is JSON, they are POST. closes: a connection for each."""
    program = os.path.join(options.build, "tests", "bench", "http_load")
    words = [port, connections or options.connections, requests, path, body, *(["close"] if closes else [])]
    out = subprocess.run([program, *map(str, words)], stdout=subprocess.PIPE, check=True, timeout=300)
    said = json.loads(out.stdout)
    if said["bad"] or said["good"] != requests:
        sys.exit(f"{path}: {said['good']} of {requests} answers are right")
    return said


def wrk(options, port, requests, path, closes=False, connections=None):
    """The same of wrk, for so long as so many requests take at a usual rate."""
    seconds = max(1, round(requests / (10000 if closes else 40000)))
    words = ["-t1", f"-c{connections or options.connections}", f"-d{seconds}", *(["-H", "Connection: close"] if closes else [])]
    said = subprocess.run(["wrk", *words, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, check=True, timeout=300, text=True).stdout
    if "Socket errors" in said or "Non-2xx" in said:
        sys.exit(f"{path}: not all answers are right:\n{said}")
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
    return {"good": int(count), "seconds": float(took)}
