// Buffers and Uint8Arrays: as arguments, results, messages and what is published.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until } = require('./support.js');

let redis;

before(async () => {
  redis = await cluster();
});
after(() => redis.stop());

const BUSES = ['inproc:bytes', 'local:bytes', undefined];
const optionsOf = (url) => (url ? { url } : {});
const bytes = (text) => Buffer.from(text, 'latin1');
const BIG = Buffer.alloc(1000000, '\0\x01\xff', 'latin1');

// Each comes back as it was sent, what looks like bytes too.
const LISTS = [
  [bytes('\0\x01\xff\xfe')],
  [bytes('')],
  [bytes(''), bytes('')],
  [bytes('one'), 1, bytes('two'), 'three', { a: [bytes('four'), { b: bytes('') }] }],
  [{ $bytes: [0, 3] }],
  [{ $$bytes: 1 }],
  [{ $bytes: [0, 3] }, bytes('abc')],
  [bytes('abc'), { $bytes: [0, 3] }, { $$$bytes: bytes('x') }, { $bytes: { $bytes: 1 } }, { $bytes: bytes('y') }],
  [bytes('abc'), { $bytes: [0, 3], other: 1 }, { bytes: 1 }, { $: 1 }, JSON.parse('{"__proto__":{"$bytes":1}}')],
  [-0, bytes('abc'), [-0, { a: -0 }], 1e21, 'text'],
  [BIG],
];

async function pair(url) {
  const server = clouds.createServer(optionsOf(url)),
    client = clouds.createClient(optionsOf(url));
  await server.registerP('echo', (...values) => values);
  await client.ready();
  return [server, client];
}

async function leave(...nodes) {
  await Promise.all(nodes.map((node) => node.exitP({ drain: 0 })));
}

for (const url of BUSES) {
  test(`arguments and results over ${url || 'redis'}`, async () => {
    const [server, client] = await pair(url);
    await server.registerP('later', async (...values) => {
      await null;
      return values;
    });
    server.register('back', (...all) => all.pop()(null, ...all));
    const given = await Promise.all(LISTS.map((list) => client.call('echo', list)));
    assert.deepStrictEqual(given, LISTS);
    for (const list of LISTS) {
      assert.deepStrictEqual(await client.call('later', list, { meta: { a: 1 }, timeout: 20 }), list);
      assert.deepStrictEqual(await client.call('back', list, { all: true }), list);
    }
    const view = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
    const [back] = await client.call('echo', [view]);
    assert.ok(Buffer.isBuffer(back));
    assert.deepStrictEqual([...back], [2, 3]);
    await leave(server, client);
  });

  test(`messages and what is published over ${url || 'redis'}`, async () => {
    const [server, client] = await pair(url);
    const got = [],
      heard = [];
    server.on('message', (sender, value) => got.push(value));
    await server.subscribe('a', (value, { meta }) => heard.push([value, meta]));
    for (const list of LISTS) {
      client.send(server.id, list);
      client.publish('a', list, { meta: { m: 1 } });
    }
    await until(() => got.length === LISTS.length && heard.length === LISTS.length);
    assert.deepStrictEqual(got, LISTS);
    assert.deepStrictEqual(heard, LISTS.map((list) => [list, { m: 1 }]));
    let all;
    await server.subscribe(['x', 'y'], (values) => (all = values), { all: true });
    client.publish('x', { $bytes: [0, 1] });
    client.publish('y', bytes('why'));
    await until(() => all);
    assert.deepStrictEqual(all, [{ $bytes: [0, 1] }, bytes('why')]);
    await leave(server, client);
  });

  test(`a hook gives bytes, or takes them away, over ${url || 'redis'}`, async () => {
    const [server, client] = await pair(url);
    for (const [given, want] of [
      [null, [bytes('own'), 1]],
      [[bytes('other'), bytes('')], [bytes('other'), bytes('')]],
      [[{ $bytes: [0, 1] }], [{ $bytes: [0, 1] }]],
    ]) {
      const echo = client.bindP('echo', undefined, (...all) => {
        const go = all.pop();
        go(...(given || all));
      });
      assert.deepStrictEqual(await echo(bytes('own'), 1), want);
    }
    await leave(server, client);
  });
}

test('what is sent is what was there when it was sent', async () => {
  const [server, client] = await pair('inproc:then');
  const buffer = bytes('before');
  const going = client.call('echo', [buffer]);
  buffer.fill('x');
  assert.deepStrictEqual(await going, [bytes('before')]);
  await leave(server, client);
});

test('objects that say what they are', async () => {
  const [server, client] = await pair('inproc:toJSON');
  const date = new Date(0);
  const list = [{ toJSON: () => bytes('own') }, date, { $bytes: 1, nothing: undefined, toJSON: undefined }, [, bytes('x')]];
  assert.deepStrictEqual(await client.call('echo', list), [bytes('own'), date.toJSON(), { $bytes: 1 }, [null, bytes('x')]]);
  const round = { bytes: bytes('x') };
  round.round = round;
  await assert.rejects(client.call('echo', [round]), /circular/);
  const wide = {};
  wide.a = wide.b = wide;
  await assert.rejects(client.call('echo', [wide]), /circular/);
  assert.deepStrictEqual(await client.call('echo', [new Map([[1, bytes('x')]]), bytes('y')]), [{}, bytes('y')]);
  await leave(server, client);
});

test('where bytes cannot be, and too many of them', async () => {
  const [server, client] = await pair('inproc:limits');
  await assert.rejects(client.call('echo', [], { meta: { a: bytes('x') } }), /meta has no bytes/);
  await assert.rejects(client.publishP('a', 1, { meta: { a: new Uint8Array(1) } }), /meta has no bytes/);
  const error = await client.call('echo', [Buffer.alloc(5000000)]).catch((problem) => problem);
  assert.deepStrictEqual([error.code, error.outcome], ['CLOUDS_TOO_BIG', 'NOT_DONE']);
  await server.registerP('big', () => Buffer.alloc(5000000));
  const problem = await client.call('big').catch((each) => each);
  assert.deepStrictEqual([problem.code, problem.outcome], ['CLOUDS_TOO_BIG', 'APP_ERROR']);
  assert.deepStrictEqual(await client.call('echo', [bytes('still')]), [bytes('still')]);
  await leave(server, client);
});
