// Which server is called: weights and tags.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster, until } = require('./support.js');

let redis;

before(async () => {
  redis = await cluster();
});

after(() => redis.stop());

async function serve(name, options) {
  const server = clouds.createServer(Object.assign({ id: `s.${name}` }, options));
  await server.registerP('who', () => name);
  return server;
}

async function shares(client, calls) {
  const found = {};
  for (let i = 0; i < calls; i++) {
    const name = await client.call('who');
    found[name] = (found[name] || 0) + 1;
  }
  return found;
}

async function sees(client, ...names) {
  for (const name of names) await until(async () => (await shares(client, 1))[name], name);
}

test('weights and tags', async () => {
  const servers = await Promise.all([serve('heavy', { weight: 3, tags: 'zone=a' }), serve('light', { tags: 'zone=b' })]);
  const client = clouds.createClient({ timeout: 20 }),
    near = clouds.createClient({ timeout: 20, tags: 'zone=b', prefer: 'zone' });
  await sees(client, 'heavy', 'light');
  assert.deepStrictEqual(await shares(client, 200), { heavy: 150, light: 50 });
  assert.strictEqual(servers[0].configure({ weight: 9 }), servers[0]);
  await until(async () => (await shares(client, 10)).heavy === 9, 'its weight is known');
  assert.deepStrictEqual(await shares(client, 20), { heavy: 18, light: 2 });
  await sees(near, 'light');
  assert.deepStrictEqual(await shares(near, 40), { light: 40 });
  await Promise.all([...servers, client, near].map((node) => node.exitP()));
});

test('options of a node that lives', async () => {
  const server = await serve('one', {}),
    client = clouds.createClient({ timeout: 20 });
  await server.registerP('never', () => new Promise(() => {}));
  await sees(client, 'one');
  assert.strictEqual(client.configure({ timeout: 0.05, retry: 0, operationTimeout: 1, weight: undefined }), client);
  // The second where the server got it too late.
  await assert.rejects(client.call('never'), ({ code }) => ['CLOUDS_CALL_SERVICE_TIMEOUT', 'CLOUDS_EXPIRED'].includes(code));
  await server.exitP({ drain: 0 });
  const wrong = [
    [{ weight: 0 }, /'weight'/],
    [{ retry: -1 }, /'retries'/],
    [{ tags: 'zone=a' }, /tags/],
    [{ maxMessage: 2048 }, /max_message/],
    [{ url: 'local:' }, /the option 'url' belongs to the connection, and cannot be changed/],
    [{ type: 'server' }, /the option 'type' cannot change while the node lives/],
    [{ redis: {} }, /the option 'redis' belongs to the connection, and cannot be changed/],
    [{ find_server: true }, /find_server/],
    [{ wieght: 3 }, /did you mean 'weight'/],
    [{ weight: {} }, /object or a function/],
  ];
  for (const [options, message] of wrong) assert.throws(() => client.configure(options), { code: 'CLOUDS_INVALID_OPTION', message });
  assert.throws(() => client.configure(7), TypeError);
  await client.exitP();
  assert.throws(() => client.configure({ timeout: 1 }), { code: 'CLOUDS_CLOSED' });
});

test('peer events', async () => {
  const server = await serve('one', {}),
    client = clouds.createClient({ timeout: 20, peerEvents: true }),
    told = [];
  client.on('peer', (...what) => told.push(what));
  await sees(client, 'one');
  told.length = 0; // that it came
  await server.pause('who');
  await until(() => told.length === 1, 'it is paused');
  assert.deepStrictEqual(told, [['s.one', 'paused', 'who']]);
  await server.resume('who');
  await until(() => told.length === 2, 'it goes on');
  assert.deepStrictEqual(told[1], ['s.one', 'well', 'who']);
  await server.exitP();
  await until(() => told.length >= 3, 'it is gone');
  assert.deepStrictEqual(told[2], ['s.one', 'draining', undefined]);
  await client.exitP();
});

test('on the same machine, with nothing configured', async () => {
  const servers = await Promise.all([serve('here', {}), serve('there', { tags: 'host=another' })]);
  const client = clouds.createClient({ timeout: 20, prefer: 'host' });
  await sees(client, 'here');
  assert.deepStrictEqual(await shares(client, 20), { here: 20 });
  await servers[0].exitP();
  await sees(client, 'there');
  await Promise.all([servers[1], client].map((node) => node.exitP()));
});

test('explain', async () => {
  const [near, far] = await Promise.all([serve('near', { weight: 2, tags: 'zone=a' }), serve('far', {})]);
  const client = clouds.createClient({ timeout: 20, tags: 'zone=a', prefer: 'zone' });
  await far.pause('who');
  const found = await until(async () => {
    const told = await client.explain('who', { timeout: 20 });
    return told.servers.length === 2 && told.servers[1].state === 'paused' && told;
  });
  assert.deepStrictEqual(found.choice, { rule: 'near', among: 1, server: 's.near' });
  assert.deepStrictEqual([found.method, found.bus, found.balance, found.prefer], ['who', 'up', 'rr', 'zone=a']);
  const host = found.servers[0].tags.host;
  assert.match(host, /^[0-9a-f]{12}$/);
  assert.deepStrictEqual([found.servers[0].weight, found.servers[0].tags, found.servers[0].near], [2, { zone: 'a', host }, true]);
  assert.deepStrictEqual([found.servers[1].id, found.servers[1].tags], ['s.far', { host }]);
  assert.deepStrictEqual((await client.explain('nobody')).choice, { rule: 'none', among: 0 });
  await assert.rejects(client.explain(''), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(client.explain(7), TypeError);
  await assert.rejects(client.explain('who', { deadline: 1 }), { code: 'CLOUDS_INVALID_OPTION' });
  await Promise.all([near, far, client].map((node) => node.exitP()));
});

test('what no option can be', () => {
  for (const options of [{ weight: 0 }, { weight: 1001 }, { tags: 'zone' }, { tags: 'a=1,a=2' }, { prefer: 'zone' }]) {
    const name = Object.keys(options)[0];
    assert.throws(() => clouds.createClient(options), (error) => error.code === 'CLOUDS_INVALID_OPTION' && error.message.includes(name));
  }
});
