// The life of nodes and of processes with nodes: events, exit, addresses, worker threads, the garbage collector.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { Worker } = require('worker_threads');
const { test, before, after } = require('node:test');
const { clouds, PACKAGE, cluster, until, sleep, program, finished, descriptors, folder } = require('./support.js');

let redis;

before(async () => {
  redis = await cluster();
});
after(() => redis.stop());

test('constructors, functions that construct, ids', async () => {
  const kinds = { Base: 'b', Client: 'c', Server: 's', Monitor: 'm' };
  for (const [name, letter] of Object.entries(kinds)) {
    for (const node of [new clouds[name](), clouds['create' + name]()]) {
      assert.ok(node instanceof clouds[name] && node instanceof clouds.Base && node instanceof require('events'));
      assert.match(node.id, new RegExp(`^${letter}\\.[0-9a-f]{8}\\.${process.pid}\\.\\d+$`));
      await node.exitP();
    }
  }
  assert.strictEqual(clouds.createProtocol('me').sender, 'me');
  assert.strictEqual(clouds.version, require(path.join(PACKAGE, 'package.json')).version);
});

test('all names can be imported', async () => {
  const names = Object.keys(await import(path.join(PACKAGE, 'lib', 'index.js')));
  const plain = names.filter((name) => name !== 'default' && name !== 'module.exports');
  assert.deepStrictEqual(plain.sort(), Object.keys(clouds).sort());
});

test('subclasses, old style and new', async () => {
  function Old() {
    clouds.Server.call(this, { id: 'old' });
  }
  require('util').inherits(Old, clouds.Server);
  class New extends clouds.Client {
    constructor() {
      super({ id: 'new' });
    }
    add(a, b) {
      return this.call('old.add', [a, b]);
    }
  }
  const old = new Old(),
    fresh = new New();
  await old.registerP('old.add', (a, b) => a + b);
  assert.strictEqual(await fresh.add(1, 2), 3);
  await Promise.all([old.exitP(), fresh.exitP()]);
});

test('listen comes 200 ms after ready, and not after exit', async () => {
  const node = clouds.createBase(),
    since = Date.now(); // not later: timers count from when the loop began its turn
  await node.ready();
  await new Promise((resolve) => node.once('listen', resolve));
  assert.ok(Date.now() - since >= 190);
  await node.exitP();
  const gone = clouds.createBase();
  gone.on('listen', () => assert.fail('listens after its exit'));
  await gone.ready();
  await gone.exitP();
  await sleep(250);
});

test("options are written to as by the original, and unknown ones are told and ignored", async () => {
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning.message));
  const options = { heartbeat: -1, foo: { bar: 1 }, hartbeat: 1 };
  const server = clouds.createServer(options);
  assert.deepStrictEqual([options.heartbeat, options.type], [5, 'server']);
  const client = clouds.createClient(Object.freeze({ timeout: 0, serverMaxAge: 'x' }));
  assert.deepStrictEqual([client._timeout, client._serverMaxAge], [60, 60]);
  const base = clouds.createBase({ type: 'Worker' });
  assert.match(base.id, /^w\./);
  await until(() => warnings.length === 2, 'the warnings');
  assert.match(warnings.join(), /the option foo: .*,the option hartbeat: .* ignored; did you mean 'heartbeat'\?$/);
  process.removeAllListeners('warning');
  await Promise.all([server, client, base].map((node) => node.exitP()));
});

