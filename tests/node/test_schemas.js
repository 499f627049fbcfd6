// What a method says of itself: told to who asks, and checked before its handler runs.
'use strict';

const assert = require('assert');
const { test, before, after } = require('node:test');
const { clouds, cluster } = require('./support.js');

let redis, server, client;

before(async () => {
  redis = await cluster();
  server = clouds.createServer({ id: 's.schemas', admin: 'on' });
  client = clouds.createClient({ timeout: 20 });
  await client.ready();
});

after(async () => {
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
  await redis.stop();
});

test('arguments are checked', async () => {
  const args = ['name: string', ['size', '{width: number, unit?: "mm"|"in"}', 'how large']];
  await server.registerP('cut', (name) => name, { doc: 'Cuts.', args, returns: 'string', concurrency: 4 });
  assert.strictEqual(await client.call('cut', ['a', { width: 1.5, unit: 'mm' }]), 'a');
  const refused = (call, message) => assert.rejects(client.call('cut', call), { code: 'CLOUDS_BAD_ARGUMENT', outcome: 'NOT_DONE', message });
  await refused(['a'], /expected at least 2 arguments, got 1/);
  await refused(['a', { width: '1' }], /argument 2 \(size\)\.width: expected a number, got a text/);
  await refused(['a', { width: 1, unit: 'ft' }], /argument 2 \(size\)\.unit: expected "mm" or "in"/);
  const { schema } = (await client.ask('s.schemas', 'methods')).methods.cut;
  assert.deepStrictEqual([schema.doc, schema.args.prefixItems[1].description, schema.args.minItems], ['Cuts.', 'how large', 2]);
});

test('registered in one turn, some with a schema and some without', async () => {
  const all = [{}, { args: ['n: integer'] }, { serial: true }, { serial: true, args: ['n: integer'] }, {}];
  await Promise.all(all.map((options, i) => server.registerP(`m${i}`, (n) => n, options)));
  for (const [i, { args }] of all.entries()) {
    assert.strictEqual(await client.call(`m${i}`, [i]), i);
    if (args) await assert.rejects(client.call(`m${i}`, ['x']), { code: 'CLOUDS_BAD_ARGUMENT' });
    else assert.strictEqual(await client.call(`m${i}`, ['x']), 'x');
  }
});

test('what is no schema', async () => {
  await assert.rejects(server.registerP('bad', () => null, { args: ['a'] }), { code: 'CLOUDS_INVALID_ARGUMENT', message: /expected "name: type"/ });
  await assert.rejects(server.registerP('bad', () => null, { args: 'a: string' }), { message: /'args': expected an array/ });
  await assert.rejects(server.registerP('bad', () => null, { arg: [] }), { message: /args/ });
});
