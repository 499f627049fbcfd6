#!/usr/bin/env python3
"""The Python client against the service bench.add: python_client.py FACE URL OUTSTANDING SECONDS.

FACE is asyncio (OUTSTANDING tasks that call again and again) or sync (one call at a time). Prints a line of JSON; every
answer is checked.
"""
import asyncio
import json
import sys
import time

import clouds


class Count:
    def __init__(self):
        self.latencies, self.bad = [], 0

    def add(self, begin, result):
        self.latencies.append(time.perf_counter() - begin)
        self.bad += result != 3

    def report(self, seconds):
        ordered = sorted(self.latencies)
        return {"rate": len(ordered) / seconds, "p50": ordered[len(ordered) // 2] * 1e6,
                "p99": ordered[len(ordered) * 99 // 100] * 1e6, "bad": self.bad}


async def caller(client, count, end):
    now = time.perf_counter
    while True:
        begin = now()
        if begin >= end:
            return
        count.add(begin, await client.call("bench.add", 1, 2))


async def with_asyncio(url, outstanding, seconds):
    async with clouds.aio.Client(url, timeout=10) as client:
        await asyncio.gather(*(client.call("bench.add", 1, 2, retry=5) for _ in range(outstanding)))
        count, begin = Count(), time.perf_counter()
        await asyncio.gather(*(caller(client, count, begin + seconds) for _ in range(outstanding)))
        return count.report(time.perf_counter() - begin)


def with_threads(url, outstanding, seconds):
    assert outstanding == 1, "sync is one call at a time"
    with clouds.Client(url, timeout=10) as client:
        add = client.bind("bench.add")
        for _ in range(100):
            client.call("bench.add", 1, 2, retry=5)
        count, begin = Count(), time.perf_counter()
        while time.perf_counter() < begin + seconds:
            start = time.perf_counter()
            count.add(start, add(1, 2))
        return count.report(time.perf_counter() - begin)


def main():
    face, url, outstanding, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    if face == "asyncio":
        print(json.dumps(asyncio.run(with_asyncio(url, outstanding, seconds))))
    else:
        print(json.dumps(with_threads(url, outstanding, seconds)))


if __name__ == "__main__":
    main()