test('options that cannot be', () => {
  assert.throws(() => clouds.createBase({ id: 'a:b' }), { code: 'CLOUDS_INVALID_OPTION' });
  assert.throws(() => clouds.createBase({ id: 'a\0b' }), { code: 'CLOUDS_INVALID_OPTION' });
  assert.throws(() => clouds.createBase('http://x'), { code: 'CLOUDS_INVALID_URL' });
  assert.throws(() => clouds.createBase({ url: 'redis://x:99999' }), { code: 'CLOUDS_INVALID_URL' });
  assert.throws(() => clouds.createBase({ redis: { port: 'x' } }), { code: 'CLOUDS_INVALID_OPTION', message: /redis.port.*"x"/ });
  assert.throws(() => clouds.createBase({ maxMessage: 'x' }), { code: 'CLOUDS_INVALID_OPTION' });
  assert.throws(() => clouds.createBase(5), TypeError);
  assert.throws(() => clouds.createBase({ address: 'local:' }), /the option for an address is url, not address/);
  for (const [wrong, right] of [['servermaxage', 'serverMaxAge'], ['retries', 'retry'], ['MAX_MESSAGE', 'maxMessage']])
    assert.throws(() => clouds.createBase({ [wrong]: 1 }), { code: 'CLOUDS_INVALID_OPTION', message: new RegExp(`did you mean '${right}'`) });
});

test('every way to say where', async () => {
  const server = clouds.createServer({ url: redis.url + '?prefix=way&db=3' });
  await server.registerP('where', () => 'here');
  const { CLOUDS_URL } = process.env;
  const ways = [
    redis.url + '?prefix=way&db=3',
    { url: redis.url + '?prefix=way&db=3' },
    { url: redis.url, prefix: 'way', redis: {} },
    { redis: { path: redis.socket, prefix: 'way', db: 3 } },
    { redis: { prefix: 'way', db: '3' } },
    { redis: null, url: redis.url + '?db=3', prefix: 'way' },
  ];
  for (const way of ways) {
    const client = clouds.createClient(way);
    const reached = await client.call('where').catch((error) => error.code);
    // Without the database it finds no registration.
    assert.strictEqual(
      reached,
      way.prefix && !/db=/.test(way.url) ? 'CLOUDS_NO_AVAILABLE_SERVER' : 'here',
      JSON.stringify(way)
    );
    await client.exitP();
  }
  process.env.CLOUDS_URL = redis.url + '?db=3&prefix=way';
  const client = clouds.createClient({ redis: {} });
  assert.strictEqual(await client.call('where'), 'here');
  process.env.CLOUDS_URL = CLOUDS_URL;
  await Promise.all([client.exitP(), server.exitP()]);
});

test('without any address it is the Redis of this machine', () => {
  const { addressOf } = require(path.join(PACKAGE, 'lib', 'address.js'));
  const { CLOUDS_URL } = process.env;
  delete process.env.CLOUDS_URL;
  const wanted = [
    [{}, 'redis://127.0.0.1:6379'],
    [{ redis: { port: '7000' } }, 'redis://127.0.0.1:7000'],
    [{ redis: { host: '::1' } }, 'redis://[::1]:6379'],
    [
      { redis: { host: 'h', db: 2, prefix: 'a:b', auth_pass: 'p@:/%' } },
      'redis://:p%40%3a%2f%25@h:6379?db=2&prefix=a%3Ab'.replace('%3a%2f', '%3A%2F'),
    ],
    [{ redis: { password: 'x', auth_pass: 'y' } }, 'redis://:x@127.0.0.1:6379'],
    [{ redis: { path: '/tmp/a b.sock' } }, 'redis+unix:///tmp/a%20b.sock'],
  ];
  for (const [options, url] of wanted) assert.strictEqual(addressOf(options), url);
  process.env.CLOUDS_URL = 'redis://u:p%40@host:7/4?prefix=q';
  assert.strictEqual(addressOf({ redis: { db: 5 } }), 'redis://u:p%40@host:7?db=5&prefix=q');
  assert.strictEqual(addressOf({ redis: { host: 'other' } }), 'redis://other:6379');
  process.env.CLOUDS_URL = 'local:';
  assert.strictEqual(addressOf({ redis: { prefix: 'x' } }), 'local:');
  assert.strictEqual(addressOf({ redis: { port: 1 } }), 'redis://127.0.0.1:1');
  process.env.CLOUDS_URL = CLOUDS_URL;
});

