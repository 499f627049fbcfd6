"""clouds.socket: connections for coroutines, from both of their ends."""
import os
import re
import signal
import socket
import unittest

from support import Case, SOURCE, free_port, wait_until

SERVER = """
    local clouds, socket = require "clouds", require "clouds.socket"
    local handlers = {
        echo = function(s) for piece in function() return s:read() end do s:write(piece) end print("echo ends") end,
        lines = function(s) for line in s:lines(1000) do s:write("<", line, ">") end end,
        bytes = function(s) while true do local text, err = s:read(4) if not text then return s:write(tostring(err), " ", s:read() or "nothing") end s:write("[", text, "]") end end,
        all = function(s) local text, err = s:read("all", 100000) s:write(tostring(text and #text), " ", tostring(err)) end,
        longline = function(s) s:write(tostring(select(2, s:read("line", 1000)))) end,
        cost = function(s) local begun = os.clock() local text = s:read("line") s:write(#text, " ", os.clock() - begun) end,
        limit = function(s)
            for _ = 1, 2 do local text, err = s:read("line", 5) s:write("[", tostring(text or err), "]") end
            s:write(tostring(s:read("all")))
        end,
        left = function(s)
            s:read(100) -- until the end
            for _, how in ipairs { "all", "line" } do s:write("[", tostring(select(2, s:read(how, 5))), "]") end
            s:write(s:read("all", 6))
        end,
        limits = function(s) for line in s:lines(5) do s:write("<", line, ">") end end,
        timeout = function(s) s:timeout(0.1) s:write(tostring(select(2, s:read()))) end,
        much = function(s) local n = 0 while n < 300 and s:write(("x"):rep(100000)) do n = n + 1 end print("wrote " .. n) end,
        fail = function(s) s:write("before") error("told") end,
        sleep = function(s) print("begun") clouds.sleep(50) print("slept") end,
        peer = function(s) s:write(table.concat({ s:peer() }, " "), " ", type(s:fd())) end,
        gone = function(s) s:read() print("write " .. tostring(select(2, s:write(("x"):rep(1e7))))) print("again " .. tostring(select(2, s:write("x")))) end,
        luv = function(s)
            s:write(("z"):rep(3e6))
            print(pcall(s.luv, { reader = 1 }))
            local handle, rest = s:luv()
            print("closed " .. tostring(select(2, s:luv())))
            local function answer(text) handle:write("<" .. text .. ">") end
            if rest ~= "" then answer(rest) end
            handle:read_start(function(err, text) if text then answer(text) else handle:close() end end)
        end,
        close = function(s) s:write(("y"):rep(2e5)) s:close() print(tostring(s:write("x")), tostring(select(2, s:read())), s:peer()) end,
    }
    listener = assert(socket.listen("%s", function(s)
        local name = s:read("line")
        handlers[name](s)
    end))
    print("ready")
"""


class Sockets(Case):
    def open(self, *options):
        self.path = os.path.join(self.folder, "s.sock")
        self.service = self.start("run", *options, self.file("s.lua", SERVER % f"unix:{self.path}"))
        self.service.out.wait_for("ready")

    def connect(self, first=b""):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(self.path)
        client.sendall(first)
        return client

    def read(self, client):
        data = bytearray()
        while piece := client.recv(1 << 20):
            data += piece
        return bytes(data)

    def ask(self, data, ends=True):
        client = self.connect(data)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return self.read(client)


