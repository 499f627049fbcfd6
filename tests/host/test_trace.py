"""Tracing, from outside: spans at a collector or in a file, in one trace through several services, and clouds trace."""
import json
import os
import time
import unittest

import support
from support import SANITIZED, SOURCE, Case, Process, free_port, wait_until

from collector import Collector, spans_of

OUTER = """
    local clouds = require "clouds"
    local server, client = clouds.server{}, clouds.client{}
    server:register("outer", function(n)
        local value, err = client:call("middle", { n }, { timeout = 20 })
        if err then error(err, 0) end
        return { value, clouds.request().meta }
    end)
    server:register("fail", function() error{ message = "it \\"broke\\" \\1", code = "E_BROKEN" } end)
    server:register("up", function(...) return ... end)
    print("ready")
"""
INNER = """
    local clouds = require "clouds"
    clouds.server{}:register("inner", function(n) return n + 1 end)
    print("ready")
"""
MIDDLE = """
    local clouds = require "clouds"
    local server = clouds.server{}
    server:register("middle", function(n) return server:call("inner", { n }) end)
    print("ready")
"""


class Traced(Case):
    def setUp(self):
        super().setUp()
        self.env = {key: value for key, value in self.env.items() if not key.startswith("OTEL_")}

    def collector(self, **settings):
        """One that the processes started from now on use."""
        one = Collector(**settings)
        self.addCleanup(one.close)
        self.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = one.url
        return one

    def call(self, *words, code=0):
        result = self.run_clouds("call", *words)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def assert_child(self, child, parent):
        self.assertEqual((child["traceId"], child["parentSpanId"]), (parent["traceId"], parent["spanId"]))

    def chain(self, spans, *names):
        """The spans from the first call on, for each name that of the call and that of its request."""
        found = []
        for name in names:
            for kind in (3, 2):
                one = [s for s in spans if s["name"] == name and s["kind"] == kind]
                self.assertEqual(len(one), 1, (name, kind, spans))
                if found:
                    self.assert_child(one[0], found[-1])
                found.append(one[0])
        return found


