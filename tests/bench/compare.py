#!/usr/bin/env python3
"""Compares two checkouts, both built as release: the same points in turn, and the ratio of each pair of runs.

Usage: compare.py BEFORE [AFTER] [--points PREFIX] [--rounds N] [--seconds S] [--worse PERCENT]

AFTER is this checkout unless told. PREFIX leaves those points out whose names begin otherwise: c_, c_local, lua. Each row: the
medians of before and after, the median of the ratios after / before, and the smallest and largest of them, which say how noisy the
machine was. Ends with 1 when a median ratio is worse than PERCENT (3).
"""
import argparse
import os
import statistics
import sys

import run

POINTS = [(point, w) for point in ("c_redis", "c_local", "lua_redis", "lua_local") for w in (1, 100, 1000)]
POINTS += [(point, 1000) for point in ("c_tcp", "c_tls", "c_tcp_1k", "c_tls_1k")]
POINTS += [("python_redis", 1), ("python_redis", 1000), ("node_redis", 1000)]


def bench_of(checkout, seconds):
    checkout = os.path.abspath(checkout)
    return run.Bench(os.path.join(checkout, "build", "release"), seconds, False, False, checkout)


def can_run(bench, point):
    return point != "node_redis" or os.path.exists(os.path.join(bench.node_module, "clouds.node"))


def rate(bench, point, w):
    result = getattr(bench, point)(w)
    if result.get("bad"):
        raise SystemExit(f"{point}, {w} outstanding: {result['bad']} wrong answers in {bench.source}")
    return result["rate"]


def pairs(benches, point, w, rounds):
    """(before, after) of each round; who begins changes from round to round."""
    got = []
    for i in range(rounds):
        first, second = benches if i % 2 == 0 else benches[::-1]
        rates = rate(first, point, w), rate(second, point, w)
        got.append(rates if i % 2 == 0 else rates[::-1])
    return got


def main():
    options = argparse.ArgumentParser()
    options.add_argument("before")
    options.add_argument("after", nargs="?", default=run.SOURCE)
    options.add_argument("--points", default="")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=1)
    options.add_argument("--worse", type=float, default=3)
    o = options.parse_args()
    benches, worse = [bench_of(o.before, o.seconds), bench_of(o.after, o.seconds)], 0
    print(f"{'calls per second':24}{'before':>14}{'after':>14}{'ratio':>8}   (smallest to largest)")
    try:
        for point, w in POINTS:
            if not point.startswith(o.points) or not all(can_run(bench, point) for bench in benches):
                continue
            got = pairs(benches, point, w, o.rounds)
            ratios = [after / before for before, after in got]
            ratio = statistics.median(ratios)
            bad = ratio < 1 - o.worse / 100
            worse += bad
            print(f"{point + ' ' + str(w):24}{statistics.median(b for b, _ in got):>14,.0f}{statistics.median(a for _, a in got):>14,.0f}"
                  f"{ratio:>8.2f}   ({min(ratios):.2f} to {max(ratios):.2f}){'  WORSE' if bad else ''}", flush=True)
    finally:
        for bench in benches:
            bench.close()
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
