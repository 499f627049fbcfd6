#!/usr/bin/env python3
"""Runs every benchmark beside its baseline, in turn, and prints the ratios.

Usage: run.py [--build DIR] [--rounds N] [--seconds S] [--tcp] [--check] [--json] [--smoke]

Redis is reached over a unix socket, or over TCP with --tcp, by the baselines and by ours alike.
Absolute figures mean nothing across machines or runs; a ratio is made of medians of rounds that took turns. --check ends with
1 when a target is missed. --smoke is the test: a short run that only looks whether everything ran and every answer was right.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
sys.dont_write_bytecode = True

from harness import Process, Redis  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bench:
    def __init__(self, build, seconds, tcp, smoke, source=SOURCE):
        self.build, self.seconds, self.source = build, seconds, source
        self.warmup, self.starts = (0, 1) if smoke else (0.5, 11)
        self.folder = tempfile.mkdtemp(prefix="clouds-bench-")
        self.env = dict(os.environ, CLOUDS_RUNTIME_DIR=os.path.join(self.folder, "run"))
        self.env.pop("CLOUDS_URL", None)
        port = free_port() if tcp else 0
        self.redis = Redis(self.folder, "--port", str(port), "--bind", "127.0.0.1")
        self.address, self.redis_url = "unix:" + self.redis.socket, self.redis.url
        if tcp:
            self.address, self.redis_url = f"127.0.0.1:{port}", f"redis://127.0.0.1:{port}"
        # The service in Lua has clusters of its own, so that it can stay while others serve the same method.
        self.lua_redis_url, self.lua_local_url = self.redis_url + "?prefix=lua", "local:lua"
        self.services = {}

    def close(self):
        for service in self.services.values():
            service.discard()
        self.redis.stop()
        shutil.rmtree(self.folder)

    def program(self, name, *arguments):
        path = os.path.join(self.build, "tests", "bench", name)
        out = subprocess.run([path, *map(str, arguments)], env=self.env, stdout=subprocess.PIPE, check=True, timeout=300)
        return json.loads(out.stdout)

    @property
    def clouds(self):
        return os.path.join(self.build, "host", "clouds")

    def service(self, url):
        """The service in Lua, which is started once for each url."""
        if url not in self.services:
            script = os.path.join(SOURCE, "tests", "bench", "server.lua")
            self.services[url] = Process([self.clouds, "--url", url, "run", script], self.env)
            self.services[url].out.wait_for("ready")
        return self.services[url]

    def lua(self, url, outstanding):
        self.service(url)
        out = subprocess.run([self.clouds, "--url", url, "bench", "--json", "-m", "bench.add", "-c", str(outstanding),
                              "-t", str(self.seconds), "--warmup", str(self.warmup), "1", "2"],
                             env=self.env, stdout=subprocess.PIPE, check=True)
        got = json.loads(out.stdout)
        return {"rate": got["rate"], "p50": got["p50"] * 1e6, "bad": got["errors"]}

    # The points. Each gives {"rate", "p50", ...}; p50 in microseconds.

    def floor_redis(self, w):
        return self.program("baseline_redis", self.address, w, self.seconds)

    def hiredis(self, w):
        return self.program("baseline_hiredis", self.address, w, self.seconds)

    def c_redis(self, w):
        """Every call by Redis."""
        return self.program("bench_c", self.redis_url, w, self.seconds, "direct=false")

    def c_direct(self, w):
        """By links over unix sockets, beside Redis; so are those in other languages."""
        return self.program("bench_c", self.redis_url, w, self.seconds)

    def c_tcp(self, w):
        return self.program("bench_c", self.redis_url, w, self.seconds, "listen=tcp://127.0.0.1:0")

    def c_tls(self, w, *more):
        key = os.path.join(self.folder, "key")
        if not os.path.exists(key):
            subprocess.run([self.clouds, "key", key], check=True)
        return self.program("bench_c", self.redis_url, w, self.seconds, *more, "listen=tcp://127.0.0.1:0", f"key_file={key}")

    def c_tcp_1k(self, w):
        """With arguments of 1 kB, which are the answer."""
        return self.program("bench_c", self.redis_url, w, self.seconds, "bytes=1024", "listen=tcp://127.0.0.1:0")

    def c_tls_1k(self, w):
        return self.c_tls(w, "bytes=1024")

    def floor_tcp(self, w):
        return self.program("baseline_echo", w, self.seconds, "tcp")

    def zeromq(self, w):
        return self.program("baseline_zmq", w, self.seconds)

    def lua_redis(self, w):
        return self.lua(self.lua_redis_url, w)

    def js(self, module, w):
        """The same program with npm's clouds and with ours, by callbacks; client and server are processes."""
        def node(program, *arguments, **more):
            path = os.path.join(SOURCE, "tests", "bench", program)
            return subprocess.Popen(["node", path, module, self.address, *map(str, arguments)], env=self.env,
                                    stdout=subprocess.PIPE, **more)
        server = node("js_server.js")
        try:
            server.stdout.readline()
            client = node("js_client.js", w, self.seconds)
            return json.loads(client.communicate(timeout=300)[0])
        finally:
            server.terminate()
            server.communicate()

    @property
    def npm_module(self):
        return os.path.join(self.build, "interop", "node_modules", "clouds")

    @property
    def node_module(self):
        return os.path.join(self.build, "bindings", "node")

    def npm_redis(self, w):
        return self.js(self.npm_module, w)

    def node_redis(self, w):
        return self.js(self.node_module, w)

    def python_redis(self, w):
        """The Python client against the service in Lua: one call at a time, or many by asyncio."""
        self.service(self.lua_redis_url)
        env = dict(self.env, PYTHONPATH=os.path.join(self.source, "bindings", "python"), PYTHONDONTWRITEBYTECODE="1",
                   CLOUDS_LIBRARY=os.path.join(self.build, "capi", "libclouds.so"))
        out = subprocess.run(["/usr/bin/python3", os.path.join(SOURCE, "tests", "bench", "python_client.py"),
                              "sync" if w == 1 else "asyncio", self.lua_redis_url, str(w), str(self.seconds)],
                             env=env, stdout=subprocess.PIPE, check=True, timeout=300)
        return json.loads(out.stdout)

    def floor_echo(self, w):
        return self.program("baseline_echo", w, self.seconds)

    def c_local(self, w):
        return self.program("bench_c", "local:", w, self.seconds)

    def lua_local(self, w):
        return self.lua(self.lua_local_url, w)

    # What goes one way, and bursts: arrivals, or calls, a second. W is what the programs say.

    def ways(self, program, way):
        return self.program(program, way, "local:", self.seconds)

    def floor_publish(self, w):
        return self.ways("baseline_ways", "publish")

    def c_publish(self, w):
        """To 100 subscribers, each in a context of its own."""
        return self.ways("bench_ways", "publish")

    def floor_notify(self, w):
        return self.ways("baseline_ways", "notify")

    def c_notify(self, w):
        return self.ways("bench_ways", "notify")

    def floor_burst(self, w):
        return self.ways("baseline_ways", "burst")

    def c_burst(self, w):
        """20 clients, 1000 calls each at once."""
        return self.ways("bench_ways", "burst")

    # What choosing among 1000 servers costs: calls a second of a core over a bus that only remembers.

    def choose_by_turns(self, w):
        return self.program("bench_choose", "turns", 1000, self.seconds)

    def choose_by_weight(self, w):
        return self.program("bench_choose", "weight", 1000, self.seconds)

    def c_redis_patterns(self, w):
        """The calls of c_redis, while somebody has subscribed to 1000 patterns: C10."""
        script = os.path.join(SOURCE, "tests", "bench", "patterns.lua")
        subscriber = Process([self.clouds, "--url", self.redis_url, "run", script, "1000"], self.env)
        try:
            subscriber.out.wait_for("ready")
            return self.c_redis(w)
        finally:
            subscriber.stop()
            subscriber.discard()

    def resident_mb(self):
        """RSS of a process with one idle service, in MB."""
        return self.service("local:idle").resident_kb() / 1024

    def time_ms(self, url, *words):
        """The median time that a process takes from its start to its end, in ms."""
        times = []
        for _ in range(self.starts):
            begin = time.monotonic()
            subprocess.run([self.clouds, "--url", url, *words], env=self.env, check=True, stdout=subprocess.DEVNULL)
            times.append((time.monotonic() - begin) * 1e3)
        return statistics.median(times)

    def client_start_ms(self):
        """From the start of a client to the answer of a service that is there."""
        self.service(self.lua_local_url)
        return self.time_ms(self.lua_local_url, "call", "bench.add", "1", "2")

    def service_start_ms(self):
        """From the start of a process to the answer of the service that it offers itself."""
        return self.time_ms("local:", "run", os.path.join(SOURCE, "tests", "bench", "first.lua"))


