"""Servers of both kinds side by side: everyone gets a share, and no call fails because one of them is gone."""
import collections
import json
import unittest

from support import TIMEOUT, Case, wait_until

KINDS = ("npm", "npm", "lua", "lua")


class Routing(Case):
    def cluster(self, *methods, heartbeat=5):
        """Two servers of each kind: agents by node id."""
        agents = self.agents(*KINDS)
        servers = {agent.server(*methods, heartbeat=heartbeat): agent for agent in agents}
        self.assertEqual(len(servers), 4)
        return servers

    def client(self, kind, **options):
        agent = self.agent(kind)
        agent.node("client", "c", **options)
        return agent

    def share(self, client, servers, method="who", count=40, **more):
        got = client.ask("calls", node="c", method=method, count=count, **more)["got"]
        self.assertEqual(len(got), count)
        self.assertLessEqual(set(got), set(servers), got)
        return collections.Counter(got)

    def test_the_original_calls_all_in_turn(self):
        servers = self.cluster("who")
        share = self.share(self.client("npm"), servers)
        self.assertEqual(share, {id: 10 for id in servers})

    def our_client(self, servers, *methods, **options):
        """A client of ours that has heard of all servers: of ours at once, of others with the next refresh."""
        client = self.client("lua", server_max_age=1, **options)
        for method in methods or ("who",):
            wait_until(lambda: set(self.share(client, servers, method, count=8)) == set(servers), "all are known")
        return client

    def test_ours_calls_all_in_turn(self):
        servers = self.cluster("who")
        share = self.share(self.our_client(servers), servers)
        self.assertEqual(share, {id: 10 for id in servers})

    def test_it_is_known_who_answered(self):
        servers = self.cluster("who")
        self.our_client(servers)
        for id in servers:
            result = self.run_clouds("call", "--tell-server", "--server", id, "who")
            self.assertEqual((result.stdout, result.stderr), (f'"{id}"\n', f"server: {id}\n"))
        result = self.run_clouds("call", "--tell-server", "who")
        self.assertEqual(result.stderr, f"server: {json.loads(result.stdout)}\n")

    def test_ours_calls_all_at_once(self):
        servers = self.cluster("who")
        share = self.share(self.our_client(servers), servers, count=400, at_once=50)
        for id in servers:
            self.assertGreaterEqual(share[id], 50, share)

    def test_the_turn_goes_on_while_the_list_is_refreshed(self):
        servers = self.cluster("slow")
        client = self.client("lua", server_max_age=0.5)
        wait_until(lambda: set(self.share(client, servers, "slow", count=8, args=[0])) == set(servers), "all are known")
        share = self.share(client, servers, "slow", count=120, args=[0.02])
        for id in servers:
            self.assertLessEqual(abs(share[id] - 30), 3, share)

    def test_two_methods_in_turn_reach_all(self):
        servers = self.cluster("who", "other=who")
        client = self.our_client(servers, "who", "other")
        got = {"who": [], "other": []}
        for _ in range(4):
            for method in got:
                got[method] += self.share(client, servers, method, count=1)
        for method in got:
            self.assertEqual(sorted(got[method]), sorted(servers), method)

    def expect_all_done(self, caller, killed, at_once):
        servers = self.cluster("who")
        client = self.our_client(servers, timeout=1) if caller == "lua" else self.client(caller, timeout=1)
        victim = next(id for id, agent in servers.items() if agent.kind == killed)
        order = client.begin("calls", node="c", method="who", count=200, at_once=at_once, retry=10)
        servers[victim].kill()
        got = collections.Counter(client.finish(order)["got"])
        self.assertEqual(sum(got.values()), 200)
        self.assertLessEqual(set(got), set(servers), got)
        share = self.share(client, servers, count=9, retry=10)
        self.assertNotIn(victim, share)

    def test_one_of_ours_is_killed_under_the_original(self):
        self.expect_all_done("npm", "lua", 5)

    def test_one_of_the_originals_is_killed_under_ours(self):
        self.expect_all_done("lua", "npm", 5)

    def test_one_of_ours_is_killed_under_ours(self):
        self.expect_all_done("lua", "lua", 5)

    def test_a_killed_server_costs_our_caller_nothing(self):
        # Nobody is subscribed to its channel any more: that is known at once, without a retry or a timeout.
        servers = self.cluster("who", heartbeat=60)
        client = self.our_client(servers)
        victim = next(id for id, agent in servers.items() if agent.kind == "npm")
        servers[victim].kill()
        wait_until(lambda: self.server.command("PUBSUB", "NUMSUB", f"clouds:L:{victim}")[1] == 0, "it is gone")
        share = self.share(client, servers, count=30)
        self.assertNotIn(victim, share)

    def test_one_stops_in_order_under_both(self):
        servers = self.cluster("who")
        clients = [self.client("npm", timeout=2), self.our_client(servers, timeout=10)]
        self.share(clients[0], servers, count=8)
        leaver = next(id for id, agent in servers.items() if agent.kind == "lua")
        orders = [client.begin("calls", node="c", method="who", count=300, at_once=3, retry=5) for client in clients]
        self.assertEqual(servers[leaver].stop(), 0)
        for client, order in zip(clients, orders):
            got = client.finish(order)["got"]
            self.assertLessEqual(set(got), set(servers), client.kind)
        self.assertFalse([key for key in self.keys() if leaver in key])
        self.assertNotIn(leaver, self.share(clients[1], servers, count=9))

    def test_one_of_the_originals_leaves(self):
        servers = self.cluster("who")
        client = self.our_client(servers)
        leaver = next(id for id, agent in servers.items() if agent.kind == "npm")
        servers[leaver].ask("exit", node="s")
        wait_until(lambda: self.server.command("PUBSUB", "NUMSUB", f"clouds:L:{leaver}")[1] == 0, "it is gone")
        self.assertNotIn(leaver, self.share(client, servers, count=30))

    def test_a_new_server_of_the_other_kind_is_found(self):
        for old, new in (("lua", "npm"), ("npm", "lua"), ("lua", "lua")):
            one, two = self.agents(old, new)
            method = f"{old}.{new}"
            servers = {one.server(f"{method}=who")}
            client = self.client("lua", server_max_age=2)
            self.assertEqual(set(self.share(client, servers, method, count=4)), servers)
            servers.add(two.server(f"{method}=who"))
            wait_until(lambda: set(self.share(client, servers, method, count=8)) == servers, f"{new} beside {old}")

    def test_a_slow_server_is_avoided_and_comes_back(self):
        # The call to the one that hangs times out; the next go to the others until it is heard of again.
        npm, lua, caller = self.agents("npm", "lua", "lua")
        hanging = npm.server("work=hang")
        working = lua.server("work=who")
        caller.node("client", "c", timeout=2)
        got = caller.ask("calls", node="c", method="work", count=6, retry=3)["got"]
        self.assertEqual(set(got), {working}, hanging)
        got = caller.ask("calls", node="c", method="work", count=3)["got"]
        self.assertLessEqual(set(got), {working, TIMEOUT})


if __name__ == "__main__":
    unittest.main()
