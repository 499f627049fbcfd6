// Beside the original: the same program against npm's clouds and ours, and each calling the other.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until, original } = require('./support.js');

const npm = original();
let redis,
  count = 0;

// Those of a test: each has a part of Redis of its own.
const options = (prefix, more) => Object.assign({ redis: { path: redis.socket, prefix } }, more);

before(async () => {
  redis = await cluster();
});

after(async () => {
  // The original closes its connections 200 ms after exit, and would hold on to a Redis that is gone.
  await until(async () => (await redis.command('CLIENT', 'LIST')).trim().split('\n').length === 1, 'all have left');
  await redis.stop();
});

function exit(node) {
  if (node instanceof clouds.Base) node.exit({ drain: 0 });
  else node.exit();
  clearInterval(node._clearServerListTid); // the original's clients keep a timer for ever
}

const PAIRS = [
  ['ours', clouds, 'ours', clouds],
  ['npm', npm, 'ours', clouds],
  ['ours', clouds, 'npm', npm],
];

const listens = (...nodes) => Promise.all(nodes.map((node) => new Promise((resolve) => node.once('listen', resolve))));
const register = (server, name, handler) =>
  new Promise((resolve, reject) =>
    server.register(name, handler, (error, key) => (error ? reject(error) : resolve(key)))
  );
const got = (begin) => new Promise((resolve) => begin((...all) => resolve(all)));

async function pair(t, caller, server, more) {
  const prefix = `p${++count}`;
  const nodes = {
    prefix,
    client: caller.createClient(options(prefix, Object.assign({ timeout: 20 }, more))),
    server: server.createServer(options(prefix)),
  };
  await listens(nodes.client, nodes.server);
  nodes.call = (method, ...args) => got((done) => nodes.client.call(method, args, done));
  t.after(() => [nodes.client, nodes.server].forEach(exit));
  return nodes;
}

// Tests that mostly wait.
const waiting = [];
const waits = (name, check) => waiting.push([name, check]);

const VALUES = [
  [],
  [null],
  [1, null, null],
  [undefined, 1, undefined],
  [0.1, 1e308, 5e-324, 2 ** 53, 1e21],
  [NaN, Infinity],
  ['', '\0', 'a\0b', '\ud800', 'x\udfffy', '\ud83d\ude00', 'h\u00e9llo \u4e16', '\u2028"\\\n'],
  [[], {}, [[]], [{}]],
  [{ a: undefined, b: null, 0: 1, '': 2 }],
  [new Date(0)],
  [[undefined, () => {}]],
  [new Error('value')],
  [JSON.parse('{"__proto__":1}')],
  ['x'.repeat(100000)],
  [Array.from({ length: 1000 }, (unused, i) => i)],
  [{ toJSON: () => 'j' }],
];

for (const [callerName, caller, serverName, server] of PAIRS) {
  test(`values from ${callerName} to ${serverName} and back are what JSON makes of them`, async (t) => {
    const nodes = await pair(t, caller, server);
    let seen;
    await register(nodes.server, 'echo', (...args) => {
      const reply = args.pop();
      seen = args;
      reply(null, ...args);
    });
    for (const values of VALUES) {
      const wanted = JSON.parse(JSON.stringify(values));
      const [error, ...back] = await nodes.call('echo', ...values);
      assert.strictEqual(error, null);
      assert.deepStrictEqual(seen, wanted);
      assert.deepStrictEqual(back, wanted);
    }
  });

  test(`errors from ${serverName} at ${callerName}`, async (t) => {
    const nodes = await pair(t, caller, server);
    const failures = [
      [Object.assign(new Error('boom'), { code: 'E', status: 5, extra: { a: [1, null] } }), 1],
      [{ message: 'm', code: 'C' }],
    ];
    for (const failure of failures) {
      await register(nodes.server, 'fails', (callback) => callback(...failure));
      const [error, ...values] = await nodes.call('fails');
      assert.ok(error instanceof Error);
      assert.deepStrictEqual(
        [error.message, error.code, error.status, error.extra, values],
        [failure[0].message, failure[0].code, failure[0].status, failure[0].extra, failure.slice(1)]
      );
    }
    await register(nodes.server, 'text', (callback) => callback('plain words'));
    const [error] = await nodes.call('text');
    // The original neither sends the message of a text error nor finds it.
    if (caller === clouds) assert.strictEqual(error.message, 'plain words');
    else assert.ok(error instanceof Error);
  });

  test(`messages from ${callerName} to ${serverName} and back`, async (t) => {
    const nodes = await pair(t, caller, server);
    const heard = [],
      back = [];
    nodes.server.on('message', (sender, data) => heard.push([sender, data]));
    nodes.client.on('message', (sender, data) => back.push([sender, data]));
    const values = ['hello', 789, { a: 123 }, null, [], undefined];
    for (const value of values) nodes.client.send(nodes.server.id, value);
    for (const value of values) nodes.server.send(nodes.client.id, value);
    await until(() => heard.length === values.length && back.length === values.length);
    assert.deepStrictEqual(
      heard,
      values.map((value) => [nodes.client.id, value])
    );
    assert.deepStrictEqual(
      back,
      values.map((value) => [nodes.server.id, value])
    );
  });

  waits(`timeouts, and retries with onRetry, from ${callerName} to ${serverName}`, async (t) => {
    const nodes = await pair(t, caller, server, { timeout: 1.5, notAutoCleanRemoteServer: true });
    let served = 0,
      begun = 0;
    await register(nodes.server, 'silent', (a, callback) => {
      served++;
      if (a === 3) callback(null, a);
    });
    const [error] = await nodes.call('silent', 1);
    assert.deepStrictEqual([error.message, error.code], ['timeout', 'CLOUDS_CALL_SERVICE_TIMEOUT']);
    const bound = nodes.client.bind('silent', 5, (a, callback) => callback(a + begun++));
    assert.deepStrictEqual(await got((done) => bound(1, done)), [null, 3]);
    assert.deepStrictEqual([served, begun], [4, 3]);
    const other = caller.createClient(options(nodes.prefix, { timeout: 20 }));
    t.after(() => exit(other));
    const [none] = await got((done) => other.call('nobody', [], done));
    assert.deepStrictEqual([none.message, none.code], ['no available server', 'CLOUDS_NO_AVAILABLE_SERVER']);
  });
}

