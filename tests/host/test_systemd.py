"""clouds start below systemd: what it is told, and the sockets that it opens; and as the first process of a container."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import unittest

from support import CLOUDS, Case, Process, Unix, free_port, wait_until

WEB = """
local http = require "clouds.http"
http.serve(function() return "pid " .. tostring(require("clouds.host").pid()) end)
for _, name in ipairs { "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" } do
  if os.getenv(name) then print("has " .. name) end
end
"""
EXITS = "os.exit(3)"


class Manager:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, case, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(60)
        self.socket.bind(name)
        case.addCleanup(self.socket.close)

    def next(self, *without):
        """The next datagram, as a list of its lines, that does not begin with one of these."""
        while True:
            lines = self.socket.recv(65536).decode().split("\n")
            if not lines[0].startswith(without):
                return lines


def microseconds():
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) * 1e6


class Told(Case):
    def serve(self, name, env=None, code=WEB):
        self.manager = Manager(self, name)
        shown = "@" + name[1:] if name.startswith("\0") else name
        script = self.file("web.lua", code)
        self.master = Process([CLOUDS, "start", "--workers", "1", "--listen", "127.0.0.1:0", script],
                              dict(self.env, NOTIFY_SOCKET=shown, **(env or {})))
        self.addCleanup(self.master.discard)
        return self.master

    def test_H17_datagrams(self):
        self.serve(os.path.join(self.folder, "notify"))
        self.assertEqual(self.manager.next("STATUS"), ["READY=1", "STATUS=web 1/1"])
        before = microseconds()
        self.master.signal(signal.SIGHUP)
        lines = self.manager.next("STATUS")
        self.assertEqual((lines[0], lines[2]), ("RELOADING=1", "STATUS=web 1/1"))
        told = re.fullmatch(r"MONOTONIC_USEC=(\d+)", lines[1])
        self.assertTrue(before - 1e5 <= int(told.group(1)) <= microseconds() + 1e5, lines)
        self.assertEqual(self.manager.next("STATUS"), ["READY=1", "STATUS=web 1/1"])
        self.file("web.lua", EXITS)
        self.master.signal(signal.SIGHUP)  # one that fails is over, too
        self.assertEqual(self.manager.next("STATUS")[0], "RELOADING=1")
        self.assertEqual(self.manager.next("STATUS")[0], "READY=1")
        self.master.signal(signal.SIGTERM)
        lines = self.manager.next("STATUS")
        self.assertEqual((lines[0], lines[2]), ("STOPPING=1", "STATUS=stopping; web 1/1"))
        self.assertGreater(int(re.fullmatch(r"EXTEND_TIMEOUT_USEC=(\d+)", lines[1]).group(1)), 8e6)
        self.assertEqual(self.master.wait(), 0)
        self.assertNotIn("has ", self.master.out.text())

    def test_a_socket_that_is_no_file(self):
        self.serve(f"\0clouds-test-{os.getpid()}")
        self.assertEqual(self.manager.next("STATUS")[0], "READY=1")
        self.assertEqual(self.master.stop(), 0)

    def test_watchdog(self):
        self.serve(os.path.join(self.folder, "notify"), {"WATCHDOG_USEC": "200000"})
        for _ in range(3):
            self.assertEqual(self.manager.next("STATUS", "READY"), ["WATCHDOG=1"])
        self.assertEqual(self.master.stop(), 0)

    def test_the_watchdog_of_another_process(self):
        self.serve(os.path.join(self.folder, "notify"), {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
        self.assertEqual(self.manager.next("STATUS")[0], "READY=1")
        self.master.signal(signal.SIGTERM)
        self.assertEqual(self.manager.next("STATUS")[0], "STOPPING=1")
        self.assertEqual(self.master.wait(), 0)

    def test_nobody_listens(self):
        script = self.file("web.lua", WEB)
        for name in (os.path.join(self.folder, "none"), "nonsense", "/" + "x" * 200):
            master = Process([CLOUDS, "start", "--workers", "1", "--listen", "127.0.0.1:0", script],
                             dict(self.env, NOTIFY_SOCKET=name))
            self.addCleanup(master.discard)
            master.err.wait_for("web ready: ")
            self.assertEqual(master.stop(), 0)


@unittest.skipUnless(shutil.which("systemd-socket-activate"), "no systemd-socket-activate (package systemd)")
class Sockets(Case):
    def activate(self, address, *options, listen=()):
        """The program starts with the first connection."""
        script = self.file("web.lua", WEB)
        self.master = Process(["systemd-socket-activate", "-l", address, *options,
                               *(word for name in self.env for word in ("-E", name)), CLOUDS, "start", "--workers", "1",
                               *(word for each in listen for word in ("--listen", each)), script], self.env)
        self.addCleanup(self.master.discard)
        self.master.err.wait_for("Listening on")

    def ask(self, client):
        client.request("GET", "/")
        text = client.getresponse().read().decode()
        client.close()
        return text

    def end(self):
        self.assertEqual(self.master.stop(), 0, self.master.err.text())
        self.assertNotIn("has ", self.master.out.text())

    def test_H17_a_port_by_its_address(self):
        port = free_port()
        self.activate(f"127.0.0.1:{port}", listen=[f"127.0.0.1:{port}"])
        self.assertIn("pid ", self.ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60)))
        self.end()

    def test_a_port_at_all_addresses(self):
        port = free_port()
        self.activate(str(port), listen=[str(port)])
        self.assertIn("pid ", self.ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60)))
        self.end()

    def test_a_unix_socket(self):
        path = os.path.join(self.folder, "web.sock")
        self.activate(path, listen=[f"unix:{path}"])
        self.assertIn("pid ", self.ask(Unix(path)))
        self.end()

    def test_by_name(self):
        path = os.path.join(self.folder, "other.sock")
        self.activate(path, "--fdname=web")
        self.assertIn("pid ", self.ask(Unix(path)))
        self.end()

    def test_what_nobody_wants_is_closed(self):
        path = os.path.join(self.folder, "other.sock")
        self.activate(path, "--fdname=mail", listen=["127.0.0.1:0"])
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        self.master.err.wait_for("the socket 'mail' of systemd is not used: no group listens at it, or has its name")
        client.close()
        self.end()


CAN_BE_FIRST = shutil.which("unshare") and subprocess.run(["unshare", "-p", "--fork", "--mount-proc", "true"],
                                                         stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(CAN_BE_FIRST, "no process namespaces here")
class FirstProcess(Case):
    """As process 1 of a container."""

    def first(self, code):
        script = self.file("web.lua", code)
        self.outer = Process(["unshare", "-p", "--fork", "--kill-child", "--mount-proc", CLOUDS, "start", "--workers", "1",
                              "--drain", "1000", script], self.env)
        self.addCleanup(self.outer.discard)

        def child():
            with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children") as file:
                return file.read().split()
        return int(wait_until(child, "the first process")[0])

    def test_H16_orphans(self):
        """100 of them in one worker: no zombie is left."""
        first = self.first("""
            for _ = 1, 100 do os.execute("(sleep 0.01 &)") end
            local function zombies()
              local pipe = io.popen "grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
              local count = tonumber(pipe:read "*a")
              pipe:close()
              return count
            end
            local function sleepers()
              local pipe = io.popen "grep -l '^Name:.*sleep' /proc/[0-9]*/status 2>/dev/null | wc -l"
              local count = tonumber(pipe:read "*a")
              pipe:close()
              return count
            end
            while zombies() + sleepers() > 0 do require("clouds").sleep(0.02) end
            print "none is left"
            require("clouds").server {}:register("x", function() end)""")
        self.outer.out.wait_for("none is left")
        self.outer.err.wait_for("web ready: ")
        os.kill(first, signal.SIGTERM)
        self.assertEqual(self.outer.wait(), 0, self.outer.err.text())

    def test_H16_a_second_signal_ends_a_loop(self):
        first = self.first("""
            require("clouds").server {}:register("x", function() end)
            local loop = require "clouds.loop"
            loop.timer(0, function() print "loops" while true do end end)""")
        self.outer.out.wait_for("loops")
        os.kill(first, signal.SIGTERM)
        self.outer.err.wait_for("web stops")
        os.kill(first, signal.SIGTERM)
        self.assertNotEqual(self.outer.wait(), 0)


if __name__ == "__main__":
    unittest.main()