POINTS = ["floor_redis", "hiredis", "c_redis", "lua_redis", "floor_echo", "c_local", "lua_local"]


# Those that take a while to start are measured with most outstanding only, and where they are there.
SCRIPTED = ["npm_redis", "node_redis"]


# Those of one width only, their own.
WAYS = ["floor_publish", "c_publish", "floor_notify", "c_notify", "floor_burst", "c_burst", "choose_by_turns", "choose_by_weight", "c_redis_patterns"]


# Links beside Redis, and what they are compared with.
LINKED = ["c_direct", "floor_tcp", "zeromq", "c_tcp", "c_tls", "c_tcp_1k", "c_tls_1k"]


def points(bench, w, widths):
    there = os.path.exists(os.path.join(bench.build, "interop", "installed")) and os.path.exists(os.path.join(bench.node_module, "clouds.node"))
    linked = [p for p in LINKED if p != "zeromq" or os.path.exists(os.path.join(bench.build, "tests", "bench", "baseline_zmq"))]
    ways = WAYS if w == max(widths) else []
    return POINTS + linked + ways + (["python_redis"] if w in (1, max(widths)) else []) + (SCRIPTED if there and w == max(widths) else [])


def measure(bench, rounds, widths):
    """{(point, w): {"rate", "p50", "heap"}}: medians of rounds in which the points took turns."""
    got = {}
    for _ in range(rounds):
        for w in widths:
            for point in points(bench, w, widths):
                result = getattr(bench, point)(w)
                if result.get("bad"):
                    raise SystemExit(f"{point}, {w} outstanding: {result['bad']} wrong answers")
                got.setdefault((point, w), []).append(result)
    return {key: {"rate": statistics.median(r["rate"] for r in results),
                  "p50": statistics.median(r["p50"] for r in results),
                  "heap": statistics.median(r.get("heap_per_call", 0) for r in results)}
            for key, results in got.items()}


