"""The dashboard of the admin endpoint in Chromium: what it shows, who may call by it, and how it is used."""
import http.client
import json
import os
import socket
import unittest

from support import Case, Unix, free_port, wait_until  # first: it makes the rest importable
from browser import CHROMIUM, Browser

TOKEN = "0123456789abcdef0123456789abcdef"
EVIL = "<img src=x onerror=document.title='gotcha'>"
# Two calls of shop.add for each of shop.list and of one that fails.
SERVICE = """
    local clouds = require "clouds"
    local server, client = clouds.server{ id = "s.shop" }, clouds.client{ id = "c.front" }
    server:register("shop.add", function(a, b) return a + b end,
        { doc = "Adds two numbers.", args = { { "a", "number", "the first" }, "b: number" }, returns = "number" })
    server:register("shop.list", function() return { "<b>bold</b>" } end)
    server:register("shop.fail", function() error { message = "sold out", code = "E_SOLD" } end)
    server:register("shop.sleep", function() clouds.request().on_cancel(function() print("canceled") end) print("begun") clouds.sleep(1000) end)
    server:register("EVIL", function() end)
    clouds.spawn(function()
        while true do
            client:call("shop.add", { 1, 2 }) client:call("shop.list") client:call("shop.add", { 1, 2 }) client:call("shop.fail")
            client:call("EVIL")
            clouds.sleep(0.01)
        end
    end)
    print("ready")
""".replace("EVIL", EVIL.replace("'", "\\'").replace('"', '\\"'))


