"""clouds.worker: what a script may say and hear below a master, and without one."""
import http.client
import os
import re
import signal
import socket
import time
import unittest

from support import SOURCE, Case, Master, Unix, gone, wait_until

HEAD = """
local clouds, worker, http = require "clouds", require "clouds.worker", require "clouds.http"
local me = worker.index .. "/" .. worker.generation
local function say(...) print(table.concat({ ... }, " ")) end
"""


class Below(Master):
    def begin(self, code, *options, workers=2, listeners=1, arguments=()):
        self.script = self.file("web.lua", HEAD + code)
        where = ("--listen", "127.0.0.1:0") * listeners
        self.master = self.start("start", *where, "--workers", str(workers), *options, self.script,
                                 *arguments)
        self.master.err.wait_for("web ready: ")

    def connect(self, port=None):
        client = socket.create_connection(("127.0.0.1", port or self.ports()[0]), 60)
        self.addCleanup(client.close)
        return client

    def ask(self, target="/", port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.ports()[0], timeout=60)
        connection.request("GET", target)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def said(self, *texts):
        for text in texts:
            self.master.out.wait_for(text)

    def pid_of(self, index):
        return [row["pid"] for row in self.workers() if row["index"] == index][0]


class Connections(Below):
    def test_C5_each_port_answers_for_itself(self):
        """Two ports: by a function that gives the sockets to servers, and by a server that looks at the request."""
        self.begin("""
            local first, second = http.server(function(r) return "first " .. r.port end), http.server()
            second:get("/", function(r) return "second " .. r.port end)
            second:get("/all", function() worker.ready(http.server(function(r) return "all " .. r.port end)) return "" end)
            worker.ready(function(socket, port) (port == worker.ports[1] and first or second):serve(socket, port) end)
        """, workers=1, listeners=2)
        one, two = self.ports()
        self.assertEqual([self.ask(port=one), self.ask(port=two)], [f"first {one}", f"second {two}"])
        self.ask("/all", two)
        self.assertEqual([self.ask(port=one), self.ask(port=two)], [f"all {one}", f"all {two}"])
        self.end()

    def test_a_connection_that_was_passed_on_goes_to_the_next_worker(self):
        """A client that keeps its connection does not notice that the worker is replaced."""
        self.begin("""
            local app = http.server(function() return me end)
            worker.ready(function(socket, port) app:serve(socket, port) end)
        """, workers=1)
        kept = http.client.HTTPConnection("127.0.0.1", self.ports()[0], timeout=60)
        self.addCleanup(kept.close)
        kept.connect()
        first = kept.sock
        for generation in (1, 2):
            kept.request("GET", "/")
            self.assertEqual(kept.getresponse().read().decode(), f"1/{generation}")
            if generation == 1:
                pid = self.pid_of(1)
                self.master.signal(signal.SIGHUP)
                self.master.err.wait_for("web reloaded: ")
                wait_until(lambda: gone(pid))
        self.assertIs(kept.sock, first)
        self.end()

    def test_sockets_and_unix_sockets(self):
        """An echo service over both; a socket that is still open does not outlive the drain by much."""
        path = os.path.join(self.folder, "echo.sock")
        self.begin("""
            worker.ready(function(socket, port)
              socket:write(tostring(port), "\\n")
              for line in socket:lines() do
                if line == "boom" then error("it went boom") end
                socket:write(line:upper(), "\\n")
              end
            end)
        """, "--listen", f"unix:{path}?mode=0600", workers=2)
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.settimeout(60)
        unix.connect(path)
        for client, port in ((self.connect(), str(self.ports()[0])), (unix, f"unix:{path}")):
            stream = client.makefile("rw")
            self.assertEqual(stream.readline(), port + "\n")
            stream.write("one\ntwo\n")
            stream.flush()
            self.assertEqual([stream.readline(), stream.readline()], ["ONE\n", "TWO\n"])
            stream.write("boom\n")
            stream.flush()
            self.assertEqual(stream.readline(), "")
            self.master.err.wait_for("it went boom")
            stream.close()
        self.end()

    def test_C18_without_a_function_a_connection_is_closed(self):
        for extra in ((), ("--dispatch", "shared")):
            self.begin("worker.ready()", *extra)
            self.assertEqual(self.connect().recv(10), b"")
            self.end()

    def test_the_one_with_the_fewest_things_under_way(self):
        """Counted by the script, not by connections: the worker that has something to do gets no further one."""
        self.begin("""
            worker.ready(function(socket)
              socket:write(me, "\\n")
              for line in socket:lines() do
                if line == "begin" then worker.transact() end
                if line == "end" then worker.release() end
                socket:write("done\\n")
              end
            end)
            worker.release(0)
        """)

        def who():
            client = self.connect()
            stream = client.makefile("rw")
            return stream, stream.readline().strip(), client

        def tell(client, word):
            client.write(word + "\n")
            client.flush()
            self.assertEqual(client.readline(), "done\n")

        busy, name, _ = who()
        for _ in range(3):  # more than another has by a connection that it has not yet said to have
            tell(busy, "begin")

        def to_the_other():
            """Six in a row: by connections it would be half. On a busy machine who has no time is passed over, so again."""
            everyone = [who() for _ in range(6)]
            if name not in [each[1] for each in everyone]:
                return everyone
            for stream, _, client in everyone:
                stream.close()
                client.close()

        others = wait_until(to_the_other)
        tell(others[0][0], "begin")
        for _ in range(3):
            tell(busy, "end")
        wait_until(lambda: who()[1] == name)
        # What its handler has not released is, when it ends: both have nothing to do, and the turns begin again.
        others[0][2].shutdown(socket.SHUT_RDWR)
        wait_until(lambda: [row["board"]["remain"] for row in self.workers()] == [0, 0])
        self.end()

    def test_a_stop_waits_for_what_is_not_released(self):
        self.begin("""
            worker.ready(function(socket)
              socket:read("line")
              worker.transact()
              clouds.spawn(function()
                print "works"
                while not worker.draining do clouds.sleep(0.01) end
                clouds.sleep(0.2)
                print "has worked"
                worker.release(0)
              end)
              socket:read("line")
            end)
        """, workers=1)
        client, idle = self.connect(), self.connect()
        client.sendall(b"go\n")
        self.said("works")
        self.end()
        self.said("has worked")
        self.assertEqual((client.recv(1), idle.recv(1)), (b"", b""))

    def test_serve_refuses_what_was_read(self):
        self.begin("""
            local app = http.server(function() return "" end)
            worker.ready(function(socket)
              socket:read("line")
              print(select(2, pcall(app.serve, app, socket)))
              print(select(2, pcall(app.serve, app, {})))
            end)
        """, workers=1)
        self.connect().sendall(b"x\n")
        self.said("the socket was read or written already", "expected a socket that was accepted")
        self.end()


