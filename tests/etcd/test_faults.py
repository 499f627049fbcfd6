"""etcd dies, stops, forgets, refuses: calls between processes that know each other go on, and the keys come back."""
import os
import unittest

import etcd_support as support
from certificates import Authority
from etcd_support import Case, Load, RENEWING, wait_until
from tcp_proxy import Proxy

NAMED = RENEWING.replace("clouds.server {", "clouds.server { id = \"s.named\",")


class Faults(Case):
    def setUp(self):
        super().setUp()
        self.server = self.etcd()

    def served(self):
        """The ids of the servers of the echo, as etcd has them."""
        return sorted(key.rpartition("/")[2] for key, record in self.server.keys().items() if record["m"] == ["test.echo"])

    def services(self, count=2):
        found = [self.serve(RENEWING) for _ in range(count)]
        self.ids = sorted(service.out.text().split()[-1] for service in found)
        return found

    def finish_without_failure(self, load):
        books = load.finish()
        self.assertEqual(books["codes"], {}, books)
        self.assertEqual(books["ok"], books["calls"], books)

    def has_all_back(self):
        """Each under the lease of its own process."""
        def is_back():
            leases = [self.server.lease_of("clouds/n/" + id) for id in self.ids]
            return self.served() == self.ids and all(leases) and len(set(leases)) == len(leases)
        wait_until(is_back, "all keys are there")

    # ---- E1

    def test_E1_killed_and_restarted(self):
        self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        for _ in range(2):
            load.goes_on()
            self.server.kill()
            load.goes_on(1000)
            self.server.start()
            self.has_all_back()
            load.goes_on()
        self.finish_without_failure(load)

    def test_E1_what_changed_while_away_is_seen(self):
        services = self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        self.server.kill()
        services[0].discard()  # nobody hears of that from etcd
        load.goes_on()
        self.server.start()
        late = self.serve(RENEWING)
        services[1].discard()
        load.goes_on()  # by who came after the return
        self.assertEqual(late.popen.poll(), None)
        books = load.finish()
        self.assertEqual((books["outcomes"]["NOT_DONE"], books["outcomes"]["APP_ERROR"]), (0, 0), books)

    def test_E1_restarted_empty(self):
        self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        self.server.kill()
        self.server.forget()
        self.server.start()
        self.has_all_back()
        load.goes_on()
        self.finish_without_failure(load)

    def test_E1_compacted_while_away(self):
        services = self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        load.signal(support.signal.SIGSTOP)
        self.server.kill()  # so that its watch is over
        self.server.start()
        late = self.serve(RENEWING)
        for service in services:
            self.assertEqual(service.stop(), 0)
        revision = self.server.post("/v3/kv/range", key="AA==")["header"]["revision"]
        self.server.post("/v3/kv/compaction", revision=revision, physical=True)
        load.signal(support.signal.SIGCONT)
        load.goes_on()
        self.assertEqual(late.popen.poll(), None)
        books = load.finish()
        self.assertEqual(books["outcomes"]["NOT_DONE"], 0, books)

    def test_E1_stopped_for_ten_seconds(self):
        self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        self.server.pause()
        end = support.time.monotonic() + 10
        while support.time.monotonic() < end:
            load.goes_on()
        self.server.resume()
        self.has_all_back()
        load.goes_on()
        self.finish_without_failure(load)

    def test_E1_cut_off_by_the_network(self):
        """A service and a caller of it are cut off from etcd, in silence: its lease ends, and the link carries calls still."""
        proxy = Proxy(self.server.client)
        self.addCleanup(proxy.close)
        behind = f"etcd://127.0.0.1:{proxy.port}"
        services = [self.serve(RENEWING, env={"CLOUDS_URL": behind}), self.serve(RENEWING, env={"CLOUDS_URL": self.server.url})]
        cut_off, free = (service.out.text().split()[-1] for service in services)
        self.ids = sorted([cut_off, free])
        load = Load(self, behind, timeout=20, deadline=30)
        load.goes_on()
        proxy.way = "swallow"
        wait_until(lambda: self.served() == [free], "the lease has ended")
        load.goes_on()
        proxy.way = "forward"
        self.has_all_back()
        load.goes_on()
        self.finish_without_failure(load)

    # ---- E2

    def test_E2_a_lease_that_is_revoked_by_hand(self):
        self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        for id in self.ids:
            lease = self.server.lease_of("clouds/n/" + id)
            self.server.post("/v3/lease/revoke", ID=lease)
            wait_until(lambda: self.server.lease_of("clouds/n/" + id) not in (None, lease), "the key is back under a new lease")
        load.goes_on()
        self.finish_without_failure(load)

    def test_E2_a_key_that_is_deleted_by_hand(self):
        self.services()
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        for id in self.ids:
            self.server.post("/v3/kv/deleterange", key=self.server.b64("clouds/n/" + id))
        self.has_all_back()
        load.goes_on()
        self.finish_without_failure(load)

    # ---- E3

    def with_rights(self, prefix):
        """A user who may do all below a prefix; from now on etcd asks who it is."""
        post, b64 = self.server.post, self.server.b64
        for user in ("root", "me"):
            post("/v3/auth/user/add", name=user, password="a:b@c/" if user == "me" else "secret")
        post("/v3/auth/role/add", name="root")
        post("/v3/auth/role/add", name="mine")
        post("/v3/auth/role/grant", name="mine", perm={"permType": "READWRITE", "key": b64(prefix), "range_end": b64(prefix[:-1] + "0")})
        post("/v3/auth/user/grant", user="root", role="root")
        post("/v3/auth/user/grant", user="me", role="mine")
        post("/v3/auth/enable")
        return self.server.url.replace("//", "//me:a%3Ab%40c%2F@")

    def test_E3_with_a_password_and_tokens_that_end(self):
        self.env["CLOUDS_URL"] = url = self.with_rights("clouds/n/")
        self.serve(RENEWING)
        load = Load(self, url, timeout=20, deadline=30)
        load.goes_on()
        for _ in range(2):
            self.server.kill()  # its tokens end with it
            self.server.start()
            self.serve(RENEWING)
            load.goes_on()
        self.finish_without_failure(load)

    def token(self):
        return self.server.post("/v3/auth/authenticate", name="root", password="secret")["token"]

    def test_E3_a_token_ends_while_all_goes_on(self):
        self.server.stop()
        self.server = self.etcd("--auth-token-ttl", "1")
        self.env["CLOUDS_URL"] = url = self.with_rights("clouds/n/")
        again = RENEWING + """
            for number = 1, 3 do
              clouds.sleep(2.5)  -- its token has ended
              assert(server:register("more" .. number, print))
              print("registered", number)
            end"""
        service = self.serve(again)
        load = Load(self, url, timeout=20, deadline=30)
        service.out.wait_for("registered\t3")
        load.goes_on()
        for round in range(2):  # a change of the rights makes every token old
            self.server.post("/v3/auth/role/add", token=self.token(), name=f"another{round}")
            self.serve(RENEWING)
            load.goes_on()
        self.finish_without_failure(load)

    def refusal(self, url):
        result = self.run_clouds("status", "--url", url)
        self.assertNotEqual(result.returncode, 0)
        return result.stderr

    def test_E3_refusals_say_what_is_missing(self):
        url = self.with_rights("other/n/")
        where = f"etcd at 127.0.0.1:{self.server.client}"
        refused = self.refusal(url)
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertIn(where, refused)
        self.assertIn("lacks the right to read and write keys", refused)
        refused = self.refusal(url.replace("//me:", "//me:x"))
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertIn("invalid user ID or password", refused)
        self.assertNotIn("x", refused.split("://")[-1].split("@")[0] if "://" in refused else "")
        refused = self.refusal(self.server.url)
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertIn("it wants a user and a password", refused)
        self.assertEqual(self.run_clouds("status", "--url", url + "/other").returncode, 0)

    # ---- whose an id is, and who leaves

    def test_an_id_that_is_in_use(self):
        first = self.serve(NAMED)
        second = self.start("run", self.file("second.lua", NAMED))
        self.assertNotEqual(second.wait(), 0)
        self.assertIn("s.named is in use by process", second.err.text())
        first.discard()  # as kill -9: its lease has to end first
        self.serve(NAMED)

    def test_who_stops_leaves_nothing(self):
        services = self.services(3)
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        for service in services[1:]:
            self.assertEqual(service.stop(), 0)
            load.goes_on()
        self.assertEqual(self.served(), [services[0].out.text().split()[-1]])
        self.finish_without_failure(load)
        self.assertEqual(services[0].stop(), 0)
        self.assertEqual([key for key in self.server.keys() if key.startswith("clouds/n/s.")], [])
        leases = self.server.post("/v3/lease/leases").get("leases", [])
        self.assertLessEqual(len(leases), 1)  # that of the client, which was not closed

    def test_pausing(self):
        service = RENEWING + """
            server:register("go", function() server:resume("test.echo") return true end)
            server:pause("test.echo")
            print("paused")"""
        process = self.start("run", self.file("pausing.lua", service))
        process.out.wait_for("paused")
        ask = 'local c = require "clouds".client { timeout = 20, retry = %d } print(c:call("test.echo", { "hello" }))'
        wait_until(lambda: any(record.get("p") == ["test.echo"] for record in self.server.keys().values()), "it is paused")
        result = self.run_clouds("run", self.file("ask.lua", ask % 0))
        self.assertIn("1 server is paused", result.stdout + result.stderr)
        waiting = self.start("run", self.file("wait.lua", ask % 1))
        self.assertEqual(self.run_clouds("call", "go").returncode, 0)
        waiting.out.wait_for("hello")

    # ---- how links go

    def test_over_tcp(self):
        """Two that share no folder, as on two machines; the address is that of the way to etcd."""
        elsewhere = os.path.join(self.folder, "elsewhere")
        os.mkdir(elsewhere, 0o700)
        listening = RENEWING.replace("clouds.server {", "clouds.server { listen = 'tcp://0.0.0.0:0', insecure = true,")
        self.serve(listening, env={"CLOUDS_RUNTIME_DIR": elsewhere})
        (record,) = self.server.keys().values()
        self.assertRegex(" ".join(record["at"]), r"^link:[0-9a-f]{16} tcp:127\.0\.0\.1:\d+$")
        load = Load(self, self.server.url, timeout=20, deadline=30)
        load.goes_on()
        self.finish_without_failure(load)

    # ---- members

    def test_a_member_that_is_gone_is_left_for_the_next(self):
        dead = support.free_port()
        self.env["CLOUDS_URL"] = url = f"etcd://127.0.0.1:{dead},localhost:{self.server.client},127.0.0.1:{dead}"
        self.serve(RENEWING)
        load = Load(self, url, timeout=20, deadline=30)
        load.goes_on()
        self.finish_without_failure(load)

    def test_over_tls(self):
        server = self.etcd("--auto-tls")
        ca = os.path.join(server.data, "fixtures", "client", "cert.pem")
        url = server.url
        self.assertTrue(url.startswith("etcds://"))
        code = RENEWING.replace("clouds.server {", "clouds.server { ca_file = os.getenv 'CA',")
        self.serve(code, env={"CA": ca})
        result = self.run_clouds("status", "--url", url)
        self.assertIn("CLOUDS_AUTH_FAILED", result.stderr)
        ask = 'local c = require "clouds".client { ca_file = os.getenv "CA" } print(c:call("test.echo", { "hello" }))'
        result = self.run_clouds("run", self.file("ask.lua", ask), env={"CA": ca})
        self.assertEqual(result.stdout, "hello\n", result.stderr)
        result = self.run_clouds("run", self.file("ask2.lua", ask), env={"CA": "/nowhere/ca.pem"})
        self.assertIn("option 'ca_file'", result.stderr)


    def test_with_a_certificate_of_ours(self):
        ca = Authority(self.folder)
        cert, key = ca.issue("etcd.example")
        ours, our_key = ca.issue("client")
        server = self.etcd("--cert-file", cert, "--key-file", key, "--trusted-ca-file", ca.file, "--client-cert-auth")
        words = f"?ca_file={ca.file}&server_name=etcd.example&cert_file={ours}"
        self.env["CLOUDS_URL"] = f"{server.url},localhost:{server.client}{words}&cert_key_file={our_key}"
        self.serve(RENEWING)
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
        for url, text in ((f"{server.url}?ca_file={ca.file}", "CLOUDS_AUTH_FAILED"),  # it has no address
                          (server.url + words, "CLOUDS_INVALID_OPTION"),
                          (f"{server.url}?ca_file={ca.file}&server_name=etcd.example", "alert")):
            result = self.run_clouds("status", "--url", url)
            self.assertNotEqual(result.returncode, 0, result.stdout)
            self.assertIn(text, result.stderr)
        script = self.file("any.lua", f"local options = {{ verify = false, cert_file = '{ours}', cert_key_file = '{our_key}', url = '{server.url}' }} "
                           "print(require 'clouds'.client(options):call('test.echo', { 'hello' }))")
        result = self.run_clouds("run", script)
        self.assertEqual(result.stdout, "hello\n", result.stderr)


if __name__ == "__main__":
    unittest.main()
