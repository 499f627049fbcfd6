"""Nodes that come and go, who is listed, and messages, between the original and ours."""
import unittest

from support import CROSS, NO_SERVER, TIMEOUT, Case, wait_until


class Registrations(Case):
    def status(self):
        return self.json(self.run_clouds("status", "--json"))

    def test_the_originals_monitor_sees_ours(self):
        watching, npm, lua = self.agents("npm", "npm", "lua")
        watching.node("monitor", "m")
        self.assertEqual(watching.ask("status", node="m")["status"], {"servers": {}, "methods": {}})
        theirs, ours = npm.server("both=echo", "npm.only=echo"), lua.server("both=echo", "lua.only=echo")
        status = watching.ask("status", node="m")["status"]
        self.assertEqual({id: sorted(names) for id, names in status["servers"].items()},
                         {theirs: ["both", "npm.only"], ours: ["both", "lua.only"]})
        self.assertEqual({name: sorted(ids) for name, ids in status["methods"].items()},
                         {"both": sorted([theirs, ours]), "npm.only": [theirs], "lua.only": [ours]})
        self.assertEqual(lua.stop(), 0)
        self.assertEqual(list(watching.ask("status", node="m")["status"]["servers"]), [theirs])

    def test_our_status_sees_the_originals(self):
        npm, lua = self.agents("npm", "lua")
        theirs, ours = npm.server("both=echo", "npm.only=echo"), lua.server("both=echo", "lua.only=echo")
        lua.node("monitor", "m")
        for status in (self.status(), lua.ask("status", node="m")["status"]):
            self.assertEqual({id: sorted(names) for id, names in status["servers"].items()},
                             {theirs: ["both", "npm.only"], ours: ["both", "lua.only"]})
            self.assertEqual({name: sorted(ids) for name, ids in status["methods"].items()},
                             {"both": sorted([theirs, ours]), "npm.only": [theirs], "lua.only": [ours]})
        npm.ask("exit", node="s")
        wait_until(lambda: list(self.status()["servers"]) == [ours], "the original left")

    def test_our_program_calls_and_sends_to_the_original(self):
        npm = self.agent("npm")
        id = npm.server("echo", "fail", "hang")
        result = self.run_clouds("call", "echo", "1", '{"a":[null]}', "--json")
        self.assertEqual(self.json(result), [1, {"a": [None]}])
        failed = self.json(self.run_clouds("call", "fail", '"members"', "--json"), 1)
        self.assertEqual(failed["error"]["code"], "E_BOOM")
        self.assertEqual(self.json(self.run_clouds("call", "hang", "-t", "1.5", "--json"), 4)["error"]["code"], TIMEOUT)
        self.assertEqual(self.json(self.run_clouds("call", "nobody", "--json"), 3)["error"]["code"], NO_SERVER)
        result = self.run_clouds("send", id, '{"b":[]}', "--strict")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(npm.event(lambda e: e["event"] == "message")["value"], {"b": []})

    def test_a_method_that_is_taken_back(self):
        npm, lua = self.agents("npm", "lua")
        lua.server("stays=echo", "goes=echo")
        npm.node("client", "c", timeout=10, serverMaxAge=0.2)
        self.assertEqual(npm.call("goes", 1)["values"], [1])
        lua.ask("unregister", node="s", method="goes")
        self.wait_for_keys(1)
        result = npm.call("goes", 1)["error"]
        self.assertTrue(result.get("code") == NO_SERVER or result["message"] == "service handler not found", result)
        self.assertEqual(npm.call("stays", 1)["values"], [1])
        lua.ask("register", node="s", method="goes", **{"as": "echo"})
        wait_until(lambda: npm.call("goes", 2)["values"] == [2], "it is back")

    def test_a_key_that_the_original_deleted_comes_back_with_the_heartbeat(self):
        npm, lua = self.agents("npm", "lua")
        ours = lua.server("hang", "echo", heartbeat=2)
        npm.node("client", "c", timeout=1)
        commands = self.watch("MONITOR")
        self.expect_code(npm.call("hang"), TIMEOUT)
        commands.wait_for(lambda line: b'"del" "clouds:S:hang:' in line.lower().replace(b'"clouds:s:', b'"clouds:S:'),
                          "the original deletes the key")
        self.assertEqual(len(self.wait_for_keys(2)), 2)
        self.assertEqual(self.server.command("GET", f"clouds:S:hang:{ours}"), b"1")
        self.assertEqual(npm.call("echo", 3)["values"], [3])

    def test_all_keys_come_back_after_flushall(self):
        npm, lua = self.agents("npm", "lua")
        npm.server("npm.echo=echo", heartbeat=2), lua.server("lua.echo=echo", heartbeat=2)
        npm.node("client", "c", timeout=5), lua.node("client", "c", timeout=5)
        self.wait_for_keys(2)
        self.server.command("FLUSHALL")
        self.wait_for_keys(2)
        self.assertEqual(npm.call("lua.echo", 1)["values"], [1])
        self.assertEqual(lua.call("npm.echo", 1)["values"], [1])

    def test_our_caller_deletes_the_key_of_an_original_that_timed_out(self):
        npm, lua = self.agents("npm", "lua")
        npm.server("hang", "echo", heartbeat=60)
        lua.node("client", "c", timeout=1.5)
        self.expect_code(lua.call("hang"), TIMEOUT)
        keys = self.wait_for_keys(1)
        self.assertIn("clouds:S:echo:", keys[0])

    def test_it_does_not_when_told_so(self):
        npm, lua = self.agents("npm", "lua")
        npm.server("hang", heartbeat=60)
        lua.node("client", "c", timeout=1.5, auto_clean=False)
        commands = self.watch("MONITOR")
        self.expect_code(lua.call("hang"), TIMEOUT)
        lua.call("nobody")
        self.assertEqual(len(self.keys()), 1)
        self.assertFalse([line for line in commands.all() if b'"DEL"' in line.upper()])

    def test_our_caller_leaves_the_key_of_one_of_ours(self):
        one, two = self.agents("lua", "lua")
        one.server("hang", heartbeat=60)
        two.node("client", "c", timeout=1.5)
        commands = self.watch("MONITOR")
        self.expect_code(two.call("hang"), TIMEOUT)
        two.call("nobody")
        self.assertEqual(len(self.keys()), 1)
        self.assertFalse([line for line in commands.all() if b'"DEL"' in line.upper()])

    def test_a_killed_server_is_unlisted_after_its_time(self):
        agents = self.agents("npm", "lua")
        for agent in agents:
            agent.server("echo", heartbeat=1)
        self.assertEqual(len(self.keys()), 2)
        for agent in agents:
            agent.kill()
        self.wait_for_keys(0)

    def test_ids_that_begin_alike_do_not_take_each_other_along(self):
        # The original deletes every key that contains the id of the one that leaves (WIRE.md 5.4): ours come back.
        npm, lua = self.agents("npm", "lua")
        lua.server("echo", id="s.x.10", heartbeat=2), lua.server("echo", name="t", id="s.x.11", heartbeat=2)
        npm.server("echo", id="s.x.1", heartbeat=2)
        self.wait_for_keys(3)
        npm.ask("exit", node="s")
        self.wait_for_keys(2)
        lua.ask("exit", node="s")
        self.assertEqual(self.wait_for_keys(1), ["clouds:S:echo:s.x.11"])

    def test_names_with_signs_in_them(self):
        npm, lua = self.agents("npm", "lua")
        lua.node("client", "c", timeout=10, auto_clean=False), npm.node("client", "c", timeout=10)
        npm.server("a*=who", "ab=echo", "q?=who", "b[x]=who", "back\\slash=who", "c:d=echo")
        for method in ("a*", "q?", "b[x]", "back\\slash"):
            for _ in range(3):
                self.assertEqual(len(lua.call(method)["values"]), 1, method)
        # Keys of c:d are none of c, and those of ab none of a*.
        self.expect_code(lua.call("c"), NO_SERVER)
        self.expect_code(lua.call("b*"), NO_SERVER)
        self.assertEqual(lua.call("c:d", 1)["values"], [1])


