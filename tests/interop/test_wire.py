"""What ours put on Redis, seen from outside: towards the original exactly WIRE.md, and nothing that would kill it."""
import json
import re
import unittest

from support import Case, wait_until

MEMBERS = {"c": ["i", "m", "a"], "r": ["i", "e", "r"]}


def parse(text):
    """JSON with the members of objects as a list of pairs, so that their order shows."""
    return json.loads(text, object_pairs_hook=lambda pairs: pairs)


def words(line):
    """The words of a line of MONITOR, without its time and address."""
    return [word.replace('\\"', '"') for word in re.findall(r'"((?:[^"\\]|\\.)*)"', line.decode("utf-8", "replace"))]


class Wire(Case):
    def run_everything(self, npm, lua):
        """Calls, errors, messages and a timeout in both directions."""
        theirs = npm.server("npm.echo=echo", "npm.fail=fail", "npm.hang=hang")
        ours = lua.server("lua.echo=echo", "lua.fail=fail", "lua.nothing=nothing")
        npm.node("client", "c", timeout=20), lua.node("client", "c", timeout=20)
        for method, args in (("echo", []), ("echo", [1, None, {"a": []}]),
                             ("fail", ["members"]), ("fail", ["error", 1])):
            npm.call(f"lua.{method}", *args), lua.call(f"npm.{method}", *args)
        npm.call("lua.nothing")
        lua.call("npm.hang", options={"timeout": 1.5})
        lua.ask("send", node="c", to=theirs, value={"x": None}), npm.ask("send", node="c", to=ours, value=[1])
        npm.ask("send", node="s", to=ours, value="end"), lua.ask("send", node="s", to=theirs, value="end")
        lua.event(lambda e: e.get("value") == "end"), npm.event(lambda e: e.get("value") == "end")
        return theirs, ours

    def expect_exact(self, text):
        self.assertEqual(text.decode().lstrip()[0], "{")
        envelope = parse(text)
        self.assertEqual([key for key, _ in envelope], ["t", "s", "d"], text)
        kind, sender, data = (value for _, value in envelope)
        self.assertRegex(sender, r"^[a-z]\.[0-9a-f]{8}\.\d+\.\d+$")
        if kind == "m":
            return kind
        self.assertEqual([key for key, _ in data], MEMBERS[kind], text)
        data = dict(data)
        self.assertIsInstance(data["i"], str)
        self.assertIsInstance(data["a" if kind == "c" else "r"], list)
        if kind == "r" and data["e"] is not None:
            self.assertIn("message", dict(data["e"]), text)
        return kind

    def test_envelopes_towards_the_original(self):
        npm, lua = self.agents("npm", "lua")
        seen = self.watch("PSUBSCRIBE", "*")
        self.run_everything(npm, lua)
        mine = f".{npm.popen.pid}.".encode()
        
        def texts():
            return [text for _, _, channel, text in seen.all() if mine in channel]

        wait_until(lambda: len(texts()) >= 12, "the watcher saw all")
        kinds = [self.expect_exact(text) for text in texts()]
        self.assertEqual({kind: kinds.count(kind) for kind in "cmr"}, {"c": 5, "m": 2, "r": 5})

    def test_registrations(self):
        npm, lua = self.agents("npm", "lua")
        commands = self.watch("MONITOR")
        for heartbeat, life in ((1, 2), (0.3, 1), (30, 60)):
            name = f"h{heartbeat}"
            id = lua.server(f"{name}=echo", name=name, heartbeat=heartbeat)
            key = f"clouds:S:{name}:{id}"
            line = commands.wait_for(lambda line: words(line)[:2] == ["SET", key], f"SET {key}")
            self.assertEqual(words(line)[2:], ["1", "EX", str(life)], heartbeat)
        self.assertEqual(self.server.command("GET", key), b"1")
        self.assertIn(self.server.command("TTL", key), range(30, 61))
        # A renewal asks for the key's life only; the original's sets it anew. Nobody of ours walks all keys at once.
        first = f"clouds:S:h1:{id.rsplit('.', 1)[0]}.0"
        commands.wait_for(lambda line: words(line)[:2] == ["EXPIRE", first], "a renewal")
        self.assertFalse([line for line in commands.all() if words(line)[:1] == ["KEYS"]])
        self.assertEqual(lua.stop(), 0)
        self.assertEqual(self.keys(), [])

    def test_commands(self):
        npm, lua = self.agents("npm", "lua")
        commands = self.watch("MONITOR")
        theirs, ours = self.run_everything(npm, lua)
        lua.node("monitor", "m")
        lua.ask("status", node="m")
        self.run_clouds("status")
        self.assertEqual(lua.stop(), 0)
        self.server.command("PING", "all was seen")
        commands.wait_for(lambda line: words(line)[:2] == ["PING", "all was seen"], "what was asked")
        asked = [words(line) for line in commands.all()]
        self.assertTrue([w for w in asked if w[:1] == ["SCAN"]])
        walks = [w for w in asked if w and w[0].upper() == "KEYS"]
        # Only the original's client asks so, in its own way: for one method of which it knows no server.
        self.assertTrue(all(w[0] == "keys" and w[1].startswith("clouds:S:lua.") for w in walks), walks)
        for name in ("FLUSHALL", "FLUSHDB", "EVAL", "CONFIG"):
            self.assertFalse([w for w in asked if w and w[0].upper() == name], name)

    def test_the_shape_of_everything_that_goes_through_a_channel_of_a_node(self):
        one, two = self.agents("lua", "lua")
        seen = self.watch("PSUBSCRIBE", "*")
        self.talk(one, two, self.speakers(one, two)[0])
        count = 0
        for _, _, channel, text in seen.all():
            if b":F:" in channel:
                count += 1
                self.assertEqual(text[:2], b"\x01\x10", text)
            if b":L:" not in channel:
                continue
            count += 1
            value = json.loads(text)
            self.assertIsInstance(value, dict, text)
            if value.get("t") in ("c", "r"):
                self.assertIsInstance(value["d"], dict, text)
                self.assertIsInstance(value["d"].get("a" if value["t"] == "c" else "r", []), list, text)
        self.assertGreater(count, 10)

    def speakers(self, one, two):
        """What they say goes through Redis, all of it."""
        return (one.server("echo", "fail", "slow", "hang", direct=False),
                two.node("client", "c", timeout=20, direct=False))

    def talk(self, one, two, server):
        """Two processes of ours, with all that ours say to ours: batches, deadlines, refusals, errors, messages."""
        got = two.ask("calls", node="c", method="echo", args=[1], count=2000, at_once=500)["got"]
        self.assertEqual(got, [1] * 2000)
        two.call("fail", "members"), two.call("fail", "raise"), two.call("fail", "error", 1, 2)
        two.call("hang", options={"timeout": 0.2}), two.call("unknown", options={"server": server})
        two.call("slow", 0.1, options={"deadline": 3})
        self.assertGreaterEqual(two.ask("send", node="c", to=server, value={"a": 1})["received"], 1)
        one.event(lambda e: e["event"] == "message")

    def test_an_original_that_listens_where_ours_talk_lives(self):
        # A client of the original under the id of each: it hears what is said to that id as text, and no frames, which would
        # end it. The original does not ask whether an id is in use.
        one, two, npm = self.agents("lua", "lua", "npm")
        server, client = self.speakers(one, two)
        for number, id in enumerate((server, client)):
            npm.node("client", f"listener{number}", id=id)
            wait_until(lambda: self.server.command("PUBSUB", "NUMSUB", f"clouds:L:{id}")[1] == 2, "both listen")
        self.talk(one, two, server)
        for id in (server, client):
            self.assertEqual(self.server.command("PUBLISH", f"clouds:L:{id}", '{"t":"m","s":"x","d":"end"}'), 2, id)
        for number in (0, 1):
            npm.event(lambda e: e.get("value") == "end" and e["node"] == f"listener{number}")
        heard = {event["type"] for event in npm.events() if event["event"] == "unknown message"}
        self.assertFalse(heard & {"c", "r", "b"}, heard)
        self.assertTrue(npm.is_alive())


if __name__ == "__main__":
    unittest.main()
