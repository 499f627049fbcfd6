"""What the rows of the table mean: what a client is told to do, and what must come of it."""
import json
import time

import hostile
from harness import say, wait_until
from table import canonical, fill

BASE = ("echo", "describe", "add", "many", "nothing", "one_null", "big", "slow", "meet", "hold", "release", "fail",
        "fail_text", "unsendable", "count_failures", "never", "attempts")
NOBODY = "c.00000000.1.99999"


class Mismatch(AssertionError):
    pass


def short(text):
    text = str(text)
    return text if len(text) < 900 else f"{text[:600]} ... {text[-200:]}"


def expect_equal(what, wanted, got):
    if wanted != got:
        raise Mismatch(f"{what}: expected {short(wanted)}\n  got {short(got)}")


class Pair:
    """A client of one kind and a server of another, on one bus."""

    def __init__(self, client, server, redis, env, table):
        self.client, self.server, self.redis, self.env, self.table = client, server, redis, env, table
        self.name = f"{table.bus}: {client.kind} -> {server.kind}"

    def run(self, row):
        """Does what the row says; None, or what was wrong."""
        try:
            getattr(self, "do_" + row["do"])(row)
        except AssertionError as problem:
            return str(problem)
        except (KeyError, TypeError, AttributeError, OSError) as problem:  # a driver said something strange
            return f"{type(problem).__name__}: {problem}"
        return None

    # ---- what goes before a call ----

    def words(self, row):
        own = f"{self.client.kind}.{row['number']}"
        return {"$row": own, "$other": f"{own} \u00e9\U0001f600\"", "$topic": f"{own}.answers", "$server": self.server.id,
                "$client": self.client.id, "$server with NUL": self.server.id + "\0more"}

    def method(self, row):
        """The method to call; a row that is alone has its own, so that its timeouts disturb no other."""
        own = row.get("alone") or row.get("ghost") or row["do"] in ("late", "leave")
        return f"{row['method']}.{self.client.kind}.{row['number']}" if own else row["method"]

    def register(self, row, **how):
        # A short heartbeat is against clients of npm, which are on Redis; on etcd all that a busy process has would end by it.
        own = {of: row[of] for of in ("node", "heartbeat") if of in row and (of == "node" or self.redis)}
        self.server.ask("register", method=self.method(row), **{**own, **how})

    def prepare(self, row):
        """Before any row runs: registers what the row has for itself."""
        if row.get("ghost"):
            self.redis.command("SETEX", f"clouds:S:{self.method(row)}:{self.server.id}", 600, 1)
            self.redis.command("SADD", f"clouds:M:{self.method(row)}", self.server.id)  # as every node with a record does
        elif row.get("method") == "pick":
            self.register(row, **{"as": "never"})
            self.register(row, **{"as": "second", "node": "second"})
        elif row.get("alone"):
            self.register(row, **{"as": row["method"]})

    def begin(self, row, do=None):
        words = self.words(row)
        options = {key: fill(value, words) for key, value in row.get("options", {}).items()}
        return self.client.begin(do or row["do"], method=self.method(row), args=fill(row["args"], words),
                                 options=options)

    # ---- what a client does ----

    def do_call(self, row):
        started = time.monotonic()
        for begun in [self.begin(row) for _ in range(row.get("times", 1))]:
            self.check(row, self.client.finish(begun))
        took = time.monotonic() - started
        if took < row["expect"].get("at_least", 0):
            raise Mismatch(f"it ended after {took:.2f} s already")

    do_bind = do_cancel = do_call

    def do_calls(self, row):
        """One after the other, each a row of its own but for what they share; `until` it ends as expected."""
        for step in row["steps"]:
            one = {**row, **step}
            if not step.get("until"):
                self.check(one, self.client.finish(self.begin(one, step.get("do", "call"))))
                continue
            wanted = canonical(step["expect"]["values"])
            wait_until(lambda: self.client.finish(self.begin(one, "call")).get("values") == wanted, f"the answer {wanted}")

    def do_repeat(self, row):
        """Calls with a key that repeat one which runs: they get its answer, and nothing runs beside it."""
        (key,) = fill(row["args"], self.words(row))
        if "first" in row:
            self.check(row["first"], self.client.finish(self.begin({**row, **row["first"]}, "call")))
        begun = [self.begin(row, "call") for _ in range(row["times"])]
        wait_until(lambda: self.server.ask("held", key=key)["count"], "the call runs")
        self.client.ask("call", method="release", args=[key, *row["expect"]["values"]], options={})
        for one in begun:
            self.check(row, self.client.finish(one))
        expect_equal("how many ran beside it", 0, self.server.ask("held", key=key)["count"])

    def do_pair(self, row):
        words = self.words(row)
        (hold, key), (release, answer) = row["first"], row["then"]
        held = self.client.begin("call", method=hold, args=fill(key, words), options={})

        def released():
            answered = self.client.ask("call", method=release, args=fill(answer, words), options={})
            return answered.get("values") == "[true]"

        wait_until(released, "the call is held")
        self.check(row, self.client.finish(held))

    def do_leave(self, row):
        """A node of the server stops while it serves a call: that is answered, and then the node is asked no more."""
        node, (key,) = self.method(row), fill(row["args"], self.words(row))
        self.register(row, **{"as": "hold", "node": node})
        accepted = self.begin(row, "call")
        wait_until(lambda: self.server.ask("held", key=key)["count"], "the call is accepted")
        leaving = self.server.begin("leave", node=node, drain=10)
        self.client.ask("call", method="release", args=[key, *row["expect"]["values"]], options={})
        self.check(row, self.client.finish(accepted))
        self.server.finish(leaving)
        if "leaving" not in self.table.lacks[self.client.kind]:
            self.check({"expect": row["then"]}, wait_until(lambda: self.unlisted(row), "the node is unlisted"))

    def unlisted(self, row):
        """The answer to a call, None while it still reaches the node: that it has stopped is heard of a moment later."""
        answer = self.client.finish(self.begin(row, "call"))
        return None if answer.get("error", {}).get("code") == "CLOUDS_DRAINING" else answer

    def do_late(self, row):
        begun = self.begin(row, "bind")
        self.register(row, **{"as": row.get("as", "echo")})
        self.check(row, self.client.finish(begun))

    def do_close(self, row):
        answer = self.client.ask("close", method=row["method"], calls=row["calls"])
        expect_equal("how many calls completed", row["calls"], len(answer["codes"]))
        strange = [code for code in answer["codes"] if code not in row["expect"]["codes"]]
        if strange:
            raise Mismatch(f"expected codes of {row['expect']['codes']}, got {strange}")

    def do_notify(self, row):
        key, asked = self.words(row)["$row"], 0
        self.client.ask("notify", method=row["method"], args=[key], options={})

        def was_executed():
            nonlocal asked
            asked += 1
            answer = self.client.ask("call", method=row["method"], args=[key], options={})
            return json.loads(answer["error"]["members"])["count"] == asked + 1
        wait_until(was_executed, "it is executed")

    def do_notify_nobody(self, row):
        self.check(row, self.client.ask("notify", method="nobody.has.this", args=[], options={"timeout": 30}))

    def do_given_up(self, row):
        self.check(row, self.client.finish(self.begin(row, "call")))
        (key,) = fill(row["args"], self.words(row))
        wait_until(lambda: self.server.ask("canceled", key=key)["canceled"], "the server hears of it")

    # ---- messages and status ----

    def send(self, sender, receiver, values):
        wanted = [canonical(value) for value in values]
        sender.ask("send", to=receiver.id, values=values)

        def arrived():  # those of other rows come from the same node: no value is in two of them
            got = [value for value in receiver.ask("messages", **{"from": sender.id})["values"] if value in wanted]
            return got if len(got) >= len(wanted) else None

        expect_equal("messages", wanted, wait_until(arrived, f"{len(wanted)} messages"))

    def do_send(self, row):
        self.send(self.client, self.server, row["values"])

    def do_send_back(self, row):
        self.send(self.server, self.client, row["values"])

    def do_send_to_nobody(self, row):
        self.client.ask("send", to=NOBODY, values=[1])
        self.echo("a message to nobody")

    # ---- channels: `of` are the subscriptions, `publish` the topics with their values; those of a row are its own ----

    def do_channel(self, row):
        sides = {"client": self.client, "server": self.server}
        prefix = f"{self.client.kind}.{row['number']}."
        for number, (side, topics, how) in enumerate(row["of"]):
            sides[side].ask("subscribe", key=prefix + str(number), topics=[prefix + topic for topic in topics], **how)

        def got(number):
            side = sides[row["of"][number][0]]
            return side.ask("messages", **{"from": prefix + str(number)})["values"]

        def publish(topic, values):
            sides[row["by"]].ask("publish", topic=prefix + topic, values=values)

        # What a node has subscribed to becomes known in its order, and patterns no sooner than topics.
        used = sorted({side for side, _, _ in row["of"]})
        for side in used:
            sides[side].ask("subscribe", key=f"{prefix}last.{side}", topics=[f"{prefix}last.{side}.*"])

        def known():
            for side in used:
                publish(f"last.{side}.x", ["probe"])
            return all(sides[side].ask("messages", **{"from": f"{prefix}last.{side}"})["values"] for side in used)

        wait_until(known, "who publishes knows of the subscriptions")
        self.do_calls({"steps": [], **row})
        for topic, values in row.get("publish", ()):
            publish(topic, values)
        for group in row["expect"]["lists"]:
            numbers, wanted = group["of"], sorted(canonical(value) for value in group["values"])

            def whole():
                values = [value for number in numbers for value in got(number)]
                return values if len(values) >= len(wanted) else None

            values = wait_until(whole, f"{len(wanted)} messages")
            expect_equal("what was published", wanted, sorted(values))
            if len(numbers) == 1 and row.get("ordered", True):
                expect_equal("its order", [canonical(value) for value in group["values"]], values)

    def do_status(self, row):
        for key in row.get("keys", ()):
            self.redis.command("SETEX", key, 60, 1)
        status = self.client.ask("status")["status"]
        further = set(status) - {"servers", "methods"}
        expect_equal("further members of the status", set(), further - {"states", "seen", "own"})
        here, methods = status["servers"].get(self.server.id, []), status["methods"]
        expect_equal("missing methods of the server", [], [name for name in BASE if name not in here])
        without = [name for name in BASE if self.server.id not in methods.get(name, [])]
        expect_equal("methods without the server", [], without)
        for part in (status["servers"], methods) if self.table.client != "npm" else ():  # the original repeats and drops names
            for name, names in part.items():
                expect_equal(f"the type of {name!r}", list, type(names))
                expect_equal(f"different texts in {name!r}", len(names), len({n for n in names if isinstance(n, str)}))

    # ---- what nobody of good will sends ----

    def echo(self, after):
        answer = self.client.ask("call", method="echo", args=["alive", [None]], options={})
        if answer.get("values") != '["alive",[null]]':
            raise Mismatch(f"after {short(after)!r} an echo gave {short(answer)}")

    def do_raw(self, row):
        target = self.client if row["to"] == "client" else self.server
        doors = [] if self.redis else hostile.sockets(self.env["CLOUDS_RUNTIME_DIR"], target.pid)
        assert self.redis or doors, "it listens on no socket"
        for payload in row["payloads"]:
            data = payload if isinstance(payload, bytes) else payload.replace("METHOD", "echo").encode()
            if self.redis:
                expect_equal("receivers", 1, self.redis.command("PUBLISH", f"clouds:L:{target.id}", data))
            for door in doors:
                say(door, data)
            self.echo(data)

    def do_answer(self, row):
        with hostile.Impostor(self.redis, f"{row['method']}.{row['number']}", self.client.kind) as impostor:
            begun = self.client.begin("call", method=impostor.method, args=[], options=row["options"])
            impostor.answer(row)
            self.check(row, self.client.finish(begun))

    def do_wire(self, row):
        result = hostile.call(self.redis, f"c.00000000.3.{row['number']}", self.server.id, row["is"])
        expect_equal("members of the result", ["e", "i", "r"], sorted(key for key in result if key in "eir"))
        if "values" in row:
            expect_equal("error and values", (None, row["values"]), (result["e"], result["r"]))
        else:
            expect_equal("values beside the error", [], result["r"])
            message = result["e"]["message"]
            expect_equal("the error's message", row["error"] or message or "some text", message)

    # ---- what must come of it ----

    def check(self, row, answer):
        expect = row["expect"]
        if "error" in expect:
            self.check_error(expect["error"], answer.get("error"), answer)
        elif expect.get("nothing"):
            expect_equal("the error", None, answer.get("error"))
        else:
            wanted = expect.get("canonical") or canonical(expect["values"])
            if wanted == "[]" and "no value" in self.table.lacks[self.client.kind]:
                wanted = "[null]"
            expect_equal("values", wanted, answer.get("values", answer))
        if "attempts" in expect:
            expect_equal("attempts", expect["attempts"], answer.get("attempts"))

    def check_error(self, expect, error, answer):
        if not error:
            raise Mismatch(f"expected the error {expect}\n  got {short(answer)}")
        codes = expect.get("code", error.get("code"))
        if error.get("code") not in (codes if isinstance(codes, list) else [codes]):
            raise Mismatch(f"expected code {codes!r}\n  got the error {short(error)}")
        for what in ("message",) + (("outcome",) if self.table.knows_outcomes() else ()):
            expect_equal(f"{what} of the error {short(error)}", expect.get(what, error.get(what)), error.get(what))
        for what, empty in (("members", {}), ("values", [])):
            if what in expect:
                expect_equal(f"{what} of the error", canonical(expect[what]), error.get(what, canonical(empty)))
        if "message_has" in expect and (expect["message_has"] not in error["message"] or not error["message"]):
            raise Mismatch(f"expected a message with {expect['message_has']!r} in it\n  got the error {short(error)}")