class Exported(Traced):
    def test_E8_one_trace_over_three_services(self):
        collector = self.collector()
        self.env["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment=te%20st,service.name=not%20this"
        for name, code in (("inner", INNER), ("middle", MIDDLE), ("outer", OUTER)):
            self.serve(code, env={"OTEL_SERVICE_NAME": name})
        value, meta = self.json(self.run_clouds("call", "outer", "1"))
        self.assertEqual(value, 2)
        spans = self.chain(collector.wait_for(6), "outer", "middle", "inner")
        self.assertNotIn("parentSpanId", spans[0])
        self.assertEqual([s["resource"]["service.name"] for s in spans],
                         ["not this", "outer", "outer", "middle", "middle", "inner"])
        self.assertEqual(spans[1]["resource"]["deployment.environment"], "te st")
        self.assertEqual(meta["traceparent"], f"00-{spans[1]['traceId']}-{spans[1]['spanId']}-01")
        for span in spans:
            self.assertRegex(span["traceId"] + span["spanId"], "^[0-9a-f]{48}$")
            self.assertLess(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            self.assertLess(abs(int(span["startTimeUnixNano"]) / 1e9 - time.time()), 600)
            self.assertEqual((span["attributes"]["rpc.system"], span["attributes"]["clouds.outcome"]), ("clouds", "OK"))
        self.assertEqual(spans[0]["attributes"]["clouds.server"], spans[1]["attributes"]["clouds.node"])
        self.assertEqual(spans[1]["attributes"]["clouds.caller"], spans[0]["attributes"]["clouds.node"])
        path, headers, _ = collector.requests[0]
        self.assertEqual((path, headers["Content-Type"]), ("/v1/traces", "application/json"))

    def test_errors_are_events_and_any_bytes_are_json(self):
        collector = self.collector()
        self.serve(OUTER)
        self.call("fail", code=1)
        for span in collector.wait_for(2, "fail"):
            self.assertEqual(span["status"], {"code": 2, "message": 'it "broke" \1'})
            self.assertEqual(span["attributes"]["error.type"], "E_BROKEN")
            self.assertEqual(span["events"][-1]["attributes"],
                             {"exception.type": "E_BROKEN", "exception.message": 'it "broke" \1'})
        name = 'no.such "\u00e9\\'
        self.call(name, code=3)
        span = collector.wait_for(1, name)[0]
        self.assertEqual((span["status"]["code"], span["attributes"]["error.type"], span["attributes"]["clouds.outcome"]),
                         (2, "CLOUDS_NO_AVAILABLE_SERVER", "NOT_DONE"))

    def test_a_retry_is_an_event(self):
        collector = self.collector()
        self.serve("""
            local clouds = require "clouds"
            local count = 0
            clouds.server{}:register("slow", function()
                count = count + 1
                if count == 1 then clouds.sleep(5) end
                return count
            end)
            print("ready")
        """)
        self.call("--timeout", "2", "--retry", "2", "slow")
        span = next(s for s in collector.wait_for(2, "slow") if s["kind"] == 3)
        self.assertEqual(span["attributes"]["clouds.attempts"], "2")
        self.assertEqual([(e["name"], e["attributes"]["error.type"]) for e in span["events"]],
                         [("retry", "CLOUDS_CALL_SERVICE_TIMEOUT")])

    def test_a_callers_decision_counts(self):
        collector = self.collector()
        self.env.update(OTEL_TRACES_SAMPLER="parentbased_always_off")
        self.serve(OUTER)
        self.serve("""
            local clouds = require "clouds"
            local client = clouds.client{}
            local function trace(flags) return { meta = { traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" .. flags } } end
            client:call("up", {}, trace("00"))
            client:call("up", {})
            client:call("up", { 1 }, trace("01"))
            print("ready")
        """)
        spans = collector.wait_for(2)
        self.assertEqual({(s["traceId"], s["name"]) for s in spans}, {("4bf92f3577b34da6a3ce929d0e0e4736", "up")})
        self.assertEqual(len(spans), 2)
        self.assert_child(*sorted(spans, key=lambda s: s["kind"]))

    def test_to_a_file(self):
        path = os.path.join(self.folder, "spans.jsonl")
        self.serve("local clouds = require 'clouds'\n"
                   f"clouds.server{{ trace = 'file:{path}', trace_service = 'filed', trace_ratio = 1 }}"
                   ":register('up', function() end) print('ready')")
        self.call("up")
        wait_until(lambda: os.path.getsize(path), "a line")
        with open(path) as lines:
            spans = [span for line in lines for span in spans_of(json.loads(line))]
        self.assertEqual([(s["name"], s["kind"], s["resource"]["service.name"]) for s in spans], [("up", 2, "filed")])

    def test_off(self):
        collector = self.collector()
        for env in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_TRACES_SAMPLER": "always_off"}):
            service = self.serve(OUTER, env=env)
            self.assertEqual(self.run_clouds("call", "up", "1", env=env).stdout, "1\n")
            self.assertEqual(service.stop(), 0)
        self.assertEqual(collector.requests, [])


COUNTED = """
    local clouds = require "clouds"
    local server, client = clouds.server{}, clouds.client{}
    server:register("up", function(n) return n end)
    for i = 1, %d do assert(client:call("up", { i }) == i) end
    print("ready")
    while true do
        clouds.sleep(0.05)
        local counts = client:counters()
        io.write("spans ", counts.spans, " lost ", counts.lost_spans, "\\n") io.flush()
    end
"""


# Each calls the next by another node than the one that serves, and of another connection, after it has waited.
LUA = """
    local clouds = require "clouds"
    local client = clouds.client{ max_events = 1000 }
    clouds.server{}:register("lua", function(n)
        clouds.sleep(0.001)
        return client:call("sync", { n })
    end)
    clouds.server{}:register("last", function(n) return n end)
    print("ready")
"""
SYNC = """
import time, clouds
server, client = clouds.Server(), clouds.Client()

@server.register("sync")
def sync(n):
    time.sleep(0.001)
    return client.call("aio", n)

print("ready", flush=True)
server.run()
"""
ASYNC = """
import asyncio
from clouds import aio

async def main():
    server, client = aio.Server(), aio.Client()

    @server.register("aio")
    async def handler(n):
        await asyncio.sleep(0.001)
        return await asyncio.create_task(call(n))

    async def call(n):
        return await client.call("node", n)

    await server.ready()
    print("ready", flush=True)
    await server.run()

asyncio.run(main())
"""
JAVASCRIPT = """
const clouds = require(process.env.CLOUDS_TEST_PACKAGE);
const server = clouds.createServer(), client = clouds.createClient();
server
  .registerP('node', async (n) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const [value] = await Promise.all([client.call('last', [n])]);
    return value;
  })
  .then(() => console.log('ready'));
"""


class InLanguages(Traced):
    """Programs in Python and Node, in a cluster of the test's own."""

    def setUp(self):
        super().setUp()
        build = os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "dev"))
        self.env.update(PYTHONPATH=os.path.join(SOURCE, "bindings", "python"), PYTHONDONTWRITEBYTECODE="1",
                        CLOUDS_LIBRARY=os.path.join(build, "capi", "libclouds.so"), CLOUDS_URL="local:traced",
                        CLOUDS_TEST_PACKAGE=os.path.join(build, "bindings", "node"))

    def program(self, *command):
        process = Process(command, self.env)
        self.addCleanup(process.discard)
        process.out.wait_for("ready")
        return process


