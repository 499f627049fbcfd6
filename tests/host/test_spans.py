"""Spans of a program's own, from outside: at a collector, with what is called in them."""
import re
import unittest

from support import SANITIZED, wait_until
from test_trace import InLanguages, Traced

SERVICE = """
    local clouds = require "clouds"
    local server, client = clouds.server{}, clouds.client{ max_events = 1000 } -- of another connection
    server:register("leaf", function(n) return n end)
    server:register("outer", function(n)
        local here = clouds.trace.current()
        local value = clouds.trace.span("work", function(add, ...)
            assert(select("#", ...) == 1 and (...) == nil and clouds.request().method == "outer")
            clouds.sleep(0.001)
            local task = clouds.spawn(function()
                clouds.sleep(0.001)
                return client:call("leaf", { n + add })
            end)
            local inside = clouds.trace.span("inner", function()
                clouds.sleep(0.001)
                server:call("leaf", { 0 })
                return clouds.trace.current()
            end)
            local value = task:wait()
            assert(inside.trace == here.trace and inside.span ~= here.span and inside.recorded == true)
            return value
        end, 1, nil)
        assert(clouds.trace.current().span == here.span)
        client:call("leaf", { 1 })
        return value
    end)
    server:register("fails", function(what)
        local kept
        local ok, problem = pcall(clouds.trace.span, "bad", function()
            clouds.sleep(0.001)
            if what == "text" then error("these words", 0) end
            kept = { message = "in a table", code = "E_TABLE", more = 1 }
            error(kept)
        end)
        return ok, kept == nil and problem or problem == kept
    end)
    server:register("alone", function() end)
    server:register("nowhere", function()
        clouds.trace.span("canceled", function() clouds.sleep(60) end)
    end)
    assert(clouds.trace.current() == nil)
    assert(clouds.trace.span("first", function() return clouds.trace.current().trace end):match("^%x+$"))
    clouds.trace.span("caller", client.call, client, "alone")
    assert(not pcall(clouds.trace.span, "", print) and not pcall(clouds.trace.span, "x", "no function"))
    print("ready")
"""


