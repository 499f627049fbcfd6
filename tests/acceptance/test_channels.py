#!/usr/bin/env python3
"""C9 to C13: channels over Redis. What a publish costs there, what a subscriber knows of what it has lost, and what those who do not
read, or are killed, do to the others. C14, with nodes of npm clouds beside: tests/interop/test_beside.py."""
import os
import re
import signal
import subprocess
import time
import unittest

from support import BOUND, LONG, Process, PythonCase, wait_until

import clouds
from harness import Watcher

SILENT = os.path.join(os.environ["CLOUDS_BUILD_DIR"], "tests", "acceptance", "silent")

WORKER = """
import sys, time, clouds
node = clouds.Base(sys.argv[1])
node.subscribe("jobs", handler=lambda value, message: print(value, flush=True), group="workers")
node.ready()
print("ready", flush=True)
while True:
    time.sleep(60)
"""


class OverRedis(PythonCase):
    bus = "redis"

    def setUp(self):
        super().setUp()
        self.server = self.redis()
        self.url = self.server.url

    def commands(self, name):
        """How many commands of a name Redis has seen."""
        found = re.search(rb"cmdstat_%s:calls=(\d+)" % name.encode(), self.server.command("INFO", "commandstats"))
        return int(found.group(1)) if found else 0

    def subscribers(self, *topics, nodes, each):
        """So many nodes with connections of their own, and subscriptions each; where what they hear is noted."""
        got = []
        for i in range(nodes):
            node = self.node("Base", max_links=1000 + i)  # what differs in an option has a connection of its own
            for j in range(each):
                node.subscribe(topics[(i * each + j) % len(topics)], handler=lambda value, message: got.append(value))
            node.ready(BOUND)
        return got

    def known(self, publisher, topic, got, count):
        """Publishes until so many subscriptions have heard one."""
        def heard():
            got.clear()
            publisher.publish(topic, "known?")
            end = time.monotonic() + 1
            while len(got) < count and time.monotonic() < end:
                time.sleep(0.01)
            return len(got) == count
        wait_until(heard, f"{count} subscriptions are known")
        got.clear()

    def test_C9_a_publish_is_one_command_and_one_more_for_each_pattern(self):
        publisher = self.node("Base", max_links=999)
        publisher.ready(BOUND)
        exact = self.subscribers("chat.room", nodes=4, each=250)
        self.known(publisher, "chat.room", exact, 1000)
        watcher = Watcher(self.server.socket, "MONITOR")
        self.addCleanup(watcher.close)

        def publishes(heard, n, each):
            before = len(watcher.all())
            for i in range(n):
                publisher.publish("chat.room", i)
            wait_until(lambda: all(sum(value != "known?" for value in got) == n * count for got, count in heard), "all have heard all")
            self.server.command("PING", f"end of {n * each}")
            watcher.wait_for(lambda line: f"end of {n * each}".encode() in line)
            seen = [line for line in watcher.all()[before:] if b'"PUBLISH"' in line and b":C:" in line and b"known?" not in line]
            self.assertEqual(len(seen), n * each)
            for got, _ in heard:
                got.clear()

        publishes([(exact, 1000)], 20, 1)
        patterns = self.subscribers("chat.*", "chat.>", "*.room", nodes=3, each=30)
        self.known(publisher, "chat.room", patterns, 90)
        exact.clear()
        publishes([(exact, 1000), (patterns, 90)], 21, 4)

    def test_C10_a_pattern_is_no_pattern_of_redis(self):
        """Each of those would cost Redis time at every PUBLISH, of calls too. The rate of calls beside them: tests/bench/run.py."""
        publisher = self.node("Base", max_links=999)
        publisher.ready(BOUND)
        got = self.subscribers(*[f"topic.{i}.>" for i in range(1000)], nodes=4, each=250)
        self.known(publisher, "topic.777.now", got, 1)
        self.assertEqual(self.server.command("PUBSUB", "NUMPAT"), 0)
        self.assertEqual(self.commands("psubscribe"), 0)

    def kill_subscriber(self):
        """Cuts the connection that has subscribed to most."""
        clients = self.server.command("CLIENT", "LIST").decode().splitlines()
        rows = [(int(re.search(r" sub=(\d+)", row).group(1)), re.match(r"id=(\d+)", row).group(1)) for row in clients]
        most, number = max(rows)
        return most >= 2 and self.server.command("CLIENT", "KILL", "ID", number) == 1

    def test_C11_what_is_missed_is_what_did_not_come(self):
        publisher, subscriber, got = self.node("Base"), self.node("Base"), []
        subscriber.subscribe("ticks", handler=lambda value, message: got.append((value, message)), queue=100000)
        subscriber.ready(BOUND)
        publisher.ready(BOUND)
        wait_until(lambda: publisher.publish("ticks", 0, confirm=True) == 1)
        count, kills = 0, 0
        while kills < 50:
            for _ in range(200):
                count += 1
                publisher.publish("ticks", count)
            kills += bool(self.kill_subscriber())
            time.sleep(0.04)
        wait_until(lambda: publisher.publish("ticks", "last", confirm=True) == 1)
        wait_until(lambda: got and got[-1][0] == "last")
        sequences = [message.sequence for _, message in got]
        self.assertEqual(sequences, sorted(set(sequences)))
        self.assertEqual(sum(message.missed for _, message in got), sequences[-1] - len(sequences) - sequences[0] + 1)
        numbers = [value for value, _ in got if isinstance(value, int) and value]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertLess(len(numbers), count)
        self.assertFalse(any(message.lagged for _, message in got))

    def settle(self, publisher, total, got):
        """Publishes something that arrives at the two who hear, and waits until the one who reads knows of all."""
        def goes_out():
            try:
                return publisher.publish("loud", "done?", confirm=True) == 2
            except clouds.LimitReached:
                return False
        wait_until(goes_out, "there is room again")
        wait_until(lambda: len(got) + sum(got) >= total(), "it has heard all")
        self.assertEqual(len(got) + sum(got), total())

    def silent(self):
        process = Process([SILENT, self.url, "loud"], self.env, subprocess.PIPE)
        self.addCleanup(process.discard)
        process.out.wait_for("ready")
        return process

    def test_C12_who_does_not_poll_keeps_nobody_waiting_and_little_memory(self):
        publisher, got = self.node("Base", max_links=999), []
        self.node("Base").subscribe("loud", handler=lambda value, message: got.append(message.missed), queue=100000, queue_bytes=1 << 30)
        publisher.ready(BOUND)
        self.known(publisher, "loud", got, 1)
        silent = self.silent()

        def numbered():
            counters = publisher.counters()
            return counters["published"] + counters["publish_drops"]
        begun = numbered()

        def total():
            return numbered() - begun
        before, text, count = silent.resident_kb(), "x" * 16384, (65536 if LONG else 4096)  # 1 GB, or 64 MB
        for begin in range(0, count, 256):  # more at once than the queue to Redis takes: some are dropped, and told
            for _ in range(256):
                publisher.publish("loud", text)
            self.settle(publisher, total, got)
        self.assertGreaterEqual(total(), count)
        self.assertGreater(len(got), count / 4)
        self.assertLess(silent.resident_kb() - before, (8 + 16) * 1024)
        silent.popen.stdin.close()
        silent.popen.stdin = None
        self.assertEqual(silent.wait(), 0)
        received, missed, first, last = map(int, silent.out.text().split()[1:])
        self.assertEqual(received + missed, total())
        self.assertGreaterEqual(last - first + 1, received)
        self.assertGreaterEqual(received * len(text), 7 << 20, "its queue is full of what came last")

    def test_C13_a_group_goes_on_without_who_was_killed(self):
        publisher = self.node("Base")
        publisher.ready(BOUND)
        workers = [self.python(WORKER, self.url) for _ in range(3)]
        for worker in workers:
            wait_until(lambda worker=worker: "ready" in worker.out.text())
        wait_until(lambda: publisher.publish("jobs", "first", confirm=True) == 1)
        time.sleep(1)
        for i in range(100):
            publisher.publish("jobs", i)
        workers[0].signal(signal.SIGKILL)
        workers[0].wait()
        for i in range(100, 200):
            publisher.publish("jobs", i)

        def done():
            words = [word for worker in workers for word in worker.out.text().split()]
            return sorted(int(word) for word in words if word.isdigit())
        wait_until(lambda: [i for i in done() if i >= 100] == list(range(100, 200)))
        early = [i for i in done() if i < 100]
        self.assertEqual(early, sorted(set(early)))
        self.assertGreater(len(early), 60)  # what the one that was killed had not told yet is lost



if __name__ == "__main__":
    unittest.main()
