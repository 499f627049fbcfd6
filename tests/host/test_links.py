"""clouds status --links, and the links in GET /status: which links nodes have, as they say themselves."""
import http.client
import json
import os
import re
import socket
import unittest

from support import Case, free_port, wait_until

SERVICE = """
    local clouds = require "clouds"
    server = clouds.server{ id = "s.%s"%s }
    server:register("%s", function(seconds) if seconds then clouds.sleep(seconds) end return "here" end)
    server:ready()
    print("ready")
"""
CALLER = """
    local clouds = require "clouds"
    server = clouds.server{ id = "s.caller"%s }
    server:register("caller", function() end)
    client = clouds.client{ id = "c.caller"%s }
    for _, method in ipairs{ %s } do assert(client:call(method)) end
    print("ready")
    %s
"""


class Links(Case):
    def ask(self, *words, status=0):
        result = self.run_clouds("status", "--links", *words)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def rows(self, *words):
        """The table: a list of cells for each row, without the head."""
        lines = self.ask(*words).stdout.splitlines()
        self.assertRegex(lines[0], r"^NODE +PEER +KIND +STATE +AGE +CALLS +QUEUED +ADDRESS +ERROR$")
        return [re.split(r" {2,}", line.strip()) for line in lines[1:]]

    def links(self, *words):
        return {id: node["links"] for id, node in json.loads(self.ask("--json", *words).stdout)["nodes"].items()}


class Local(Links):
    def test_of_every_node(self):
        self.serve(SERVICE % ("a", "", "one"))
        self.serve(CALLER % ("", "", '"one"', 'clouds.spawn(function() client:call("one", { 1000 }) end)'))
        rows = wait_until(lambda: (lambda r: any(row[-4] == "1" for row in r) and r)(self.rows()), "a call is under way")
        self.assertEqual(len(rows), 2, rows)
        theirs, ours = rows
        self.assertEqual(theirs[:5], ["s.a", "<-", theirs[2], "unix", "open"])
        self.assertEqual(ours[1:5], ["->", "s.a", "unix", "open"])
        self.assertEqual(theirs[2], ours[0])
        self.assertEqual((theirs[6:8], ours[6:8]), (["-", "0"], ["1", "0"]))
        self.assertTrue(ours[8].startswith("unix:/") and ours[9] == "-", ours)

    def test_of_one_node(self):
        service = self.serve(SERVICE % ("a", "", "one"))
        self.serve(SERVICE % ("b", "", "two"))
        self.assertEqual(self.rows("s.a"), [["s.a", "no links"]])
        said = json.loads(self.ask("s.a", "--json").stdout)["nodes"]
        self.assertEqual((list(said), said["s.a"]["links"], said["s.a"]["pid"]), (["s.a"], [], service.pid))

    def test_those_that_do_not_answer(self):
        self.serve(SERVICE % ("a", "", "one"))
        self.serve(SERVICE % ("shut", ', admin = "off"', "two"))
        result = self.ask(status=3)
        self.assertRegex(result.stdout, r"(?m)^s\.a +no links$")
        self.assertRegex(result.stderr, r"^s\.shut: CLOUDS_NOT_SUPPORTED: .*it answers no questions \(option admin\).*\n$")
        said = json.loads(self.ask("--json", status=3).stdout)["nodes"]
        self.assertEqual((said["s.a"]["links"], said["s.shut"]["error"]["code"]), ([], "CLOUDS_NOT_SUPPORTED"))
        self.assertRegex(self.ask("s.nobody", status=3).stderr, r"^s\.nobody: CLOUDS_NO_AVAILABLE_SERVER: no available server s\.nobody")

    def test_nobody_is_there(self):
        self.assertEqual(self.ask().stdout, "no services\n")
        self.assertEqual(json.loads(self.ask("--json").stdout), {"nodes": {}})

    def test_again_and_again(self):
        self.serve(SERVICE % ("a", "", "one"))
        watch = self.start("status", "--links", "--watch", "0.1", "--json")
        wait_until(lambda: watch.out.text().count("\n") >= 3, "it is shown again")
        self.assertEqual({line for line in watch.out.text().splitlines()[:3]}, {watch.out.text().splitlines()[0]})
        self.assertEqual(watch.stop(), 0)

    def test_wrong_usage(self):
        self.assertIn("unexpected argument 's.a'; nodes are named for --links", self.run_clouds("status", "s.a").stderr)
        self.assertEqual(self.run_clouds("status", "s.a").returncode, 2)
        self.assertIn("over inproc: there are none", self.ask("--url", "inproc:x", status=2).stderr)