class Spans(Traced):
    def named(self, collector, *names):
        """The one span of each kind and name, when they are there."""
        spans = collector.wait_for(len(names))
        found = {}
        for kind, name in names:
            one = [span for span in spans if (span["kind"], span["name"]) == (kind, name)]
            self.assertEqual(len(one), 1, (kind, name, spans))
            found[kind, name] = one[0]
        return found

    def heard(self, collector, listener):
        """Of one message: says -> news, published -> news, heard -> leaf."""
        listener.out.wait_for("heard")
        says, leaf, news = ({span["kind"]: span for span in collector.wait_for(2, name)} for name in ("says", "leaf", "news"))
        self.assert_child(news[4], says[2])
        self.assert_child(news[5], news[4])
        self.assert_child(leaf[3], news[5])
        self.assertNotIn("status", news[5])
        self.assertEqual(news[5]["attributes"]["messaging.destination.name"], "news")

    def test_in_lua(self):
        collector = self.collector()
        self.serve(SERVICE)
        first, caller, call = (collector.wait_for(1, name)[0] for name in ("first", "caller", "alone"))
        self.assertEqual((first["kind"], caller["kind"]), (1, 1))
        self.assertNotIn("parentSpanId", first)
        self.assertNotEqual(first["traceId"], caller["traceId"])
        alone = {span["kind"]: span for span in collector.wait_for(2, "alone")}
        self.assert_child(alone[3], caller)
        self.assertEqual(self.call("outer", "7").stdout, "8\n")
        outer = {span["kind"]: span for span in collector.wait_for(2, "outer")}
        work, inner = collector.wait_for(1, "work")[0], collector.wait_for(1, "inner")[0]
        self.assert_child(work, outer[2])
        self.assert_child(inner, work)
        parents = {span["parentSpanId"] for span in collector.wait_for(6, "leaf") if span["kind"] == 3}
        self.assertEqual(parents, {work["spanId"], inner["spanId"], outer[2]["spanId"]})
        self.assertNotIn("status", work)
        self.assertEqual(set(work["attributes"]), {"clouds.node"})

    def test_errors(self):
        collector = self.collector()
        self.serve(SERVICE)
        self.assertEqual(self.call("fails", '"text"').stdout, 'false\n"these words"\n')
        span = collector.wait_for(1, "bad")[0]
        self.assertEqual(span["status"], {"code": 2, "message": "these words"})
        self.assertEqual(self.call("fails", '"table"').stdout, "false\ntrue\n")
        span = collector.wait_for(2, "bad")[1]
        self.assertEqual((span["status"]["message"], span["attributes"]["error.type"]), ("in a table", "E_TABLE"))

    def test_what_waits_in_one_ends_with_the_request(self):
        collector = self.collector()
        self.serve(SERVICE)
        self.call("nowhere", "-t", "2", "-d", "2", code=4)
        span = collector.wait_for(1, "canceled")[0]
        self.assertLess(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), 50e9)

    def test_off(self):
        self.serve(SERVICE.replace('assert(inside.trace', 'if here then assert(inside.trace').replace("true)\n            return", "true) end\n            return")
                   .replace("clouds.trace.current().span == here.span", "clouds.trace.current() == here")
                   .replace('return clouds.trace.current().trace end):match("^%x+$"))', 'return clouds.trace.current() == nil end))'))
        self.assertEqual(self.call("outer", "7").stdout, "8\n")

    def test_the_tree(self):
        """Without anything set up, who asks by clouds trace is told of them."""
        self.serve("""
            local clouds = require "clouds"
            local server = clouds.server{}
            server:register("leaf", function() end)
            server:register("outer", function()
                clouds.trace.span("work", server.call, server, "leaf")
                pcall(clouds.trace.span, "fails", error, "so it is", 0)
            end)
            print("ready")""")
        lines = self.run_clouds("trace", "--wait", "30", "outer").stdout.splitlines()
        self.assertRegex(lines[1], "^outer ")
        self.assertRegex(lines[2], r"^.. work +- +[\d.]+ ms +- +s\.")
        self.assertRegex(lines[3], r"^│ +.. leaf +[\d.]+ ms +[\d.]+ ms +OK +s\.")
        self.assertRegex(lines[4], r"^.. fails +- +[\d.]+ ms +- +s\.")
        self.assertEqual(lines[5], "   " + "   · so it is")

    def test_what_is_published(self):
        """Its span is in the trace of the handler that publishes, and what a listener does with it is in that of the message."""
        collector = self.collector()
        listener = self.serve(LISTENER)
        self.serve(PUBLISHER)
        self.call("says", '"it"')
        self.heard(collector, listener)
        self.call("says", '"broken"')
        broken = [span for span in collector.wait_for(4, "news") if span["kind"] == 5 and "status" in span]
        self.assertEqual([span["status"]["message"] for span in broken], ["so it is"])
        self.call("says", '"odd"')
        odd = [span["status"]["message"] for span in collector.wait_for(6, "news") if span["kind"] == 5 and "status" in span]
        self.assertIn("(error object whose __tostring fails)", odd)

    def test_the_tree_of_what_is_published(self):
        self.serve(LISTENER)
        self.serve(PUBLISHER)
        lines = self.run_clouds("trace", "says", '"it"', "--wait", "60").stdout.splitlines()
        self.assertRegex(lines[1], "^says ")
        self.assertRegex(lines[2], r"^└─ news \(published\) +[\d.]+ ms +[\d.]+ ms +- ")
        self.assertRegex(lines[3], r"^ +└─ leaf +[\d.]+ ms +[\d.]+ ms +OK ")


class SpansOverRedis(Spans):
    def setUp(self):
        super().setUp()
        self.redis()


PUBLISHER = """
    local clouds = require "clouds"
    local server = clouds.server{}
    server:register("says", function(what)
        assert(server:publish("news", what, { confirm = true }) == 1)
    end)
    server:register("leaf", function() end)
    print("ready")
"""
LISTENER = """
    local clouds = require "clouds"
    local client = clouds.client{}
    assert(client:subscribe("news", function(what)
        assert(clouds.trace.current().recorded)
        if what == "broken" then error("so it is", 0) end
        if what == "odd" then error(setmetatable({}, { __tostring = function() error "no" end })) end
        clouds.sleep(0.001)
        client:call("leaf")
        print("heard")
    end))
    print("ready")
"""

