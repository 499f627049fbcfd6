"""redis+sentinel://: the master is found, and followed when it is another; what cannot be found is said by name."""
import os
import shutil
import subprocess
import sys
import unittest

from support import BOUND, RENEWING, SANITIZED, SOURCE, Case, Load, free_port, wait_until

sys.path.insert(0, os.path.join(SOURCE, "tests", "conformance"))
import peers  # noqa: E402
from sentinels import Sentinels  # noqa: E402

PYTHON = """
import asyncio, os, clouds, clouds.aio
with clouds.Client() as client:
    print(client.call("test.echo", "python"))
async def main():
    async with clouds.aio.Client() as client:
        print(await client.call("test.echo", "aio"))
asyncio.run(main())
"""

NODE = """
const { Client } = require(process.env.CONFORMANCE_CLOUDS);
const client = new Client();
client.call('test.echo', ['node']).then(value => { console.log(value); return client.close(); });
"""


class Sentinel(Case):
    def begin(self, *before, count=1, password="", rest="", **more):
        self.set = Sentinels(self, count, password, **more)
        self.env["CLOUDS_URL"] = self.set.url(*before, rest=rest)

    def is_at(self, server, least):
        wait_until(lambda: server.clients() >= least, "the connections are at the master")

    def is_answered(self):
        """As soon as the server is at this master; it may not be yet when its connections are."""
        result = self.run_clouds("call", "--retry", "5", "test.echo", "1")
        self.assertEqual((result.stdout, result.stderr), ("1\n", ""))

    def has_failed_none(self, load):
        """Calls that waited for the new master have gone on."""
        books = load.finish()
        self.assertEqual(books["codes"], {}, books)

    def test_the_master_is_found(self):
        self.begin(free_port(), rest="/1?prefix=other")  # one is dead
        self.serve(RENEWING)
        result = self.run_clouds("call", "test.echo", '"hello"')
        self.assertEqual((result.stdout, result.stderr), ('"hello"\n', ""))
        master = self.set.master()
        self.assertIn(b"db1", master.command("INFO", "keyspace"))
        status = self.run_clouds("status")
        self.assertIn("test.echo", status.stdout)

    def test_in_every_language(self):
        self.begin()
        self.serve(RENEWING)
        _, python = peers.python("client")
        _, node = peers.node("client")
        if SANITIZED:
            self.skipTest("a library with sanitizers is not loaded by interpreters")
        result = subprocess.run([peers.PYTHON, "-c", PYTHON], env={**self.env, **python}, capture_output=True, text=True, timeout=BOUND)
        self.assertEqual(result.stdout.split(), ["python", "aio"], result.stderr)
        if not shutil.which("node") or not os.path.exists(node["CONFORMANCE_CLOUDS"]):
            return
        result = subprocess.run(["node", "-e", NODE], env={**self.env, **node}, capture_output=True, text=True, timeout=BOUND)
        self.assertEqual(result.stdout.split(), ["node"], result.stderr)

    def test_a_failover_that_is_asked_for(self):
        self.begin(count=2)
        self.serve(RENEWING)
        load = Load(self, self.set.url(), timeout=20, deadline=30, retries=5)
        load.goes_on()
        for _ in range(2):
            master = self.set.fail_over()
            self.is_at(master, 4)
            load.goes_on()
            late = self.serve(RENEWING)
            self.is_answered()
            self.assertEqual(late.stop(), 0)
        self.has_failed_none(load)

    def test_a_master_that_is_killed(self):
        self.begin()
        self.serve(RENEWING)
        load = Load(self, self.set.url(), timeout=20, deadline=30, retries=5)
        load.goes_on()
        before = self.set.master()
        before.kill()
        wait_until(lambda: self.set.master() is not before, "the master is another")
        self.is_at(self.set.master(), 4)
        load.goes_on()
        self.is_answered()
        self.has_failed_none(load)

    def test_a_master_that_stops_to_answer(self):
        self.begin()
        self.serve(RENEWING)
        load = Load(self, self.set.url(), timeout=20, deadline=30, retries=5)
        load.goes_on()
        before = self.set.master()
        before.pause()
        wait_until(lambda: self.set.master() is not before, "the master is another")
        self.is_at(self.set.master(), 4)
        before.resume()  # it is a replica from now on
        load.goes_on()
        self.has_failed_none(load)

    def test_the_sentinel_that_is_listened_to_dies(self):
        self.begin(count=2)
        self.serve(RENEWING)
        self.set.sentinels[0].kill()
        master = self.set.fail_over()
        self.is_at(master, 2)
        self.is_answered()

    def test_with_a_password(self):
        self.begin(password="secret")
        self.serve(RENEWING)
        self.is_answered()
        self.is_at(self.set.fail_over(), 2)
        self.is_answered()
        refused = self.refusal(self.set.url().replace("secret", "wrong"))
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertNotIn("wrong@", refused)
        file = self.file("password", "secret\n")
        url = self.set.url().replace("secret", "wrong")
        self.assertEqual(self.run_clouds("call", "--url", url, "--password-file", file, "test.echo", "1").stdout, "1\n")

        script = f"print(require 'clouds'.client {{ url = '{self.set.url().replace(':secret@', '')}', password_file = '{file}' }}" \
                 ":call('test.echo', { 'by a file' }))"
        result = self.run_clouds("run", self.file("ask.lua", script))
        self.assertEqual(result.stdout, "by a file\n", result.stderr)

    def test_sentinels_with_a_login_of_their_own(self):
        self.begin(password="secret", own="hidden", lines="user watcher on >watching -@all &+switch-master +ping +subscribe "
                                                          "+sentinel|get-master-addr-by-name\n")
        refused = self.refusal(self.set.url())
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertIn(f"127.0.0.1:{self.set.sentinels[0].port}: ", refused)
        own = self.file("own", "hidden\n")
        self.serve(f"""
            local clouds = require "clouds"
            server = clouds.server{{ sentinel_password = "hidden" }}
            server:register("test.echo", function(...) return ... end)
            server:ready()
            print("ready")""")
        watcher = self.file("watcher", "watching\n")
        for login in (("--sentinel-password-file", own), ("--sentinel-user", "watcher", "--sentinel-password-file", watcher)):
            self.assertEqual(self.run_clouds("call", *login, "test.echo", "1").stdout, "1\n")
            script = self.file("ask.lua", "print(require 'clouds'.client{}:call('test.echo', { 'by the default' }))")
            self.assertEqual(self.run_clouds("run", *login, script).stdout, "by the default\n")
        self.is_at(self.set.fail_over(), 2)
        refused = self.refusal(self.set.url(), "--sentinel-password-file", self.file("wrong", "wrong\n"))
        self.assertIn("CLOUDS_AUTH_FAILED", refused)
        self.assertIn("WRONGPASS", refused)
        refused = self.refusal(self.set.url(), "--sentinel-user", "watcher", "--sentinel-password-file", own)
        self.assertIn("WRONGPASS", refused)

    def test_sentinels_with_a_password_and_a_redis_without(self):
        self.begin(own="hidden")
        self.serve(RENEWING.replace("clouds.server {", 'clouds.server { sentinel_password = "hidden",', 1))
        self.in_each_language("hidden")

    def in_each_language(self, password):
        if SANITIZED:
            return
        _, python = peers.python("client")
        _, node = peers.node("client")
        code = PYTHON.replace("Client()", f"Client(sentinel_password='{password}')")
        result = subprocess.run([peers.PYTHON, "-c", code], env={**self.env, **python}, capture_output=True, text=True, timeout=BOUND)
        self.assertEqual(result.stdout.split(), ["python", "aio"], result.stderr)
        own = self.file("own", password + "\n")
        command = [peers.PYTHON, "-m", "clouds", "call", "--sentinel-password-file", own, "test.echo", "7"]
        result = subprocess.run(command, env={**self.env, **python}, capture_output=True, text=True, timeout=BOUND)
        self.assertEqual(result.stdout, "7\n", result.stderr)
        if not shutil.which("node") or not os.path.exists(node["CONFORMANCE_CLOUDS"]):
            return
        port = self.set.sentinels[0].port
        redis = f"{{ redis: {{ sentinels: [{{ host: '127.0.0.1', port: {port} }}], name: 'my-master', sentinelPassword: '{password}' }} }}"
        for options in (f"{{ sentinelPassword: '{password}' }}", redis):
            code = NODE.replace("new Client()", f"new Client({options})")
            result = subprocess.run(["node", "-e", code], env={**self.env, **node}, capture_output=True, text=True, timeout=BOUND)
            self.assertEqual(result.stdout.split(), ["node"], result.stderr)

    def test_a_login_that_cannot_be_meant(self):
        own, url = self.file("own", "hidden\n"), "redis+sentinel://127.0.0.1:1/my-master"
        for words, text in (((url, "--sentinel-user", "watcher"), "expected --sentinel-password-file FILE, too"),
                            (("redis://:secret@127.0.0.1:1", "--sentinel-password-file", own), "--sentinel-password-file is for redis+sentinel://"),
                            ((url, "--sentinel-password-file", self.folder + "/none"), "--sentinel-password-file: ")):
            result = self.run_clouds("status", "--url", *words)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(text, result.stderr)
            self.assertNotIn("secret", result.stderr)

    def refusal(self, url, *words):
        result = self.run_clouds("status", "--url", url, *words)
        self.assertNotEqual(result.returncode, 0)
        return result.stderr

    def test_a_name_that_no_sentinel_knows(self):
        self.begin()
        refused = self.refusal(self.set.url(name="other"))
        self.assertIn("no sentinel knows a master 'other'", refused)
        self.assertIn(f"127.0.0.1:{self.set.sentinels[0].port}: it knows no such master", refused)

    def test_no_sentinel_that_answers(self):
        self.begin()
        dead = [free_port(), free_port()]
        refused = self.refusal(f"redis+sentinel://127.0.0.1:{dead[0]},localhost:{dead[1]}/my-master")
        self.assertIn("no sentinel says where the master 'my-master' is", refused)
        self.assertIn(f"127.0.0.1:{dead[0]}: ", refused)
        self.assertIn(f"localhost:{dead[1]}: ", refused)
        self.assertIn("is it a sentinel?", self.refusal(f"redis+sentinel://127.0.0.1:{self.set.servers[0].port}/my-master"))

    def test_the_address_is_wrong(self):
        for url, text in (("redis+sentinel://h:1", "/master-name"), ("redis+sentinel://h/a*b", "a master name of letters"),
                          ("redis+sentinel://h/a/b", "a database number"), ("redis+sentinel://h,/a", "before and after ','")):
            self.assertIn(text, self.refusal(url))


if __name__ == "__main__":
    unittest.main()
