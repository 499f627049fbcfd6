"""A real browser without a window: Chromium, by its DevTools protocol over a pair of pipes (no library is needed)."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from harness import BOUND, wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
           "--remote-debugging-pipe", "--force-color-profile=srgb"]
# It reads its commands from the descriptor 3 and writes to 4, which Python's own child may have for something else.
SHELL = 'in=$1 out=$2; shift 2; exec "$@" 3</proc/self/fd/$in 4>/proc/self/fd/$out'
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """The program; open() gives pages."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="chromium-")
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        self.popen = subprocess.Popen(
            ["sh", "-c", SHELL, "sh", str(in_read), str(out_write), CHROMIUM, *OPTIONS, f"--user-data-dir={self.folder}"],
            pass_fds=(in_read, out_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "HOME": self.folder})
        os.close(in_read), os.close(out_write)
        self._in, self._out = os.fdopen(in_write, "wb", 0), os.fdopen(out_read, "rb", 0)
        self._changed, self._answers, self._count, self._pages, self._ended = threading.Condition(), {}, 0, {}, False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        rest = b""
        while True:
            data = self._out.read(65536)
            *messages, rest = (rest + data).split(b"\0")
            with self._changed:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    elif message.get("sessionId") in self._pages:
                        self._pages[message["sessionId"]].hear(message["method"], message["params"])
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def ask(self, method, session=None, **params):
        """Sends a command and gives its result."""
        with self._changed:
            self._count += 1
            number = self._count
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        self._in.write(json.dumps(message).encode() + b"\0")
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._answers or self._ended, BOUND) or number not in self._answers:
                raise AssertionError(f"Chromium does not answer {method}")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url, width=1200, height=800, **look):
        """A page of its own, with storage of its own."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.ask(domain + ".enable")
        page.look(width, height, **look)
        page.go(url)
        return page

    def close(self):
        os.killpg(self.popen.pid, signal.SIGKILL)  # it is of several processes
        self.popen.wait()
        self._reader.join(BOUND)
        self._in.close(), self._out.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Page:
    """What a person does and sees there. `errors`: what its console has complained about."""

    def __init__(self, browser, session):
        self.browser, self.session, self.errors = browser, session, []

    def hear(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def ask(self, method, **params):
        return self.browser.ask(method, self.session, **params)

    def go(self, url):
        self.ask("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def look(self, width, height, dark=False, scale=1):
        """The size of the window, and what the person likes."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def value(self, code):
        """What an expression is, as JSON; it may be a promise."""
        found = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{code}: {found['exceptionDetails'].get('exception', {}).get('description')}")
        return found["result"].get("value")

    def wait_for(self, code):
        """Waits until an expression is true for JavaScript."""
        wait_until(lambda: self.value(f"Boolean({code})"), code)

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText")

    def texts(self, selector):
        return self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.innerText)")

    def wait_for_text(self, selector, text):
        """Waits until the element is there and says that."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")

    def type(self, text):
        """Types it where the focus is."""
        self.ask("Input.insertText", text=text)

    def press(self, key, shift=False):
        about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        if key == "Enter":
            about["text"] = "\r"
        if key == " ":
            about["text"] = " "
        self.ask("Input.dispatchKeyEvent", type="keyDown", **about)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector):
        """With the mouse, in the middle of it, once it is there."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})")
        code = (f"(() => {{ const each = document.querySelector({json.dumps(selector)}); each.scrollIntoView({{ block: 'center' }});"
                " const box = each.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()")
        x, y = self.value(code)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, whole=False):
        """A PNG of the window, or of the whole page."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        return base64.b64decode(found["data"])

    def _clip(self, whole):
        if not whole:
            return {}
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