test('every form in which npm clouds takes the option redis', async () => {
  const { addressOf } = require(path.join(PACKAGE, 'lib', 'address.js'));
  const forms = [
    ['redis://h', 'redis://h:6379'],
    ['redis://h:7000', 'redis://h:7000'],
    ['redis://:pw@h:7000/3', 'redis://:pw@h:7000?db=3'],
    ['redis://u:p%40@h/', 'redis://u:p%40@h:6379'],
    ['redis://h:7000/3?password=x&family=4', 'redis://:x@h:7000?db=3'],
    ['redis://[::1]:7000', 'redis://[::1]:7000'],
    ['//h:7000', 'redis://h:7000'],
    ['h:7000', 'redis://h:7000'],
    ['h', 'redis://h:6379'],
    ['10.0.0.1', 'redis://10.0.0.1:6379'],
    [7000, 'redis://127.0.0.1:7000'],
    ['7000', 'redis://127.0.0.1:7000'],
    ['/tmp/a.sock', 'redis+unix:///tmp/a.sock'],
    ['/tmp/a.sock?db=2', 'redis+unix:///tmp/a.sock?db=2'],
    ['redis+unix:///tmp/a.sock?db=2&prefix=p', 'redis+unix:///tmp/a.sock?db=2&prefix=p'],
    [new URL('redis://h:7000/1'), 'redis://h:7000?db=1'],
    [{ url: 'redis://h:7000/1' }, 'redis://h:7000?db=1'],
    [{ url: 'redis://h:7000/1', db: 2, prefix: 'p' }, 'redis://h:7000?db=2&prefix=p'],
    [{ host: 'h', port: '7000', db: '3', auth_pass: 'x' }, 'redis://:x@h:7000?db=3'],
    [{ host: 'h', family: 4, retryStrategy: () => 1, tls: null, keyPrefix: '', sentinels: null }, 'redis://h:6379'],
    ['local:x', 'local:x'],
    ['rediss://:pw@h:7000/3?ca_file=/a%20b', 'rediss://:pw@h:7000?db=3&ca_file=%2Fa%20b'],
    [{ host: 'h', tls: true }, 'rediss://h:6379'],
    [{ url: 'redis://h', tls: { servername: 'n', rejectUnauthorized: true } }, 'rediss://h:6379?server_name=n'],
    [{ sentinels: [{ host: 'h' }], name: 'm', tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }, 'rediss+sentinel://h:26379/m'],
    ['rediss+sentinel://h/m?ca_file=/a', 'rediss+sentinel://h/m?ca_file=/a'],
    [{ sentinels: [{ host: 'h', port: 7000 }, { host: '::1' }], name: 'm' }, 'redis+sentinel://h:7000,[::1]:26379/m'],
    [{ sentinels: [{}], name: 'm', username: 'u', password: 'p@', db: 3, prefix: 'x', role: 'master' }, 'redis+sentinel://u:p%40@127.0.0.1:26379/m/3?prefix=x'],
  ];
  for (const [redis, url] of forms) assert.strictEqual(addressOf({ redis }), url, String(redis));
  assert.strictEqual(addressOf({ url: 'redis://h:1/2', redis: { prefix: 'p' } }), 'redis://h:1?db=2&prefix=p');

  const refused = [
    [{ redis: true }, /redis: .*true/],
    [{ redis: [] }, /redis: .*Array/],
    [{ redis: () => {} }, /redis: .*Function/],
    [{ redis: 'rediss://h?verify=false' }, /redis: .*"verify"/],
    [{ redis: 'redis://h?ca_file=a' }, /redis: .*"ca_file"/],
    [{ redis: 'http://h' }, /redis: "http:\/\/h"/],
    [{ redis: 'h:p:q' }, /redis: "h:p:q"/],
    [{ redis: 'redis://h?what=1' }, /redis: .*"what"/],
    [{ redis: 'redis://u:%zz@h' }, /redis: .*%/],
    [{ redis: { url: 5 } }, /redis\.url: .*5/],
    [{ redis: { url: 'x://h' } }, /redis\.url: "x:\/\/h"/],
    [{ redis: { host: 'redis://h' } }, /redis\.host: .*redis:\/\/h/],
    [{ redis: { port: 65536 } }, /redis\.port: .*65536/],
    [{ redis: { db: -1 } }, /redis\.db: .*-1/],
    [{ redis: { hostname: 'h' } }, /redis\.hostname/],
    [{ redis: { tls: 'yes' } }, /redis\.tls: .*"yes"/],
    [{ redis: { tls: { ca: 'PEM' } } }, /redis\.tls\.ca: .*caFile/],
    [{ redis: { tls: { minVersion: 'TLSv1.3' } } }, /redis\.tls\.minVersion: there is none/],
    [{ redis: { path: '/a', tls: {} } }, /redis\.tls: .*unix socket/],
    [{ redis: { host: 'h', sentinelTLS: {} } }, /redis\.sentinelTLS: .*sentinels/],
    [{ redis: { sentinels: [] } }, /redis\.sentinels: .*Array/],
    [{ redis: { sentinels: 'h:1', name: 'm' } }, /redis\.sentinels: .*"h:1"/],
    [{ redis: { sentinels: ['h:1'], name: 'm' } }, /redis\.sentinels\[0\]: .*"h:1"/],
    [{ redis: { sentinels: [{ host: 'h' }, { port: 'x' }], name: 'm' } }, /redis\.sentinels\[1\]\.port: .*"x"/],
    [{ redis: { sentinels: [{ host: 'h,i' }], name: 'm' } }, /redis\.sentinels\[0\]\.host: .*"h,i"/],
    [{ redis: { sentinels: [{ host: 'h' }] } }, /redis\.name: .*master/],
    [{ redis: { sentinels: [{ host: 'h' }], name: 'm', port: 1 } }, /redis\.port: .*sentinels/],
    [{ redis: { sentinels: [{ host: 'h' }], name: 'm', sentinelUsername: 'u' } }, /redis\.sentinelUsername: .*sentinelPassword/],
    [{ redis: { sentinels: [{ host: 'h' }], name: 'm', sentinelTLS: {} } }, /redis\.sentinelTLS: .*expected tls/],
    [{ redis: { sentinels: [{ host: 'h' }], name: 'm', tls: {} } }, /redis\.tls: .*expected sentinelTLS/],
    [{ redis: { host: 'h', sentinelPassword: 'x' } }, /redis\.sentinelPassword: .*sentinels/],
    [{ redis: { name: 'm' } }, /redis\.name: .*sentinels/],
    [{ url: 'redis://a', sentinelPassword: 'x' }, /sentinel_password/],
    [{ url: 'redis+sentinel://a/m', sentinelUser: 'x' }, /sentinel_user/],
    [{ redis: { keyPrefix: 'x:' } }, /redis\.keyPrefix: .*prefix/],
    [{ url: 'redis://a', redis: 'redis://b' }, /redis: .*url/],
    [{ url: 'local:', redis: { db: 3 } }, /redis: .*"local:"/],
    [{ url: {} }, /url: .*Object/],
    [{ host: '10.0.0.1' }, /host: .*redis\.host/],
    [{ password: 'x' }, /password: .*redis\.password/],
    [{ timeOut: 1 }, /timeOut/],
    [{ server_max_Age: 1 }, /server_max_Age/],
    [{ url: 'inproc:x', maxMessage: {} }, /maxMessage/],
  ];
  for (const [options, words] of refused)
    assert.throws(() => clouds.createBase(options), { message: words, code: 'CLOUDS_INVALID_OPTION' });
  assert.throws(() => addressOf({ redis: 'redis://h:secret@x:y' }), (error) => !error.message.includes('secret'));

  // Not the one of CLOUDS_URL, and not that of this machine.
  const { CLOUDS_URL } = process.env;
  process.env.CLOUDS_URL = 'redis://127.0.0.1:1';
  const server = clouds.createServer({ redis: redis.socket });
  await server.registerP('form', () => 'here');
  const client = clouds.createClient({ redis: { url: redis.url } });
  assert.strictEqual(await client.call('form'), 'here');
  process.env.CLOUDS_URL = CLOUDS_URL;
  await Promise.all([server.exitP(), client.exitP()]);
});

