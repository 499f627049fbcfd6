"""app:static of clouds.http: files of a folder, parts of them, and paths that would lead elsewhere."""
import http.client
import os
import re
import socket
import subprocess
import unittest

from support import Case, SANITIZED, wait_until

SCRIPT = """
    local http = require "clouds.http"
    local app = http.server()
    app:static("/", "%s")
    app:static("/more/deep", "%s", { max_age = 60, index = "start.txt", dotfiles = true, types = { data = "text/x-data" } })
    app:get("/made", function() return "made" end)
    %s
    http.serve(app)
    print("ready")
"""


class Static(Case):
    AROUND, IS_AROUND = 'app:use(function(_, response, next) response:header("X-Around", "1") return next() end)', "1"

    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.folder, "public")
        for name in ("public", "public/sub", "public/empty", "outside"):
            os.mkdir(os.path.join(self.folder, name))
        self.digits = b"0123456789"
        for name, data in (("public/a.txt", self.digits), ("public/sub/index.html", b"<p>sub"), ("public/index.html", b"<p>root"),
                           ("public/none", b""), ("public/big.bin", os.urandom(5_000_000)), ("public/a b+%.css", b"css"),
                           ("public/.hidden", b"secret"), ("public/made", b"never seen"), ("public/start.txt", b"start"),
                           ("public/x.data", b"data"), ("outside/secret", b"secret"), ("public/forbidden", b"x")):
            self.file(name, data)
        os.symlink("a.txt", os.path.join(self.root, "inner"))
        os.symlink("../outside", os.path.join(self.root, "outer"))
        os.symlink("/etc", os.path.join(self.root, "etc"))
        os.symlink("loop", os.path.join(self.root, "loop"))
        os.mkfifo(os.path.join(self.root, "pipe"))
        self.path = os.path.join(self.folder, "web.sock")
        self.service = self.start("run", "--listen", f"unix:{self.path}", self.file("s.lua", SCRIPT % (self.root, self.root, self.AROUND)))
        self.service.out.wait_for("ready")

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(self.path)
        return client

    def ask(self, target, method="GET", **headers):
        """The status, the body and the header fields."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data, answer.headers

    def read(self, name):
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()


class Files(Static):
    def test_files_and_their_types(self):
        for target, data, kind in (("/a.txt", self.digits, "text/plain; charset=utf-8"), ("/none", b"", "application/octet-stream"),
                                   ("/big.bin", self.read("big.bin"), "application/octet-stream"), ("/inner", self.digits, "application/octet-stream"),
                                   ("/a%20b+%25.css", b"css", "text/css; charset=utf-8"), ("/", b"<p>root", "text/html; charset=utf-8"),
                                   ("/sub/", b"<p>sub", "text/html; charset=utf-8"), ("/a.txt?x=/../y", self.digits, "text/plain; charset=utf-8"),
                                   ("/more/deep/", b"start", "text/plain; charset=utf-8"), ("/more/deep/x.data", b"data", "text/x-data"),
                                   ("/more/deep/.hidden", b"secret", "application/octet-stream"), ("/x.data", b"data", "application/octet-stream"),
                                   ("/m%6Fre/deep/x.data", b"data", "text/x-data")):
            status, got, headers = self.ask(target)
            self.assertEqual((status, headers["Content-Type"]), (200, kind), target)
            self.assertTrue(got == data, target)
            self.assertEqual(int(headers["Content-Length"]), len(data))
            self.assertEqual((headers["Accept-Ranges"], headers["X-Content-Type-Options"], headers["X-Around"]), ("bytes", "nosniff", self.IS_AROUND))
            status, got, of_head = self.ask(target, "HEAD")
            self.assertEqual((status, got, of_head["Content-Length"], of_head["ETag"]), (200, b"", headers["Content-Length"], headers["ETag"]))
        self.assertEqual(self.ask("/more/deep/x.data")[2]["Cache-Control"], "max-age=60")
        self.assertIsNone(self.ask("/x.data")[2]["Cache-Control"])
        self.assertEqual(self.ask("/made")[1], b"made")
        self.assertEqual(self.service.err.text(), "")

    def test_a_file_that_changes(self):
        """What is said of it changes with it, whoever has asked before."""
        tags = set()
        for number, data in enumerate((b"one", b"two", b"a third", b"a third")):
            self.file("public/changes.txt", data)
            os.utime(os.path.join(self.root, "changes.txt"), ns=(0, 1_700_000_000_000_000_000 + number))
            for _ in range(2):
                status, got, headers = self.ask("/changes.txt")
                self.assertEqual((status, got, int(headers["Content-Length"])), (200, data, len(data)))
                tags.add(headers["ETag"])
            self.assertEqual(len(tags), number + 1)
        self.assertEqual(self.ask("/changes.txt", If_None_Match=headers["ETag"])[0], 304)
        self.assertEqual(self.ask("/changes.txt", Range="bytes=2-2")[:2], (206, b"t"))

    def test_folders(self):
        for target, place in (("/sub", "/sub/"), ("/sub?a=b", "/sub/?a=b"), ("/more/deep", "/more/deep/"), ("/more/deep/sub", "/more/deep/sub/")):
            status, _, headers = self.ask(target)
            self.assertEqual((status, headers["Location"]), (301, place))
        for target in ("/empty/", "/a.txt/", "/more/deep/sub/", "/a.txt/b", "/nothing", "/nothing/"):
            self.assertEqual(self.ask(target)[0], 404, target)
        status, _, headers = self.ask("/a.txt", "POST")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, OPTIONS"))

    def test_what_the_client_has_already(self):
        _, _, headers = self.ask("/a.txt")
        tag, date = headers["ETag"], headers["Last-Modified"]
        self.assertRegex(date, r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        old, later = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2044 08:49:37 GMT"
        for fields, status in (({"If_None_Match": tag}, 304), ({"If_None_Match": f'"x", W/{tag}'}, 304), ({"If_None_Match": "*"}, 304),
                               ({"If_None_Match": '"x"'}, 200), ({"If_Modified_Since": date}, 304), ({"If_Modified_Since": later}, 304),
                               ({"If_Modified_Since": old}, 200), ({"If_Modified_Since": "yesterday"}, 200), ({"If_Modified_Since": date + "x"}, 200),
                               ({"If_None_Match": '"x"', "If_Modified_Since": later}, 200), ({"If_Match": tag}, 200), ({"If_Match": '"x"'}, 412),
                               ({"If_Unmodified_Since": old}, 412), ({"If_Unmodified_Since": later}, 200)):
            got, data, headers = self.ask("/a.txt", **fields)
            self.assertEqual(got, status, fields)
            self.assertEqual(data, self.digits if status == 200 else b"", fields)
            if status == 304:
                self.assertEqual((headers["ETag"], headers["Content-Type"]), (tag, None))
        before = os.stat(os.path.join(self.root, "a.txt"))
        self.file("public/a.txt", b"abcdefghij")
        os.utime(os.path.join(self.root, "a.txt"), ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
        self.assertEqual(self.ask("/a.txt", If_None_Match=tag)[:2], (200, b"abcdefghij"))

    def test_ranges(self):
        _, _, headers = self.ask("/a.txt")
        tag, date = headers["ETag"], headers["Last-Modified"]
        for text, data, said in (("bytes=0-0", b"0", "0-0"), ("bytes=2-4", b"234", "2-4"), ("bytes=7-", b"789", "7-9"), ("bytes=-3", b"789", "7-9"),
                                 ("bytes=5-100", b"56789", "5-9"), ("bytes=-100", self.digits, "0-9"), ("bytes= 1 - 2 ", b"12", "1-2")):
            status, got, headers = self.ask("/a.txt", Range=text)
            self.assertEqual((status, got, headers["Content-Range"]), (206, data, f"bytes {said}/10"), text)
        for text in ("bytes=10-", "bytes=-0", "bytes=99-100"):
            status, got, headers = self.ask("/a.txt", Range=text)
            self.assertEqual((status, got, headers["Content-Range"]), (416, b"", "bytes */10"), text)
        self.assertEqual(self.ask("/none", Range="bytes=0-")[0], 416)
        for text in ("bytes=4-2", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes=" + "9" * 40 + "-"):
            self.assertEqual(self.ask("/a.txt", Range=text)[:2], (200, self.digits), text)
        self.assertEqual(self.ask("/a.txt", Range="bytes=1-1", If_Range=tag)[0], 206)
        self.assertEqual(self.ask("/a.txt", Range="bytes=1-1", If_Range=date)[0], 206)
        self.assertEqual(self.ask("/a.txt", Range="bytes=1-1", If_Range='"x"')[0], 200)
        big = self.read("big.bin")
        status, got, _ = self.ask("/big.bin", Range="bytes=100000-4000000")
        self.assertTrue(status == 206 and got == big[100000:4000001])


class Alone(Files):
    """Without a function around, what was said of a file is remembered."""
    AROUND, IS_AROUND = "", None


class Hostile(Static):
    def raw(self, target):
        client = self.connect()
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := client.recv(65536):
            data += piece
        client.close()
        return data

    def test_nothing_outside_of_the_folder(self):
        climbs = [b"/..", b"/../outside/secret", b"/%2e%2e/outside/secret", b"/sub/../../outside/secret", b"/sub/..%2f..%2foutside/secret",
                  b"/..%2foutside%2fsecret", b"/.%2e/outside/secret", b"/%2e./outside/secret", b"/a.txt/../../outside/secret", b"//etc/passwd",
                  b"/more/deep/../../../outside/secret", b"/more/deep/..%2f..%2foutside/secret", b"/%2fetc/passwd", b"/more/deep//etc/passwd",
                  b"/more/deep/%2fetc%2fpasswd", b"/..\\outside\\secret", b"/%5c..%5coutside", b"/outer/secret", b"/etc/passwd", b"/more/deep/etc/passwd",
                  b"/loop", b"/pipe", b"/a.txt%00.html", b"/%00", b"/sub/./index.html", b"/sub//index.html", b"/.hidden", b"/sub/.git/config",
                  b"/" + b"x" * 300, b"/" + b"a/" * 2000, b"/sub/%2e", b"/%c0%ae%c0%ae/outside/secret"]
        for target in climbs:
            said = self.raw(target)
            self.assertIn(said.split(b" ")[1], (b"404", b"400"), (target, said[:300]))
            self.assertNotIn(b"secret\n", said)
        for target in (b"/%", b"/%zz", b"/sub/%4"):
            self.assertEqual(self.raw(target).split(b" ")[1], b"400", target)
        self.assertEqual(self.service.err.text(), "")

    def test_no_address_elsewhere_is_told(self):
        for target in (b"//sub", b"///sub", b"/%2f/sub"):
            said = self.raw(target)
            self.assertNotIn(b"Location: //", said)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_what_may_not_be_read(self):
        os.chmod(os.path.join(self.root, "forbidden"), 0)
        self.assertEqual(self.ask("/forbidden")[0], 403)

    def test_files_are_closed(self):
        def descriptors():
            return len(os.listdir(f"/proc/{self.service.pid}/fd"))
        self.ask("/a.txt")
        before = descriptors()
        for _ in range(300):
            self.ask("/a.txt"), self.ask("/sub/"), self.ask("/a.txt", If_None_Match="*"), self.ask("/a.txt/")
        for _ in range(20):
            client = self.connect()
            client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1000)
            client.close()
        wait_until(lambda: descriptors() <= before + 5, "all are closed")

    def test_a_file_that_becomes_shorter_ends_the_connection(self):
        client = self.connect()
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        got = client.recv(1000)
        os.truncate(os.path.join(self.root, "big.bin"), 1_000_000)
        while piece := client.recv(65536):
            got += piece
        self.assertLess(len(got), 5_000_000)
        self.assertEqual(self.ask("/a.txt")[0], 200)

    def test_many_at_once_and_slow_ones(self):
        big = self.read("big.bin")
        clients = [self.connect() for _ in range(20)]
        for client in clients:
            client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        if not SANITIZED:
            self.assertLess(self.service.resident_kb(), 40000)
        self.assertEqual(self.ask("/a.txt")[0], 200)
        for client in clients:
            data = b""
            while piece := client.recv(1 << 20):
                data += piece
            self.assertTrue(data.split(b"\r\n\r\n", 1)[1] == big)


class Curl(Static):
    def curl(self, *arguments):
        return subprocess.run(["curl", "-s", "--unix-socket", self.path, *arguments], capture_output=True, timeout=60)

    def test_what_a_reader_would_type(self):
        big = self.read("big.bin")
        part = self.file("part", big[:1_234_567])
        self.assertEqual(self.curl("-C", "-", "-o", part, "http://a/big.bin").returncode, 0)
        with open(part, "rb") as file:
            self.assertTrue(file.read() == big)
        self.assertTrue(self.curl("http://a/big.bin").stdout == big)
        self.assertEqual(self.curl("-L", "http://a/sub").stdout, b"<p>sub")
        self.assertEqual(self.curl("--path-as-is", "-w", "%{http_code}", "-o", "/dev/null", "http://a/sub/../../outside/secret").stdout, b"404")
        self.assertRegex(self.curl("-I", "http://a/a.txt").stdout.decode(), re.compile("^etag: \"", re.M | re.I))


class Wrong(Case):
    def test_is_told_where_it_is_written(self):
        for line, words in (("app:static('x', '/tmp')", "expected a path that begins with /"), ("app:static('/:x', '/tmp')", "expected a path"),
                            ("app:static('/x', '/no/such')", "cannot serve the folder /no/such: No such file"),
                            ("app:static('/x', '/etc/passwd')", "Not a directory"), ("app:static('/x', 7)", "expected the path of a folder"),
                            ("app:static('/x', '/tmp', { indx = 'a' })", "unknown option 'indx'"),
                            ("app:static('/x', '/tmp', { max_age = 'a' })", "'max_age': expected a number"),
                            ("app:static('/', '/tmp') app:static('/', '/tmp')", "has a handler already")):
            result = self.run_clouds("run", self.file("w.lua", "local app = require('clouds.http').server()\n" + line))
            self.assertEqual(result.returncode, 1, line)
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stderr, r"w\.lua:2:", line)


if __name__ == "__main__":
    unittest.main()
