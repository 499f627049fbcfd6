"""Servers in Lua and in C that come and go under load: no call fails that another server could have served."""
import os
import signal
import unittest

from support import Case, ECHO, LONG, Load, PROGRAMS, Process

ROUNDS = 60 if LONG else 6


class Rolling(Case):
    def in_lua(self):
        return self.serve(ECHO)

    def in_c(self):
        process = Process([os.path.join(PROGRAMS, "echo"), self.env["CLOUDS_URL"], "test.echo"], self.env)
        self.addCleanup(process.discard)
        process.out.wait_for("ready")
        return process

    def all_fine(self, load):
        books = load.finish()
        self.assertGreater(books["calls"], 0)
        self.assertEqual(books["ok"], books["calls"], books)
        self.assertLessEqual(books["latest"], 0, books)

    def rolling_restart(self, url):
        """A new one, then the old one is asked to stop, again and again; nothing is ever sent twice."""
        self.env["CLOUDS_URL"] = url
        services = [self.in_lua(), self.in_c()]
        load = Load(self, url, timeout=10, deadline=20, retries=-1)
        for i in range(ROUNDS):
            load.goes_on(100)
            services.append(self.in_c() if i % 2 else self.in_lua())
            self.assertEqual(services.pop(0).stop(), 0)
        load.goes_on()
        self.all_fine(load)

    def test_rolling_restart_over_redis(self):
        self.rolling_restart(self.redis().url)

    def test_rolling_restart_over_local(self):
        self.rolling_restart("local:")

    def one_left(self, url):
        """The last but one is stopped in order, without a new one: the last takes all."""
        self.env["CLOUDS_URL"] = url
        services = [self.in_c(), self.in_lua(), self.in_c()]
        load = Load(self, url, timeout=10, deadline=20, retries=-1)
        for service in services[:2]:
            load.goes_on(100)
            self.assertEqual(service.stop(), 0)
        load.goes_on()
        self.all_fine(load)

    def test_one_left_over_redis(self):
        self.one_left(self.redis().url)

    def test_one_left_over_local(self):
        self.one_left("local:")

    def killed(self, url, victims):
        """Of three, two in C, the victims are killed under load; whoever may be asked twice gets an answer."""
        self.env["CLOUDS_URL"] = url
        services = [self.in_c(), self.in_lua(), self.in_c()]
        load = Load(self, url, timeout=1, deadline=20, retries=10)
        for victim in victims:
            load.goes_on(100)
            services[victim].signal(signal.SIGKILL)
            services[victim].wait()
            load.goes_on()
        self.all_fine(load)

    def test_killed_over_redis(self):
        self.killed(self.redis().url, (0, 1))

    def test_killed_over_local(self):
        self.killed("local:", (2, 1))


if __name__ == "__main__":
    unittest.main()
