#!/usr/bin/env python3
"""HTTP beside nginx, Node's own server and Node's cluster, in one run, by turns; what is not installed is left out.

Usage: web.py [--build DIR] [--load wrk|own] [--rounds N] [--requests N] [--connections N] [--check | --smoke] [PART ...]

requests     the processor time of a request on a kept connection, one process each
workers      two workers beside one
connections  a connection for each request: one that the master hands over, one that a worker accepts, beside a worker of nginx that accepts
idle         the memory of a worker that does nothing, and how soon a worker is ready
terminal     how long requests take while a worker writes lines without end, into a terminal that is read, and into one that is not

What counts is the processor time of the server, which says what it could do with processors of its own: the client takes part of this
machine's. So `could do` is how many requests a second the busiest process leaves room for. Medians of rounds. --check ends with 1
when a target is missed. wrk is taken for the load where it is installed and nothing is said; `own` is http_load.c, which counts to an
exact number and looks at each answer.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile

import web_load
from web_servers import SOURCE, Clouds, Nginx, Node, memory, servers
from web_terminal import measure_terminal

PAGES = (("/", "a text of 13 bytes"), ("/files/small.txt", "a file of 1 kB"), ("/files/large.bin", "a file of 60 kB"),
         ("/users/7", "a part of the path, as JSON"))
SHOWN = "{:42} {:14} {:>9} {:>10} {:>10}"


def measure(options, server, path="/", closes=False, connections=0):
    """Of each process of a server the microseconds that it takes for a request, the master's first; and requests a second."""
    load = web_load.wrk if options.load == "wrk" else web_load.own
    words = {"closes": closes, "connections": connections or options.connections}
    load(options, server.port, max(words["connections"], options.requests // 10), path, **words)
    before = server.times()
    said = load(options, server.port, options.requests, path, **words)
    after = server.times()
    return [(after[pid] - before[pid]) * 1e6 / said["good"] for pid in server.pids()], said["good"] / said["seconds"]


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.missed = options, folder, []

    def rounds(self, rows, path="/", closes=False, for_each=False):
        """name -> (microseconds a request, what it could do, requests a second): medians. rows: name -> what starts a server.

        for_each: so many connections for each worker, so that as many requests come at once."""
        found = {name: [] for name in rows}
        for _ in range(self.options.rounds):
            for name, start in rows.items():
                server = start(self.options, self.folder)
                try:
                    connections = self.options.connections * (server.workers if for_each else 1)
                    found[name].append(measure(self.options, server, path, closes, connections))
                finally:
                    server.discard()
        return {name: (statistics.median(sum(times) for times, _ in each), statistics.median(1e6 / max(times) for times, _ in each),
                       statistics.median(rate for _, rate in each)) for name, each in found.items()}

    def show(self, words, found):
        for name, (took, could, rate) in found.items():
            print(SHOWN.format(words, name, f"{took:.1f}", f"{could:.0f}", f"{rate:.0f}"), flush=True)
            words = ""

    def holds(self, what, value, least=None, most=None):
        """Prints a ratio, and remembers when it is not what it should be."""
        is_missed = (least is not None and value < least) or (most is not None and value > most)
        bound = f"at least {least}" if least is not None else f"at most {most}"
        print(f"    {what}: {value:.2f} ({bound}){', MISSED' if is_missed else ''}", flush=True)
        if is_missed:
            self.missed.append(f"{what}: {value:.2f}, {bound}")

    def requests(self):
        print(SHOWN.format("a request on a kept connection", "", "us", "could do", "a second"))
        for path, words in PAGES:
            rows = {each.name: each for each in servers() if not (each is Node and path.startswith("/files") or each is Nginx and path.startswith("/users"))}
            found = self.rounds(rows, path)
            self.show(words, found)
            for other, most in (("nginx", 1.2), ("node", 0.5)):
                if other in found:
                    self.holds(f"{words}, time beside {other}", found["clouds"][0] / found[other][0], most=most)

    def workers(self):
        print(SHOWN.format("one worker, and two", "", "us", "could do", "a second"))
        rows = {f"{each.name} {count}": lambda options, folder, each=each, count=count: each(options, folder, count)
                for each in servers() for count in (1, 2)}
        found = self.rounds(rows, for_each=True)
        self.show(PAGES[0][1], found)
        for each in servers():
            one, two = found[f"{each.name} 1"], found[f"{each.name} 2"]
            print(f"    two workers of {each.name} beside one, as it was: {two[2] / one[2]:.2f}")
            if each is Clouds:
                self.holds("two workers beside one, with processors of their own", two[1] / one[1], least=1.8)

    def connections(self):
        print(SHOWN.format("a connection for each request", "", "us", "could do", "a second"))
        rows = {"clouds least": lambda options, folder: Clouds(options, folder, 1),
                "clouds least 2": lambda options, folder: Clouds(options, folder, 2),
                "clouds shared": lambda options, folder: Clouds(options, folder, 1, "shared"),
                **{each.name: lambda options, folder, each=each: each(options, folder, 1) for each in servers() if each is not Clouds}}
        found = self.rounds(rows, closes=True)
        self.show(PAGES[0][1], found)
        if "nginx" in found:
            for name in ("clouds least", "clouds shared"):
                self.holds(f"{name}: connections a second beside nginx", found[name][2] / found["nginx"][2], least=0.7)

    def idle(self):
        print(f"{'a worker of four that does nothing, MB':42} {'':14} {'RSS':>9} {'PSS':>10}")
        for each in servers():
            server = each(self.options, self.folder, 4)
            try:
                web_load.own(self.options, server.port, 100, "/", closes=True)  # each has begun, and served some
                rss, pss = (statistics.mean(sizes) for sizes in zip(*map(memory, server.pids()[1:])))
            finally:
                server.discard()
            print(f"{'':42} {each.name:14} {rss:9.1f} {pss:10.1f}")
            if each is Clouds:
                self.holds("RSS, MB", rss, most=6)
                self.holds("PSS, MB", pss, most=1.5)
                self.holds("from its start until it is ready, ms", self.until_ready(), most=20)

    def until_ready(self):
        """Milliseconds from the start of a worker until it is ready: the median of workers that are started one after the other."""
        server, count = Clouds(self.options, self.folder, 1), 1 if self.options.smoke else 21
        try:
            for generation in range(2, 2 + count):
                os.kill(server.process.pid, signal.SIGHUP)
                server.process.err.wait_for(f"web reloaded: web 1, generation {generation}")
            return statistics.median(map(int, re.findall(r" ready in (\d+) ms, generation", server.process.err.text())))
        finally:
            server.discard()

    def terminal(self):
        measure_terminal(self)


PARTS = ("requests", "workers", "connections", "idle", "terminal")


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "release")))
    parser.add_argument("--load", choices=("wrk", "own"), default="wrk" if shutil.which("wrk") else "own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"expected one of {', '.join(PARTS)}, got {part}")
    if options.smoke:
        options.rounds, options.requests, options.load = 1, 500, "own"
    return options


def main():
    options, folder = read_options(), tempfile.mkdtemp(prefix="clouds-http-")
    bench = Bench(options, folder)
    try:
        os.mkdir(os.path.join(folder, "files"))
        for name, size in (("small.txt", 1000), ("large.bin", 60000)):
            with open(os.path.join(folder, "files", name), "wb") as file:
                file.write(b"x" * size)
        for part in options.parts or PARTS:
            getattr(bench, part)()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.smoke:
        print("\n".join(["missed:", *bench.missed]) if bench.missed else "no target is missed")
    return 1 if options.check and bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
