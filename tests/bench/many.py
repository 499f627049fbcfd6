#!/usr/bin/env python3
"""Many contexts in one process over each directory, and a table of what they cost: starting, idling, memory, descriptors, and the
time until a join and a leave are seen by who calls the method, and who is woken by them.

Usage: many.py [--build DIR] [--count N] [--callers N] [--rounds N] [--seconds S] [--json] [DIRECTORY...]

DIRECTORY is inproc, local, redis or etcd; all without. The times are of this machine; what must hold everywhere is whom a join and a
leave wake, and that idle nodes have no descriptors but their own. Woken are, of those who call the method / who call another / who call
nothing, so many at least once. Wakes are those of all contexts while they idle."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
sys.dont_write_bytecode = True

from harness import Etcd, Redis  # noqa: E402

DIRECTORIES = ("inproc", "local", "redis", "etcd")
COLUMNS = (("start ms", lambda r: r["start_ms"]), ("CPU each", lambda r: r["start_cpu_ms_each"]),
           ("kB each", lambda r: r["kilobytes_each"]), ("fds each", lambda r: r["descriptors_each"]),
           ("fds of calls", lambda r: r["descriptors_of_calls"]), ("wakes a s", lambda r: r["idle_wakes_each_second"]), ("idle %", lambda r: r["idle_percent"]),
           ("server %", lambda r: r["server_idle_percent"]), ("join ms", lambda r: r["join"]["median_ms"]),
           ("worst", lambda r: r["join"]["worst_ms"]), ("woken", lambda r: woken(r["join"])),
           ("leave ms", lambda r: r["leave"]["median_ms"]), ("worst", lambda r: r["leave"]["worst_ms"]),
           ("woken", lambda r: woken(r["leave"])), ("end ms", lambda r: r["end_ms"]))


def woken(change):
    return " / ".join(f"{change['woken_' + who]:g}" for who in ("callers", "callers_of_another", "others"))


def measure(directory, folder, arguments):
    server, url, pid = None, directory + ":many", []
    if directory == "redis":
        server = Redis(folder, "--maxclients", "9000")
        url = server.url
    elif directory == "etcd":
        server = Etcd(folder)
        url = server.url
    if server:
        pid = [str(server._popen.pid)]
    try:
        env = {**os.environ, "CLOUDS_RUNTIME_DIR": os.path.join(folder, "run")}
        command = [os.path.join(arguments.build, "tests", "bench", "many"), url, str(arguments.count), str(arguments.callers),
                   str(arguments.rounds), str(arguments.seconds), *pid]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=280)
        if done.returncode:
            sys.exit(f"{directory}: {' '.join(command)} ended with {done.returncode}: {done.stdout}")
        return json.loads(done.stdout)
    finally:
        if server:
            server.stop()


def cell(value):
    return value if isinstance(value, str) else f"{value:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("directories", nargs="*", default=DIRECTORIES)
    arguments = parser.parse_args()
    results = {}
    for directory in arguments.directories:
        folder = tempfile.mkdtemp(prefix="clouds-many-")
        try:
            results[directory] = measure(directory, folder, arguments)
        finally:
            shutil.rmtree(folder)
    if arguments.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{arguments.count} contexts, {arguments.callers} of them call the method, {arguments.callers} another")
    print(f"{'':8}" + "".join(f"{name:>13}" for name, _ in COLUMNS))
    for directory, result in results.items():
        print(f"{directory:8}" + "".join(f"{cell(value(result)):>13}" for _, value in COLUMNS))


if __name__ == "__main__":
    main()