class Messages(Below):
    def test_C11_messages_reach_every_worker(self):
        self.begin("""
            worker.on("message", function(value, group, index)
              say("got", me, clouds.json.encode(value), "of", group .. "." .. index)
              if value == "back" and worker.index == 2 then worker.send(group, { "only", index }, index) end
            end)
            if worker.index == 1 then
              say("nothing", tostring(worker.send("web")), tostring(worker.send("web", "")))
              say("too long", tostring(select(2, worker.send("web", ("x"):rep(70000)))))
              say("wrong", select(2, pcall(worker.send, "no group", 1)))
              say("wrong", select(2, pcall(worker.send, "web", print)))
              say("wrong", select(2, pcall(worker.send, "web", 1, 0)))
              worker.send("nobody", 1)
              worker.send("web", 1, 9)
              worker:send("web", { hello = 1 })
              worker.send("web", "back")
            end
        """, listeners=0)
        for index in (1, 2):
            self.said(f'got {index}/1 {{"hello":1}} of web.1', f'got {index}/1 "back" of web.1')
        self.said('got 1/1 ["only",1] of web.2', "nothing false false", "the message has 70002 bytes",
                  "expected the name of a group, got 'no group'", "cannot encode a function",
                  "expected the index of a worker, from 1, got 0")
        self.master.err.wait_for("worker web.1 sends a message to a group 'nobody', which there is not")
        self.assertEqual(self.master.out.text().count("| got "), 5)
        self.end()

    def test_messages_between_groups_and_before_anybody_listens(self):
        self.file("tells.lua", HEAD + 'worker.on("message", function(v, g, i) worker.send(g, v + 1, i) end)')
        self.file("asks.lua", HEAD + """
            worker.send("tells", 1)
            clouds.sleep(0.1)
            worker.on("message", function(v, g) say("answer", v, g) end)
        """)
        self.file("cluster.lua", """
            local app = require "clouds.cluster".master { name = "pair" }
            app:register("tells", "tells.lua", { workers = 1 }):register("asks", "asks.lua", { workers = 1 })
        """)
        self.master = self.start("start", "-c", os.path.join(self.folder, "cluster.lua"))
        self.said("answer 2 tells")
        self.end()

    def test_C12_variables(self):
        self.begin("""
            worker.set("first", 1)
            for i = 1, 100 do worker.set("count", i) end
            worker.set("first", nil)
            worker.set("list", { "a", { b = true } })
            say(select(2, pcall(worker.set, 1, 1)))
            say(select(2, pcall(worker.set, "x", print)))
            say(select(2, pcall(worker.set, "x", ("x"):rep(70000))))
        """, workers=1, listeners=0)
        self.said("expected the name of a variable", "'x': cannot encode a function", "expected at most 64000")
        wanted = {"count": 100, "list": ["a", {"b": True}]}
        wait_until(lambda: self.workers()[0].get("variables") == wanted)
        self.assertLess(abs(self.workers()[0]["variables_at"] - time.time()), 600)
        self.end()

    def test_C14_one_at_a_time(self):
        """Three workers with two coroutines each; one dies while it has the token, and the next one comes."""
        self.begin("""
            local mark = ...
            local function die()
              if worker.index ~= 2 or io.open(mark) then return end
              io.open(mark, "w"):close()
              os.execute("kill -9 $PPID")
            end
            local function once(n)
              say("gave", tostring(n), worker.serial(function()
                say("in", me)
                clouds.sleep(0.02)
                say("out", me)
                if n == 2 then die() end
                return "a", "b"
              end))
            end
            say(select(2, pcall(worker.serial, 1)))
            clouds.spawn(function()
              while not io.open(mark .. ".go") do clouds.sleep(0.01) end
              clouds.spawn(once, 1)
              clouds.spawn(once, 2)
              local ok, err = pcall(worker.serial, function() error { code = "MINE" } end)
              say("raised", tostring(ok), err.code)
            end)
        """, workers=3, listeners=0, arguments=(os.path.join(self.folder, "mark"),))
        self.file("mark.go", "")
        wait_until(lambda: self.master.out.text().count("raised false MINE") == 3)
        self.assertEqual(self.master.out.text().count("gave 2 a b"), 3)
        self.said("expected a function, got a number")
        steps = re.findall(r"\| (in|out) (\S+)", self.master.out.text())
        self.assertEqual(len(steps), 2 * (3 * 2 + 2), steps)
        for (what, who), (then, same) in zip(steps[::2], steps[1::2]):
            self.assertEqual((what, then, who), ("in", "out", same), steps)
        self.end()