test('local: and inproc:', async () => {
  for (const url of ['local:life', 'inproc:life']) {
    const server = clouds.createServer(url),
      client = clouds.createClient({ url });
    await server.registerP('add', (a, b) => a + b);
    assert.strictEqual(await client.call('add', [1, 2]), 3, url);
    assert.deepStrictEqual(await client.status(), { servers: { [server.id]: ['add'] }, methods: { add: [server.id] } });
    for (const { state, ours, unwritten } of await client.links())
      assert.deepStrictEqual([['open', 'dialling'].includes(state), typeof ours, unwritten], [true, 'boolean', 0]);
    await assert.rejects(client.stats(), { code: 'CLOUDS_NOT_SUPPORTED', message: /context option stats/ });
    const counting = clouds.createClient({ url, stats: true });
    assert.strictEqual(await counting.call('add', [1, 2]), 3);
    const { bounds, methods } = await counting.stats();
    const { ok, app_error, not_done, unknown, open, took } = methods.add.calls;
    assert.deepStrictEqual([ok, app_error, not_done, unknown, open], [1, 0, 0, 0, 0]);
    assert.deepStrictEqual([bounds.length, took.length, took.reduce((sum, n) => sum + n)], [14, 15, 1]);
    await Promise.all([server.exitP(), client.exitP(), counting.exitP()]);
  }
});

