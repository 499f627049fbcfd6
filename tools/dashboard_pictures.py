#!/usr/bin/env python3
"""Makes the pictures of docs/DASHBOARD.md: a shop under load, and each view of its dashboard in Chromium.

Usage: tools/dashboard_pictures.py build/release/host/clouds docs/pictures
It needs Debian's chromium-headless-shell and pngquant, and some two minutes, so that the last minute is full."""
import itertools
import os
import subprocess
import sys
import threading
import time
import urllib.request

source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(source, "tests", "support"))
os.environ["CLOUDS_BIN"] = os.path.abspath(sys.argv[1])

from browser import Browser  # noqa: E402
from harness import Case, free_port, wait_until  # noqa: E402

TOKEN = "0123456789abcdef0123456789abcdef"
SHOP = """
    local clouds = require "clouds"
    local server = clouds.server{ id = "s.shop", type = "server" }
    local function after(seconds, value, share)
        return function()
            clouds.sleep(seconds * (0.5 + math.random() ^ 3 * 4))
            if share and math.random() < share then error { message = "sold out", code = "E_SOLD" } end
            return value
        end
    end
    server:register("shop.price", function(article, amount) return { article = article, total = 9.5 * (amount or 1), currency = "EUR" } end,
        { doc = "What an article costs.", args = { { "article", "string", "its number" }, "amount: integer?", { "kind", '"plain"|"gift"?' } },
          returns = "any" })
    server:register("shop.list", after(0.004, {}))
    server:register("shop.checkout", after(0.03, true, 0.08), { concurrency = 20, queue = 100 })
    server:register("cart.update", after(0.008, true))
    server:register("mail.send", after(0.25, true, 0.2))
    server:register("stock.reserve", after(0.015, true))
    server:register("stock.report", after(1.2, {}))
    clouds.spawn(function()
        for i = 1, 1e9 do
            server:publish("orders." .. (i % 3 == 0 and "web" or "app"), { order = 4700 + i, total = math.random(5, 90) })
            clouds.sleep(0.7)
        end
    end)
    print("ready")
"""
FRONT = """
    local clouds = require "clouds"
    local seconds = { ["shop.price"] = 0.006, ["shop.list"] = 0.011, ["shop.checkout"] = 0.02, ["cart.update"] = 0.03,
                      ["mail.send"] = 0.1, ["stock.reserve"] = 0.07, ["stock.report"] = 0.8 }
    for part = 1, 3 do
        local client = clouds.client{ id = "c.front-" .. part }
        for name, mean in pairs(seconds) do
            clouds.spawn(function()
                local busy = math.random() * 6
                while true do
                    clouds.sleep(3 * mean * (0.4 + math.random()) * (1.4 + math.sin(clouds.now() / 7 + busy)))
                    clouds.spawn(function() client:call(name, { "4711", 2 }) end)
                end
            end)
        end
    end
"""
WEB = "require('clouds.http').serve(function(request) if request.path == '/wrong' then error('wrong') end return 'here' end)"


def visit(port):
    """Asks the web server, each time by a connection of its own."""
    for i in itertools.count():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{'' if i % 50 else 'wrong'}").read()
        except OSError:
            pass
        time.sleep(0.02)


class Pictures(Case):
    def runTest(self):
        pass

    def endpoint(self, *words):
        """Starts it with an admin endpoint; its port."""
        port = free_port()
        token = self.file("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        self.start(words[0], "--admin", f"127.0.0.1:{port}", "--admin-token-file", token, *words[1:])
        return port

    def page(self, port, view, **look):
        page = self.browser.open(f"http://127.0.0.1:{port}/#{view}", **look)
        page.wait_for("document.activeElement.id === 'token'")
        page.type(TOKEN)
        page.press("Enter")
        page.wait_for("document.querySelector('#state').innerText === 'ready'")
        return page

    def save(self, page, name):
        path = os.path.join(sys.argv[2], name + ".png")
        done = subprocess.run(["pngquant", "--force", "--speed", "1", "--output", path, "64", "-"], input=page.picture(), check=True)
        size = os.path.getsize(path)
        print(path, size)
        assert done.returncode == 0 and size < 60000, "it is too large"

    def call(self, page):
        page.wait_for("document.querySelectorAll('.field select').length === 1")
        page.value("document.querySelectorAll('.field input')[1].focus()")
        page.type("4711")
        page.press("Enter")
        page.wait_for("document.querySelector('.answer')")

    def subscribe(self, page):
        page.value("document.querySelector('#topic').focus()")
        page.type("orders.*")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('.messages li').length > 9")

    def all(self):
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        os.makedirs(sys.argv[2], exist_ok=True)
        shop = self.endpoint("run", self.file("shop.lua", SHOP))
        port = free_port()
        web = self.endpoint("start", "--name", "web", "--workers", "3", "--listen", f"127.0.0.1:{port}", self.file("web.lua", WEB))
        wait_until(lambda: self.run_clouds("status").returncode == 0, "the shop")
        self.start("run", self.file("front.lua", FRONT))
        threading.Thread(target=visit, args=(port,), daemon=True).start()
        pages = {
            "overview": self.page(shop, "overview", width=1100, height=850),
            "methods": self.page(shop, "methods", width=1100, height=640, dark=True),
            "nodes": self.page(shop, "nodes", width=1100, height=640),
            "links": self.page(shop, "links", width=1100, height=470, dark=True),
            "workers": self.page(web, "workers", width=1100, height=420),
            "call": self.page(shop, "call/shop.price", width=1100, height=640),
            "subscribe": self.page(shop, "subscribe", width=1100, height=640, dark=True),
            "phone": self.page(shop, "overview", width=390, height=800, dark=True),
            "phone-methods": self.page(shop, "methods", width=390, height=800),
        }
        self.call(pages["call"])
        self.subscribe(pages["subscribe"])
        time.sleep(61)
        for name, page in pages.items():
            self.save(page, name)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pictures = Pictures()
    pictures.setUp()
    try:
        pictures.all()
    finally:
        pictures.doCleanups()