@unittest.skipIf(SANITIZED, "a library with sanitizers is not for interpreters without")
class Languages(InLanguages):
    def start_all(self):
        self.serve(LUA)
        return (self.program("python3", self.file("one.py", SYNC)), self.program("python3", self.file("two.py", ASYNC)),
                self.program("node", self.file("three.js", JAVASCRIPT)))

    def test_E8_one_trace_in_all_of_them(self):
        collector = self.collector()
        self.start_all()
        self.assertEqual(self.call("lua", "7").stdout, "7\n")
        spans = self.chain(collector.wait_for(10), "lua", "sync", "aio", "node", "last")
        self.assertEqual(len({s["resource"]["process.pid"] for s in spans}), 5)

    def test_what_is_left_of_it_at_the_end(self):
        collector = self.collector()
        python, asyncio, node = self.start_all()
        self.call("lua", "7")
        for process in (python, asyncio, node):
            process.stop()
        names = {(s["name"], s["kind"]) for s in collector.spans()}
        self.assertLessEqual({("sync", 2), ("aio", 3), ("aio", 2), ("node", 3)}, names)

    def test_what_is_logged_of_it_at_the_end(self):
        self.serve("require('clouds').server{}:register('up', function(n) return n end) print('ready')",
                   env={"OTEL_SDK_DISABLED": "true"})
        programs = [("python3", "-c", f"import clouds\nnode = clouds.Client()\nnode.call('up', 1)\n{end}")
                    for end in ("node.close()", "")]
        programs += [("python3", "-c", "import asyncio\nfrom clouds import aio\nasync def main():\n    node = aio.Client()\n"
                      f"    await node.call('up', 1)\n    {end}\nasyncio.run(main())") for end in ("await node.close()", "")]
        programs += [("node", "-e", "const clouds = require(process.env.CLOUDS_TEST_PACKAGE), node = clouds.createClient();\n"
                      f"node.call('up', [1]).then(() => {end});") for end in ("node.exit()", "process.exit()")]
        collector = Collector()
        self.addCleanup(collector.close)
        collector.hangs = True
        for url, words, some in ((f"http://127.0.0.1:{free_port()}", "Connection refused", programs),
                                 (collector.url, "not in the time that there is at the end", programs[1::2])):
            for program in some:
                process = Process(program, dict(self.env, OTEL_EXPORTER_OTLP_ENDPOINT=url))
                self.addCleanup(process.discard)
                self.assertEqual(process.wait(), 0, (program, process.err.text()))
                lines = [line for line in process.err.text().splitlines() if "spans cannot be sent to" in line]
                self.assertEqual(len(lines), 1, (program, process.err.text()))
                self.assertIn(words, lines[0], program)

    def test_the_tree_of_them(self):
        self.start_all()

        def names():
            """What comes by several connections is in no order: all of it may not have come when nothing seems to be missing."""
            result = self.run_clouds("trace", "--wait", "30", "lua", "7")
            return [line.split()[-7] for line in result.stdout.splitlines()[1:6] if len(line.split()) >= 7]
        wait_until(lambda: names() == ["lua", "sync", "aio", "node", "last"], "the whole tree")


