// What a program may replace: the choice of servers, the handlers of messages, the transport itself.
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

test('find_one_server is taken over, and given back', async () => {
  const client = clouds.createClient();
  const servers = [clouds.createServer(), clouds.createServer()];
  for (const server of servers) await server.registerP('who', () => server.id);
  const usual = client._getHandler('find_one_server');
  const asked = [];
  client._setHandler('find_one_server', function (method, callback) {
    asked.push([this === client, method]);
    setImmediate(callback, null, servers[1].id);
  });
  for (let i = 0; i < 4; i++) assert.strictEqual(await client.call('who'), servers[1].id);
  assert.deepStrictEqual(asked, Array(4).fill([true, 'who']));
  // One that hands on to the usual choice.
  client._setHandler('find_one_server', function (...args) {
    usual.apply(this, args);
  });
  const ids = new Set();
  for (let i = 0; i < 4; i++) ids.add(await client.call('who'));
  assert.strictEqual(ids.size, 2);
  // Errors: none there; its own; thrown; an id that nobody has.
  client._setHandler('find_one_server', (method, callback) =>
    callback(Object.assign(new Error('none'), { code: 'CLOUDS_NO_AVAILABLE_SERVER' }))
  );
  await assert.rejects(client.call('who'), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  client._setHandler('find_one_server', (method, callback) => {
    callback(new Error('mine'));
    callback(null, 'late');
  });
  await assert.rejects(client.call('who'), { message: 'mine' });
  client._setHandler('find_one_server', () => {
    throw new Error('thrown');
  });
  await assert.rejects(client.call('who'), { message: 'thrown' });
  client._setHandler('find_one_server', (method, callback) => callback(null, 'nobody.there'));
  await assert.rejects(client.call('who', [], { timeout: 1 }), clouds.CloudsError);
  client._setHandler('find_one_server', usual);
  assert.ok(await client.call('who'));
  await Promise.all([...servers, client].map((node) => node.exitP()));
});

test('the lists of servers are told', async () => {
  const client = clouds.createClient({ serverMaxAge: 0.4 }),
    server = clouds.createServer();
  const told = [];
  for (const name of ['save_server_list', 'remove_server', 'clear_server_list'])
    client._setHandler(name, (...args) => told.push([name, ...args]));
  server.register(
    'silent',
    () => {},
    () => {}
  );
  await server.registerP('well', () => 1);
  await client.call('well');
  await assert.rejects(client.call('silent', [], { timeout: 1.5 }), { code: 'CLOUDS_CALL_SERVICE_TIMEOUT' });
  await until(() => told.some(([name]) => name === 'clear_server_list'));
  const find = (name, ...args) => told.some((row) => JSON.stringify(row) === JSON.stringify([name, ...args]));
  assert.ok(find('save_server_list', 'well', [server.id]), JSON.stringify(told));
  assert.ok(find('remove_server', server.id, 'silent'), JSON.stringify(told));
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
});

test("message.m and types of one's own", async () => {
  const a = clouds.createBase(),
    b = clouds.createBase();
  await Promise.all([a.ready(), b.ready()]);
  const heard = [];
  b.on('message', () => assert.fail('the handler was replaced'));
  b._setHandler('message.m', function (message) {
    heard.push([this === b, message.type, message.sender, message.data]);
  });
  b._setHandler('message.x', (message) => heard.push([message.type, message.data, JSON.parse(message.raw).extra]));
  a.send(b.id, { v: 1 });
  await redis.command('PUBLISH', `clouds:L:${b.id}`, '{"t":"x","s":"me","d":[2],"extra":3}');
  await until(() => heard.length === 2);
  assert.deepStrictEqual(heard, [
    [true, 'm', a.id, { v: 1 }],
    ['x', [2], 3],
  ]);
  await Promise.all([a.exitP(), b.exitP()]);
});

// ---- a transport of one's own: everything in memory

class Bus {
  constructor() {
    this.keys = new Map();
    this.nodes = new Map();
    this.sent = [];
  }
}

class Connection extends EventEmitter {
  constructor(bus) {
    super();
    this.bus = bus;
  }

  setId(id) {
    this.id = id;
    this.bus.nodes.set(id, this);
    setImmediate(() => this.emit('listen'));
  }

  registerKey(key, ttl, callback) {
    this.bus.keys.set(key, ttl);
    setImmediate(callback, null, key);
  }

  deleteKey(key, callback) {
    this.bus.keys.delete(key);
    setImmediate(callback, null, key);
  }

  deleteKeys(keys, callback) {
    keys.forEach((key) => this.bus.keys.delete(key));
    setImmediate(callback, null, keys);
  }

  keys(pattern, callback) {
    const text = pattern.replace(/\\(.)|([*])|[.+^${}()|[\]]/g, (all, escaped, star) =>
      star ? '.*' : '\\' + (escaped || all)
    );
    setImmediate(
      callback,
      null,
      [...this.bus.keys.keys()].filter((key) => new RegExp(`^${text}$`).test(key))
    );
  }

  send(receiver, text, callback) {
    this.bus.sent.push([receiver, text]);
    const node = this.bus.nodes.get(receiver);
    setImmediate(() => node && node.emit('message', text));
    setImmediate(callback, null, node ? 1 : 0);
  }

  exit(callback) {
    this.bus.nodes.delete(this.id);
    callback();
  }
}

test("a connection of one's own carries the protocol", async () => {
  const bus = new Bus();
  const server = clouds.createServer({ connection: new Connection(bus), heartbeat: 0.3 });
  const client = clouds.createClient({ connection: new Connection(bus), timeout: 5, id: 'c.mine' });
  const monitor = clouds.createMonitor({ connection: new Connection(bus) });
  const base = clouds.createBase({ connection: new Connection(bus), type: 'other' });
  await Promise.all(
    [server, client, monitor, base].map((node) => new Promise((resolve) => node.once('listen', resolve)))
  );
  assert.match(base.id, /^o\./);
  let key;
  await new Promise((resolve) =>
    server.register(
      'add',
      (a, b, callback) => callback(null, a + b),
      (error, k) => {
        key = k;
        resolve(error);
      }
    )
  );
  assert.strictEqual(key, `S:add:${server.id}`);
  assert.strictEqual(bus.keys.get(key), 1); // seconds, whole
  assert.strictEqual(await client.call('add', [1, 2]), 3);
  const [, call] = bus.sent.find(([to]) => to === server.id);
  assert.deepStrictEqual(Object.keys(JSON.parse(call)), ['t', 's', 'd']);
  assert.deepStrictEqual(JSON.parse(bus.sent.find(([to]) => to === 'c.mine')[1]).d.r, [3]);
  assert.deepStrictEqual(await monitor.status(), { servers: { [server.id]: ['add'] }, methods: { add: [server.id] } });

  await assert.rejects(client.call('nobody'), { code: 'CLOUDS_NO_AVAILABLE_SERVER', message: 'no available server' });
  await assert.rejects(client.call('add', [], { server: 'nobody', timeout: 0.05 }), {
    code: 'CLOUDS_CALL_SERVICE_TIMEOUT',
  });
  server.register('fails', (callback) => callback(Object.assign(new Error('boom'), { code: 'E', x: 1 }), 'beside'));
  const got = await new Promise((resolve) => client.call('fails', [], (...all) => resolve(all)));
  assert.deepStrictEqual([got[0].message, got[0].code, got[0].x, got[1]], ['boom', 'E', 1, 'beside']);
  await assert.rejects(client.call('not.there', [], { server: server.id }), { message: 'service handler not found' });

  const about = {};
  await client.call('add', [1, 2], { about, retry: 1 });
  assert.strictEqual(about.server, server.id);
  await client.call('fails', [], { about }).catch(() => {});
  assert.strictEqual(about.server, server.id);

  const retrying = clouds.createClient({ connection: new Connection(bus), timeout: 0.5, retry: 2 });
  let looks = 0;
  retrying._setHandler('find_one_server', (method, callback) => {
    looks++;
    callback(Object.assign(new Error('none'), { code: 'CLOUDS_NO_AVAILABLE_SERVER' }));
  });
  await assert.rejects(retrying.call('add', [1, 2]), { message: 'none' });
  assert.strictEqual(looks, 3);
  await retrying.exitP();

  // A silent server: its key is deleted, and it is back with the next heartbeat.
  let count = 0;
  server.register('second', (callback) => {
    if (++count === 2) callback(null, count);
  });
  assert.strictEqual(await client.bindP('second', { retry: 20, timeout: 1 })(), 2);
  await until(() => bus.keys.has(`S:second:${server.id}`));

  const heard = new Promise((resolve) => base.on('message', (...all) => resolve(all)));
  client.send(base.id, { hi: 1 });
  assert.deepStrictEqual(await heard, ['c.mine', { hi: 1 }]);
  const unknown = new Promise((resolve) => base.on('unknown message', (message) => resolve(message.type)));
  for (const text of [
    '',
    'x',
    'null',
    '5',
    '{"t":"r"}',
    '{"t":"c","d":5}',
    '{"t":"c","s":"a","d":{"i":"1","m":"add","a":5}}',
  ])
    [server, client].forEach((node) => node._connection.emit('message', text));
  base._connection.emit('message', '{"t":"zz"}');
  assert.strictEqual(await unknown, 'zz');
  assert.strictEqual(await client.call('add', [2, 2]), 4);

  const controller = new AbortController();
  server.register('hang', () => {});
  const hanging = client.call('hang', [], { signal: controller.signal, timeout: 20 });
  setImmediate(() => controller.abort());
  await assert.rejects(hanging, { code: 'CLOUDS_CANCELED' });

  client._setHandler('find_one_server', (method, callback) => callback(null, 'x'.repeat(3)));
  await assert.rejects(client.call('add', [1, 2], { timeout: 0.3 }), { code: 'CLOUDS_CALL_SERVICE_TIMEOUT' });
  const pending = client.call('hang').catch((error) => error.code);
  await Promise.all([server, client, monitor, base].map((node) => node.exitP()));
  assert.strictEqual(await pending, 'CLOUDS_CANCELED');
  assert.deepStrictEqual([bus.keys.size, bus.nodes.size], [0, 0]);
  await assert.rejects(client.call('add', [1, 2]), { code: 'CLOUDS_CLOSED' });
});