test('messages: to others, to itself, confirmed', async () => {
  const a = clouds.createBase(),
    b = clouds.createBase({ id: 'b.named' });
  await Promise.all([a.ready(), b.ready()]);
  const heard = [];
  b.on('message', (sender, data) => heard.push([sender, data]));
  a.on('message', (sender, data) => heard.push([sender, data]));
  for (const value of [1, 'x', null, { a: [] }, undefined]) a.send('b.named', value);
  await until(() => heard.length === 5);
  assert.deepStrictEqual(
    heard.splice(0),
    [1, 'x', null, { a: [] }, undefined].map((value) => [a.id, value])
  );
  a.send(a.id, 'me');
  await until(() => heard.length === 1);
  assert.strictEqual(await a.sendP('b.named', 2), 1);
  assert.strictEqual(await a.sendP('nobody', 2), 0);
  const receivers = await new Promise((resolve) => a.send('b.named', 3, (error, count) => resolve([error, count])));
  assert.deepStrictEqual(receivers, [null, 1]);
  await Promise.all([a.exitP(), b.exitP()]);
  await assert.rejects(a.sendP('b.named', 1), { code: 'CLOUDS_CLOSED' });
});

test('exit: its event at once, its callback when all is closed, a second time, and calls after it', async () => {
  const client = clouds.createClient();
  await client.ready();
  let at = null;
  client.on('exit', (node) => {
    at = node;
  });
  const first = new Promise((resolve) => client.exit(resolve));
  assert.strictEqual(at, client);
  assert.strictEqual(await first, null);
  assert.strictEqual(await client.exitP(), 0);
  await new Promise((resolve) => client.exit(resolve));
  await assert.rejects(client.call('x'), {
    message: 'Connection is closed.',
    code: 'CLOUDS_CLOSED',
    outcome: 'NOT_DONE',
  });
  await assert.rejects(
    client.ready().then(() => client.status()),
    { code: 'CLOUDS_CLOSED' }
  );
  assert.throws(() => client.call('x', 5, () => {}), TypeError);
});

