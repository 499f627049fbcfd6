"""rediss://: Redis and its sentinels over TLS. Who is not trusted is said by name, and nothing is said to him."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import BOUND, ECHO, RENEWING, SANITIZED, SOURCE, Case, Load, free_port, wait_until

sys.path.insert(0, os.path.join(SOURCE, "tests", "conformance"))
import peers  # noqa: E402
from certificates import Authority  # noqa: E402
from sentinels import Sentinels  # noqa: E402

PYTHON = """
import asyncio, clouds, clouds.aio
def tell(error):
    print(getattr(error, "code", error), error)
try:
    with clouds.Client(%s) as client:
        print(client.call("test.echo", "python", deadline=DEADLINE))
except Exception as error:
    tell(error)
async def main():
    try:
        async with clouds.aio.Client(%s) as client:
            print(await client.call("test.echo", "aio", deadline=DEADLINE))
    except Exception as error:
        tell(error)
asyncio.run(main())
"""

NODE = """
const { Client } = require(process.env.CONFORMANCE_CLOUDS);
(async () => {
  const client = new Client({ deadline: DEADLINE, ...(%s) });
  client.on('error', () => {});
  const words = await client.call('test.echo', ['node']).catch((error) => `${error.code} ${error.message} ${error.cause || ''}`);
  console.log(words);
  await client.exitP();
})().catch((error) => console.log(error.code, error.message));
"""

SILENT = 'print(require "clouds".client { url = os.getenv "AT", ping_timeout = 0.3, log_level = "warn" }:call("a", {}, { deadline = 3 }))'


def open_text(path):
    with open(path) as file:
        return file.read()


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.certificates = tempfile.mkdtemp(prefix="clouds-certificates-")
        cls.addClassCleanup(shutil.rmtree, cls.certificates, ignore_errors=True)
        cls.ca, cls.stranger = Authority(cls.certificates), Authority(cls.certificates, "stranger")
        cls.good = cls.ca.issue("localhost", "127.0.0.1")

    def begin(self, pair=None, *options, clients="no"):
        """A Redis of its own; its address, with whom to trust."""
        cert, key = pair or self.good
        self.port = free_port()
        self.server = self.redis("--tls-port", str(self.port), "--tls-cert-file", cert, "--tls-key-file", key,
                                 "--tls-ca-cert-file", self.ca.file, "--tls-auth-clients", clients, *options)
        self.env["CLOUDS_URL"] = self.url()
        return self.url()

    def url(self, host="localhost", user="", ca=None, **more):
        words = {"ca_file": ca or self.ca.file, **more}
        return f"rediss://{user}{host}:{self.port}?" + "&".join(f"{name}={value}" for name, value in words.items())

    def refused(self, url, *texts, code="CLOUDS_AUTH_FAILED"):
        result = self.run_clouds("status", "--url", url)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        for text in (code, *texts):
            self.assertIn(text, result.stderr)
        self.assertNotIn("secret", result.stderr)
        return result.stderr

    def said_by(self, *what, env=None):
        result = subprocess.run(what, env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=BOUND)
        return result.stdout + result.stderr

    def in_other_languages(self, python="", node="", deadline=30):
        """What a call says in each, by default at the address of the environment."""
        in_python, in_node = (code.replace("DEADLINE", str(deadline)) for code in (PYTHON, NODE))
        if SANITIZED:
            return []
        _, of_python = peers.python("client")
        said = self.said_by(peers.PYTHON, "-c", in_python % (python, python), env=of_python).splitlines()
        _, of_node = peers.node("client")
        if shutil.which("node") and os.path.exists(of_node["CONFORMANCE_CLOUDS"]):
            said.append(self.said_by("node", "-e", in_node % (node or "{}"), env=of_node).strip())
        return said

    def is_echoed(self, said):
        self.assertEqual(said, ["python", "aio", "node"][:len(said)])

    # ---- it works

    def test_by_the_address_alone_in_every_language(self):
        self.begin()
        self.server.command("ACL", "SETUSER", "billing", "on", ">hidden", "~*", "&*", "+@all")
        self.env["CLOUDS_URL"] = self.url(user="billing:hidden@")
        self.serve(RENEWING)
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
        self.assertIn("test.echo", self.run_clouds("status", "--url", self.url("127.0.0.1", user="billing:hidden@")).stdout)
        self.is_echoed(self.in_other_languages())
        load = Load(self, self.env["CLOUDS_URL"], timeout=20, deadline=30)
        load.goes_on()
        self.assertEqual(load.finish()["codes"], {})
        if not SANITIZED:
            _, python = peers.python("client")
            password = self.file("password", "hidden\n")
            said = self.said_by(peers.PYTHON, "-m", "clouds", "call", "--url", self.url(user="billing:x@"), "--password-file", password,
                                "test.echo", "7", env=python)
            self.assertEqual(said, "7\n")

    def test_all_by_redis_in_records_of_every_length(self):
        self.begin()
        self.serve(ECHO.replace("{}", "{ direct = false }"))
        script = self.file("ask.lua", """
            local clouds = require "clouds"
            local client = clouds.client { direct = false }
            for _, n in ipairs { 1, 1000, 16 * 1024, 100 * 1000, 3 * 1000 * 1000 } do
              local text = ("x"):rep(n)
              assert(client:call("test.echo", { text }) == text, n)
            end
            print("all are right")""")
        result = self.run_clouds("run", script)
        self.assertEqual(result.stdout, "all are right\n", result.stderr)

    def test_tls_1_2(self):
        url = self.begin(None, "--tls-protocols", "TLSv1.2", clients="yes")
        cert, key = self.ca.issue("client")
        self.refused(url, "wants a certificate of ours: cert_file")
        self.env["CLOUDS_URL"] = self.url(cert_file=cert, cert_key_file=key)
        self.serve(RENEWING)
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")

    def test_a_redis_that_is_started_anew_and_connections_that_are_cut(self):
        url = self.begin()
        self.serve(RENEWING)
        load = Load(self, url, timeout=20, deadline=30, retries=5)
        load.goes_on()
        for _ in range(3):
            self.server.command("CLIENT", "KILL", "TYPE", "normal")
            self.server.command("CLIENT", "KILL", "TYPE", "pubsub")
            load.goes_on()
        self.server.kill()
        self.server.start()
        self.assertEqual(self.run_clouds("call", "--retry", "3", "test.echo", "1").stdout, "1\n")
        load.goes_on()
        self.assertEqual(load.finish()["codes"], {})

    # ---- who is trusted

    def test_who_is_not_trusted(self):
        self.begin()
        self.refused(self.url(user=":secret@", ca=self.stranger.file), "the certificate of localhost is not trusted", "certificate")
        self.refused(f"rediss://:secret@localhost:{self.port}", "the certificate of localhost is not trusted")
        self.refused(self.url("127.0.0.2"), "the certificate is not one of 127.0.0.2", "server_name")
        self.assertEqual(self.run_clouds("status", "--url", self.url("127.0.0.2", server_name="localhost")).returncode, 0)
        self.refused(self.url(server_name="other.example"), "the certificate is not one of other.example")
        # Who is not trusted was told nothing, no password either.
        self.assertNotIn(b"cmdstat_auth", self.server.command("INFO", "commandstats"))

    def test_a_certificate_that_has_expired(self):
        self.refused(self.begin(self.ca.issue("localhost", days=-1)), "certificate has expired")
        for one in self.in_other_languages(deadline=1):
            self.assertIn("certificate has expired", one)

    def test_whoever_answers_is_taken_only_by_an_option(self):
        self.begin(self.ca.issue("localhost", days=-1))
        unknown = f"rediss://127.0.0.1:{self.port}"
        self.env["CLOUDS_URL"] = unknown
        self.refused(unknown + "?verify=false", "expected ca_file=", code="not a valid url")
        self.serve(ECHO.replace("{}", "{ verify = false }"))
        said = self.in_other_languages("verify=False", f"{{ redis: {{ host: '127.0.0.1', port: {self.port}, tls: {{ rejectUnauthorized: false }} }} }}")
        self.is_echoed(said)

    def test_a_certificate_of_ours(self):
        url = self.begin(clients="yes")
        cert, key = self.ca.issue("client")
        foreign, foreign_key = self.stranger.issue("client")
        self.refused(url, "localhost wants a certificate of ours: cert_file")
        self.refused(self.url(cert_file=foreign, cert_key_file=foreign_key), "localhost does not take the certificate of cert_file")
        both = self.file("both.pem", "".join(open_text(path) for path in (cert, key)))
        for pair in ({"cert_file": cert, "cert_key_file": key}, {"cert_file": both}):
            result = self.run_clouds("status", "--url", self.url(**pair))
            self.assertEqual(result.returncode, 0, result.stderr)
        self.serve(ECHO.replace("{}", f"{{ cert_file = '{cert}', cert_key_file = '{key}' }}"))
        names = (f"cert_file='{cert}', cert_key_file='{key}'", f"{{ certFile: '{cert}', certKeyFile: '{key}' }}")
        said = self.in_other_languages(*names)
        self.is_echoed(said)

    # ---- what cannot be meant

    def test_files_that_are_none(self):
        url = self.begin()
        cert, key = self.good
        _, other = self.ca.issue("other")
        locked = os.path.join(self.folder, "locked.key")
        subprocess.run(["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked], check=True, capture_output=True)
        plain = self.file("plain", "nothing\n")
        for url, text in ((self.url(ca="/nowhere/ca.pem"), "option 'ca_file': /nowhere/ca.pem: No such file"),
                          (self.url(ca=plain), f"option 'ca_file': {plain}: expected certificates in PEM"),
                          (self.url(cert_file=plain), f"option 'cert_file': {plain}: expected a certificate in PEM"),
                          (self.url(cert_file=cert), f"option 'cert_file': {cert}: expected the key of cert_file in PEM"),
                          (self.url(cert_file=cert, cert_key_file=other), f"option 'cert_key_file': {other}: expected the key of cert_file"),
                          (self.url(cert_file=cert, cert_key_file=locked), f"option 'cert_key_file': {locked}: expected the key"),
                          (self.url(cert_key_file=key), "option 'cert_key_file': expected cert_file, too")):
            result = self.run_clouds("status", "--url", url)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(text, result.stderr)
        script = self.file("clear.lua", "require 'clouds'.client { url = 'redis://h', verify = false }:ready()")
        self.assertIn("option 'verify': the address is without TLS: expected rediss://", self.run_clouds("run", script).stderr)

    def test_tls_at_one_end_only(self):
        self.begin()
        plain = f"redis://127.0.0.1:{self.port}"
        self.refused(plain, "is it a port of TLS, rediss://?", code="CLOUDS_CONNECTION_LOST")
        other = free_port()
        self.server.command("CONFIG", "SET", "port", str(other))
        script = self.file("silent.lua", SILENT)
        result = self.run_clouds("run", script, env={"AT": f"rediss://127.0.0.1:{other}?ca_file={self.ca.file}"})
        self.assertIn("is it a port without TLS, redis://?", result.stdout + result.stderr)
        # A Redis says so when it is asked in clear, long before the patience is over; also one that wants a password.
        for password in "", "secret":
            self.server.command("CONFIG", "SET", "requirepass", password)
            self.refused(f"rediss://:secret@127.0.0.1:{other}?ca_file={self.ca.file}", "it speaks without TLS there: redis://",
                         code="CLOUDS_PROTOCOL_ERROR")

    # ---- sentinels

    def test_sentinels(self):
        self.set = Sentinels(self, password="secret", authority=self.ca)
        url = self.env["CLOUDS_URL"] = self.set.url(rest=f"?ca_file={self.ca.file}")
        self.serve(RENEWING)
        load = Load(self, url, timeout=20, deadline=30, retries=5)
        load.goes_on()
        master = self.set.fail_over()
        wait_until(lambda: master.clients() >= 4, "the connections are at the master")
        load.goes_on()
        self.assertEqual(self.run_clouds("call", "test.echo", "1").stdout, "1\n")
        self.assertEqual(load.finish()["codes"], {})
        sentinel = f"127.0.0.1:{self.set.sentinels[0].port}: "
        self.refused(url.replace(self.ca.file, self.stranger.file), sentinel, "is not trusted", code="no sentinel says where the master")
        plain = url.replace("rediss", "redis").partition("?")[0]
        self.refused(plain, sentinel, "is it a port of TLS", code="no sentinel says where the master")
        said = self.in_other_languages()
        self.is_echoed(said)


if __name__ == "__main__":
    unittest.main()
