"""Runs the table of table.json: every kind as client of one kind of server, on one bus. Prints TAP.

Usage: run.py redis|local|etcd SERVER [--client KIND]... [--row TEXT]     (README.md)
"""
import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from peers import PROGRAMS, Etcd, Peer, Redis
from rows import Pair
from table import Table, load

# How many rows of one pair run beside each other, in each of three rounds that all pairs begin together: what keeps the
# processors busy, what has a timeout that an answer must beat, and what leaves traces.
AT_ONCE = (8, 16, 1)
BUSES = ("redis", "local", "etcd")
SHORT = 10  # seconds; no answer takes as long, however slow the machine


class Report:
    """TAP, a line for each row, as soon as it is done."""

    def __init__(self):
        self.count = self.failed = 0
        self._lock = threading.Lock()

    def row(self, pair, row, problem, skipped=None):
        with self._lock:
            self.count += 1
            self.failed += bool(problem)
            verdict = "not ok" if problem else "ok"
            lines = [f"{verdict} {self.count} - {pair}: {row}" + (f" # SKIP {skipped}" if skipped else "")]
            print("\n# ".join(lines + [line[:2000] for line in (problem or "").splitlines()]), flush=True)

    def end(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def round_of(row):
    limits = [row.get("options", {}).get(name, SHORT) for name in ("timeout", "deadline")]
    return 2 if row.get("last") else int(min(limits) < SHORT)


def run_rows(pair, rows, at_once, report):
    def run_row(row):
        why = pair.table.why_not(row)
        report.row(pair.name, row["name"], None if why else pair.run(row), why)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(run_row, rows))


def run_rounds(pairs, report, only):
    rows_of = [prepared(pair, only) for pair in pairs]
    with ThreadPoolExecutor(len(pairs)) as pool:
        for number, at_once in enumerate(AT_ONCE):
            of_round = [[row for row in rows if round_of(row) == number] for rows in rows_of]
            list(pool.map(run_rows, pairs, of_round, [at_once] * len(pairs), [report] * len(pairs)))


def prepared(pair, only):
    """The rows that this pair runs or skips; what they need at the server is there afterwards."""
    rows = [row for row in pair.table.rows if only in row["name"] and pair.table.why_not(row) != ""]
    for row in rows:
        if pair.table.why_not(row) is None:
            pair.prepare(row)
    return rows


def environment(stack, bus):
    """An environment with a cluster of its own, and the Redis server if there is one."""
    folder = tempfile.mkdtemp(prefix="clouds-")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    env = {key: value for key, value in os.environ.items() if key != "CLOUDS_URL"}
    env["CLOUDS_RUNTIME_DIR"] = os.path.join(folder, "run")
    os.mkdir(env["CLOUDS_RUNTIME_DIR"], 0o700)
    if bus == "local":
        env["CLOUDS_URL"] = "local:conformance"
        return env, None
    if bus == "etcd":
        etcd = Etcd(folder)
        stack.callback(etcd.stop)
        env["CLOUDS_URL"] = etcd.url
        return env, None
    redis = Redis(folder)
    stack.callback(redis.stop)
    env["CLOUDS_URL"] = redis.url
    return env, redis


def start(stack, kind, role, env):
    try:
        peer = Peer(kind, role, env)
    except OSError as problem:
        sys.exit(f"Bail out! The {kind} {role} cannot be started: {problem}")
    stack.callback(peer.discard)
    return peer


def report_end(report, peer, who):
    code, said = peer.end()
    problem = None if code == 0 and not said else f"exit code {code}; on standard error: {said}"
    report.row(who, "ends when its input does", problem)


def run(bus, server_kind, client_kinds, only):
    whole, report = load(), Report()
    with contextlib.ExitStack() as stack:
        env, redis = environment(stack, bus)
        server = start(stack, server_kind, "server", env)
        clients = [start(stack, kind, "client", env) for kind in client_kinds]
        for peer in (server, *clients):
            peer.wait_ready()
        pairs = [Pair(client, server, redis, env, Table(whole, client.kind, server_kind, bus)) for client in clients]
        run_rounds(pairs, report, only)
        for client in clients:
            report_end(report, client, f"{bus}: the {client.kind} client")
        report_end(report, server, f"{bus}: the {server_kind} server")
    return report.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bus", choices=BUSES)
    parser.add_argument("server", choices=tuple(PROGRAMS))
    parser.add_argument("--client", action="append", choices=tuple(PROGRAMS))
    parser.add_argument("--row", default="", help="only rows whose name has this text in it")
    options = parser.parse_args()
    on_bus = [kind for kind, about in load()["kinds"].items() if options.bus in about.get("buses", BUSES)]
    if options.server not in on_bus:
        parser.error(f"{options.server} is not on {options.bus}")
    sys.exit(run(options.bus, options.server, options.client or on_bus, options.row))


if __name__ == "__main__":
    main()
