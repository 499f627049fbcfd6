"""Who answered a call, as the commands and the gateway say it: of two servers in processes of their own, over every bus."""
import os
import shutil
import unittest

from gateway_support import Gateway
from support import Case, wait_until

SERVER = """
    local clouds = require "clouds"
    local id, answers = ...
    local server = clouds.server { id = id }
    assert(server:register("who", function() return server.id end))
    assert(server:register("refuse", function() error { message = server.id, code = "E_NO", status = 409 } end))
    assert(server:register("work", function()
        if not io.open(answers) then
            print("begun")
            clouds.sleep(1000)
        end
        return server.id
    end))
    assert(server:register("of " .. id, function() return id end))
    print("ready")
"""
IDS = ("s.first", "s.second")


class About:
    """Runs for each kind of cluster."""

    patience = "60"  # for one attempt

    def open_servers(self):
        """Their processes by id."""
        self.answers = os.path.join(self.folder, "answers")
        return {id: self.serve(SERVER, id, self.answers) for id in IDS}

    def call(self, *arguments, code=0):
        """What `clouds call` prints, and which server that was."""
        result = self.run_clouds("call", "--tell-server", *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        said = [line[len("server: "):] for line in result.stderr.splitlines() if line.startswith("server: ")]
        self.assertEqual(len(said), 1, result.stderr)
        return result, said[0]

    def test_a_result_and_an_error_say_their_server(self):
        self.open_servers()
        for id in IDS:
            result, server = self.call("of " + id)
            self.assertEqual((result.stdout, server), (f'"{id}"\n', id))
            result, server = self.call("--server", id, "--json", "refuse", code=1)
            self.assertEqual((self.json(result, 1)["error"]["message"], server), (id, id))
            self.assertEqual(self.run_clouds("notify", "--tell-server", "--server", id, "who").stderr, f"server: {id}\n")
        result, server = self.call("--json", "who")
        self.assertEqual(self.json(result), [server])
        result = self.run_clouds("call", "--tell-server", "nobody")
        self.assertEqual((result.returncode, "server:" in result.stderr), (3, False))
        self.assertEqual(self.run_clouds("call", "who").stderr, "")

    def test_after_the_first_was_killed_it_is_the_second(self):
        servers = self.open_servers()
        caller = self.start("call", "--tell-server", "--timeout", self.patience, "--retry", "3", "work")

        def asked():
            return next((id for id in IDS if "begun" in servers[id].out.text()), None)
        first = wait_until(asked, "the call at a server")
        open(self.answers, "w").close()
        servers[first].popen.kill()
        self.assertEqual(caller.wait(), 0, caller.err.text())
        second, = set(IDS) - {first}
        self.assertEqual((caller.out.text(), caller.err.text()), (f'"{second}"\n', f"server: {second}\n"))


class OverLocal(About, Case):
    pass


class OverRedis(About, Case):
    patience = "3"  # nobody hears there that a server was killed

    def setUp(self):
        super().setUp()
        self.redis()


@unittest.skipUnless(shutil.which("etcd"), "no etcd")
class OverEtcd(About, Case):
    def setUp(self):
        super().setUp()
        self.etcd()


class InProcess(Case):
    def test_inproc(self):
        result = self.run_clouds("run", "-e", """
            local clouds = require "clouds"
            local url, about = "inproc:", {}
            local server = clouds.server { url = url, id = "s.here" }
            assert(server:register("who", function() return server.id end))
            print(clouds.client { url = url }:call("who", {}, { about = about }), about.server)
            server:close(0)
        """)
        self.assertEqual((result.stdout, result.stderr), ("s.here\ts.here\n", ""))


class OfTheGateway(Gateway):
    def open_servers(self, *options):
        answers = os.path.join(self.folder, "answers")
        self.second = self.serve(SERVER, "s.second", answers)
        self.open("--allow", "*", *options, services=SERVER.replace("= ...", f"= 's.first', '{answers}'", 1))

    def test_answers_say_it_where_that_is_wanted(self):
        self.open_servers("--tell-server")
        seen = set()
        while len(seen) < 2:
            status, value, fields = self.post("who")
            self.assertEqual((status, fields["Clouds-Server"]), (200, value[0]))
            status, value, fields = self.post("refuse")
            self.assertEqual((status, fields["Clouds-Server"]), (409, value["error"]["message"]))
            seen.add(fields["Clouds-Server"])
        status, value, fields = self.post("nobody")
        self.assertEqual((status, fields["Clouds-Server"]), (404, None))

    def test_a_server_that_does_not_answer_in_time_is_said_too(self):
        self.open_servers("--tell-server")
        status, value, fields = self.post("work", Clouds_Timeout="2")
        self.assertEqual((status, value["error"]["outcome"]), (504, "UNKNOWN"))
        self.assertIn(fields["Clouds-Server"], IDS)
        self.assertNotIn("server", value["error"])

    def test_by_default_nothing_is_said_of_the_cluster(self):
        self.open_servers()
        for method in ("who", "refuse"):
            self.assertIsNone(self.post(method)[2]["Clouds-Server"])

    def test_as_a_setting(self):
        self.open_servers(*self.config("return { allow = { '*' }, tell_server = true }"))
        self.assertIn(self.post("who")[2]["Clouds-Server"], IDS)


if __name__ == "__main__":
    unittest.main()
