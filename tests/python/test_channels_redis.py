"""Channels over Redis: what a publish costs, and what a subscriber knows of what it has lost."""
import re
import signal
import time
import unittest

from support import BOUND, LONG, PythonCase, wait_until

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

    def publishes(self):
        """How many PUBLISH Redis has seen."""
        found = re.search(rb"cmdstat_publish:calls=(\d+)", self.server.command("INFO", "commandstats"))
        return int(found.group(1)) if found else 0

    def setUp(self):
        super().setUp()
        self.server = self.redis()
        self.url = self.server.url

    def test_a_publish_is_one_command_and_one_more_for_each_pattern(self):
        publisher, got = self.node("Base"), []
        for _ in range(20):
            self.node("Base").subscribe("chat.room", handler=lambda value, _: got.append(value))
        watcher = self.node("Base")
        watcher.subscribe("chat.room", handler=lambda value, _: got.append(value))
        watcher.ready(BOUND)
        publisher.ready(BOUND)
        wait_until(lambda: publisher.publish("chat.room", "first", confirm=True) >= 21)
        time.sleep(0.3)
        got.clear()
        for patterns, each in ((), 1), (("chat.*", "chat.>", "*.room"), 4):
            for pattern in patterns:
                for _ in range(3):  # who else subscribes to the same pattern costs nothing
                    self.node("Base").subscribe(pattern, handler=lambda value, _: None)
            time.sleep(1 if patterns else 0)  # publishers know of patterns a moment later
            before = self.publishes()
            for i in range(50):
                publisher.publish("chat.room", i)
            wait_until(lambda: got.count(49) >= 21)
            self.assertEqual(self.publishes() - before, 50 * each)
            got.clear()

    def kill_subscriber(self):
        """Cuts the connection that has subscribed to most."""
        clients = self.server.command("CLIENT", "LIST").decode().splitlines()
        rows = [(int(re.search(r" sub=(\d+)", row).group(1)), re.match(r"id=(\d+)", row).group(1)) for row in clients]
        most, number = max(rows)
        return most >= 2 and self.server.command("CLIENT", "KILL", "ID", number) == 1

    def test_what_is_missed_is_what_did_not_come(self):
        publisher, subscriber, got = self.node("Base"), self.node("Base"), []
        subscriber.subscribe("ticks", handler=lambda value, message: got.append((value, message)), queue=100000)
        subscriber.ready(BOUND)
        publisher.ready(BOUND)
        wait_until(lambda: publisher.publish("ticks", 0, confirm=True) == 1)
        count, kills = 0, 0
        while kills < (50 if LONG else 8):
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

    def test_a_group_goes_on_without_who_was_killed(self):
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