def targets(m, widths, rss, client_start, service_start):
    """Rows of (what, value, comparison, target)."""
    rows = []
    def ratio(a, b, w, what="rate"):
        return m[a, w][what] / m[b, w][what]
    for w in widths:
        if w > 1:
            rows.append((f"floor over hiredis, redis, {w} outstanding", ratio("floor_redis", "hiredis", w), ">=", 1.0))
            rows.append((f"C to C over the floor, redis, {w} outstanding", ratio("c_redis", "floor_redis", w), ">=", 0.6))
            rows.append((f"Lua to Lua over C to C, links beside redis, {w} outstanding", ratio("lua_redis", "c_direct", w), ">=", 0.5))
        else:
            rows.append(("C to C latency over the floor's, redis, 1 outstanding",
                         ratio("c_redis", "floor_redis", 1, "p50"), "<=", 1.15))
    top = max(widths)
    if ("npm_redis", top) in m:
        rows.append((f"Node to Node over npm clouds, redis, {top} outstanding", ratio("node_redis", "npm_redis", top), ">=", 2.5))
        rows.append((f"Python (asyncio) to Lua over npm clouds, redis, {top} outstanding",
                     ratio("python_redis", "npm_redis", top), ">=", 0.7))
    rows.append(("Python's (sync) latency over C's, redis, 1 outstanding", ratio("python_redis", "c_redis", 1, "p50"), "<=", 1.5))
    rows.append((f"C to C over unix sockets beside redis over local, {top} outstanding", ratio("c_direct", "c_local", top), ">=", 0.9))
    rows.append((f"C to C over TCP over a bare echo, {top} outstanding", ratio("c_tcp", "floor_tcp", top), ">=", 0.15))
    if ("zeromq", top) in m:
        rows.append((f"C to C over TCP over ZeroMQ's DEALER and ROUTER, {top} outstanding", ratio("c_tcp", "zeromq", top), ">=", 1.3))
    # A11: links beside Redis over local:, over TCP and with TLS.
    rows.append((f"C to C over TCP over unix sockets, {top} outstanding", ratio("c_tcp", "c_direct", top), ">=", 0.9))
    rows.append((f"C to C over TLS over TCP, {top} outstanding", ratio("c_tls", "c_tcp", top), ">=", 0.8))
    rows.append((f"C to C over TLS over TCP, 1 kB each way, {top} outstanding", ratio("c_tls_1k", "c_tcp_1k", top), ">=", 0.45))
    rows.append(("publish to 100 subscribers over a loop of bare writes, local", ratio("c_publish", "floor_publish", top), ">=", 0.5))
    rows.append((f"notify one way, 12 bytes, over calls, local, {top} outstanding", ratio("c_notify", "c_local", top), ">=", 0.9))
    rows.append((f"bursts of 20 clients x 1000 calls over calls, local, {top} outstanding", ratio("c_burst", "c_local", top), ">=", 0.3))
    rows.append((f"calls beside 1000 patterns over calls without, redis, {top} outstanding", ratio("c_redis_patterns", "c_redis", top), ">=", 0.95))
    rows.append(("calls by weight over calls by turns, among 1000 servers", ratio("choose_by_weight", "choose_by_turns", top), ">=", 0.7))
    # An echo that looks at nothing is far from what a call has to do: docs/ARCHITECTURE.md says where the rest goes.
    for w, target in ((100, 0.25), (1000, 0.1)):
        if w in widths:
            rows.append((f"C to C over a bare echo, local, {w} outstanding", ratio("c_local", "floor_echo", w), ">=", target))
    echo = m["floor_echo", top]["rate"]
    rows.append((f"C to C, local, {top} outstanding, million a second (1 where the echo does 5; here {echo / 1e6:.1f})",
                 m["c_local", top]["rate"] / 1e6, ">=", round(min(1, echo / 5e6), 2)))
    rows.append((f"Lua to Lua over C to C, local, {top} outstanding", ratio("lua_local", "c_local", top), ">=", 0.5))
    rows.append(("heap of the client per outstanding call, bytes", m["c_local", top]["heap"], "<=", 1024))
    rows.append(("RSS of an idle service, MB", rss, "<=", 12))
    rows.append(("start of a client to its first answer, ms", client_start, "<=", 50))
    rows.append(("start of a process that serves and calls to its first answer, ms", service_start, "<=", 50))
    return rows


