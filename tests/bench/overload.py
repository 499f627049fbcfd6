#!/usr/bin/env python3
"""Calls a service three times as often as it can answer, and then half as often, and prints what it does then.

Usage: overload.py [--build DIR] [--seconds S] [--check]

Each row is one service on one bus: its peak with as many calls outstanding as it takes at a time, then the share of the peak that it
does under three times and ten times that load, how long those took that were done, how soon the others were refused, and how soon
everything was done again at half the load. --check ends with 1 when a row with limits misses a target: 0.9 of the peak, normal within
2 seconds. Rows without limits are there to compare with.

What a service that works can do is a matter of the processor that it gets. So its rates are those of the time in which it had one, or
wanted none: seconds in which others had all processors do not count ("kept", the most of a phase). A row where others had them for a quarter of
a phase or more is not judged: if no other misses, --check ends with 2 for it.
"""
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

from harness import Process, Redis  # noqa: E402

# What it is, its method, the cost of a call, its limits, and how many calls outstanding give its peak.
SERVICES = (("waits 40 ms, 8 at a time", "wait", 0.04, ("concurrency=8",), 8),
            ("works 1 ms, 1 at a time", "work", 0.001, ("serial=true", "queue_age=0.1"), 2),
            ("works 1 ms, no limits", "work", 0.001, (), 2))
TIMEOUT = 1
KEPT = 0.25


def run(build, env, url, direct, service, seconds):
    """The phases: w (the peak), x3, x10, x0.5."""
    _, method, cost, limits, width = service
    server = Process([os.path.join(build, "host", "clouds"), "--url", url, "run",
                      os.path.join(SOURCE, "tests", "bench", "overload.lua"), str(cost), direct, *limits], env)
    try:
        server.out.wait_for("ready")
        out = subprocess.run([os.path.join(build, "tests", "bench", "overload"), url, method, str(TIMEOUT), f"server={server.popen.pid}",
                              f"direct={direct}", f"w{width}:{seconds}", f"x3:{seconds}", f"x10:{seconds}", f"x0.5:{seconds + 2}"],
                             env=env, stdout=subprocess.PIPE, check=True)
    finally:
        server.discard()
    phases = [json.loads(line) for line in out.stdout.splitlines()]
    for phase in phases:
        phase["kept"] /= phase["seconds"]
        if method == "work":
            phase["rate"] /= max(1 - phase["kept"], 0.01)
    return phases


def misses(peak, three, after):
    found = []
    if three["rate"] < 0.9 * peak["rate"]:
        found.append("less than 0.9 of the peak at three times the load")
    if after["settled"] > 2 or after["late_done"] < 0.999:
        found.append("not normal within 2 s")
    return found


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", default=os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "release")))
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--check", action="store_true")
    o = options.parse_args()
    folder = tempfile.mkdtemp(prefix="clouds-overload-")
    env = dict(os.environ, CLOUDS_RUNTIME_DIR=os.path.join(folder, "run"))
    redis = Redis(folder)
    missed, unclear = [], []
    print(f"{'':38}{'peak':>9}{'at 3 x':>8}{'at 10 x':>8}{'done in':>10}{'p99':>10}{'refused in':>12}{'normal after':>14}{'kept':>7}")
    try:
        for bus, url, direct in (("local", "local:", "true"), ("redis, links", redis.url, "true"), ("redis", redis.url, "false")):
            for service in SERVICES:
                phases = peak, three, ten, after = run(o.build, env, url, direct, service, o.seconds)
                ms, kept = " ms", max(phase["kept"] for phase in phases)
                print(f"{bus + ', ' + service[0]:38}{peak['rate']:>7.0f}/s{three['rate'] / peak['rate']:>8.2f}"
                      f"{ten['rate'] / peak['rate']:>8.2f}{three['done_p50']:>7.0f}{ms}{three['done_p99']:>7.0f}{ms}"
                      f"{three['refused_p99']:>9.0f}{ms}{after['settled']:>12.1f} s{kept:>7.2f}")
                row = f"{bus}, {service[0]}"
                if service[3] and kept >= KEPT:
                    unclear.append(f"{row}: others had the processors")
                elif service[3]:
                    missed += [f"{row}: {what}" for what in misses(peak, three, after)]
    finally:
        redis.stop()
        shutil.rmtree(folder)
    for line in missed:
        print("MISSED ", line)
    for line in unclear:
        print("UNCLEAR", line)
    return (1 if missed else 2 if unclear else 0) if o.check else 0


if __name__ == "__main__":
    sys.exit(main())
