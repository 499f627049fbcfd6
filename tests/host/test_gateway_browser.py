"""The client of the gateway for browsers, bindings/web/clouds.js, as the gateway serves it: run by Node."""
import os
import shutil
import signal
import subprocess
import unittest

from gateway_support import ALLOW, SERVICES, Gateway, digest
from support import SOURCE, Process
from browser import CHROMIUM, Browser as Chromium

NODE = shutil.which("node", path="/usr/bin") or shutil.which("node")
PRELUDE = """
import assert from 'node:assert';
import { once } from 'node:events';
import { Client, CloudsError } from './clouds.mjs';
const url = process.argv[2];
const told = () => new Promise((resolve) => process.once('SIGUSR2', resolve)); // the test goes on
async function fails(promise) {
  try { await promise; } catch (error) { return error; }
  assert.fail('it did not fail');
}
"""


def has_websocket(*options):
    """Whether this Node has the class WebSocket, with these options."""
    said = subprocess.run([NODE, *options, "-p", "typeof WebSocket"], capture_output=True, text=True)
    return said.stdout.strip() == "function"


OPTIONS = next((options for options in ((), ("--experimental-websocket",)) if NODE and has_websocket(*options)), None)


@unittest.skipIf(OPTIONS is None, "no Node with WebSocket")
class Browser(Gateway):
    def run_page(self, code, *arguments):
        """Starts the program of a page, with the module that the gateway serves."""
        if not os.path.exists(self.folder + "/clouds.mjs"):
            status, text, fields = self.ask("GET", "/clouds.js")
            self.assertEqual((status, fields["Content-Type"]), (200, "text/javascript; charset=utf-8"))
            self.file("clouds.mjs", text)
        page = Process([NODE, *OPTIONS, self.file("page.mjs", PRELUDE + code), f"ws://127.0.0.1:{self.port}/ws", *arguments], self.env)
        self.addCleanup(page.discard)
        return page

    def page(self, code, *arguments):
        """The same to its end."""
        page = self.run_page(code, *arguments)
        self.assertEqual(page.wait(), 0, page.err.text())
        return page.out.text()

    def test_the_module_is_the_one_of_the_sources(self):
        self.open("--allow", "shop.*")
        status, text, fields = self.ask("GET", "/clouds.js")
        with open(SOURCE + "/bindings/web/clouds.js", encoding="utf-8") as file:
            self.assertEqual(text, file.read())
        self.assertEqual(self.ask("GET", "/clouds.js", headers={"If-None-Match": fields["ETag"]})[0], 304)

    def test_calls(self):
        self.open(*ALLOW)
        self.page("""
            const client = new Client({ url });
            assert.equal(await client.call('shop.add', [1, 2]), 3);
            assert.deepEqual(await client.call('shop.echo', [1, null, { a: [] }], { all: true }), [1, null, { a: [] }]);
            assert.equal(await client.call('shop.nothing'), undefined);
            const [isBytes, bytes] = await client.call('shop.bytes', [new Uint8Array([0, 255])], { all: true });
            assert.equal(isBytes, true);
            assert.deepEqual(bytes, new Uint8Array([0, 255]));
            const failed = await fails(client.call('shop.fail'));
            assert(failed instanceof CloudsError && failed instanceof Error);
            assert.deepEqual([failed.code, failed.message, failed.outcome, failed.left], ['E_SOLD', 'sold out', 'APP_ERROR', 0]);
            assert.equal((await fails(client.call('secret.add', [1, 2]))).outcome, 'NOT_DONE');
            assert.equal((await fails(client.call('shop.sleep', [30], { timeout: 1 }))).code, 'CLOUDS_CALL_SERVICE_TIMEOUT');
            const circle = {};
            circle.circle = circle;
            assert((await fails(client.call('shop.echo', [circle]))) instanceof TypeError);
            const all = await Promise.all(Array.from({ length: 50 }, (_, i) => client.call('shop.add', [i, i])));
            assert.deepEqual(all, Array.from({ length: 50 }, (_, i) => 2 * i));
            const first = await client.call('shop.meta', [], { once: 'k' });
            assert.deepEqual(await client.call('shop.meta', [], { once: 'k' }), first);
            const slow = client.call('shop.sleep', [30]);
            client.close();
            assert.equal((await fails(slow)).outcome, 'UNKNOWN');
            assert.equal((await fails(client.call('shop.add', [1, 2]))).code, 'CLOUDS_CLOSED');
        """)

    def test_who_answered(self):
        self.open(*ALLOW, "--tell-server", services=SERVICES.replace("clouds.server()", "clouds.server { id = 's.shop' }"))
        self.page("""
            const client = new Client({ url });
            const about = { server: 's.old' };
            assert.equal(await client.call('shop.add', [1, 2], { about }), 3);
            assert.equal(about.server, 's.shop');
            await fails(client.call('secret.add', [], { about }));
            assert.equal(about.server, undefined);
            await fails(client.call('shop.fail', [], { about }));
            assert.equal(about.server, 's.shop');
            client.close();
        """)

    def test_a_signal_cancels(self):
        self.open(*ALLOW)
        page = self.run_page("""
            const client = new Client({ url });
            const stop = new AbortController();
            const slow = client.call('shop.sleep', [30], { signal: stop.signal });
            await told();
            stop.abort();
            assert.equal((await fails(slow)).name, 'AbortError');
            assert.equal((await fails(client.call('shop.add', [1, 2], { signal: stop.signal }))).name, 'AbortError');
            assert.equal(await client.call('shop.add', [1, 2], { signal: new AbortController().signal }), 3);
            client.close();
        """)
        self.service.out.wait_for("begun")
        page.signal(signal.SIGUSR2)
        self.assertEqual(page.wait(), 0, page.err.text())
        self.service.out.wait_for("canceled")

    def test_what_is_published(self):
        self.open(*ALLOW)
        self.page("""
            const client = new Client({ url });
            const heard = [];
            let wake;
            const subscription = await client.subscribe('chat.*', (value, message) => {
                heard.push([value, message]);
                wake();
            });
            const next = (step) => new Promise((resolve) => { wake = resolve; step(); });
            await next(() => client.publish('chat.a', { x: 1 }));
            assert.deepEqual(heard, [[{ x: 1 }, { topic: 'chat.a', missed: 0 }]]);
            assert.equal((await fails(client.subscribe('secret', () => {}))).outcome, 'NOT_DONE');
            assert.equal((await fails(client.publish('secret', 1))).outcome, 'NOT_DONE');
            await client.send('s.known', 'hi');
            await assert.rejects(client.subscribe('chat.a'), TypeError);
            subscription.close();
            assert(subscription.closed);
            await client.publish('chat.a', 2);
            assert.equal(await client.call('shop.add', [1, 2]), 3);
            assert.equal(heard.length, 1);
            client.close();
        """)

    def test_it_comes_back_when_the_gateway_does(self):
        self.open(*ALLOW)
        page = self.run_page("""
            const client = new Client({ url });
            const heard = [];
            let wake = () => {};
            await client.subscribe('chat.a', (value, message) => { heard.push([value, message.missed]); wake(); });
            const slow = client.call('shop.sleep', [30]);
            const kept = client.call('shop.meta', [], { once: 'kept' });
            await kept;
            const ends = once(client, 'close');
            console.log('subscribed');
            const [end] = await ends;
            console.log('lost ' + end.code);
            assert(!client.connected);
            assert.equal((await fails(slow)).outcome, 'UNKNOWN');
            const late = await fails(client.call('shop.add', [1, 2], { timeout: 0.05 }));
            assert.deepEqual([late.code, late.outcome], ['CLOUDS_UNREACHABLE', 'NOT_DONE']);
            const waits = client.call('shop.add', [1, 2]); // until it is connected again
            const opens = once(client, 'open');
            console.log('waits');
            assert.equal(await waits, 3);
            await opens;
            assert(client.connected);
            while (!heard.length) {
                const comes = new Promise((resolve) => { wake = resolve; });
                await client.publish('chat.a', 'after');
                await Promise.race([comes, new Promise((resolve) => setTimeout(resolve, 100))]);
            }
            assert.deepEqual(heard[0], ['after', null]);
            client.close();
        """)
        page.out.wait_for("subscribed")
        self.gateway.popen.kill()
        page.out.wait_for("lost 1006")
        page.out.wait_for("waits")
        self.gateway = self.start("gateway", "--listen", f"127.0.0.1:{self.port}", *ALLOW)
        self.assertEqual(page.wait(), 0, page.err.text())

    def test_tokens(self):
        self.open(*ALLOW, "--token-file", self.tokens(f"front {digest('t-front')}"))
        page = self.run_page("""
            const client = new Client({ url, token: 't-front' });
            assert.equal((await client.call('shop.meta')).caller, 'front');
            let asked = 0;
            const changing = new Client({ url, token: async () => (asked++ ? 't-front' : 'wrong') });
            assert.equal((await changing.call('shop.meta')).caller, 'front');
            assert.equal(asked, 2);
            changing.close();
            const wrong = new Client({ url, token: 'wrong' });
            assert.equal((await fails(wrong.call('shop.meta'))).code, 'CLOUDS_AUTH_FAILED');
            assert.equal((await fails(wrong.call('shop.meta'))).code, 'CLOUDS_AUTH_FAILED');
            const ends = once(client, 'close');
            console.log('in');
            assert.equal((await ends)[0].code, 4401);
            assert.equal((await fails(client.call('shop.meta'))).code, 'CLOUDS_AUTH_FAILED');
        """)
        page.out.wait_for("in")
        self.tokens(f"other {digest('t-other')}")
        self.assertEqual(page.wait(), 0, page.err.text())