class Trouble(Traced):
    """Whatever the collector does, calls go on."""

    def lost(self, process, at_least):
        def found():
            lines = [line.split() for line in process.out.text().splitlines() if line.startswith("spans ")]
            return lines and len(lines[-1]) == 4 and int(lines[-1][3]) >= at_least and lines[-1]
        return wait_until(found, f"{at_least} lost spans")

    def test_E8_nobody_there_and_then_somebody(self):
        port = free_port()
        self.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
        service = self.serve(COUNTED % 5)
        text = service.err.wait_for("spans cannot be sent")
        self.assertIn(f"127.0.0.1:{port}: Connection refused", text)
        collector = self.collector(port=port)
        collector.wait_for(10, "up")
        service.err.wait_for("again, 0 were lost")
        self.assertEqual(service.err.text().count("cannot be sent"), 1)

    def test_a_full_queue(self):
        self.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
        process = self.serve(COUNTED % 2500)
        words = self.lost(process, 1)
        self.assertEqual((words[1], words[3]), ("5000", str(5000 - 2048)))
        self.assertEqual(process.stop(), 0)

    def test_E8_it_hangs(self):
        collector = self.collector()
        collector.hangs = True
        process = self.serve(COUNTED % 600)
        wait_until(lambda: collector.requests, "a batch")
        started = time.monotonic()
        self.assertEqual(process.stop(), 0)
        self.assertLess(time.monotonic() - started, support.BOUND / 2)

    def test_it_answers_with_errors(self):
        collector = self.collector()
        collector.status = 500
        process = self.serve(COUNTED % 3)
        self.lost(process, 3)
        process.err.wait_for("it answers with status 500")
        collector.status, before = 503, len(collector.requests)
        process = self.serve(COUNTED % 2)
        process.err.wait_for("it answers with status 503")
        collector.status = 200
        wait_until(lambda: len(collector.requests) >= before + 2, "it is sent again")

    def test_what_is_logged_of_it_at_the_end(self):
        collector = self.collector()
        collector.hangs = True
        self.serve(OUTER, env={"OTEL_SDK_DISABLED": "true"})
        script = self.file("ends.lua", """
            local clouds = require "clouds"
            local client = clouds.client{}
            client:call("up", { 1 })
            if arg[1] then client:close() end
        """)
        for url, words in ((collector.url, "not in the time that there is at the end"),
                           (f"http://127.0.0.1:{free_port()}", "Connection refused")):
            for command in (("call", "up", "1"), ("run", script), ("run", script, "closed")):
                result = self.run_clouds(*command, env={"OTEL_EXPORTER_OTLP_ENDPOINT": url})
                self.assertEqual(result.returncode, 0, result.stderr)
                lines = result.stderr.splitlines()
                self.assertEqual(len(lines), 1, (command, result.stderr))
                self.assertTrue(lines[0].startswith("clouds: warning: spans cannot be sent to ") and lines[0].endswith(words), lines)

    def test_it_takes_a_part(self):
        collector = self.collector()
        collector.body = b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'
        process = self.serve(COUNTED % 3)
        self.lost(process, 2)
        process.err.wait_for("it refuses some: too old")

    def test_what_waits_is_sent_at_the_end(self):
        collector = self.collector()
        process = self.serve(OUTER)
        self.call("up", "7")
        self.assertEqual(process.stop(), 0)
        self.assertEqual({(s["name"], s["kind"]) for s in collector.spans()}, {("up", 2), ("up", 3)})

    def test_headers_and_paths(self):
        collector = self.collector()
        self.env.update(OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20x, X-Two = 2 ",
                        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.url.replace("127.0.0.1", "localhost") + "/my/traces")
        self.run_clouds("call", "no.such")
        path, headers, _ = wait_until(lambda: collector.requests, "spans")[0]
        self.assertEqual((path, headers["Authorization"], headers["X-Two"]), ("/my/traces", "Bearer x", "2"))


class Wrong(Traced):
    """What is wrong is named: an error where the program asked for traces, else a warning."""

    WRONG = (("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_TRACES_SAMPLER_ARG", "2"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
             ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
             ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"), ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization"),
             ("OTEL_RESOURCE_ATTRIBUTES", "a"))

    def test_variables(self):
        self.serve(OUTER)
        script = self.file("strict.lua", "require('clouds').client{ trace = 'otlp' }")
        for name, value in self.WRONG:
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", name: value}
            if name.endswith("_ARG"):
                env["OTEL_TRACES_SAMPLER"] = "traceidratio"
            result = self.run_clouds("call", "up", "1", env=env)
            self.assertEqual((result.returncode, result.stdout), (0, "1\n"), result.stderr)
            self.assertIn(f"tracing: the environment's {name}: ", result.stderr)
            result = self.run_clouds("call", "no.such", env=env)  # which ends at once
            self.assertEqual(result.returncode, 3)
            self.assertIn(f"tracing: the environment's {name}: ", result.stderr)
            result = self.run_clouds("run", script, env=env)
            self.assertEqual(result.returncode, 1, name)
            self.assertIn(f"the environment's {name}: ", result.stderr)
            self.assertNotEqual(name.endswith("HEADERS"), value in result.stderr)  # a secret is not shown

    def test_options(self):
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)  # nobody reads it
        for options, words in (("trace = 'somewhere'", "option 'trace': got 'somewhere', expected"),
                               ("trace = 'http://'", "option 'trace'"), ("trace = 'http://u:p@host'", "option 'trace'"),
                               ("trace = 'http://host:99999/x'", "option 'trace'"),
                               ("trace = 'file:/no/such/folder/x'", "option 'trace': /no/such/folder/x: No such file"),
                               (f"trace = 'file:{pipe}'", f"option 'trace': {pipe}: No such device"),
                               ("trace_ratio = 1.5", "option 'trace_ratio': got '1.5', expected a number from 0 to 1")):
            result = self.run_clouds("run", self.file("wrong.lua", f"require('clouds').client{{ {options} }}"))
            self.assertEqual(result.returncode, 1, options)
            self.assertIn(words, result.stderr)


