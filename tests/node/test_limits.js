// The limits of a method.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until } = require('./support.js');

let redis, server, client;

before(async () => {
  redis = await cluster();
  server = clouds.createServer();
  client = clouds.createClient({ timeout: 20 });
  await Promise.all([server.ready(), client.ready()]);
});

after(async () => {
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
  await redis.stop();
});

const soon = () => new Promise((resolve) => setImmediate(resolve));
const range = (count) => Array.from({ length: count }, (_, i) => i);

test('serial: one request at a time, in order', async () => {
  let running = 0;
  const order = [];
  const handler = async (i) => {
    assert.strictEqual(++running, 1);
    await soon();
    running--;
    order.push(i);
    return i;
  };
  await server.registerP('serial', handler, { serial: true });
  assert.deepStrictEqual(await Promise.all(range(50).map((i) => client.call('serial', [i]))), range(50));
  assert.deepStrictEqual(order, range(50));
});

test('key: those of a key in order, others beside them', async () => {
  const running = new Set(),
    order = { a: [], b: [] };
  let most = 0;
  const handler = async (i, key) => {
    assert(!running.has(key));
    running.add(key);
    most = Math.max(most, running.size);
    await until(() => most === 2); // none ends before one of each key has begun
    running.delete(key);
    order[key].push(i);
    return i;
  };
  await server.registerP('keyed', handler, { key: 1 });
  await Promise.all(range(40).map((i) => client.call('keyed', [i, 'ab'[i % 2]])));
  assert.strictEqual(most, 2);
  assert.deepStrictEqual(order.a, range(20).map((i) => 2 * i));
  assert.deepStrictEqual(order.b, range(20).map((i) => 2 * i + 1));
});

test('rate: what is too much was not done', async () => {
  let ran = 0;
  await server.registerP('rated', () => ++ran, { rate: 0.001, burst: 2 });
  assert.deepStrictEqual([await client.call('rated'), await client.call('rated')], [1, 2]);
  await assert.rejects(client.call('rated'), (error) => {
    assert.deepStrictEqual([error.code, error.outcome, error.reason], ['CLOUDS_OVERLOADED', 'NOT_DONE', 'rate']);
    return error.retry_after > 100;
  });
  assert.strictEqual(ran, 2);
  assert.strictEqual(server.counters().rate_refusals, 1);
  await server.registerP('rated', () => 'free');
  assert.strictEqual(await client.call('rated'), 'free');
});

test('no queue, and a handler with a callback', async () => {
  let reply;
  await new Promise((done) => server.register('one', (answer) => (reply = answer), { concurrency: 1, queue: 0 }, done));
  const first = client.call('one');
  await until(() => reply);
  await assert.rejects(client.call('one'), { code: 'CLOUDS_OVERLOADED', reason: 'concurrency' });
  reply(null, 7);
  assert.strictEqual(await first, 7);
});

test('a concurrency that is found', async () => {
  let running = 0;
  let most = 0;
  const own = async () => Object.values((await server.status()).own).find((node) => node.methods.found).methods.found;
  const found = async () => {
    most = Math.max(most, ++running);
    await new Promise((done) => setTimeout(done, 10));
    running--;
  };
  await server.registerP('found', found, { concurrency: 'auto', queueAge: Infinity });
  const first = await own();
  assert.deepStrictEqual([first.concurrency, first.adaptive, first.latency, first.queue], [4, true, undefined, 1000]);
  let going = true;
  const callers = Array.from({ length: 40 }, async () => {
    while (going) await client.call('found');
  });
  await until(() => most > 16); // a handler that only waits does as many as there are
  const later = await own();
  going = false;
  await Promise.all(callers);
  assert.ok(later.concurrency > 16 / 2 && later.adaptive && later.latency >= 0.005 && later.unqueued >= 0.005, later);
  assert.ok(server.counters().limit_changes >= 2);
});

test('paused: as if it were not there, and back', async () => {
  await server.registerP('paused', () => 'here');
  assert.strictEqual(await client.call('paused'), 'here');
  await server.pause('paused');
  const gone = { code: 'CLOUDS_NO_AVAILABLE_SERVER', outcome: 'NOT_DONE' };
  await assert.rejects(client.call('paused'), (error) => {
    assert.match(error.cause.message, /: 1 server is paused/);
    return error.code === gone.code && error.outcome === gone.outcome;
  });
  const waits = client.call('paused', [], { retry: 5 });
  await server.resume('paused', { timeout: 5 });
  assert.strictEqual(await waits, 'here');
  await server.pause({ timeout: 5 });
  await assert.rejects(client.call('paused'), gone);
  await server.resume();
  assert.strictEqual(await client.call('paused', [], { retry: 5 }), 'here');
  await assert.rejects(server.pause('never'), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(server.pause(''), /the name of a method is a text/);
  await assert.rejects(server.pause(7), TypeError);
});

test('what no option can be', async () => {
  const wrong = [
    [{ seriall: true }, /the option 'seriall' of register: there is none; did you mean 'serial'\?/],
    [{ serial: 1 }, /serial is true or false/],
    [{ key: -1 }, /key is the number of an argument/],
    [{ concurrency: 1.5 }, /concurrency is a whole number above 0, or 'auto'/],
    [{ concurrency: -1 }, /concurrency is a whole number above 0, or 'auto'/],
    [{ concurrency: 'many' }, /concurrency is a whole number above 0, or 'auto'/],
    [{ queue: -1 }, /queue is a whole number, 0 or more/],
    [{ rate: 0 }, /rate is a number above 0/],
    [{ burst: Infinity }, /burst is a number above 0/],
    [{ queueAge: 0 }, /queueAge is a number of seconds above 0/],
  ];
  for (const [options, words] of wrong) {
    assert.throws(() => server.register('m', () => {}, options), words);
    await assert.rejects(server.registerP('m', () => {}, options), words);
  }
  await assert.rejects(server.registerP('m', () => {}, { serial: true, concurrency: 2 }), {
    code: 'CLOUDS_INVALID_ARGUMENT',
  });
  await assert.rejects(server.registerP('m', () => {}, { serial: true, concurrency: 'auto' }), {
    code: 'CLOUDS_INVALID_ARGUMENT',
  });
  await server.registerP('m', () => {}, { concurrency: 2, queueAge: Infinity, queueTarget: 0.01, timeout: 5 });
});