test('exit before it was ready', async () => {
  const node = clouds.createServer();
  const ready = node.ready().catch((error) => error.code);
  node.register(
    'never.seen',
    () => {},
    () => {}
  );
  await node.exitP();
  assert.ok([undefined, 'CLOUDS_CLOSED'].includes(await ready));
});

test('exit with calls outstanding completes each of them once', async () => {
  const server = clouds.createServer(),
    client = clouds.createClient();
  server.register('hang', () => {});
  await server.registerP('other', () => {});
  await client.call('other');
  const ends = [];
  for (let i = 0; i < 50; i++) client.call('hang', [i], (error) => ends.push(error.code));
  await sleep(50);
  for (let i = 0; i < 50; i++) client.call('hang', [i], (error) => ends.push(error.code));
  await client.exitP();
  assert.strictEqual(ends.length, 100);
  assert.ok(
    ends.every((code) => code === 'CLOUDS_CANCELED' || code === 'CLOUDS_CLOSED'),
    ends[0]
  );
  assert.ok((await server.exitP({ drain: 0.05 })) >= 0);
});

test('a server that leaves answers what it has accepted', async () => {
  const server = clouds.createServer(),
    client = clouds.createClient();
  await server.registerP('slow', () => sleep(300).then(() => 'done'));
  const call = client.call('slow');
  await until(() => server.counters().requests > 0);
  const exit = server.exitP();
  assert.strictEqual(await call, 'done');
  assert.strictEqual(await exit, 0);
  assert.deepStrictEqual(await redis.keys(), []);
  await client.exitP();
});

test('a server that leaves still calls on behalf of what it serves', async () => {
  const behind = clouds.createServer(),
    server = clouds.createServer(),
    client = clouds.createClient();
  let go;
  const left = new Promise((resolve) => (go = resolve));
  let served;
  await behind.registerP('behind', (value) => value);
  await server.registerP('before', async function () {
    await left;
    served = this;
    const hooked = server.bindP('behind', { parent: this, retry: 1, onRetry: (value, next) => next(value) });
    return [await server.call('behind', [1], { parent: this }), await hooked(2)];
  });
  const call = client.call('before');
  await until(() => server.counters().requests > 0);
  const exit = server.exitP({ drain: 20 });
  await assert.rejects(server.call('behind', [3]), { code: 'CLOUDS_CLOSED' });
  const other = { parent: { id: 1, transport: client._transport, timeLeft: () => 5 } };
  await assert.rejects(server.call('behind', [4], other), { code: 'CLOUDS_CLOSED' });
  go();
  assert.deepStrictEqual(await call, [1, 2]);
  assert.strictEqual(await exit, 0);
  await assert.rejects(server.call('behind', [5], { parent: served }), { code: 'CLOUDS_CLOSED' });
  await Promise.all([behind.exitP(), client.exitP()]);
});

test('what cannot be a drain is refused, and the node stays', async () => {
  const server = clouds.createServer();
  await server.registerP('stays', () => 'here');
  for (const drain of [NaN, -1, '1', {}]) {
    assert.throws(() => server.exit({ drain }), TypeError);
    await assert.rejects(server.exitP({ drain }), TypeError);
  }
  assert.strictEqual(await server.call('stays'), 'here');
  assert.strictEqual(await server.exitP({ drain: 0 }), 0);
  const another = clouds.createServer();
  assert.strictEqual(await another.exitP({ drain: Infinity }), 0);
});

// ---- processes

test('a process ends by itself when all is closed', async () => {
  const child = program(`
    const s = clouds.createServer(), c = clouds.createClient(), m = clouds.createMonitor(), b = clouds.createBase();
    s.register('x', (callback) => callback(null, 1), () => c.call('x', [], (error, value) => {
      console.log(error, value);
      [s, c, m, b].forEach((node) => node.exit());
    }));`);
  assert.strictEqual(await finished(child), 'null 1\n');
});