SYNC = """
import threading, clouds
server, client = clouds.Server(), clouds.Client()

@server.register("leaf")
def leaf(n):
    return n

@server.register("outer")
def outer(n):
    here = clouds.trace()
    with clouds.span("work"):
        assert clouds.request().method == "outer"
        value = client.call("leaf", n) + server.call("leaf", 1)
        inside = clouds.trace()
        with clouds.span("inner"):
            client.call("leaf", 0)
        assert clouds.trace() == inside and inside.trace == here.trace and inside.span != here.span and inside.recorded
    assert clouds.trace() == here
    try:
        with clouds.span("bad"):
            raise ValueError("these words")
    except ValueError:
        return value

assert clouds.trace() is None
with clouds.span("alone"):
    first = clouds.trace()
    server.call("leaf", 2)
assert clouds.trace() is None
server.ready()
print("ready", first.trace, flush=True)
server.run()
"""
ASYNC = """
import asyncio, clouds
from clouds import aio

async def main():
    server, client = aio.Server(), aio.Client()

    @server.register("leaf")
    async def leaf(n):
        return n

    @server.register("outer")
    async def outer(n):
        here = clouds.trace()
        with clouds.span("work"):
            value, one = await asyncio.gather(client.call("leaf", n), asyncio.create_task(call()))
            inside = clouds.trace()
            with clouds.span("inner"):
                await asyncio.sleep(0.001)
                await client.call("leaf", 0)
            assert clouds.trace() == inside and inside.trace == here.trace and inside.span != here.span and inside.recorded
        assert clouds.trace() == here
        try:
            with clouds.span("bad"):
                await asyncio.sleep(0.001)
                raise ValueError("these words")
        except ValueError:
            return value + one

    async def call():
        await asyncio.sleep(0.001)
        return await server.call("leaf", 1)

    await server.ready()
    with clouds.span("alone"):
        first = clouds.trace()
        await server.call("leaf", 2)
    print("ready", first.trace, flush=True)
    await server.run()

asyncio.run(main())
"""
JAVASCRIPT = """
const assert = require('assert');
const clouds = require(process.env.CLOUDS_TEST_PACKAGE);
const server = clouds.createServer(), client = clouds.createClient();
const later = () => new Promise((resolve) => setTimeout(resolve, 1));

async function outer(n) {
  const here = clouds.trace();
  const value = await clouds.span('work', async (n, nothing) => {
    assert.strictEqual(nothing, undefined);
    await later();
    const values = await Promise.all([client.call('leaf', [n]), later().then(() => server.call('leaf', [1]))]);
    const inside = clouds.trace();
    await clouds.span('inner', () => client.call('leaf', [0]));
    assert.deepStrictEqual(clouds.trace(), inside);
    assert(inside.trace === here.trace && inside.span !== here.span && inside.recorded === true);
    return values[0] + values[1];
  }, n);
  assert.deepStrictEqual(clouds.trace(), here);
  assert.throws(() => clouds.span('bad', () => { throw Object.assign(new Error('these words'), { code: 'ValueError' }); }));
  return value;
}

async function main() {
  await server.registerP('leaf', async (n) => n);
  await server.registerP('outer', outer);
  assert.strictEqual(clouds.trace(), null);
  assert.throws(() => clouds.span('', () => 1));
  const first = await clouds.span('alone', async () => {
    await server.call('leaf', [2]);
    return clouds.trace();
  });
  assert.strictEqual(clouds.span('sum', (a, b) => a + b, 1, 2), 3);
  console.log('ready', first.trace);
}

main();
"""