class Messages(Case):
    def test_both_ways(self):
        npm, lua = self.agents("npm", "lua")
        ids = {}
        for agent in (npm, lua):
            for kind in ("server", "client", "monitor", "base"):
                ids[agent, kind] = agent.node(kind, kind)
        for sender, receiver in ((npm, lua), (lua, npm)):
            for kind in ("server", "client", "monitor", "base"):
                for value in ({"a": [1, None, {}], "kind": kind}, None, "text \u4e16\ud800", 0, False, []):
                    seen = len(receiver.events())
                    answer = sender.ask("send", node=kind, to=ids[receiver, kind], value=value)
                    self.assertIn(answer.get("received", 1), (1,))
                    event = receiver.wait_for(lambda: receiver.events()[seen:], "the message")[0]
                    self.assertEqual(event, {"event": "message", "node": kind, "from": ids[sender, kind],
                                             "value": value})

    def test_unknown_types_both_ways(self):
        for kind in ("npm", "lua"):
            agent = self.agent(kind)
            for node in ("server", "client", "monitor", "base"):
                id = agent.node(node, node)
                for text in ('{"t":"zz","s":"somebody","d":{"x":1}}', '{"t":"zz","s":"somebody"}'):
                    before = len(agent.events())
                    self.assertEqual(self.server.command("PUBLISH", f"clouds:L:{id}", text), 1)
                    event = agent.wait_for(lambda: agent.events()[before:], f"unknown message at {kind} {node}")[0]
                    self.assertEqual(event, {"event": "unknown message", "node": node, "type": "zz",
                                             "from": "somebody"})

    def test_a_call_to_a_node_that_serves_nothing(self):
        # A base node of the original does not know calls; a node of ours answers that it has no such method.
        for kind in ("npm", "lua"):
            agent = self.agent(kind)
            base = agent.node("base", "b")
            self.server.command("PUBLISH", f"clouds:L:{base}", '{"t":"c","s":"somebody","d":{"i":"1","m":"x","a":[]}}')
            if kind == "npm":
                self.assertEqual(agent.event(lambda e: e["event"] == "unknown message")["type"], "c")
            self.assertEqual(self.server.command("PUBLISH", f"clouds:L:{base}", '{"t":"m","s":"s","d":1}'), 1)
            self.assertEqual(agent.event(lambda e: e["event"] == "message")["value"], 1)

    def test_another_prefix_is_another_cluster(self):
        for server, client in CROSS:
            one, two = self.agents(server, client)
            prefix = f"other:{server}"
            theirs = {"redis": {"path": self.server.socket, "prefix": prefix}}
            ours = {"prefix": prefix}
            one.server("echo", **(theirs if server == "npm" else ours))
            two.node("client", "c", **(theirs if client == "npm" else ours))
            two.node("client", "d")
            self.assertEqual(two.call("echo", 1)["values"], [1])
            self.expect_code(two.call("echo", 1, node="d"), NO_SERVER)
            self.assertEqual(len(self.keys(f"{prefix}:S:echo:*")), 1)


if __name__ == "__main__":
    unittest.main()
