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
    def begin(self, *before, count=1, password="", rest=""):
        self.set = Sentinels(self, count, password)
        self.env["CLOUDS_URL"] = self.set.url(*before, rest=rest)

    def is_at(self, server, least):
        wait_until(lambda: server.clients() >= least, "the connections are at the master")

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
            self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
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
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
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
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")

    def test_with_a_password(self):
        self.begin(password="secret")
        self.serve(RENEWING)
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
        self.is_at(self.set.fail_over(), 2)
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
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

    def refusal(self, url):
        result = self.run_clouds("status", "--url", url)
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
