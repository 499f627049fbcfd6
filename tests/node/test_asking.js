// What a node asks another, and what the other's program hears of it.
'use strict';

const assert = require('assert');
const { once } = require('events');
const { test, before, after } = require('node:test');
const { clouds, cluster } = require('./support.js');

let redis, server, client;

before(async () => {
  redis = await cluster();
  server = clouds.createServer({ id: 's.asked', admin: 'on' });
  client = clouds.createClient({ timeout: 20 });
  await server.registerP('echo', (value) => value);
  await client.ready();
});

after(async () => {
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
  await redis.stop();
});

test('ping and status', async () => {
  const answer = await client.ask('s.asked', 'ping');
  assert.deepStrictEqual([answer.id, answer.pid, answer.state, answer.paused], ['s.asked', process.pid, 'ready', false]);
  const status = await client.ask('s.asked', 'status', null, { timeout: 10 });
  assert.deepStrictEqual([status.methods, status.requests], [{ echo: { paused: false } }, 0]);
});

test('info and methods', async () => {
  const answer = await client.ask('s.asked', 'info');
  assert.deepStrictEqual([answer.type, answer.weight, answer.counts], ['server', 1, false]);
  assert.deepStrictEqual((await client.ask('s.asked', 'methods')).methods, { echo: { paused: false } });
  await assert.rejects(client.ask('s.asked', 'stats'), { code: 'CLOUDS_NOT_SUPPORTED' });
});

test('its links', async () => {
  const { id, links } = await client.ask('s.asked', 'links');
  assert.ok(id === 's.asked' && Array.isArray(links), JSON.stringify(links));
  for (const { peer, here, ours } of links) assert.ok(typeof peer === 'string' && here && typeof ours === 'boolean', JSON.stringify(links));
});

test('pause and resume', async () => {
  const paused = once(server, 'paused');
  await client.ask('s.asked', 'pause', { method: 'echo' });
  assert.deepStrictEqual(await paused, [client.id, 'echo', true]);
  await assert.rejects(client.call('echo', [1]), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  const resumed = once(server, 'paused');
  assert.strictEqual((await client.ask('s.asked', 'resume')).paused, false);
  assert.deepStrictEqual(await resumed, [client.id, null, false]);
  assert.strictEqual(await client.call('echo', [1], { retry: 5 }), 1);
});

test('what cannot be asked', async () => {
  await assert.rejects(client.ask('s.nobody', 'ping'), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  await assert.rejects(client.ask('s.asked', 'pause', { method: 'nobody' }), { message: "no method 'nobody' is registered" });
  const wrong = [
    [[7, 'ping'], /the id of a node is a text/],
    [['s.asked', 'dance'], /cannot be asked to "dance"; expected one of ping, info, status, stats, methods, links, pause, resume, stop/],
    [['s.asked', 'ping', []], /expected an object/],
    [['s.asked', 'ping', { drain: 1 }], /'ping' does not take "drain"/],
    [['s.asked', 'stop', { drain: '1' }], /drain is a number/],
    [['s.asked', 'stop', { drain: NaN }], /drain is a number/],
    [['s.asked', 'ping', null, { tmeout: 1 }], /tmeout/],
  ];
  for (const [args, words] of wrong) await assert.rejects(client.ask(...args), { message: words });
  const closed = clouds.createServer({ id: 's.closed' }); // over Redis the option is off
  await closed.registerP('closed', () => null);
  await assert.rejects(client.ask('s.closed', 'stop'), { code: 'CLOUDS_NOT_SUPPORTED', message: /it answers no questions/ });
  await closed.exitP({ drain: 0 });
});

test('stop: the program decides, or the node leaves', async () => {
  const asked = once(server, 'stop');
  await client.ask('s.asked', 'stop', { drain: 2.5 });
  assert.deepStrictEqual(await asked, [client.id, 2.5]);
  assert.strictEqual(await client.call('echo', [2]), 2);
  const other = clouds.createServer({ id: 's.other', admin: 'on' });
  await other.registerP('other', () => null);
  const exit = once(other, 'exit');
  await client.ask('s.other', 'stop');
  await exit;
  await other.exitP();
});