class Life(Below):
    def test_C19_a_worker_that_retires(self):
        """Its running request is answered, another takes its place before it stops, and the master says so."""
        self.begin("""
            local app = http.server()
            app:get("/retire", function()
              worker.retire()
              while not worker.draining do clouds.sleep(0.01) end
              return "answered by " .. me .. " " .. clouds.json.encode(worker.draining)
            end)
            app:get("/pid", function() return io.open("/proc/self/stat"):read("*n") end)
            worker.on("drain", function(reason, seconds) say("drains", reason, seconds) end)
            worker.ready(app)
        """, workers=1)
        pid = self.pid_of(1)
        self.assertEqual(self.ask("/retire"), "answered by 1/1 true")
        self.master.err.wait_for("worker web.1 is replaced: its script asks for that")
        self.said("drains retire 8")
        wait_until(lambda: gone(pid))
        row, = self.workers()
        self.assertEqual((row["index"], row["state"], row["recycles"]), (1, "ready", 1))
        self.assertNotEqual(row["pid"], pid)
        self.end()

    def test_C36_the_end_waits_for_its_functions(self):
        """drain, then what is open, then functions of every, then stop, which may still call; with the reason of each end."""
        self.begin("""
            local server, client = clouds.server {}, clouds.client {}
            local has_begun
            server:register("late" .. worker.generation, function() has_begun = true clouds.sleep(0.2) say("served", me) return 1 end)
            local inner = clouds.client {}
            worker.every(0.02, function() if worker.draining then say("every", me) end end)
            worker.every(0.02, function() error("every fails") end):stop()
            worker.on("drain", function(reason, seconds)
              say("drain", me, reason, seconds)
              clouds.spawn(function() inner:call("late" .. worker.generation) end)
              repeat clouds.sleep(0.01) until has_begun
            end)
            worker.on("stop", function()
              clouds.sleep(0.05)
              local _, err = client:call("nobody", {}, { deadline = 2 })
              say("stop", me, err.code)
            end)
            worker.on("stop", function() error("one that fails") end)
        """, "--drain", "5", workers=1, listeners=0)
        self.assertEqual(self.run_clouds("reload", "web").returncode, 0)
        self.said("drain 1/1 reload 5", "stop 1/1 CLOUDS_NO_AVAILABLE_SERVER")
        os.kill(self.pid_of(1), signal.SIGTERM)
        self.said("drain 1/2 signal 5", "stop 1/2 CLOUDS_NO_AVAILABLE_SERVER")
        self.master.err.wait_for("one that fails")
        wait_until(lambda: [row["state"] for row in self.workers()] == ["ready"])
        self.end()
        self.said("drain 1/2 stop 5")
        order = re.findall(r"\| (drain|served|every|stop) 1/1", self.master.out.text())
        self.assertLess(order.index("drain"), order.index("served"))
        self.assertLess(order.index("served"), order.index("stop"))
        self.assertIn("every", order)
        self.assertNotIn("every", order[order.index("stop"):])

    def test_a_worker_asks_for_a_reload(self):
        self.begin("""
            if worker.generation == 1 then
              worker.on("message", function(name) say("asked", tostring(worker.reload(name))) end)
              if worker.index == 1 then worker.send("web", "nothere", 1) end
            end
            http.serve(function() worker.reload("web") return me end)
        """)
        self.master.err.wait_for("worker web.1 asks to reload a group 'nothere', which there is not")
        self.assertRegex(self.ask(), "[12]/1")
        self.master.err.wait_for("web reloaded: web 2, generation 2")
        self.end()

    def test_ready_is_said_before_the_end_of_the_script(self):
        self.begin("""
            worker.ready(http.server(function() return me end))
            while not worker.draining do clouds.sleep(0.01) end
        """)
        self.assertRegex(self.ask(), "[12]/1")
        self.end()

    def test_errors_and_memory_are_on_the_board(self):
        """Answers of 500, those that are broken off, and errors of calls; not what was asked for wrongly."""
        self.begin("""
            local server, client = clouds.server {}, clouds.client {}
            server:register("fails", function() error "no" end)
            server:register("works", function() return 1 end)
            local app = http.server()
            app:get("/raises", function() error("it raises", 0) end)
            app:get("/breaks", function(_, response) response:write("a") error("it breaks", 0) end)
            app:get("/says", function() return 500, "as it is" end)
            app:get("/calls", function() client:call("fails") client:call("works") return "" end)
            worker.ready(app)
        """, workers=1)
        for path in ("/raises", "/says", "/calls", "/nothing"):
            self.ask(path)
        with self.assertRaises(http.client.IncompleteRead):
            self.ask("/breaks")
        wait_until(lambda: self.workers()[0]["board"]["errors"] == 4)
        board = self.workers()[0]["board"]
        self.assertEqual(board["requests"], 7)
        self.assertGreater(board["lua_bytes"], 100000)
        head, row = self.run_clouds("ps", "web").stdout.splitlines()[1:]
        cells = dict(zip(head.split(), row.split()))
        self.assertEqual((cells["ERRORS"], cells["LUA"][-1]), ("4", "M"))
        self.end()

    def test_wrong_use(self):
        self.begin("""
            for i, fn in ipairs {
              function() worker.ready(1) end, function() worker.on("drains", print) end, function() worker.on("stop", 1) end,
              function() worker.every(0, print) end, function() worker.every(1) end, function() worker.release(-1) end,
              function() worker.reload(1) end, function() worker.ready(print) end,
            } do say(i, select(2, pcall(fn))) end
        """, workers=1, listeners=0)
        for number, text in enumerate((
                "expected a function, a server of clouds.http, or nothing, got a number",
                "unknown event 'drains'; did you mean 'drain'?", "expected a function, got a number",
                "expected a number of seconds, more than 0", "expected a function, got a nil",
                "expected how many things remain, a whole number, got -1",
                "expected the name of a group, got a number", "nowhere to listen: start it with --listen 8080"), 1):
            self.said(f"| {number} ")
            self.assertRegex(self.master.out.text(), rf"\| {number} \S*web.lua:\d+: {re.escape(text)}")
        self.end()


