// Redis that is away, comes back, refuses; servers that die.
'use strict';

const assert = require('assert');
const { test } = require('node:test');
const { clouds, cluster, until, sleep, program, Redis } = require('./support.js');

test('Redis restarts: registrations and subscriptions are back', async () => {
  const redis = await cluster();
  const server = clouds.createServer(),
    client = clouds.createClient({ direct: false }); // over an open link the call would be answered all the same
  const seen = [];
  client.on('up', () => seen.push('up'));
  client.on('down', (error) => seen.push(error instanceof clouds.CloudsError ? 'down' : error));
  await server.registerP('add', (a, b) => a + b);
  assert.strictEqual(await client.call('add', [1, 2]), 3);
  await redis.stop();
  await until(() => seen.includes('down'));
  const error = await client.call('add', [1, 2], { timeout: 0.1 }).catch((problem) => problem);
  assert.deepStrictEqual([error.code, error.outcome], ['CLOUDS_CALL_SERVICE_TIMEOUT', 'NOT_DONE']);
  await redis.start();
  assert.strictEqual(await client.bindP('add', { retry: 20, timeout: 2 })(1, 2), 3);
  assert.deepStrictEqual(seen.slice(-2), ['down', 'up']);
  await Promise.all([server.exitP(), client.exitP()]);
  await redis.stop();
});

test('Redis is not there yet: what was asked waits', async () => {
  const redis = new Redis();
  const server = clouds.createServer({ url: redis.url }),
    client = clouds.createClient({ url: redis.url });
  const registered = server.registerP('late', () => 'late'),
    call = client.call('late', [], { retry: 60, timeout: 1 });
  await sleep(100);
  await redis.start();
  await registered;
  assert.strictEqual(await call, 'late');
  await Promise.all([server.exitP(), client.exitP()]);
  await redis.stop();
});

test('a password, and a wrong one', async () => {
  const redis = await new Redis('--requirepass', 'p@ss:/w%').start();
  const good = clouds.createBase({ redis: { path: redis.socket, auth_pass: 'p@ss:/w%' } });
  await good.ready();
  await good.exitP();
  const bad = clouds.createBase({ redis: { path: redis.socket, password: 'wrong' } });
  const error = await new Promise((resolve) => bad.once('down', resolve));
  assert.strictEqual(error.code, 'CLOUDS_AUTH_FAILED');
  await bad.exitP();
  await redis.stop();
});

test('a server is killed: others take over, and none is left in the end', async () => {
  const redis = await cluster();
  const code =
    's = clouds.createServer(); s.registerP("die", () => s.id).then(() => console.log("ready"))';
  const doomed = program(`let ${code}`),
    other = program(`let ${code}`);
  const client = clouds.createClient();
  await until(() => doomed.out.includes('ready') && other.out.includes('ready'));
  const ids = new Set();
  await until(async () => ids.add(await client.call('die')).size === 2);
  doomed.kill('SIGKILL');
  await doomed.ended;
  for (let i = 0; i < 10; i++) await client.call('die');
  other.kill('SIGKILL');
  await other.ended;
  await assert.rejects(client.call('die'), { code: 'CLOUDS_NO_AVAILABLE_SERVER', outcome: 'NOT_DONE' });
  await client.exitP();
  await redis.stop();
});