class Serving(Sockets):
    def test_ways_to_read(self):
        self.open()
        for data, said in ((b"echo\nabc", b"abc"), (b"lines\na\r\nb\n\nc\r", b"<a><b><><c\r>"), (b"lines\n", b""), (b"bytes\nabcdefgh", b"[abcd][efgh]end nothing"),
                           (b"bytes\nabcdef", b"[abcd]end ef"), (b"all\n" + b"x" * 99999, b"99999 nil"), (b"all\n", b"0 nil"),
                           (b"all\n" + b"x" * 100100, b"nil CLOUDS_LIMIT_REACHED: more than 100000 bytes came"),
                           (b"longline\n" + b"x" * 3000, b"CLOUDS_LIMIT_REACHED: more than 1000 bytes came"), (b"peer\n", b"unix number")):
            self.assertEqual(self.ask(data), said, data[:30])
        client = self.connect(b"lines\n")
        for byte in b"one\ntwo\n":
            client.send(bytes([byte]))
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read(client), b"<one><two>")
        lines = b"".join(b"%d\n" % i for i in range(20000))
        self.assertEqual(self.ask(b"lines\n" + lines), lines.replace(b"\n", b"><")[:-1].join([b"<", b""]))
        self.assertEqual(self.service.err.text(), "")

    def test_a_line_that_is_too_long_is_an_error_however_it_comes(self):
        self.open()
        problem = b"CLOUDS_LIMIT_REACHED: more than 5 bytes came"
        for data, said in ((b"12345\n12345\r\nx", b"[12345][12345]x"), (b"123456\n", b"[%b][%b]123456\n" % (problem, problem)), (b"123456", b"[%b][%b]123456" % (problem, problem)),
                           (b"123456\r\n", b"[%b][%b]123456\r\n" % (problem, problem)), (b"1\n123456\nx", b"[1][%b]123456\nx" % problem),
                           (b"1\n12345\r", b"[1][%b]12345\r" % problem), (b"12345\rx\n", b"[%b][%b]12345\rx\n" % (problem, problem)), (b"12345", b"[12345][end]")):
            self.assertEqual(self.ask(b"limit\n" + data), said, data)
            client, others = self.connect(b"limit\n"), self.connect(b"echo\n")
            for byte in data:
                client.send(bytes([byte]))
                others.send(b"x")
                self.assertEqual(others.recv(1), b"x")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read(client), said, data)
        self.assertEqual(self.ask(b"limits\na\n123456\nb\n"), b"<a>")
        self.assertEqual(self.ask(b"left\n123456"), b"[%b][%b]123456" % (problem, problem))

    def test_what_a_line_costs_does_not_depend_on_what_came_of_it(self):
        self.open()
        others = self.connect(b"echo\n")
        def cost(begin):
            client = self.connect(b"cost\n" + begin)
            for _ in range(2000):  # each is read alone: one more turn of the loop
                client.send(b"y")
                others.send(b"x")
                self.assertEqual(others.recv(1), b"x")
            client.send(b"\n")
            size, seconds = self.read(client).split()
            self.assertEqual(int(size), len(begin) + 2000)
            return float(seconds)
        short, long = cost(b""), cost(b"x" * 900000)
        self.assertLess(long, 4 * short + 0.1)

    def test_a_wait_that_takes_too_long(self):
        self.open()
        self.assertIn(b"nothing within 0.1 s", self.ask(b"timeout\n", ends=False))

    def test_who_writes_waits_for_who_reads(self):
        self.open()
        client = self.connect(b"much\n")
        client.recv(1)
        self.assertNotIn("wrote", self.service.out.text())
        self.assertEqual(len(self.read(client)), 300 * 100000 - 1)
        self.service.out.wait_for("wrote 300")

    def test_the_other_end_goes(self):
        self.open()
        client = self.connect(b"gone\nx")
        client.close()
        said = self.service.out.wait_for("again ")
        self.assertRegex(said, "write CLOUDS_CLOSED: ")
        self.service.out.wait_for("CLOUDS_CLOSED")

    def test_a_handle_of_luv(self):
        """It takes over behind what was written, and with what was read ahead."""
        self.open()
        client = self.connect(b"luv\nahead")
        data = b""
        while not data.endswith(b"<ahead>"):
            data += client.recv(65536)
        self.assertEqual(data, b"z" * 3000000 + b"<ahead>")
        client.sendall(b"behind")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read(client), b"<behind>")
        self.service.out.wait_for("the socket is being used")
        self.service.out.wait_for("closed CLOUDS_CLOSED: the socket is closed")

    def test_what_was_written_goes_out_behind_the_close(self):
        self.open()
        client = self.connect(b"close\n")
        self.service.out.wait_for("nil\tCLOUDS_CLOSED: the socket is closed")
        self.assertEqual(len(self.read(client)), 200000)

    def test_an_error_in_a_handler_ends_its_connection_alone(self):
        self.open()
        other = self.connect(b"echo\n")
        self.assertEqual(self.ask(b"fail\n"), b"before")
        self.service.err.wait_for("handler of a socket: ")
        other.sendall(b"still")
        self.assertEqual(other.recv(10), b"still")

    def test_a_stop_waits_for_handlers_and_then_closes(self):
        self.open("--drain", "2")
        idle, busy = self.connect(b"echo\n"), self.connect(b"sleep\n")
        self.service.out.wait_for("begun")
        self.service.signal(signal.SIGTERM)
        wait_until(lambda: not os.path.exists(self.path), "it listens no more")
        idle.sendall(b"still")
        self.assertEqual(idle.recv(10), b"still")
        self.assertEqual((self.read(idle), self.read(busy)), (b"", b""))
        self.assertEqual(self.service.wait(), 0)

    def test_a_stop_that_nobody_keeps(self):
        self.open()
        client = self.connect(b"echo\nx")
        self.assertEqual(client.recv(10), b"x")
        client.close()
        self.service.out.wait_for("echo ends")
        self.assertEqual(self.service.stop(), 0)