class OverRedis(Links):
    def open(self, more):
        self.redis()
        self.server = self.serve(SERVICE % ("a", ', admin = "on"' + more, "one"))
        options = ', admin = "on"' + more  # the same for both, so that they share a context
        self.serve(CALLER % (options, options, '"one"', ""))
        self.call("one")

    def call(self, method):
        """Calls until they go by a link."""
        wait_until(lambda: self.run_clouds("call", method).returncode == 0, "it is called")

    def expect(self, kind, address):
        def both():
            rows = self.rows()
            return len(rows) == 2 and all(row[4:5] == ["open"] for row in rows) and rows
        rows = wait_until(both, "the link is open at both ends")
        theirs, ours = rows
        self.assertEqual((theirs[:4], ours[:4]), (["s.a", "<-", "s.caller", kind], ["s.caller", "->", "s.a", kind]))
        self.assertRegex(ours[8], address)

    def test_unix(self):
        self.open("")
        self.expect("unix", "^unix:")
        self.assertEqual([link["nodes"] for link in self.links("s.caller")["s.caller"]], [["s.a"]])

    def test_tcp(self):
        self.open(', listen = "tcp://127.0.0.1:0"')
        self.expect("tcp", r"^tcp:127\.0\.0\.1:\d+$")

    def test_tls(self):
        key = os.path.join(self.folder, "key")
        self.assertEqual(self.run_clouds("key", key).returncode, 0)
        self.open(f', listen = "tcp://127.0.0.1:0", key_file = "{key}"')
        self.expect("tls", r"^tcp:127\.0\.0\.1:\d+$")

    def test_one_that_rests_says_why(self):
        self.redis()
        port = free_port()
        self.serve(SERVICE % ("a", f', admin = "on", listen = "tcp://127.0.0.1:0", advertise = "127.0.0.1:{port}"', "one"))
        self.serve(CALLER % (', admin = "on"', ', admin = "on"', '"one", "one"', "clouds.spawn(function() while client:call('one') do clouds.sleep(0.1) end end)"))
        rows = wait_until(lambda: (lambda r: any("resting" in row[4] for row in r if len(row) > 4) and r)(self.rows("s.caller")), "it rests")
        self.assertEqual(rows[0][:4], ["s.caller", "->", "s.a", "-"])
        self.assertEqual(rows[0][-1], f"connect 127.0.0.1:{port}: connection refused")

    def test_without_direct_links(self):
        self.open(", direct = false")
        self.assertEqual(self.rows(), [["s.a", "no links"], ["s.caller", "no links"]])

    def test_where_nobody_may_ask(self):
        self.redis()
        self.serve(SERVICE % ("a", "", "one"))
        self.assertIn("s.a: CLOUDS_NOT_SUPPORTED: ", self.ask(status=3).stderr)


class OverEtcd(Links):
    def test_the_link_that_asks_is_left_out(self):
        self.etcd()
        self.serve(SERVICE % ("a", ', admin = "on"', "one"))
        self.assertEqual(self.rows(), [["s.a", "no links"]])
        options = ', admin = "on"'
        self.serve(CALLER % (options, options, '"one"', ""))
        theirs, ours = self.rows()
        self.assertEqual((theirs[:5], ours[:5]), (["s.a", "<-", "s.caller", "unix", "open"], ["s.caller", "->", "s.a", "unix", "open"]))


class Endpoint(Case):
    def test_status_has_the_links(self):
        path = os.path.join(self.folder, "admin.sock")
        service = self.start("run", "--admin", f"unix:{path}", self.file("s.lua", SERVICE % ("a", "", "one")))
        service.out.wait_for("ready")

        def status():
            connection = http.client.HTTPConnection("localhost", timeout=60)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(path)
            connection.request("GET", "/status")
            said = json.loads(connection.getresponse().read())
            connection.close()
            return said
        self.assertEqual(status()["links"], [])
        self.start("run", self.file("c.lua", 'client = require("clouds").client{ id = "c.far" } client:call("one", { 1000 })'))
        links = wait_until(lambda: [link for link in status()["links"] if link["peer"]], "a link is shown, and whose")
        self.assertEqual([(link["peer"], link["here"], link["ours"]) for link in links], [("c.far", "s.a", False)])


if __name__ == "__main__":
    unittest.main()
