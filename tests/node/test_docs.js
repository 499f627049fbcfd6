// docs/NODE.md and examples/node, run literally: what a line says it prints is printed.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test } = require('node:test');
const { PACKAGE, clouds, cluster, until, run, folder } = require('./support.js');

const ROOT = path.join(__dirname, '..', '..');
const blocks = [...fs.readFileSync(path.join(ROOT, 'docs', 'NODE.md'), 'utf8').matchAll(/^```js\n([^]*?)^```$/gm)].map(
  (m) => m[1]
);
const promised = (code) => [...code.matchAll(/ \/\/ prints: (.*)$/gm)].map((m) => m[1]);

// What the code prints, in a line each; `code` may use clouds and await.
async function printed(code, ...args) {
  const lines = [];
  const console = { log: (...words) => lines.push(words.join(' ')) };
  const AsyncFunction = (async () => {}).constructor;
  await new AsyncFunction('require', 'console', 'args', code)(
    (name) => (name === 'clouds' ? clouds : require(name)),
    console,
    args
  );
  return lines;
}

test('the first program', async () => {
  const code = blocks[0].replace('\nmain();', '\nawait main();');
  assert.deepStrictEqual(await printed(code), promised(code));
});

test('the functions of the other examples', async () => {
  const redis = await cluster();
  const server = clouds.createServer(),
    client = clouds.createClient();
  const calls = {
    offer: [server],
    ask: [client],
    patient: [client],
    careful: [client],
    talk: [server, client],
    channels: [server, client],
    images: [server, client],
    tell: [],
    serve: [],
    choose: [client, [server.id]],
  };
  const seen = [];
  for (const code of blocks.slice(1)) {
    const name = /function (\w+)/.exec(code)[1];
    seen.push(name);
    const lines = await printed(`${code}\nawait ${name}(...args);`, ...calls[name]);
    assert.deepStrictEqual(lines.sort(), promised(code).sort(), name);
  }
  assert.deepStrictEqual(seen, Object.keys(calls));
  assert.deepStrictEqual((await client.call('user.name', [7])).name, 'Glen');
  await Promise.all([server.exitP(), client.exitP()]);
  await redis.stop();
});

test('the examples', async () => {
  const redis = await cluster();
  const modules = path.join(folder, 'examples', 'node_modules');
  fs.mkdirSync(modules, { recursive: true });
  fs.symlinkSync(PACKAGE, path.join(modules, 'clouds'));
  for (const name of ['service.js', 'client.js', 'drain.js'])
    fs.copyFileSync(path.join(ROOT, 'examples', 'node', name), path.join(modules, '..', name));
  for (const url of [redis.url, 'local:examples']) {
    const service = run(process.execPath, [path.join(modules, '..', 'service.js'), url]);
    await until(() => service.out.includes('ready'), 'the service');
    const client = run(process.execPath, [path.join(modules, '..', 'client.js'), url]);
    assert.deepStrictEqual(await client.ended, { code: 0, signal: null }, client.err);
    assert.strictEqual(client.out, 'Hello Glen, hi\nE_ZERO division by zero APP_ERROR\nnull 0.25\n');
    service.kill('SIGTERM');
    assert.deepStrictEqual(await service.ended, { code: 0, signal: null }, service.err);
  }
  await redis.stop();
});

test('the example that drains at SIGTERM', async () => {
  const redis = await cluster();
  const file = path.join(folder, 'examples', 'drain.js');
  for (const url of [redis.url, 'local:drain']) {
    const service = run(process.execPath, [file, url]);
    await until(() => service.out.includes('ready'), 'the service');
    const [, id, port] = /ready: (\S+) (\d+)/.exec(service.out);
    const page = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    assert.strictEqual(page, 'done\n');
    const client = clouds.createClient(url);
    const slow = client.call('test.slow', [1], { server: id, timeout: 60 });
    await until(async () => (await client.call('test.slow', [0], { server: id })) === 'done');
    service.kill('SIGTERM');
    await until(() => service.out.includes('finishing'));
    assert.strictEqual(await slow, 'done');
    assert.deepStrictEqual(await service.ended, { code: 0, signal: null }, service.err);
    assert.match(service.out, /ended, 0 left unanswered/);
    assert.deepStrictEqual((await client.status()).methods, {});
    await client.exitP();
  }
  await redis.stop();
});

test('every option that the page names is one', () => {
  const { complete, forLibrary } = require(path.join(PACKAGE, 'lib', 'options.js'));
  for (const [name, value] of [
    ['timeout', 1],
    ['deadline', 2],
    ['retry', 3],
    ['heartbeat', 4],
    ['serverMaxAge', 5],
    ['maxMessage', 6],
    ['drainTimeout', 7],
  ]) {
    const { ofContext, ofNode } = forLibrary(complete({ [name]: value }, 'base'));
    assert.ok([...ofContext, ...ofNode].includes(String(value)), name);
  }
});
