// Channels: publish, subscribe, watch.
'use strict';

const assert = require('assert');
const { EventEmitter } = require('events');
const { test, before, after } = require('node:test');
const { clouds, cluster, until } = require('./support.js');

let redis;

before(async () => {
  redis = await cluster();
});
after(() => redis.stop());

const BUSES = ['inproc:channels', 'local:channels', undefined];
const optionsOf = (url) => (url ? { url } : {});

async function pair(url) {
  const nodes = [clouds.createClient(optionsOf(url)), clouds.createServer(optionsOf(url))];
  await Promise.all(nodes.map((node) => node.ready()));
  return nodes;
}

async function leave(...nodes) {
  await Promise.all(nodes.map((node) => node.exitP({ drain: 0 })));
}

// Publishes until it is heard: over some buses others know of a subscription a little later. And waits for the last of that.
async function heard(node, topic, got) {
  const has = (text) => got.some((entry) => JSON.stringify(entry).includes(text));
  await until(async () => {
    await node.publishP(topic, `${topic} first`);
    return has(`${topic} first`);
  }, topic);
  await node.publishP(topic, `${topic} last`);
  await until(() => has(`${topic} last`));
}

for (const url of BUSES) {
  test(`publish and subscribe over ${url || 'redis'}`, async () => {
    const [a, b] = await pair(url);
    const got = [],
      other = [];
    const subscription = await b.subscribe('chat.room', (value, message) => got.push({ value, message }));
    const all = await b.subscribe(['chat.*', 'chat.room', 'log.>'], (value, { topic }) => other.push([topic, value]));
    assert.deepStrictEqual(subscription.topics, ['chat.room']);
    await heard(a, 'chat.room', got);
    await heard(a, 'chat.x', other);
    got.length = other.length = 0;
    for (let i = 0; i < 100; i++) a.publish('chat.room', i, { meta: { n: i } });
    await until(() => got.length === 100 && other.length === 100);
    got.forEach(({ value, message }, i) => {
      assert.strictEqual(value, i);
      assert.strictEqual(message.value, i);
      assert.strictEqual(message.topic, 'chat.room');
      assert.strictEqual(message.sender, a.id);
      assert.strictEqual(message.missed, 0);
      assert.strictEqual(message.lagged, false);
      assert.strictEqual(message.sequence, got[0].message.sequence + i);
      assert.deepStrictEqual(message.meta, { n: i });
    });
    assert.deepStrictEqual(other[7], ['chat.room', 7]);
    // It gets what it publishes itself, too; and nothing after close.
    b.publish('chat.room', undefined);
    await until(() => got.length === 101);
    assert.strictEqual(got[100].value, null);
    assert.strictEqual(got[100].message.sender, b.id);
    assert.strictEqual(got[100].message.meta, null);
    subscription.close();
    subscription.close();
    assert.strictEqual(subscription.closed, true);
    await a.publishP('chat.room', 'more');
    await until(() => other.some(([, value]) => value === 'more'));
    assert.strictEqual(got.length, 101);
    assert.ok(a.counters().published >= 100);
    await leave(a, b);
    assert.strictEqual(all.closed, true);
  });

  test(`all, group and watch over ${url || 'redis'}`, async () => {
    const [a, b] = await pair(url);
    const joined = [],
      taken = [[], []],
      seen = [];
    await b.subscribe(['sum.a', 'sum.b'], (values) => joined.push(values), { all: true });
    for (const node of [0, 1]) await [a, b][node].subscribe('jobs', (value) => taken[node].push(value), { group: 'workers' });
    const watch = b.watch('ticks.*', { queue: 10 });
    const watching = (async () => {
      for await (const message of watch) {
        seen.push(message);
        if (message.value === 'end') break;
      }
    })();
    await until(async () => {
      await a.publishP('sum.a', 1);
      await a.publishP('sum.b', 2);
      return joined.length > 0;
    });
    assert.deepStrictEqual(joined[0], [1, 2]);
    await until(async () => {
      await a.publishP('jobs', 'first');
      return taken[0].length > 0 && taken[1].length > 0;
    });
    await heard(a, 'ticks.1', seen);
    const jobs = () => taken.flat().filter((value) => value !== 'first');
    for (let i = 0; i < 50; i++) a.publish('jobs', i);
    await until(() => jobs().length === 50);
    assert.deepStrictEqual(jobs().sort((x, y) => x - y), Array.from({ length: 50 }, (_, i) => i));
    a.publish('ticks.2', 'end');
    await watching;
    assert.strictEqual(seen[seen.length - 1].topic, 'ticks.2');
    assert.strictEqual(watch.closed, true);
    await leave(a, b);
  });
}

test('a watch that is not read keeps no more than its bytes', async () => {
  const [a, b] = await pair('inproc:heavy');
  const watch = b.watch('loads', { queueBytes: 4500 });
  const light = b.watch('loads');
  const count = [];
  await b.subscribe('loads', () => count.push(1));
  for (let i = 1; i <= 10; i++) a.publish('loads', String(i % 10).repeat(1000));
  await until(() => count.length === 10);
  const { value: first } = await watch.next();
  assert.strictEqual(first.value[0], '7');
  assert.strictEqual(first.missed, 6);
  assert.strictEqual(first.lagged, true);
  const { value: second } = await watch.next();
  assert.strictEqual(second.value[0], '8');
  assert.strictEqual(second.missed, 0);
  // What was taken makes room.
  a.publish('loads', 'a'.repeat(2000));
  await until(() => count.length === 11);
  const rest = [];
  for (let i = 0; i < 3; i++) rest.push((await watch.next()).value);
  assert.deepStrictEqual(rest.map(({ value, missed }) => value[0] + missed), ['90', '00', 'a0']);
  assert.strictEqual((await light.next()).value.value[0], '1');
  await leave(a, b);
});