class Connecting(Sockets):
    def run_code(self, code):
        return self.run_clouds("run", self.file("c.lua", "local clouds, socket = require 'clouds', require 'clouds.socket'\n" + code))

    def test_by_address_by_name_and_by_path(self):
        self.open()
        result = self.run_code(f"""
            local listener = assert(socket.listen("127.0.0.1:0", function(s) s:write("tcp ", s:peer(), "\\n") end))
            for _, address in ipairs {{ "127.0.0.1:" .. listener.port, "localhost:" .. listener.port }} do
                local s = assert(socket.connect(address))
                print(s:read("line"), select(2, s:peer()) == listener.port)
            end
            listener:close()
            local s = assert(socket.connect("unix:{self.path}"))
            s:write("echo\\n", 12, "x")
            print(s:read(3), s:shutdown(), s:read())
        """)
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("tcp 127.0.0.1\ttrue\n" * 2 + "12x\ttrue\tnil\tend\n", "", 0))

    def test_what_cannot_be_reached(self):
        result = self.run_code(f"""
            for _, address in ipairs {{ "127.0.0.1:{free_port()}", "unix:/no/such", "no.such.host.invalid:1", "nonsense", "host:", "host:port", ":1" }} do
                local s, err = socket.connect(address)
                print(s, clouds.is_error(err), err.code, err.message)
            end
        """)
        said = result.stdout.splitlines()
        self.assertEqual(len(said), 7, result.stderr)
        for line, words in zip(said, ("connection refused", "no such file", "", "expected HOST:PORT", "expected HOST:PORT", "expected HOST:PORT", "expected HOST:PORT")):
            self.assertRegex(line, "nil\ttrue\tCLOUDS_CLOSED\tcannot connect to ")
            self.assertIn(words, line)

    def test_a_socket_that_is_only_kept_does_not_keep_the_program(self):
        self.open()
        result = self.run_code(f"""
            kept = assert(socket.connect("unix:{self.path}"))
            kept:write("echo\\nx")
            print(kept:read())
        """)
        self.assertEqual((result.stdout, result.returncode), ("x\n", 0))

    def test_one_that_is_forgotten_is_closed(self):
        self.open()
        result = self.run_code(f"""
            for i = 1, 100 do
                local s = assert(socket.connect("unix:{self.path}"))
                s:write("echo\\nx")
                s:read()
            end
            collectgarbage() collectgarbage()
            clouds.sleep(0)
            local count = 0
            for _ in io.popen("ls /proc/$PPID/fd"):lines() do count = count + 1 end
            print(count < 40)
        """)
        self.assertEqual(result.stdout, "true\n", result.stderr)

    def test_a_wait_ends_by_close_by_time_and_with_its_request(self):
        self.open()
        result = self.run_code(f"""
            local function open(name) local s = assert(socket.connect("unix:{self.path}")) s:write(name, "\\n") return s end
            local s = open("sleep")
            clouds.spawn(function() clouds.sleep(0.05) s:close() end)
            print(select(2, s:read()).message)
            s = open("sleep")
            clouds.spawn(function() s:read() end)
            print(pcall(s.read, s))
            s:close()
            local server, client = clouds.server {{ url = "inproc:", cancel_events = true }}, clouds.client {{ url = "inproc:" }}
            local said
            server:register("wait", function() local s = open("sleep") said = tostring(select(2, s:read()).code) end)
            print(select(2, client:call("wait", {{}}, {{ timeout = 2 }})).code)
            repeat clouds.sleep(0.01) until said
            print("in it " .. said)
            clouds.shutdown()
        """)
        self.assertIn("the socket is closed\n", result.stdout)
        self.assertIn("is being read already", result.stdout)
        self.assertIn("in it CLOUDS_CANCELED", result.stdout)
        self.assertEqual((result.stderr, result.returncode), ("", 0))

    def test_what_is_wrong_is_told_where_it_is_written(self):
        for line, words in (("socket.connect(7)", "expected an address"), ("socket.connect('a:1', { timout = 1 })", "unknown option 'timout'"),
                            ("socket.connect('a:1', { timeout = -1 })", "expected a number of seconds"), ("socket.listen('x', print)", "expected PORT"),
                            ("socket.listen('unix:/tmp/x')", "expected a function"), ("socket.listen({}, print)", "expected an address")):
            result = self.run_code(line)
            self.assertEqual(result.returncode, 1, line)
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stderr, r"c\.lua:2:", line)
        self.open()
        for line, words in (("s:read('lines')", "expected a number of bytes, 'line' or 'all'"), ("s:read(-1)", "expected a number of bytes"),
                            ("s:read('line', 'x')", "expected a number of bytes"), ("s:write({})", "argument 1 is a table"), ("s:timeout('x')", "expected a number of seconds")):
            result = self.run_code(f"local s = assert(socket.connect('unix:{self.path}'))\n{line}")
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stderr, r"c\.lua:3:", line)
        result = self.run_code(f"print(socket.listen('unix:{self.path}', print))")
        self.assertEqual(result.stdout, f"nil\tunix:{self.path}: address already in use\n")


class Words(Sockets):
    def test_the_page_is_a_program(self):
        with open(os.path.join(SOURCE, "docs/SOCKET.md"), encoding="utf-8") as file:
            program = "".join(re.findall(r"^```lua\n(.*?)^```$", file.read(), re.S | re.M))
        result = self.run_clouds("run", self.file("page.lua", program))
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("you said hello\n", "", 0))

    def test_the_annotations_say_what_there_is(self):
        with open(os.path.join(SOURCE, "lua/meta/socket.lua"), encoding="utf-8") as file:
            said = sorted(re.findall(r"^function ([\w.:]+)\(", file.read(), re.M))
        result = self.run_clouds("run", "-e", """
            local socket = require "clouds.socket"
            local function names(prefix, of)
                for name, value in pairs(of) do
                    if type(value) == "function" and not name:find("^__") then print(prefix .. name) end
                end
            end
            local listener = socket.listen("127.0.0.1:0", function() end)
            names("socket.", socket)
            names("Listener:", getmetatable(listener))
            names("Socket:", getmetatable(socket.connect("127.0.0.1:" .. listener.port)))
            listener:close()
        """)
        self.assertEqual(sorted(result.stdout.split()), said, result.stderr)


if __name__ == "__main__":
    unittest.main()
