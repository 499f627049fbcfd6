"""Calls under faults that come at random, every call and every execution written down and compared with the promises.

Short: a few seconds for each way to travel; CLOUDS_LONG=1: at least 300 000 calls. CLOUDS_HISTORY_SEED repeats a run's choices.
"""
import os
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from checker import History, check  # noqa: E402
from harness import BOUND, SANITIZED, SOURCE, Case, Process, free_port, wait_until  # noqa: E402
from proxy import Proxy  # noqa: E402

PROGRAMS = os.path.join(os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev")), "tests", "history")
LONG = bool(os.environ.get("CLOUDS_LONG"))
CALLS = 60000 if LONG else 600 if SANITIZED else 2500  # in each test
FAULTS = 60 if LONG else 6  # at least
SEED = int(os.environ.get("CLOUDS_HISTORY_SEED", random.randrange(1 << 30)))
SHOWN = 20
STEP = 3  # seconds that the clock of Redis is moved by
LEARNED = 4  # seconds until everybody has noticed that


class Cluster:
    """Clients and servers, and what was done to them."""

    def __init__(self, case, url, servers=3):
        self.case, self.url, self.chance = case, url, random.Random(SEED)
        self.servers, self.clients, self.logs, self.books, self.done = [], [], [], [], []
        self.uncertain = []
        for _ in range(servers):
            self.add_server()

    def _start(self, *words, mutant=None, **more):
        env = dict(self.case.env)
        if mutant:
            env.update(LD_PRELOAD=os.path.join(PROGRAMS, "libmutant.so"), HISTORY_MUTANT=mutant)
        process = Process([os.path.join(PROGRAMS, words[0]), *map(str, words[1:])], env, **more)
        self.case.addCleanup(process.discard)
        return process

    def add_server(self, mutant=None):
        self.logs.append(os.path.join(self.case.folder, f"server-{len(self.logs)}.log"))
        self.servers.append(self._start("server", self.url, self.logs[-1], mutant=mutant))

    def add_client(self, retries=-1, mode="inline", outstanding=15, timeout=1, deadline=2, mutant=None):
        for server in self.servers:
            server.out.wait_for("ready")  # or its calls would end at once, and count
        number = len(self.clients)
        self.books.append(os.path.join(self.case.folder, f"client-{number}.log"))
        self.clients.append(self._start("client", self.url, self.books[-1], (number + 1) * 10**9, outstanding, timeout, deadline,
                                        retries, mode, mutant=mutant, stdin=-1))

    def completed(self):
        def last(client):
            word = client.out.text().rpartition("\n")[0].rpartition("\n")[2]
            return int(word) if word.isdigit() else 0
        return sum(last(client) for client in self.clients)

    def alive(self):
        for client in self.clients:
            self.case.assertIsNone(client.popen.poll(), f"a client ended: {client.err.text()[-2000:]}")

    def torment(self, *faults, calls=CALLS, least=FAULTS):
        """One fault after the other, until enough calls were made under enough of them."""
        begin = time.monotonic()
        while self.completed() < calls or len(self.done) < least:
            self.alive()
            fault = self.chance.choice(faults)
            self.done.append(fault.__name__)
            fault()
            time.sleep(self.chance.uniform(0.05, 0.4))  # some calls between two faults
            if time.monotonic() - begin > 8 * BOUND:
                self.case.fail(f"only {self.completed()} calls after {self.done}")

    def _victim(self):
        return self.chance.choice(self.servers)

    def kill(self):
        victim = self._victim()
        victim.popen.kill()
        victim.popen.wait()
        self.servers.remove(victim)
        self.add_server()

    def stop(self):
        victim = self._victim()
        victim.signal(signal.SIGTERM)
        self.servers.remove(victim)
        self.add_server()

    def freeze(self):
        victim = self._victim()
        victim.signal(signal.SIGSTOP)
        time.sleep(self.chance.choice((0.1, 0.5, 3)))  # 3: longer than every deadline
        victim.signal(signal.SIGCONT)

    def replace(self):
        """A kill of one while the others are healthy: not before the one of the last time serves."""
        for server in self.servers:
            server.out.wait_for("ready")
        self.kill()

    def discard_all(self):
        for server in self.servers:
            server.discard()

    def stop_all(self):
        """A request that is handed out late is written down when its time is over."""
        for server in self.servers:
            server.signal(signal.SIGTERM)
        for server in self.servers:
            server.wait()

    def finish(self, end=discard_all, **how):
        """Ends all, reads all, and says what contradicts the promises."""
        for client in self.clients:
            client.popen.stdin.close()
            client.popen.stdin = None
        for client in self.clients:
            self.case.assertEqual(client.wait(), 0, client.err.text()[-2000:])
        end(self)
        history = History(self.books, self.logs)
        found = check(history, uncertain=self.uncertain, **how)
        print(f"seed {SEED}: {len(history.calls)} calls {history.outcomes()}, {len(self.done)} faults, {len(found)} violations",
              file=sys.stderr)
        return history, found


class Test(Case):
    def judge(self, cluster, **how):
        history, found = cluster.finish(**how)
        outcomes = history.outcomes()
        self.assertEqual(found[:SHOWN], [], f"seed {SEED}, {len(found)} in all; faults: {cluster.done}")
        self.assertGreater(outcomes["OK"], len(history.calls) // 10, outcomes)
        self.assertGreater(outcomes["APP_ERROR"], 0, outcomes)

    def clients(self, cluster):
        cluster.add_client()
        cluster.add_client(retries=3, mode="thread")
        cluster.add_client(retries=1)


class Local(Test):
    def test_processes_die_stop_and_freeze(self):
        cluster = Cluster(self, "local:")
        self.clients(cluster)
        cluster.torment(cluster.kill, cluster.stop, cluster.freeze)
        self.judge(cluster)

    def test_one_dies_beside_healthy_ones(self):
        cluster = Cluster(self, "local:")
        cluster.add_client(retries=20, timeout=3, deadline=60)
        cluster.add_client(retries=20, timeout=3, deadline=60, mode="thread")
        cluster.torment(cluster.replace)
        self.judge(cluster, all_ok=True)


class RedisTest(Test):
    def setUp(self):
        super().setUp()
        self.server = self.redis("--enable-debug-command", "yes")
        self.proxy = Proxy(os.path.join(self.folder, "proxy.sock"), self.server.socket)
        self.addCleanup(self.proxy.close)
        self.url = "redis+unix://" + self.proxy.path

    def restart(self):
        self.server.kill()
        self.server.start()

    def kill_clients(self):
        self.server.command("CLIENT", "KILL", "TYPE", self.cluster.chance.choice(("normal", "pubsub")))

    def forget_all(self):
        self.server.command("FLUSHALL")

    def hang(self):
        self.server.command("DEBUG", "SLEEP", "0.3")

    def cut(self):
        self.proxy.cut()

    def move_clock(self):
        """Redis' clock steps; until everybody has noticed, their ideas of a deadline differ by the step."""
        begin = time.monotonic()
        self.proxy.shift += self.cluster.chance.choice((-STEP, STEP))
        self.cluster.uncertain.append((begin, begin + LEARNED + STEP))


class OverRedis(RedisTest):
    def test_processes_connections_and_redis(self):
        self.cluster = cluster = Cluster(self, self.url)
        self.clients(cluster)
        cluster.torment(cluster.kill, cluster.stop, cluster.freeze, self.restart, self.kill_clients, self.forget_all, self.hang,
                        self.cut)
        self.judge(cluster)

    def test_the_clock_steps(self):
        self.cluster = cluster = Cluster(self, self.url)
        self.clients(cluster)
        cluster.torment(self.move_clock, self.kill_clients, cluster.kill, cluster.freeze)
        self.judge(cluster)

    def test_one_dies_beside_healthy_ones(self):
        self.cluster = cluster = Cluster(self, self.url)
        cluster.add_client(retries=20, timeout=3, deadline=60)
        cluster.add_client(retries=20, timeout=3, deadline=60, mode="thread")
        cluster.torment(cluster.replace)
        self.judge(cluster, all_ok=True)


class Failover(RedisTest):
    def test_failover_to_a_replica(self):
        """New connections lead to the new master at once, old ones stay where they are: the worst that a failover can be."""
        ports = [free_port(), free_port()]
        pair = [self.redis("--port", str(port), "--repl-diskless-sync-delay", "0") for port in ports]
        self.proxy.target = pair[0].socket
        master = 0

        def follow(server, port):
            server.command("REPLICAOF", "127.0.0.1", port)
            wait_until(lambda: b"master_link_status:up" in server.command("INFO", "replication"), "the replica follows")

        follow(pair[1], ports[0])
        self.cluster = cluster = Cluster(self, self.url)
        self.clients(cluster)

        def fail_over():
            nonlocal master
            old, master = master, 1 - master
            pair[master].command("REPLICAOF", "NO", "ONE")
            self.proxy.target = pair[master].socket
            follow(pair[old], ports[master])

        cluster.torment(fail_over, cluster.kill, least=4)
        self.judge(cluster)


class Mutants(Case):
    """The checker sees a library that is wrong."""

    def found(self, client=None, server=None, retries=-1, faults=False, calls=600):
        cluster = Cluster(self, "local:", servers=0)
        for _ in range(2):
            cluster.add_server(mutant=server)
        cluster.add_client(retries=retries, mutant=client)
        nothing = lambda: None  # noqa: E731
        cluster.torment(cluster.kill if faults else nothing, calls=calls, least=3)
        return [fault.split(":")[0] for fault in cluster.finish(end=Cluster.stop_all)[1]]

    def test_a_right_library(self):
        self.assertEqual(self.found(), [])

    def test_a_result_handed_out_twice(self):
        self.assertIn("promise 1", self.found(client="twice"))

    def test_a_result_lost(self):
        self.assertIn("promise 1", self.found(client="lost"))

    def test_the_answer_of_another(self):
        self.assertIn("promise 6", self.found(client="foreign"))

    def test_an_outcome_turned(self):
        self.assertIn("promise 4", self.found(client="turned", faults=True))

    def test_a_request_handed_out_twice(self):
        self.assertIn("promise 4", self.found(server="again"))

    def test_a_request_begun_too_late(self):
        self.assertIn("promise 7", self.found(server="late", calls=300))


if __name__ == "__main__":
    unittest.main()