@unittest.skipUnless(CHROMIUM, "no Chromium (Debian: chromium-headless-shell)")
class Page(Gateway):
    """The same in a page of Chromium, which the gateway serves, too."""

    def test_it_does_in_a_page_what_it_does_here(self):
        os.mkdir(self.folder + "/pages")
        self.file("pages/index.html", "<!doctype html><title>shop</title>")
        self.open(*ALLOW, "--static", self.folder + "/pages", "--token-file", self.tokens(f"front {digest('t-front')}"))
        browser = Chromium()
        self.addCleanup(browser.close)
        page = browser.open(f"http://127.0.0.1:{self.port}/index.html")
        found = page.value("""(async () => {
            const { Client, CloudsError } = await import('/clouds.js');
            const failed = (promise) => promise.then(() => 'done', (error) => error);
            const client = new Client({ token: 't-front' });
            const heard = [];
            const subscription = await client.subscribe('chat.*', (value, { topic }) => heard.push([topic, value]));
            await client.publish('chat.a', 'hello');
            while (!heard.length) await new Promise((resolve) => setTimeout(resolve, 10));
            subscription.close();
            const stop = new AbortController();
            const slow = failed(client.call('shop.sleep', [30], { signal: stop.signal }));
            stop.abort();
            const wrong = await failed(new Client({ token: 'wrong' }).call('shop.add', [1, 2]));
            const [, bytes] = await client.call('shop.bytes', [new Uint8Array([0, 255])], { all: true });
            const error = await failed(client.call('shop.fail'));
            const result = { sum: await client.call('shop.add', [1, 2]), heard, caller: (await client.call('shop.meta')).caller,
                slow: (await slow).name, bytes: [...bytes], error: [error instanceof CloudsError, error.code], wrong: wrong.code,
                hidden: (await failed(client.call('secret.add', [1, 2]))).outcome };
            client.close();
            return result;
        })()""")
        self.assertEqual(found, {"sum": 3, "heard": [["chat.a", "hello"]], "caller": "front", "slow": "AbortError", "bytes": [0, 255],
                                 "error": [True, "E_SOLD"], "wrong": "CLOUDS_AUTH_FAILED", "hidden": "NOT_DONE"})
        self.assertEqual(page.errors, [])


if __name__ == "__main__":
    unittest.main()