for (const [callerName, caller, serverName, server] of PAIRS) {
  waits(`${callerName} does not ask a server of ${serverName} again for a method in which it was silent`, async (t) => {
    // Longer than the second between two looks for the keys of npm's servers.
    const nodes = await pair(t, caller, server, { timeout: 1.5 });
    await register(nodes.server, 'silent.one', () => {});
    await register(nodes.server, 'healthy', (callback) => callback(null, 'well'));
    const first = await nodes.call('silent.one'),
      second = await nodes.call('silent.one');
    assert.deepStrictEqual(
      [first[0].code, second[0].code],
      ['CLOUDS_CALL_SERVICE_TIMEOUT', 'CLOUDS_NO_AVAILABLE_SERVER']
    );
    assert.deepStrictEqual(await nodes.call('healthy'), [null, 'well']);
  });
}

for (const notAutoCleanRemoteServer of [false, true]) {
  waits(`a timeout deletes the registration of an npm server: ${!notAutoCleanRemoteServer}`, async (t) => {
    const nodes = await pair(t, clouds, npm, { timeout: 1.5, notAutoCleanRemoteServer });
    await register(nodes.server, 'dead', () => {});
    await nodes.call('dead');
    const key = `${nodes.prefix}:S:dead:${nodes.server.id}`;
    const keys = () => redis.keys(`${nodes.prefix}:S:*`);
    if (notAutoCleanRemoteServer) assert.deepStrictEqual(await keys(), [key]);
    else await until(async () => (await keys()).length === 0);
  });
}

test('those that wait for timeouts', { concurrency: true }, (t) =>
  Promise.all(waiting.map(([name, check]) => t.test(name, check)))
);

test('both monitors see the same', async () => {
  const servers = [clouds.createServer(options('both')), npm.createServer(options('both'))];
  await listens(...servers);
  await register(servers[0], 'a', () => {});
  await register(servers[0], 'b', () => {});
  await register(servers[1], 'a', () => {});
  const monitors = [clouds.createMonitor(options('both')), npm.createMonitor(options('both'))];
  const sorted = (groups) => Object.fromEntries(Object.entries(groups).map(([name, list]) => [name, list.sort()]));
  for (const monitor of monitors) {
    const [error, status] = await got((done) => monitor.status(done));
    assert.strictEqual(error, null);
    assert.deepStrictEqual(sorted(status.servers), { [servers[0].id]: ['a', 'b'], [servers[1].id]: ['a'] });
    assert.deepStrictEqual(sorted(status.methods), { a: servers.map((s) => s.id).sort(), b: [servers[0].id] });
  }
  [...servers, ...monitors].forEach(exit);
});