class Examples(Below):
    """Those of examples/cluster that need a master."""

    def run_example(self, name, *options):
        self.master = self.start("start", "--workers", "2", *options, os.path.join(SOURCE, "examples/cluster", name))
        self.master.err.wait_for(" ready: ")

    def test_echo(self):
        self.run_example("echo.lua", "--listen", "127.0.0.1:0")
        first = self.connect().makefile("rw")

        def say(stream, line):
            stream.write(line + "\n")
            stream.flush()
            return stream.readline()

        def of_the_other():
            """On a busy machine who has no time is passed over, so again."""
            stream = self.connect().makefile("rw")
            return stream if say(stream, "who") != mine else stream.close()

        self.assertEqual(say(first, "hello"), "hello\n")
        mine = say(first, "who")
        second = wait_until(of_the_other, "a connection of the other")
        self.assertEqual({mine, say(second, "who")}, {"worker 1 of 2\n", "worker 2 of 2\n"})
        self.assertRegex(say(first, "news of all"), r"echo\.[12] says: of all\n")
        self.assertRegex(second.readline(), r"echo\.[12] says: of all\n")
        self.assertEqual(say(second, "bye"), "")
        self.end()
        self.assertEqual(first.read(), "this worker ends: stop\n")

    def test_ports(self):
        self.run_example("ports.lua", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")
        shop, office = self.ports()
        self.assertEqual(self.ask(port=shop), f"the shop, at {shop}\n")
        self.assertEqual(self.ask(port=office), f"the office, at {office}\n")
        self.end()


class Alone(Case):
    def test_without_a_master(self):
        path = os.path.join(self.folder, "web.sock")
        script = self.file("web.lua", HEAD + f"""
            say(worker.index, worker.count, worker.group, worker.generation, tostring(worker.solo), worker.ports[1])
            worker.on("message", function(value, group, index) say("message", value, group, index) end)
            worker.send("web", "here")
            say("elsewhere", tostring(select(2, worker.send("other", 1))))
            say("reload", tostring(worker.reload()))
            say("serial", worker.serial(function() clouds.sleep(0) return "in turn" end))
            worker.set("x", 1)
            worker.on("drain", function(reason) say("drain", reason) end)
            worker.on("stop", function() say("stop") end)
            local app = http.server(function(request)
              if request.path == "/raw" then worker.ready(function(socket, port) socket:write("raw ", port, "\\n") end) end
              if request.path == "/end" then worker.retire() end
              return request.port
            end)
            worker.ready(app)
            worker.transact() worker.release()
            print("begun")
        """)
        process = self.start("run", "--listen", f"unix:{path}", script)
        process.out.wait_for("begun")
        for text in (f"1 1 web 1 true unix:{path}", "message here web 1", "there is no worker other", "reload false",
                     "serial in turn"):
            process.out.wait_for(text)

        self.assertEqual(Unix(path).get("/"), (200, f"unix:{path}"))
        Unix(path).get("/raw")
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        self.assertEqual(client.makefile().read(), f"raw unix:{path}\n")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0, process.err.text())
        self.assertRegex(process.out.text(), r"(?s)drain stop\n.*stop\n")

    def test_the_annotations_say_what_there_is(self):
        with open(os.path.join(SOURCE, "lua/meta/worker.lua"), encoding="utf-8") as file:
            said = sorted(re.findall(r"^function ([\w.:]+)\(", file.read(), re.M))
        result = self.run_clouds("run", "-e", """
            local worker = require "clouds.worker"
            for name, value in pairs(worker) do
              if type(value) == "function" then print("worker." .. name) end
            end
            local every = worker.every(1, print)
            for name, value in pairs(getmetatable(every)) do
              if type(value) == "function" then print("Every:" .. name) end
            end
            every:stop()
        """)
        self.assertEqual(sorted(result.stdout.split()), said, result.stderr)


if __name__ == "__main__":
    unittest.main()
