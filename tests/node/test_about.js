// Who answered: the option `about` of a call.
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
  const servers = ['s.first', 's.second'].map((id) => clouds.createServer({ id }));
  for (const server of servers) {
    await server.registerP('who', () => server.id);
    await server.registerP('refuse', () => {
      throw Object.assign(new Error(server.id), { code: 'E_NO', server: 'mine' });
    });
  }
  return [...servers, clouds.createClient({ timeout: 20 })];
}

function close(...nodes) {
  return Promise.all(nodes.map((node) => node.exitP()));
}

test('results and errors', async () => {
  const [first, second, client] = await open(),
    seen = new Set();
  await until(async () => {
    const about = { server: 's.old', other: 1 };
    const called = client.call('who', [], { about });
    assert.strictEqual(about.server, undefined);
    assert.deepStrictEqual(about, { server: await called, other: 1 });
    seen.add(about.server);
    const error = await client.call('refuse', [], { about }).catch((problem) => problem);
    assert.deepStrictEqual([about.server, error.server], [error.message, 'mine']);
    return seen.size === 2;
  });
  const many = Array.from({ length: 50 }, () => ({}));
  const answered = await Promise.all(many.map((about, i) => client.call('who', [], i % 2 ? { about } : undefined)));
  many.forEach((about, i) => assert.strictEqual(about.server, i % 2 ? answered[i] : undefined));
  const about = {};
  await client.notify('who', [], { server: 's.second', about });
  assert.deepStrictEqual(about, { server: 's.second' });
  await assert.rejects(client.call('nobody', [], { about }), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  assert.strictEqual(about.server, undefined);
  await assert.rejects(client.call('who', [], { about: 's.first' }), { name: 'TypeError', message: /about is an object/ });
  await close(client, first, second);
});

test('with a callback, a signal and several values', async () => {
  const [first, second, client] = await open(),
    about = {};
  const [id, known] = await new Promise((resolve, reject) => {
    client.call('who', [], { about }, (error, value) => (error ? reject(error) : resolve([value, about.server])));
  });
  assert.strictEqual(known, id);
  const { signal } = new AbortController();
  const [value] = await client.call('who', [], { about, signal, all: true, server: 's.first' });
  assert.deepStrictEqual([value, about.server], ['s.first', 's.first']);
  await close(client, first, second);
});

test('who did not answer, and who did then', async () => {
  const [first, second, client] = await open(),
    about = {};
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await first.registerP('either', () => released);
  await assert.rejects(client.call('either', [], { about, timeout: 2 }), { code: 'CLOUDS_CALL_SERVICE_TIMEOUT' });
  assert.strictEqual(about.server, 's.first');
  await second.registerP('either', () => 'answered');
  await until(async () => (await client.call('either', [], { about, timeout: 2, retry: 5 }).catch(() => null)) === 'answered');
  assert.strictEqual(about.server, 's.second');
  release();
  await close(client, first, second);
});