def report(m, rows, widths):
    print(f"{'calls per second (median latency, us)':40}" + "".join(f"{w:>22}" for w in widths))
    for point in dict.fromkeys(point for point, _ in m):
        cells = "".join(f"{m[point, w]['rate']:>13,.0f} {'(%.0f)' % m[point, w]['p50']:>8}" if (point, w) in m else " " * 22
                        for w in widths)
        print(f"{point:40}{cells}")
    print()
    missed = 0
    for what, value, comparison, target in rows:
        met = value >= target if comparison == ">=" else value <= target
        missed += not met
        print(f"{'ok    ' if met else 'MISSED'}  {what}: {value:.2f}  ({comparison} {target})")
    return missed


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", default=os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "release")))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--tcp", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--json", action="store_true")
    options.add_argument("--smoke", action="store_true")
    o = options.parse_args()
    widths = [1, 100, 1000]
    if o.smoke:
        o.rounds, o.seconds, widths = 1, 0.2, [1, 100]
    bench = Bench(o.build, o.seconds, o.tcp, o.smoke)
    try:
        m = measure(bench, o.rounds, widths)
        rows = targets(m, widths, bench.resident_mb(), bench.client_start_ms(), bench.service_start_ms())
    finally:
        bench.close()
    if o.json:
        print(json.dumps([{"what": what, "value": value, "target": comparison + str(target)}
                          for what, value, comparison, target in rows]))
        return 0
    missed = report(m, rows, widths)
    if o.smoke:
        print("every point ran, every answer was right")
        return 0
    return 1 if o.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
