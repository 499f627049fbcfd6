#!/usr/bin/env python3
"""Calls through the gateway, beside moleculer-web and beside a constant answer of clouds.http: requests a second, in turn.

Usage: gateway.py [--build DIR] [--requests N] [--connections N] [--rounds N] [--check | --smoke]

The gateways are each one process, and so is the service that they call; the constant is answered by one process without a call.
moleculer is installed from npm into the build on first use; without npm it is left out, as it is by --smoke. --check ends with 1 when
a target is missed: 5 times moleculer-web, half of the constant.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import web_load
from web_servers import SOURCE, Process, answers, free_port, wait_until

MOLECULER = ("moleculer@0.14.36", "moleculer-web@0.10.8")
CALL = "/call/bench.add"
SETTINGS = """
return { allow = { "bench.*" }, rate = 1e9, in_flight = 10000 }
"""


class Bench:
    def __init__(self, options):
        self.options, self.processes = options, []
        self.folder = tempfile.mkdtemp(prefix="clouds-gateway-")
        self.env = dict(os.environ, CLOUDS_RUNTIME_DIR=os.path.join(self.folder, "run"), CLOUDS_URL="local:")
        self.clouds = os.path.join(options.build, "host", "clouds")

    def start(self, arguments, **environment):
        process = Process(arguments, dict(self.env, **environment))
        self.processes.append(process)
        return process

    def listening(self, port):
        wait_until(lambda: answers(port), "it listens")
        return port

    def gateway(self):
        """Two processes: the service and the gateway. The port of the latter."""
        port, settings = free_port(), os.path.join(self.folder, "gateway.lua")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(SETTINGS)
        self.start([self.clouds, "run", os.path.join(SOURCE, "tests", "bench", "server.lua")]).out.wait_for("ready")
        self.start([self.clouds, "gateway", "--listen", f"127.0.0.1:{port}", "--config", settings])
        return self.listening(port)

    def constant(self):
        port = free_port()
        script = os.path.join(SOURCE, "tests", "bench", "web.lua")
        self.start([self.clouds, "run", "--listen", f"127.0.0.1:{port}", script, self.folder])
        return self.listening(port)

    def moleculer(self, modules):
        port, between = free_port(), (free_port(), free_port())
        for role in ("service", "gateway"):
            self.start(["node", os.path.join(SOURCE, "tests", "bench", "gateway.js"), role, *map(str, (port, *between))],
                       NODE_PATH=modules)
        for process in self.processes[-2:]:
            process.out.wait_for("ready")
        return port

    def modules(self):
        """The folder that moleculer is in; None without it."""
        folder = os.path.join(self.options.build, "bench")
        modules = os.path.join(folder, "node_modules")
        if self.options.smoke or not shutil.which("npm"):
            return None
        if not os.path.isdir(os.path.join(modules, "moleculer-web")):
            subprocess.run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", *MOLECULER], check=True)
        return modules

    def close(self):
        for process in self.processes:
            process.discard()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(bench):
    """Requests a second of each, one list a server."""
    peers = {"gateway": (bench.gateway(), CALL, ["[1,2]"]), "constant": (bench.constant(), "/", [])}
    modules = bench.modules()
    if modules:
        peers["moleculer-web"] = (bench.moleculer(modules), CALL, ['{"a":1,"b":2}'])
    rates = {name: [] for name in peers}
    for turn in range(bench.options.rounds + 1):
        for name, (port, path, body) in peers.items():
            requests = bench.options.requests // (5 if name == "moleculer-web" else 1)
            rate = requests / web_load.own(bench.options, port, requests, path, *body)["seconds"]
            if turn:  # the first one warms up
                rates[name].append(rate)
    return rates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "release")))
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.requests, options.rounds = 500, 1
    bench = Bench(options)
    try:
        rates = {name: statistics.median(each) for name, each in measure(bench).items()}
    finally:
        bench.close()
    missed = []
    print(f"{'gateway':16}{rates['gateway']:10.0f} a second")
    for other, least in (("constant", 0.5), ("moleculer-web", 5)):
        if other not in rates:
            continue
        ratio = rates["gateway"] / rates[other]
        print(f"{other:16}{rates[other]:10.0f} a second, the gateway {ratio:.2f} times of it; wanted {least}")
        if ratio < least:
            missed.append(other)
    return 1 if options.check and missed else 0


sys.exit(main())
