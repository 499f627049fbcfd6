"""A collector of OpenTelemetry that records what it gets, and answers as it is told."""
import http.server
import json
import threading

from harness import BOUND, wait_until


class Collector:
    """POST /v1/traces over HTTP on a free port. `status` and `body` are what it answers with; while `hangs` it says nothing."""

    def __init__(self, port=0):
        self.status, self.body, self.hangs = 200, b"{}", False
        self.requests = []  # (path, headers, JSON)
        self._go, owner = threading.Event(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                owner.requests.append((self.path, dict(self.headers), json.loads(text)))
                if owner.hangs:
                    owner._go.wait(BOUND)
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # of who did not wait for the answer
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self._go.set()
        self._server.shutdown()
        self._server.server_close()

    def spans(self, name=None):
        """All that came, each once, with its attributes as a dict and those of its resource."""
        return [span for _, _, body in list(self.requests) for span in spans_of(body) if name in (None, span["name"])]

    def wait_for(self, count, name=None):
        """The spans, when there are so many."""
        return wait_until(lambda: len(self.spans(name)) >= count and self.spans(name), f"{count} spans of {name}")


def values(attributes):
    return {a["key"]: a["value"].get("stringValue", a["value"].get("intValue")) for a in attributes}


def spans_of(body):
    """The spans of one body of OTLP."""
    found = []
    for part in body["resourceSpans"]:
        for scope in part["scopeSpans"]:
            for span in scope["spans"]:
                events = [dict(e, attributes=values(e["attributes"])) for e in span.get("events", [])]
                found.append(dict(span, attributes=values(span["attributes"]), events=events,
                                  resource=values(part["resource"]["attributes"])))
    return found
