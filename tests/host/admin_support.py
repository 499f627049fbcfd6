"""What tests ask of an admin endpoint, that of a process or that of an application."""
import json
import shutil
import subprocess

from prometheus_client.parser import text_string_to_metric_families
from support import Unix

TOKEN = "0123456789abcdef0123456789abcdef"
PROMTOOL = shutil.which("promtool")  # of Prometheus; None: it is not installed


class Asks:
    """For a Case whose endpoint is at the unix socket `self.path`."""

    def ask(self, method, path, body=None, headers=None, connection=None):
        """The status, what it says, and the header fields."""
        connection = connection or Unix(self.path)
        headers = dict(headers or {})
        if method == "POST":
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        said = json.loads(text) if answer.headers["Content-Type"] == "application/json" and text else text
        return answer.status, said, answer.headers

    def expect(self, status, method, path, body=None, headers=None):
        """It is refused with this status; the header fields."""
        found, said, fields = self.ask(method, path, body, headers)
        self.assertEqual(found, status, (method, path, body, headers, said))
        self.assertTrue(said["error"]["message"])
        return fields

    def metrics(self):
        """The samples by name and labels, as the parser of Prometheus' own client reads them."""
        status, text, headers = self.ask("GET", "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4"))
        samples = {}
        for family in text_string_to_metric_families(text):
            self.assertTrue(family.documentation, family.name)
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                self.assertNotIn(key, samples)
                samples[key] = (family.type, sample.value)
        return samples

    def expect_nothing_wrong_in_metrics(self):
        """What Prometheus' own program finds in their text, where it is installed: names, units, types, help."""
        if PROMTOOL:
            checked = subprocess.run((PROMTOOL, "check", "metrics"), input=self.ask("GET", "/metrics")[1], capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def of_method(self, method):
        """What is told of a method: by name of the sample and its other label."""
        return {(name, *(value for label, value in labels if label != "method")): value
                for (name, *labels), (_, value) in self.metrics().items() if ("method", method) in labels}

    def expect_pages_of_a_browser_refused(self):
        for name in ("example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "[::2]", "localhost:80:80"):
            self.expect(403, "GET", "/status", None, {"Host": name})
            self.expect(403, "POST", "/stop", "{}", {"Host": name})
        for origin in ("http://localhost:1", "http://127.0.0.1", "null", "http://example.org", ""):
            self.expect(403, "POST", "/stop", "{}", {"Origin": origin})
            self.expect(403, "GET", "/", None, {"Origin": origin})
        self.assertEqual(self.ask("GET", "/healthz", None, {"Origin": "http://localhost"})[0], 200, "the dashboard is its own page")
        for name in ("localhost", "LOCALHOST:1", "127.0.0.1:7000", "[::1]:7000"):
            self.assertEqual(self.ask("GET", "/healthz", None, {"Host": name})[0], 200)

    def expect_token_needed(self, ask):
        """ask(method, path, body, headers) goes to a port."""
        for path in ("/healthz", "/status", "/nothing"):
            for given in (None, TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Basic {TOKEN}", "Bearer " + "x" * 32):
                status, _, fields = ask("GET", path, None, {"Authorization": given} if given else {})
                self.assertEqual((status, fields["WWW-Authenticate"]), (401, "Bearer"))
        self.assertEqual(ask("POST", "/stop", "{}")[0], 401)
        self.assertEqual(ask("GET", "/healthz", None, {"Authorization": f"Bearer {TOKEN}"})[0], 200)