test('a process does not end while a node is open, unless that is unreferenced', async () => {
  const open = program(`clouds.createClient().ready().then(() => console.log('ready'));`);
  await until(() => open.out.includes('ready'));
  await sleep(400);
  assert.strictEqual(open.exitCode, null);
  open.kill('SIGKILL');
  const unreferenced = program(`
    const c = clouds.createClient();
    c.ready().then(() => { c.unref(); console.log('ready'); });`);
  assert.strictEqual(await finished(unreferenced), 'ready\n');
});

test('process.exit anywhere', async () => {
  for (const where of [
    'process.exit()',
    's.ready(() => process.exit())',
    's.registerP("x", () => process.exit()).then(() => c.call("x"))',
    's.registerP("x", () => 1).then(() => c.call("x", [], () => process.exit()))',
    's.exit(() => process.exit())',
    's.exit(); process.exit()',
    'setImmediate(() => { s.exit(); setImmediate(() => process.exit()); })',
  ])
    await finished(program(`const s = clouds.createServer(), c = clouds.createClient(); ${where}`));
});

test('an uncaught error in a callback ends the process as it should', async () => {
  const child = program(`
    const s = clouds.createServer(), c = clouds.createClient();
    s.register('x', (callback) => callback(null, 1), () => c.call('x', [], () => { throw new Error('mine'); }));`);
  const { code } = await child.ended;
  assert.strictEqual(code, 1);
  assert.match(child.err, /Error: mine/);
});

test('a listener of ready that throws stops neither listen nor the end', async () => {
  const child = program(`
    const c = clouds.createClient();
    process.on('uncaughtException', () => console.log('uncaught'));
    c.on('ready', () => { throw new Error('mine'); });
    c.on('listen', () => { console.log('listens', c._transport.holders); c.exit(); });`);
  assert.strictEqual(await finished(child), 'listens 0\n');
  assert.match(child.err, /CloudsWarning: a listener of ready failed\nError: mine\n/);
});

test('a fault in a handler that nobody listens for is a warning', async () => {
  const child = program(`
    const s = clouds.createServer(), c = clouds.createClient();
    const told = [];
    process.on('uncaughtException', (error) => told.push(error.message));
    process.on('unhandledRejection', () => told.push('rejected'));
    const all = {
      fault() { return told.no.such; },
      text: async () => { throw 'plain words'; },
      on_purpose() { throw Object.assign(new Error('with a code'), { code: 'E' }); },
      table() { throw { message: 'no error' }; },
    };
    const ask = (name) => c.call(name).catch(() => {});
    (async () => {
      for (const name of Object.keys(all)) await s.registerP(name, all[name]);
      for (const name of Object.keys(all)) await ask(name);
      s.on('handler error', (error) => { throw new Error('of the listener'); });
      await ask('fault');
      await ask('text');
      await s.exitP();
      await c.exitP();
      console.log(told.join());
    })();`);
  assert.strictEqual(await finished(child), 'of the listener,of the listener\n');
  assert.match(child.err, /CloudsWarning: the handler of fault failed, called by \S+ \(request \d+\)\nTypeError: .*\n +at /);
  assert.match(child.err, /CloudsWarning: the handler of text failed, called by .*\nplain words\n/);
  assert.strictEqual(child.err.match(/CloudsWarning/g).length, 2);
});

test('Redis that is not there keeps nobody from leaving', async () => {
  const child = program(
    `
    const c = clouds.createClient({ timeout: 0.2 }), s = clouds.createServer();
    s.register('x', () => {}, () => {});
    c.on('down', (error) => console.log(error.code));
    c.call('x', [], (error) => {
      console.log(error.code, error.outcome);
      c.exit();
      s.exit(() => console.log('out'));
    });`,
    { CLOUDS_URL: 'redis+unix:///nowhere/redis.sock' }
  );
  const out = await finished(child);
  assert.match(out, /NOT_DONE\n/);
  assert.match(out, /out\n/);
});

