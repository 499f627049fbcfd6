"""Channels over etcd: who has subscribed is in the records of nodes, so it is kept through all that etcd does; messages go over
links, and go on without it."""
import os
import signal
import unittest

from etcd_support import Case, wait_until

SUBSCRIBER = """
local clouds = require "clouds"
local options = { heartbeat = 1%s }
local node = clouds.base(options)
local missed = 0
assert(node:subscribe(%s, function(value, message)
  missed = missed + message.missed
  print("got", value, missed)
end%s))
print("ready", node.id)
"""

PUBLISHER = """
local clouds = require "clouds"
local node = clouds.base { heartbeat = 1%s }
local number = 0
node:publish("tick", 0)  -- before anything is known
print("ready", node.id)
while true do
  clouds.sleep(0.005)
  number = number + 1
  assert(node:publish("tick", number))
  assert(node:publish("job", number))
end
"""


class Channels(Case):
    def setUp(self):
        super().setUp()
        self.server = self.etcd()

    def subscriber(self, topics='"tick"', options="", group="", env=None):
        return self.serve(SUBSCRIBER % (options, topics, group and ', { group = "%s" }' % group), env=env)

    def publisher(self, options=""):
        return self.serve(PUBLISHER % options)

    @staticmethod
    def rows(process):
        """The numbers that it got, and how many it has missed at the end."""
        rows = [line.split("\t")[1:] for line in process.out.text().rpartition("\n")[0].split("\n") if line.startswith("got")]
        return [int(value) for value, _ in rows], int(rows[-1][1]) if rows else 0

    def goes_on(self, process, more=50):
        before = len(self.rows(process)[0])
        wait_until(lambda: len(self.rows(process)[0]) >= before + more, f"{more} more messages come")

    def has_whole(self, process):
        """In order, none missing."""
        numbers, missed = self.rows(process)
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertEqual(missed, 0)

    def test_what_is_published_at_once_arrives(self):
        subscriber = self.subscriber('"t.*"')
        result = self.run_clouds("publish", "t.a", "7", "--json")
        self.assertEqual((result.stdout.strip(), result.returncode), ('{"receivers":1}', 0), result.stderr)
        subscriber.out.wait_for("got\t7")
        script = 'require "clouds".base {}:publish("t.b", 8)'  # and ends
        self.assertEqual(self.run_clouds("run", self.file("once.lua", script)).returncode, 0)
        subscriber.out.wait_for("got\t8")

    def test_the_record_says_it(self):
        self.subscriber('{"tick", "t.>"}')
        self.subscriber('"job"', group="g")
        records = [(record.get("s"), record.get("g")) for record in self.server.keys().values()]
        records = sorted((sorted(topics or []), groups) for topics, groups in records)
        self.assertEqual(records, [([], [["job", "g"]]), (["t.>", "tick"], None)])

    def test_messages_go_on_while_etcd_is_away(self):
        publisher, subscriber = self.publisher(), self.subscriber()
        self.goes_on(subscriber)
        for _ in range(2):
            self.server.kill()
            self.goes_on(subscriber, 300)
            self.server.start()
            self.goes_on(subscriber)
        late = self.subscriber()
        self.goes_on(late)
        self.has_whole(subscriber)
        self.has_whole(late)
        self.assertIsNone(publisher.popen.poll())

    def test_a_database_that_is_empty(self):
        publisher, subscriber = self.publisher(), self.subscriber()
        for number in range(50):  # so that revisions are higher than those that come
            self.server.post("/v3/kv/put", key=self.server.b64("other"), value="")
        self.goes_on(subscriber)
        self.server.kill()
        self.server.forget()
        self.server.start()
        late = self.subscriber()
        self.goes_on(late)
        self.assertEqual(subscriber.stop(), 0)
        again = self.subscriber()
        self.goes_on(again)
        self.has_whole(late)
        self.assertIsNone(publisher.popen.poll())

    def test_a_lease_that_is_revoked(self):
        self.publisher()
        subscriber = self.subscriber()
        self.goes_on(subscriber)
        key = "clouds/n/" + subscriber.out.text().split("ready\t")[1].split()[0]
        lease = self.server.lease_of(key)
        self.server.post("/v3/lease/revoke", ID=lease)
        wait_until(lambda: self.server.lease_of(key) not in (None, lease), "its key is back")
        self.goes_on(subscriber)
        self.has_whole(subscriber)

    def test_a_group_goes_on_without_who_was_killed(self):
        """Its key is there for as long as this test: who publishes sees by the link that it is gone."""
        members = [self.subscriber('"job"', ", heartbeat = 60", group="g") for _ in range(3)]
        self.publisher()
        for member in members:
            self.goes_on(member, 20)
        members[0].signal(signal.SIGKILL)
        members[0].wait()
        killed_at = max(max(self.rows(member)[0]) for member in members[1:])

        def numbers():
            return sorted(sum((self.rows(member)[0] for member in members), []))

        def nothing_is_lost():  # but what was on its way to who was killed, or was not told by it
            until = min(max(self.rows(member)[0]) for member in members[1:])
            return until - 200 > killed_at and set(range(until - 200, until)) <= set(numbers())

        wait_until(nothing_is_lost, "200 in a row come")
        self.assertEqual(numbers(), sorted(set(numbers())))  # each to one

    def test_over_tcp(self):
        elsewhere = os.path.join(self.folder, "elsewhere")
        os.mkdir(elsewhere, 0o700)
        self.publisher()
        subscriber = self.subscriber(options=", listen = 'tcp://127.0.0.1:0'", env={"CLOUDS_RUNTIME_DIR": elsewhere})
        self.goes_on(subscriber)
        self.has_whole(subscriber)

    def test_who_stops_is_no_subscriber(self):
        self.publisher()
        first, second = self.subscriber(), self.subscriber()
        self.goes_on(first)
        self.assertEqual(first.stop(), 0)
        self.goes_on(second)
        self.has_whole(second)
        self.assertEqual(sum("s" in record for record in self.server.keys().values()), 1)


if __name__ == "__main__":
    unittest.main()
