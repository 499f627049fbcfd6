"""Redis dies under load and comes back empty: each call ends once and in time, and everything is registered again."""
import unittest

from support import Case, HEARTBEAT, LATE, Load, RENEWING, wait_until


class RedisRestart(Case):
    def setUp(self):
        super().setUp()
        self.server = self.redis()
        services = [self.serve(RENEWING) for _ in range(2)]
        self.ids = [service.out.text().split()[-1] for service in services]

    def keys(self):
        return sorted(self.server.command("KEYS", "clouds:S:*"))

    def listening(self):
        counts = self.server.command("PUBSUB", "NUMSUB", *(f"clouds:L:{id}" for id in self.ids))
        return counts[1::2]

    def test_killed_and_restarted_empty(self):
        self.restart("inline")

    def test_with_a_thread_of_the_library(self):
        self.restart("thread")

    def restart(self, mode):
        before = self.keys()
        self.assertEqual(len(before), 2)
        load = Load(self, self.server.url, timeout=1, deadline=2, mode=mode)
        for _ in range(2):
            load.goes_on()
            self.server.kill()
            self.server.start()
            # A heartbeat, the jitter, and the longest delay before a reconnection.
            wait_until(lambda: self.listening() == [1, 1], "all subscriptions are back")
            wait_until(lambda: self.keys() == before, "all registrations are back")
            for key in before:
                self.assertEqual(self.server.command("GET", key), b"1")
                self.assertIn(self.server.command("TTL", key), range(2 * HEARTBEAT + 1))
            load.goes_on()
        books = load.finish()
        self.assertLess(books["latest"], LATE, books)
        self.assertEqual(sum(books["outcomes"].values()), books["calls"], books)

    def test_down_for_longer_than_the_deadline(self):
        load = Load(self, self.server.url, timeout=0.5, deadline=0.5)
        load.goes_on()
        self.server.kill()
        books = load.finish()  # everything ends while nothing is there
        self.assertLess(books["latest"], LATE, books)

    def test_stopped_not_dead(self):
        load = Load(self, self.server.url, timeout=0.5, deadline=1)
        load.goes_on()
        self.server.pause()
        books = load.finish()
        self.server.resume()
        self.assertLess(books["latest"], LATE, books)
        self.assertEqual(books["outcomes"]["APP_ERROR"], 0, books)
        Load(self, self.server.url, count=100).finish()

    def test_flushed(self):
        load = Load(self, self.server.url, timeout=10, deadline=20)
        load.goes_on()
        self.server.command("FLUSHALL")
        wait_until(lambda: len(self.keys()) == 2, "all registrations are back")
        load.goes_on()
        books = load.finish()
        # Known servers stay known: nobody needed the registry.
        self.assertEqual(books["ok"], books["calls"], books)


if __name__ == "__main__":
    unittest.main()
