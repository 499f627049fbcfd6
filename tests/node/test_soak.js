// Many calls, nodes, aborts and dropped nodes: memory stays flat, descriptors come back. CLOUDS_LONG=1 does ten times
// as much.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until, descriptors, residentKb, LONG } = require('./support.js');

const TIMES = LONG ? 10 : 1;
let redis;

before(async () => {
  redis = await cluster();
});
after(() => redis.stop());

async function calls(client, count) {
  for (let left = count; left > 0; left -= 1000)
    await Promise.all(Array.from({ length: 1000 }, (unused, i) => client.call('add', [i, 1])));
}

// What is in use: of JavaScript's heap, and outside of it, in kB.
function usage() {
  global.gc();
  const { heapUsed, heapTotal } = process.memoryUsage();
  return { heap: heapUsed / 1024, native: residentKb() - heapTotal / 1024 };
}

const TRIES = 5; // V8 keeps some megabytes or gives them back as it likes; what leaks grows every time

// Memory stays flat while `round` runs again and again, after it ran for a while.
async function isFlat(round, rounds) {
  const growth = [];
  let before;
  for (let i = 0; i <= TRIES; i++) {
    for (let k = 0; k < rounds; k++) await round();
    const now = usage();
    if (before) {
      const [heap, native] = [now.heap - before.heap, now.native - before.native];
      if (heap < 1024 && native < 6144) return;
      growth.push(`${heap} kB of JavaScript's heap, ${native} kB outside of it`);
    }
    before = now;
  }
  assert.fail(growth.join('; '));
}

test('calls', async () => {
  const server = clouds.createServer(),
    client = clouds.createClient();
  await server.registerP('add', (a, b) => a + b);
  await isFlat(() => calls(client, 50000 * TIMES), 1);
  assert.strictEqual(client._transport.holders, 0);
  await Promise.all([server.exitP(), client.exitP()]);
});

test('calls that fail, are given up, or are never answered', async () => {
  const server = clouds.createServer(),
    client = clouds.createClient();
  server.register('fails', (callback) => callback(new Error('x')));
  server.register('never', () => {});
  await server.registerP('add', (a, b) => a + b);
  await client.call('add', [1, 1]);
  const round = () =>
    Promise.all(
      Array.from({ length: 1000 }, (unused, i) => {
        const controller = new AbortController();
        const call =
          i % 2 ? client.call('fails') : client.call('never', [], { signal: controller.signal, deadline: 20 });
        setImmediate(() => controller.abort());
        return call.catch(() => {});
      })
    );
  await isFlat(round, 8 * TIMES);
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
});

test('nodes that come and go', async () => {
  const round = async () => {
    const nodes = Array.from({ length: 10 }, (unused, i) => (i % 2 ? clouds.createClient() : clouds.createServer()));
    await nodes[0].registerP('x', () => 1);
    assert.strictEqual(await nodes[1].call('x', [], { server: nodes[0].id }), 1);
    await Promise.all(nodes.map((node) => node.exitP()));
  };
  await round();
  const before = descriptors();
  await isFlat(round, 3 * TIMES);
  await until(() => descriptors() <= before, 'the descriptors are back');
});

test('nodes that are dropped', async () => {
  const base = clouds.createBase();
  await base.ready();
  const before = descriptors();
  const drop = async (count) => {
    for (let i = 0; i < count; i++) {
      const client = clouds.createClient();
      await client.ready();
      await client.call('nobody', [], { server: 'nobody' }).catch(() => {});
    }
  };
  await drop(20 * TIMES);
  assert.ok(descriptors() > before);
  await until(() => {
    global.gc();
    return descriptors() <= before;
  }, 'the descriptors are back');
  await base.exitP();
});

test('a node that serves, listens or waits is not dropped', async () => {
  const heard = [];
  const create = async () => {
    const server = clouds.createServer({ id: 's.kept' }),
      base = clouds.createBase({ id: 'b.kept' }),
      client = clouds.createClient();
    await server.registerP('kept', () => 'kept');
    await server.registerP('end', () => server.exit());
    base.on('message', (from, value) => {
      heard.push(value);
      base.exit();
    });
    client.ready(() => {
      heard.push('ready');
      client.exit();
    });
  };
  await create();
  const client = clouds.createClient();
  for (let i = 0; i < 20; i++) {
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.strictEqual(await client.call('kept'), 'kept');
  client.send('b.kept', 'hello');
  await until(() => heard.includes('hello') && heard.includes('ready'));
  await client.call('end');
  await client.exitP();
});