PUBLISHES = """
import clouds
server, client = clouds.Server(), clouds.Client()

@client.subscribe("news")
def news(value, message):
    assert clouds.trace().recorded
    if value == 2:
        raise ValueError("these words")
    client.call("leaf")

@server.register("says")
def says(value):
    assert server.publish("news", value, confirm=True) == 1

client.ready()
server.ready()
print("ready", flush=True)
server.run()
"""
PUBLISHES_ASYNC = """
import asyncio, clouds
from clouds import aio

async def main():
    server, client = aio.Server(), aio.Client()

    @client.subscribe("news")
    async def news(value, message):
        await asyncio.sleep(0.001)
        assert clouds.trace().recorded
        if value == 2:
            raise ValueError("these words")
        await client.call("leaf")

    @server.register("says")
    async def says(value):
        assert await server.publish("news", value, confirm=True) == 1

    await client.ready()
    await server.ready()
    print("ready", flush=True)
    await server.run()

asyncio.run(main())
"""
PUBLISHES_JAVASCRIPT = """
const assert = require('assert');
const clouds = require(process.env.CLOUDS_TEST_PACKAGE);
const server = clouds.createServer(), client = clouds.createClient();

async function main() {
  await client.subscribe('news', async (value) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert(clouds.trace().recorded);
    if (value === 2) throw new Error('these words');
    await client.call('leaf');
  });
  await server.registerP('says', async (value) => assert.strictEqual(await server.publishP('news', value), 1));
  console.log('ready');
}

main();
"""


@unittest.skipIf(SANITIZED, "a library with sanitizers is not for interpreters without")
class Published(InLanguages):
    def check_published(self, *command):
        """What is published in a handler, and heard by a listener of the same program, which calls a third."""
        collector = self.collector()
        self.serve('require("clouds").server{}:register("leaf", function() end) print("ready")')
        self.program(*command)
        self.call("says", "1")
        says, leaf, news = ({span["kind"]: span for span in collector.wait_for(2, name)} for name in ("says", "leaf", "news"))
        self.assert_child(news[4], says[2])
        self.assert_child(news[5], news[4])
        self.assert_child(leaf[3], news[5])
        self.call("says", "2")
        broken = [span for span in collector.wait_for(4, "news") if span["kind"] == 5 and "status" in span]
        self.assertEqual([span["status"]["message"] for span in broken], ["these words"])

    def test_published_in_python(self):
        self.check_published("python3", self.file("published.py", PUBLISHES))

    def test_published_in_asyncio(self):
        self.check_published("python3", self.file("published.py", PUBLISHES_ASYNC))

    def test_published_in_node(self):
        self.check_published("node", self.file("published.js", PUBLISHES_JAVASCRIPT))


class PublishedOverRedis(Published):
    def setUp(self):
        super().setUp()
        self.redis()


@unittest.skipIf(SANITIZED, "a library with sanitizers is not for interpreters without")
class Languages(InLanguages):
    def check(self, *command):
        collector = self.collector()
        process = self.program(*command)
        first = wait_until(lambda: re.search("ready ([0-9a-f]{32})\n", process.out.text()), "its trace").group(1)
        self.assertEqual(collector.wait_for(1, "alone")[0]["traceId"], first)
        self.assertEqual(self.call("outer", "7").stdout, "8\n")
        outer = {span["kind"]: span for span in collector.wait_for(2, "outer")}
        work, inner, bad = (collector.wait_for(1, name)[0] for name in ("work", "inner", "bad"))
        self.assert_child(work, outer[2])
        self.assert_child(inner, work)
        self.assert_child(bad, outer[2])
        calls = [span["parentSpanId"] for span in collector.wait_for(8, "leaf") if span["kind"] == 3 and span["traceId"] != first]
        self.assertEqual(sorted(calls), sorted([work["spanId"], work["spanId"], inner["spanId"]]))
        self.assertEqual((bad["status"]["message"], bad["attributes"]["error.type"], work.get("status")),
                         ("these words", "ValueError", None))

    def test_in_python(self):
        self.check("python3", self.file("sync.py", SYNC))

    def test_in_asyncio(self):
        self.check("python3", self.file("async.py", ASYNC))

    def test_in_node(self):
        self.check("node", self.file("program.js", JAVASCRIPT))


if __name__ == "__main__":
    unittest.main()
