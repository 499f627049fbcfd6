// Idempotency keys, hedging, answers that are published, versions of a service.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until } = require('./support.js');

let redis;

before(async () => {
  redis = await cluster();
});

after(() => redis.stop());

async function open() {
  const server = clouds.createServer(),
    client = clouds.createClient({ timeout: 20 }),
    runs = [];
  await server.registerP('count', (...args) => runs.push(args));
  await until(async () => client.call('count', []), 'the server');
  runs.length = 0;
  return { server, client, runs };
}

function close(...nodes) {
  return Promise.all(nodes.map((node) => node.exitP()));
}

test('a key runs once', async () => {
  const { server, client, runs } = await open();
  for (let i = 0; i < 5; i++) assert.strictEqual(await client.call('count', ['x'], { once: 'order 7', retry: 2 }), 1);
  assert.deepStrictEqual(runs, [['x']]);
  await assert.rejects(client.call('count', ['y'], { once: 'order 7' }), { code: 'CLOUDS_KEY_CONFLICT', outcome: 'NOT_DONE' });
  assert.strictEqual(await client.call('count', ['y'], { once: 'order 8' }), 2);
  await client.notify('count', ['z'], { once: 'order 9' });
  assert.strictEqual(await client.call('count', ['z'], { once: 'order 9' }), 3);
  await assert.rejects(client.call('count', [], { once: 7 }), TypeError);
  await assert.rejects(client.call('count', [], { once: 'a\0b' }), TypeError);
  await assert.rejects(client.call('count', [], { once: '' }), { name: 'TypeError', message: /once is .* not an empty one/ });
  await assert.rejects(client.call('count', [], { replyTo: '' }), { name: 'TypeError', message: /replyTo is .* not an empty one/ });
  await assert.rejects(client.call('count', [], { once: 'x'.repeat(256) }), { code: 'CLOUDS_TOO_BIG' });
  await close(server, client);
});

test('hedge and key', async () => {
  const { server, client } = await open(),
    second = clouds.createServer();
  let slow = true;
  await server.registerP('who', () => 'first');
  await second.registerP('who', () => (slow ? new Promise((done) => setTimeout(done, 3000, 'second')) : 'second'));
  for (let i = 0; i < 4; i++) assert.strictEqual(await client.call('who', [], { hedge: 0.05, idempotent: true }), 'first');
  slow = false;
  const found = await client.call('who', [], { key: 'a' });
  for (let i = 0; i < 4; i++) assert.strictEqual(await client.call('who', [], { key: 'a' }), found);
  await assert.rejects(client.call('who', [], { hedge: 1 }), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(client.call('who', [], { hedge: '1' }), TypeError);
  await close(second, server, client);
});

test('an answer is published', async () => {
  const { server, client } = await open(),
    came = new Map();
  await client.subscribe('answers', (value, message) => came.set(message.meta && message.meta['in-reply-to'], value));
  await until(async () => {
    await server.publish('answers', 'probe');
    return came.size > 0;
  }, 'the subscription');
  await client.notify('count', ['x'], { replyTo: 'answers', correlation: '1' });
  assert.deepStrictEqual(await until(async () => came.get('1'), 'the answer'), { result: [1] });
  await assert.rejects(client.notify('count', [], { correlation: '2' }), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await close(server, client);
});

test('versions are names', async () => {
  const { server, client } = await open();
  await server.registerP('price', () => 1);
  await server.registerP('price@2', () => 2);
  assert.deepStrictEqual([await client.call('price', []), await client.call('price@2', [])], [1, 2]);
  await assert.rejects(client.call('price@3', []), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  await close(server, client);
});