@unittest.skipUnless(CHROMIUM, "no Chromium (Debian: chromium-headless-shell)")
class Dashboard(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, *options, code=SERVICE, port=None):
        self.port = port or free_port()
        token = self.file("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        self.service = self.start("run", "--admin", f"127.0.0.1:{self.port}", "--admin-token-file", token, *options, self.file("s.lua", code))
        self.service.out.wait_for("ready")

    def page(self, view="overview", **look):
        page = self.browser.open(f"http://127.0.0.1:{self.port}/#{view}", **look)
        page.wait_for("document.activeElement.id === 'token'")
        page.type(TOKEN)
        page.press("Enter")
        page.wait_for("/^\\d/.test(document.querySelector('#vital-rate').innerText)")
        return page

    def ask(self, path, **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text, answer.headers

    def test_E7_numbers_and_bars(self):
        self.open()
        page = self.page()
        page.wait_for("document.querySelectorAll('.ranking').length === 2 && document.querySelectorAll('.ranking li').length >= 5")
        page.wait_for_text("#state", "ready")
        self.assertRegex(page.text("#about"), rf"version \S+ · process {self.service.pid} · up \d+")
        # The number of each busy method, and the part of the bar that is full.
        rows = page.value("""[...document.querySelector('.ranking').children].map((row) => [row.querySelector('.name').innerText,
            Number(row.querySelector('b').innerText), row.querySelector('i').style.width])""")
        longest = rows[0][1]
        self.assertEqual(rows[0][0], "shop.add")
        for name, rate, width in rows:
            self.assertAlmostEqual(float(width.rstrip("%")), 100 * rate / longest, delta=1 + 100 * 0.06 / longest, msg=str(rows))
        rates = {name: rate for name, rate, _ in rows}
        self.assertAlmostEqual(rates["shop.list"] / longest, 0.5, delta=0.2)
        self.assertEqual(page.texts(".ranking:nth-of-type(1) .name")[-1], "shop.fail")
        self.assertGreater(page.value("document.querySelector('path.rate').getAttribute('d').length"), 5)
        self.assertEqual(page.errors, [])

    def test_each_view(self):
        self.open()
        page = self.page("methods")
        page.wait_for("document.querySelectorAll('tbody tr').length === 5")
        self.assertEqual(page.texts("nav a:not([hidden])"), ["Overview", "Methods", "Nodes", "Links", "Call", "Subscribe"])
        names = page.texts("tbody .name")
        self.assertEqual((names[0], EVIL in names), ("shop.add", True), names)
        self.assertEqual(page.text("[aria-sort=descending]"), "A second")
        page.click("thead th button")
        self.assertEqual(page.texts("tbody .name"), sorted(names))
        page.click("#filter")
        page.type("shop.")
        page.wait_for("document.querySelectorAll('tbody tr').length === 4")
        self.assertIn("4 of 5 methods", page.text(".found"))
        page.click("#to-nodes")
        page.wait_for("document.querySelectorAll('main h3').length === 2")
        self.assertEqual(page.texts("main h3 .name"), ["c.front", "s.shop"])
        self.assertIn(EVIL, page.texts("main td, main tbody th"))
        page.click("#to-links")
        page.wait_for("document.querySelector('main tbody tr')?.innerText.includes('open')")
        self.assertIn("same user", page.text("main tbody"))
        self.assertEqual((page.value("document.title"), page.value("document.images.length")), ("Links – clouds", 1))
        self.assertEqual(page.errors, [])

    def test_more_methods_than_are_shown(self):
        self.open(code="""
            local clouds = require "clouds"
            local server, client = clouds.server("inproc:many"), clouds.client("inproc:many")
            for i = 1, 600 do assert(server:register(("m%03d"):format(i), function() return i end)) end
            clouds.spawn(function()
                while true do
                    for i = 1, 600 do client:call(("m%03d"):format(i)) end
                    clouds.sleep(0.01)
                end
            end)
            print("ready")""")
        page = self.page("methods")
        page.wait_for("document.querySelectorAll('tbody tr').length === 50")
        self.assertEqual((page.text(".found"), page.texts("tbody .name")[0]), ("50 of 501 methods", "other"))
        page.click(".more button")
        page.wait_for("document.querySelectorAll('tbody tr').length === 100")
        page.click("#filter")
        page.type("m49")
        page.wait_for("document.querySelectorAll('tbody tr').length === 10")
        self.assertEqual((page.text(".more"), page.errors), ("", []))

    def test_E7_a_live_call(self):
        self.open()
        page = self.page("call/shop.add")
        page.wait_for("document.querySelectorAll('.field input').length === 3")
        self.assertIn("Adds two numbers.", page.text("#method-doc"))
        page.value("document.querySelectorAll('.field input')[1].focus()")
        page.type("20")
        page.press("Tab")
        page.type("22")
        page.press("Enter")
        page.wait_for_text(".answer pre:not(.asked)", "42")
        self.assertEqual((page.text(".answer .pill"), page.text(".answer .server")), ("done", "s.shop"))
        for method, pill, text in (("shop.list", "done", "<b>bold</b>"), ("shop.fail", "failed", "E_SOLD: sold out"),
                                   ("nobody", "not done", "no available server for nobody"), (EVIL, "done", "[]")):
            page.value("(() => { const each = document.querySelector('#method'); each.value = ''; each.focus(); })()")
            page.type(method)
            page.press("Enter")
            page.wait_for_text(".answer .name", method)
            self.assertEqual(page.text(".answer .pill"), pill)
            self.assertIn(text, page.text(".answer pre:not(.asked)"))
        page.value("location.hash = 'call/100%'")  # as a person may type it
        page.wait_for("document.querySelector('#method').value === '100%'")
        page.value("(() => { const each = document.querySelector('#method'); each.value = ''; each.focus(); })()")
        page.type("shop.sleep")
        page.press("Enter")
        self.service.out.wait_for("begun")
        page.click("button[type=button]")
        page.wait_for_text(".answer .pill", "given up")
        self.service.out.wait_for("canceled")
        self.assertEqual(page.errors, [])

    def test_subscriptions(self):
        self.open()
        page = self.page("subscribe")
        page.value("document.querySelector('#topic').focus()")
        page.type("chat.>")
        page.press("Enter")
        page.wait_for_text(".found", "Listens")
        self.assertEqual(self.run_clouds("publish", "chat.room", json.dumps(EVIL)).returncode, 0)
        page.wait_for_text(".messages li code", "onerror")
        self.assertEqual(page.texts(".messages li .name"), ["chat.room"])
        self.assertEqual(page.value("document.querySelectorAll('main img').length"), 0)
        page.click("form button[type=button]:not([hidden]) + button")
        page.wait_for_text(".found", "Ended: 1 messages")
        self.assertEqual(page.errors, [])

    def test_the_token(self):
        self.open()
        page = self.browser.open(f"http://127.0.0.1:{self.port}/")
        page.wait_for("document.activeElement.id === 'token'")
        self.assertEqual(page.errors, [], "it does not ask before it has a token")
        page.type("wrong")
        page.press("Enter")
        page.wait_for_text("#token-wrong", "not the token")
        page.type(TOKEN)
        page.press("Enter")
        page.wait_for_text("#state", "ready")
        self.assertEqual({each.split(" http")[0] for each in page.errors},
                         {"Failed to load resource: the server responded with a status of 401 (Unauthorized)"})
        page.go(f"http://127.0.0.1:{self.port}/#nodes")
        page.wait_for_text("#state", "ready")
        # What holds without a page.
        self.assertEqual(self.ask("/describe")[0], 401)
        self.assertEqual(self.ask("/status")[0], 401)
        for name, origin in (("example.org", None), ("127.0.0.1", "http://example.org"), ("127.0.0.1", "null")):
            headers = {"Host": f"{name}:{self.port}", **({"Origin": origin} if origin else {})}
            for path in ("/", "/dashboard/main.js", "/ws"):
                self.assertEqual(self.ask(path, **headers)[0], 403, (path, headers))

    def test_E7_nobody_calls_without_a_token(self):
        self.path = os.path.join(self.folder, "admin.sock")
        self.start("run", "--admin", f"unix:{self.path}", self.file("s.lua", SERVICE)).out.wait_for("ready")
        self.port = self.forward()
        page = self.browser.open(f"http://127.0.0.1:{self.port}/#call")
        page.wait_for_text("main h2 + section", "Only with a token")
        page.wait_for_text("#state", "ready")
        page.click("#to-subscribe")
        page.wait_for_text("main h2 + section", "Only with a token")
        self.assertEqual((self.ask("/ws")[0], self.ask("/describe")[0], page.errors), (404, 404, []))

    def forward(self):
        """The port of the loopback that leads to the socket, as by ssh -L."""
        port = free_port()
        code = f"""
            local socket, clouds = require "clouds.socket", require "clouds"
            local function copy(from, to) for piece in function() return from:read() end do to:write(piece) end to:close() end
            socket.listen("127.0.0.1:{port}", function(near)
                local far = socket.connect("unix:{self.path}")
                clouds.spawn(copy, far, near)
                copy(near, far)
            end)
            print("ready")
        """
        self.start("run", "-e", code).out.wait_for("ready")
        return port

    def test_when_the_service_goes_and_comes_back(self):
        self.open()
        page = self.page("methods")
        page.wait_for("document.querySelectorAll('tbody tr').length === 5")
        first = self.service.pid
        self.service.popen.kill()
        page.wait_for_text("#trouble", "It does not answer since")
        self.assertEqual((page.text("#state"), len(page.texts("tbody tr"))), ("no answer", 5))
        self.open(port=self.port)
        page.wait_for_text("#state", "ready")
        page.wait_for("!document.querySelector('#trouble').innerText")
        self.assertIn(f"process {self.service.pid}", page.text("#about"))
        self.assertNotEqual(first, self.service.pid)
        self.assertTrue(all("Failed to load" in each for each in page.errors), page.errors)

    def test_a_process_that_is_not_ready(self):
        self.open("--url", f"redis://127.0.0.1:{free_port()}", code="""
            print("ready")
            require("clouds").server{}:register("m", print)""")
        page = self.browser.open(f"http://127.0.0.1:{self.port}/")
        page.wait_for("document.activeElement.id === 'token'")
        page.type(TOKEN)
        page.press("Enter")
        page.wait_for_text("#state", "not ready")
        page.wait_for_text(".warning", "not connected")
        self.assertEqual(page.errors, [])

    def test_an_application(self):
        self.port = free_port()
        token = self.file("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        self.file("s.lua", "require('clouds').server{}:register('shop.pid', function() return 'here' end)")
        self.start("start", "-c", self.file("cluster.lua", f"""
            local app = require("clouds.cluster").master {{ name = "shop", admin = "127.0.0.1:{self.port}", admin_token_file = "token" }}
            app:register("s", "s.lua", {{ workers = 2 }})"""))
        wait_until(self.listens, "the endpoint")
        page = self.page("workers")
        page.wait_for("[...document.querySelectorAll('tbody .pill')].map((each) => each.innerText).join() === 'ready,ready'")
        self.assertEqual(page.texts("tbody th"), ["s.1", "s.2"])
        self.assertEqual(page.texts("nav a:not([hidden])"), ["Overview", "Methods", "Nodes", "Links", "Workers", "Call", "Subscribe"])
        self.assertRegex(page.text("#about"), r"^shop · version")
        page.click("#to-call")
        page.click("#method")
        page.type("shop.pid")
        page.press("Enter")
        page.wait_for_text(".answer pre:not(.asked)", "here")
        page.click("#to-nodes")
        page.wait_for("[...document.querySelectorAll('main h3 small')].map((each) => each.innerText).join() === 'server · s.1,server · s.2'")
        page.wait_for("[...document.querySelectorAll('main tbody th')].every((each) => each.innerText === 'shop.pid')")
        self.assertEqual(page.errors, [])
        # Another token: whoever is there by the old one goes.
        page.value(f"""import('/clouds.js').then(({{ Client }}) => new Promise((resolve) => {{
            const client = new Client({{ token: '{TOKEN}' }});
            client.addEventListener('close', (event) => {{ window.endedWith = event.code; }});
            client.addEventListener('open', resolve);
        }}))""")
        os.replace(self.file("token.new", TOKEN[::-1] + "\n"), token)
        os.chmod(token, 0o600)
        self.assertEqual(self.run_clouds("reload", "shop").returncode, 0)
        page.wait_for("window.endedWith === 4401")
        page.wait_for_text("#token-wrong", "not the token")

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def test_on_a_phone(self):
        self.open()
        page = self.page(width=360, height=740, dark=True)
        for view in ("overview", "methods", "nodes", "links", "call", "subscribe"):
            page.value(f"location.hash = '{view}'")
            page.wait_for(f"document.querySelector('#to-{view}').getAttribute('aria-current') === 'page'")
            wide = page.value("""[...document.querySelectorAll('body *')].filter((each) => !each.closest('nav, .hidden-text, .skip, svg')
                && each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 80))""")
            self.assertEqual((wide, page.value("document.documentElement.scrollWidth")), ([], 360), view)
        self.assertEqual(page.value("getComputedStyle(document.body).backgroundColor"), "rgb(16, 21, 27)")
        page.look(360, 740)
        self.assertEqual(page.value("getComputedStyle(document.body).backgroundColor"), "rgb(245, 246, 248)")
        self.assertEqual(page.errors, [])

    def test_by_the_keyboard(self):
        self.open()
        page = self.page("methods")
        page.wait_for("document.querySelectorAll('tbody tr').length === 5")
        focus = "document.activeElement.id || document.activeElement.textContent || document.activeElement.value"
        page.value("document.querySelector('.skip').focus()")
        seen = []
        for _ in range(17):
            seen.append(page.value(focus))
            outline = page.value("getComputedStyle(document.activeElement.closest('.choice label') ?? document.activeElement).outlineStyle")
            self.assertEqual(outline, "solid", f"the focus is seen: {seen}")
            page.press("Tab")
        page.press("Tab", shift=True)
        self.assertEqual(seen[:8], ["Skip to the view", "to-overview", "to-methods", "to-nodes", "to-links", "to-call", "to-subscribe", "requests"])
        self.assertEqual(seen[8:16], ["filter", "Method", "A second", "Errors", "P50", "P99", "In flight", "Waiting"])
        self.assertEqual(seen[16], "Call")
        page.press("Enter")
        page.wait_for("location.hash.startsWith('#call/')")
        page.value("document.querySelector('.skip').focus()")
        page.press("Enter")
        self.assertEqual(page.value(focus), "content")
        self.assertEqual(page.errors, [])


class Page(Case):
    """What holds for the page without a browser."""

    def test_its_files(self):
        path = os.path.join(self.folder, "admin.sock")
        self.start("run", "--admin", f"unix:{path}", "-e", "require('clouds').server{}:register('m', print) print('ready')").out.wait_for("ready")
        connection = Unix(path)
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
        policy = answer.headers["Content-Security-Policy"]
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(text, r"https?://|<script>|<style|style=|\son\w+=")
        for name, kind in (("main.js", "text/javascript"), ("dashboard.css", "text/css"), ("icon.svg", "image/svg+xml")):
            connection.request("GET", "/dashboard/" + name)
            answer = connection.getresponse()
            text = answer.read().decode()
            self.assertEqual((answer.status, answer.headers["Content-Type"].split(";")[0]), (200, kind))
            self.assertNotRegex(text.replace("http://www.w3.org/2000/svg", ""), r"https?://|innerHTML|outerHTML|insertAdjacentHTML")
        for name in ("/dashboard/", "/dashboard/../clouds.js", "/dashboard/nothing.js", "/dashboard/main", "/dashboard/clouds.cli.run"):
            connection.request("GET", name)
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 404, name)
        connection.request("POST", "/", body="{}", headers={"Content-Type": "application/json"})
        self.assertEqual(connection.getresponse().status, 405)
        connection.close()


if __name__ == "__main__":
    unittest.main()