test('the addon is looked for beside the package, then where CLOUDS_NODE_ADDON says', async () => {
  const bare = path.join(folder, 'bare');
  for (const name of ['package.json', 'lib'])
    fs.cpSync(path.join(PACKAGE, name), path.join(bare, name), { recursive: true });
  const code = `const { version } = require(${JSON.stringify(bare)}); console.log(version)`;
  const run = (env) => finished(program(code, env));
  await assert.rejects(run({}), /the addon cannot be loaded/);
  await assert.rejects(run({ CLOUDS_NODE_ADDON: '/nowhere/clouds.node' }), /nowhere/);
  // Beside the package that program() has loaded: two of them share the addon.
  assert.strictEqual(await run({ CLOUDS_NODE_ADDON: path.join(PACKAGE, 'clouds.node') }), clouds.version + '\n');
});

// ---- worker threads

function worker(code, env) {
  const thread = new Worker(`const clouds = require(${JSON.stringify(PACKAGE)});\n${code}`, {
    eval: true,
    env: env || process.env,
  });
  return thread;
}

const endOf = (thread) => new Promise((resolve, reject) => thread.on('exit', resolve).on('error', reject));

test('worker threads serve and call', async () => {
  const serving = worker(`
    const { parentPort } = require('worker_threads');
    const s = clouds.createServer();
    s.registerP('thread', (x) => 'thread ' + x).then(() => parentPort.postMessage('ready'));
    parentPort.once('message', () => s.exit());`);
  const ended = endOf(serving);
  await new Promise((resolve) => serving.once('message', resolve));
  const client = clouds.createClient();
  assert.strictEqual(await client.call('thread', [1]), 'thread 1');
  const calling = worker(`
    const c = clouds.createClient();
    c.call('thread', [2]).then((value) => { require('worker_threads').parentPort.postMessage(value); c.exit(); });`);
  const callingEnded = endOf(calling);
  assert.strictEqual(await new Promise((resolve) => calling.once('message', resolve)), 'thread 2');
  assert.strictEqual(await callingEnded, 0);
  serving.postMessage('end');
  assert.strictEqual(await ended, 0);
  await client.exitP();
});

test('worker threads that end with open nodes, calls and requests outstanding', async () => {
  const before = descriptors();
  for (const how of ['process.exit()', '', 'throw new Error("expected")']) {
    const threads = Array.from({ length: 3 }, () =>
      worker(`
      const { parentPort } = require('worker_threads');
      const s = clouds.createServer(), c = clouds.createClient();
      s.registerP('end', () => {
        parentPort.postMessage('now');
        ${how ? `setImmediate(() => { ${how} });` : ''}
        return new Promise(() => {});
      });
      for (let i = 0; i < 10; i++) c.call('end', [], { retry: 50, timeout: 0.3 }).catch(() => {});`)
    );
    await Promise.all(
      threads.map(async (thread) => {
        const ended = endOf(thread).catch((error) => error.message);
        await new Promise((resolve) => thread.once('message', resolve));
        if (!how) thread.terminate();
        await ended;
      })
    );
  }
  await until(() => descriptors() <= before + 1, 'the descriptors are back');
});

test('worker threads that are terminated at any moment', async () => {
  const before = descriptors();
  for (let i = 0; i < 12; i++) {
    const thread = worker(`
      const s = clouds.createServer('local:ends'), c = clouds.createClient('local:ends'), d = clouds.createClient();
      const again = () => c.call('x', [1]).then(again, () => {});
      s.registerP('x', (value) => value).then(() => { for (let i = 0; i < 100; i++) again(); });`);
    const ended = endOf(thread);
    await sleep(15 * i);
    await thread.terminate();
    await ended;
  }
  await until(() => descriptors() <= before + 1, 'the descriptors are back');
});
