"""A gateway with services behind it, and clients of HTTP that ask it."""
import hashlib
import http.client
import json
import os
import socket

from support import Case, free_port, wait_until

SERVICES = """
    local clouds = require "clouds"
    local server = clouds.server()
    local executed = 0
    local function register(name, fn)
        assert(server:register(name, function(...)
            executed = executed + 1
            return fn(...)
        end))
    end
    register("shop.add", function(a, b) return a + b end)
    register("shop.echo", function(...) return ... end)
    register("shop.nothing", function() end)
    register("shop.meta", function() return clouds.request().meta end)
    register("shop.bytes", function(value) return clouds.is_bytes(value), value end)
    register("shop.some_bytes", function() return clouds.bytes("\\0\\255"), nil, clouds.bytes("") end)
    server:register("shop.list", { args = { "list: integer[]" } }, function(list) return #list end)
    register("shop.fail", function(status) error { message = "sold out", code = "E_SOLD", status = status, left = 0 } end)
    register("shop.sleep", function(seconds)
        clouds.request().on_cancel(function() print("canceled") end)
        print("begun")
        clouds.sleep(seconds)
        return "slept"
    end)
    register("shop.deep.add", function(a, b) return a + b end)
    register("secret.add", function(a, b) return a + b end)
    register("shop.stop", function() clouds.spawn(function() server:unregister("shop.add") print("gone") end) end)
    server:register("executed", function() return executed end)
    print("ready")
"""
ALLOW = ("--allow", "shop.*", "--allow", "subscribe:chat.>", "--allow", "publish:chat.*", "--allow", "send:s.known")
JSON = {"Content-Type": "application/json"}


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Gateway(Case):
    def open(self, *options, services=SERVICES):
        """Starts the services, and the gateway with these options at `self.port`."""
        self.service = self.serve(services)
        self.port = free_port()
        self.gateway = self.start("gateway", "--listen", f"127.0.0.1:{self.port}", *options)
        self.wait_for_port()

    def wait_for_port(self):
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0 or self.gateway.popen.poll() is not None
        wait_until(listens, "the gateway")
        self.assertIsNone(self.gateway.popen.poll(), self.gateway.err.text())

    def config(self, text):
        return "--config", self.file("gateway.lua", text)

    def tokens(self, *lines):
        """Writes the token file; its path."""
        path = self.file("tokens.new", "".join(line + "\n" for line in lines))
        os.chmod(path, 0o600)
        os.rename(path, os.path.join(self.folder, "tokens"))
        return os.path.join(self.folder, "tokens")

    def ask(self, method, target, body=None, headers=None):
        """The status, the body and the header fields."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request(method, target, body=body, headers=headers or {})
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text, answer.headers

    def post(self, method, *args, token=None, **fields):
        """Calls a method; the status, the value of the answer and the header fields."""
        headers = dict(JSON, **{name.replace("_", "-"): value for name, value in fields.items()})
        if token:
            headers["Authorization"] = "Bearer " + token
        status, text, fields = self.ask("POST", "/call/" + method, json.dumps(args), headers)
        return status, json.loads(text), fields

    def executed(self):
        return self.json(self.run_clouds("call", "executed"))
