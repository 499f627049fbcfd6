#!/usr/bin/env python3
"""What tracing and statistics cost: calls a second from C to C over local:, with nothing recorded, what is counted by method, one
trace in a hundred, and all.

Usage: trace.py [--build DIR] [--rounds N] [--seconds S] [--outstanding W]

Spans go to a collector that takes everything and keeps nothing. The points take turns; each row is the median, and the median of the
ratios to the round without tracing. `off` is the option trace=off, `ready` what a program has that says nothing of tracing, `stats` the
option stats=true.
"""
import argparse
import http.server
import os
import statistics
import sys
import threading

import run


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", default=os.path.join(run.SOURCE, "build", "release"))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=1)
    options.add_argument("--outstanding", type=int, default=100)
    o = options.parse_args()
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    there = f"trace=http://127.0.0.1:{sink.server_address[1]}/v1/traces"
    points = {"off": ["trace=off"], "ready": [], "stats": ["trace=off", "stats=true"], "1 in 100": [there, "trace_ratio=0.01"], "all": [there]}
    bench = run.Bench(o.build, o.seconds, False, False)
    rates = {name: [] for name in points}
    try:
        for _ in range(o.rounds):
            for name, words in points.items():
                rates[name].append(bench.program("bench_c", "local:traced", o.outstanding, o.seconds, *words)["rate"])
    finally:
        bench.close()
    for name, got in rates.items():
        ratio = statistics.median(a / b for a, b in zip(got, rates["off"]))
        print(f"{name:10}{statistics.median(got):>12,.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