for (const [callerName, caller, serverName, server] of PAIRS) {
  test(`calls of ${callerName} go to one server of ${serverName} after the other`, async (t) => {
    const nodes = await pair(t, caller, server);
    const another = () => server.createServer(options(nodes.prefix));
    const servers = [nodes.server, another(), another()];
    t.after(() => servers.slice(1).forEach(exit));
    for (const one of servers) await register(one, 'turn', (callback) => callback(null, one.id));
    const next = async () => (await nodes.call('turn'))[1];
    // The first may know but the server whose news just came; whole turns begin when all have been heard of.
    const heard = new Set();
    while (heard.size < servers.length) heard.add(await next());
    const counts = {};
    for (let i = 0; i < 30; i++) {
      const id = await next();
      counts[id] = (counts[id] || 0) + 1;
    }
    assert.deepStrictEqual(Object.values(counts), [10, 10, 10]);
  });
}

test('what kills the original does not kill ours', async () => {
  const server = clouds.createServer(options('killed')),
    client = clouds.createClient(options('killed'));
  await listens(server, client);
  await register(server, 'alive', (callback) => callback(null, true));
  const unknown = [];
  server.on('unknown message', (message) =>
    unknown.push([message.type, message.sender, message.data, typeof message.raw])
  );
  const channel = `killed:L:${server.id}`;
  for (const text of [
    '',
    'no json',
    'null',
    '{"t":"c"}',
    '{"t":"c","d":null}',
    '{"t":"r"}',
    '{"t":"r","d":null}',
    '['.repeat(20000),
    '{"t":"c","s":"x","d":{"i":"1","m":"alive"}}',
    '{"t":"c","s":"x","d":{"i":"1","m":"alive","a":{}}}',
    '{"t":"zz","s":"x","d":[1]}',
  ])
    for (const to of [channel, `killed:L:${client.id}`]) await redis.command('PUBLISH', to, text);
  assert.strictEqual(await client.call('alive', [], { timeout: 20 }), true);
  await until(() => unknown.length > 0);
  assert.deepStrictEqual(
    unknown.find(([type]) => type === 'zz'),
    ['zz', 'x', [1], 'string']
  );
  await Promise.all([server.exitP(), client.exitP()]);
});

// The original has no bytes: a Buffer reaches it as what JSON makes of one, if the program says so.
test('bytes do not go to the original', async (t) => {
  const bytes = Buffer.from('ab');
  const toNpm = await pair(t, clouds, npm);
  await register(toNpm.server, 'echo', (value, callback) => callback(null, value));
  const [error] = await toNpm.call('echo', bytes);
  assert.deepStrictEqual([error.code, error.outcome, error.retryable], ['CLOUDS_NOT_SUPPORTED', 'NOT_DONE', true]);
  assert.match(error.message, /npm clouds 0\.1/);
  const [none, back] = await toNpm.call('echo', bytes.toJSON());
  assert.deepStrictEqual([none, back], [null, bytes.toJSON()]);
  const fromNpm = await pair(t, npm, clouds);
  await register(fromNpm.server, 'give', (callback) => callback(null, bytes));
  const [problem] = await fromNpm.call('give');
  assert.match(problem.message, /npm clouds 0\.1/);
  await register(fromNpm.server, 'plain', (callback) => callback(null, 1));
  assert.deepStrictEqual(await fromNpm.call('plain'), [null, 1]);
});

test('the envelopes of the protocol helper are those of the original', () => {
  const ours = clouds.createProtocol('me'),
    theirs = npm.createProtocol('me');
  assert.strictEqual(ours.packMessage({ a: 1 }).raw, theirs.packMessage({ a: 1 }).raw);
  assert.strictEqual(ours.packMessage(undefined).raw, theirs.packMessage(undefined).raw);
  const plain = (packed) => packed.raw.replace(/"i":"[^"]*"/, '"i":""');
  assert.strictEqual(plain(ours.packCall('m', [1, null])), plain(theirs.packCall('m', [1, null])));
  assert.match(ours.packCall('m', []).params.d.i, /^[A-Za-z0-9]{8}$/);
  assert.strictEqual(ours.packResult('i', null, [1]).raw, theirs.packResult('i', null, [1]).raw);
  const failed = theirs.packResult('i', Object.assign(new Error('x'), { code: 'C' }), []).raw;
  const read = ours.unpack(failed);
  assert.deepStrictEqual(
    [read.type, read.sender, read.data.e.message, read.data.e.code, read.raw],
    ['r', 'me', 'x', 'C', failed]
  );
  const back = theirs.unpack(ours.packResult('i', Object.assign(new Error('y'), { code: 'D' })).raw);
  assert.deepStrictEqual([back.data.e.message, back.data.e.code, back.data.r], ['y', 'D', []]);
});