test('a watch that is not read drops the oldest, and says so', async () => {
  const [a, b] = await pair('inproc:slow');
  const watch = b.watch('ticks', { queue: 4 });
  const count = [];
  await b.subscribe('ticks', (value) => count.push(value));
  for (let i = 1; i <= 10; i++) a.publish('ticks', i);
  await until(() => count.length === 10);
  const { value: first } = await watch.next();
  assert.strictEqual(first.value, 7);
  assert.strictEqual(first.missed, 6);
  assert.strictEqual(first.lagged, true);
  assert.strictEqual((await watch.next()).value.missed, 0);
  // One that waits is told the end, as is one that comes later; what was there is given first.
  watch.close();
  assert.strictEqual((await watch.next()).value.value, 9);
  await watch.next();
  assert.deepStrictEqual(await watch.next(), { value: undefined, done: true });
  const other = b.watch('nothing');
  const waiting = other.next();
  await leave(a, b);
  assert.deepStrictEqual(await waiting, { value: undefined, done: true });
});

test('what is wrong is named', async () => {
  const [a, b] = await pair('inproc:wrong');
  await assert.rejects(a.publishP('a..b', 1), { code: 'CLOUDS_INVALID_ARGUMENT', message: /a\.\.b/ });
  await assert.rejects(a.publishP('a.*', 1), { code: 'CLOUDS_INVALID_ARGUMENT', message: /a\.\*/ });
  await assert.rejects(b.subscribe('a.>.b', () => {}), { code: 'CLOUDS_INVALID_ARGUMENT', message: /a\.>\.b/ });
  await assert.rejects(b.subscribe('a.*', () => {}, { group: 'g' }), { code: 'CLOUDS_INVALID_ARGUMENT', message: /group/ });
  await assert.rejects(b.subscribe([], () => {}), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(b.subscribe('a', () => {}, { group: '' }), { name: 'TypeError', message: /group/ });
  await assert.rejects(b.subscribe('a', () => {}, { groupe: 'g' }), { code: 'CLOUDS_INVALID_OPTION', message: /group/ });
  await assert.rejects(b.subscribe('a', () => {}, { queue: 0 }), TypeError);
  await assert.rejects(b.subscribe('a'), TypeError);
  await assert.rejects(b.subscribe(7, () => {}), TypeError);
  await assert.rejects(a.publishP('a', 1, { meta: 7 }), TypeError);
  await assert.rejects(a.publishP('a', 1n), TypeError);
  assert.throws(() => a.publish('a\0b', 1), { code: 'CLOUDS_INVALID_ARGUMENT' });
  assert.throws(() => a.watch([{}]), TypeError);
  await assert.rejects(a.watch('a..b').next(), { code: 'CLOUDS_INVALID_ARGUMENT' });
  const warned = new Promise((resolve) => process.once('warning', resolve));
  a.publish('x..y', 1);
  assert.match((await warned).message, /x\.\.y/);
  const error = await new Promise((resolve) => a.publish('x..z', 1, resolve));
  assert.match(error.message, /x\.\.z/);
  await leave(a, b);
  await assert.rejects(a.publishP('a', 1), { code: 'CLOUDS_CLOSED' });
  await assert.rejects(a.subscribe('a', () => {}), { code: 'CLOUDS_CLOSED' });
  await assert.rejects(a.watch('a').next(), { code: 'CLOUDS_CLOSED' });
});

test('a listener that throws ends nothing', async () => {
  const [a, b] = await pair('inproc:throws');
  const problems = [],
    got = [];
  b.on('listener error', (error, event) => problems.push([error.message, event]));
  await b.subscribe('t', (value) => {
    got.push(value);
    if (value === 1) throw new Error('one');
    if (value === 2) return Promise.reject(new Error('two'));
    return undefined;
  });
  for (let i = 1; i <= 3; i++) a.publish('t', i);
  await until(() => got.length === 3 && problems.length === 2);
  assert.deepStrictEqual(problems, [
    ['one', 't'],
    ['two', 't'],
  ]);
  await leave(a, b);
});

test('a connection of the program has no channels', async () => {
  const connection = Object.assign(new EventEmitter(), {
    setId() {},
    exit: (callback) => callback(),
    keys: (pattern, callback) => callback(null, []),
    deleteKeys: (keys, callback) => callback(null, keys),
  });
  const node = clouds.createClient({ connection });
  await assert.rejects(node.publishP('t', 1), { code: 'CLOUDS_NOT_SUPPORTED' });
  await assert.rejects(node.subscribe('t', () => {}), { code: 'CLOUDS_NOT_SUPPORTED' });
  await assert.rejects(node.watch('t').next(), { code: 'CLOUDS_NOT_SUPPORTED' });
  await node.exitP();
});