class Shown(Traced):
    """clouds trace, where nothing is exported."""

    def start_services(self):
        for code in (INNER, MIDDLE, OUTER):
            self.serve(code)

    def test_the_tree(self):
        self.start_services()
        result = self.run_clouds("trace", "--wait", "30", "outer", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        self.assertEqual([line.split("  ")[0] for line in lines[:1]], ["METHOD"])
        self.assertEqual([line[:11] for line in lines[1:4]], ["outer      ", "└─ middle  ", "   └─ inner"])
        for line in lines[1:4]:
            self.assertRegex(line[11:], r"^ +\d+\.\d\d ms +\d+\.\d\d ms  OK +\S+$")
        self.assertRegex(lines[4], "^trace [0-9a-f]{32}$")

    def test_json(self):
        self.start_services()
        found = self.json(self.run_clouds("trace", "--wait", "30", "--json", "outer", "1"))
        self.assertEqual(found["results"][0][0], 2)
        body = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": found["spans"]}]}]}
        spans = self.chain(spans_of(body), "outer", "middle", "inner")
        self.assertEqual(found["trace"], spans[0]["traceId"])
        self.assertIn(found["server"], self.json(self.run_clouds("status", "--json"))["methods"]["outer"])

    def test_failures(self):
        self.serve(OUTER)
        result = self.run_clouds("trace", "fail")
        self.assertEqual((result.returncode, result.stderr), (1, 'E_BROKEN: it "broke" \\x01\n'))
        self.assertIn('· E_BROKEN: it "broke" \\x01\n', result.stdout)
        result = self.run_clouds("trace", "no.such.method")
        self.assertEqual(result.returncode, 3)
        self.assertRegex(result.stdout, r"no\.such\.method +\d+\.\d\d ms +-  NOT_DONE +-\n")  # nobody had it
        self.assertIn("CLOUDS_NO_AVAILABLE_SERVER", result.stdout)
        self.assertEqual(self.run_clouds("trace").returncode, 2)

    def test_who_tells_nonsense(self):
        self.serve("""
            local clouds = require "clouds"
            local server = clouds.server{}
            local id, time = ("a"):rep(16), ("1"):rep(19)
            server:register("odd", function()
              local to = clouds.request().caller
              for _, span in ipairs { {}, { spanId = 7 }, { spanId = id, name = "x", traceId = {} },
                { spanId = id, name = "x", traceId = id, startTimeUnixNano = 5, endTimeUnixNano = "now" },
                { spanId = id, name = "x", traceId = id, startTimeUnixNano = time, endTimeUnixNano = time, events = { 1 } },
                { spanId = id, name = "x", traceId = id, startTimeUnixNano = time, endTimeUnixNano = time, attributes = {
                  { key = "clouds.outcome", value = { stringValue = {} } } } } } do
                assert(server:send(to, { ["$span"] = span }))
              end
              return 1
            end)
            print("ready")
        """)
        result = self.run_clouds("trace", "odd")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"\AMETHOD .*\nodd .* OK .*\ntrace [0-9a-f]{32}\n\Z")

    def test_who_does_not_tell(self):
        self.serve(OUTER.replace("clouds.server{}", "clouds.server{ trace = 'off' }"))
        result = self.run_clouds("trace", "--wait", "0", "up", "1")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"\nup +\d+\.\d\d ms +-  OK ")


class ShownOverRedis(Shown):
    def setUp(self):
        super().setUp()
        self.redis()


if __name__ == "__main__":
    unittest.main()
