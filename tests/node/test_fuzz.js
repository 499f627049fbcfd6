// Random values and random orders through the addon, by a seed: what arrives is what was sent, and no order, however
// broken, does more than fail.
'use strict';

const assert = require('assert');
const path = require('path');
const { test } = require('node:test');
const { clouds, PACKAGE, LONG } = require('./support.js');

const addon = require(path.join(PACKAGE, 'clouds.node'));
const SEED = Number(process.env.CLOUDS_FUZZ_SEED || 1 + Math.floor(Math.random() * 1e9));
const TIME = LONG ? 60000 : 1500; // ms
console.log(`# CLOUDS_FUZZ_SEED=${SEED}`);

// xorshift: the same numbers for the same seed.
let state = SEED;
function random(below) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const pick = (list) => list[random(list.length)];

const CHARACTERS = ['a', '"', '\\', '\0', '\n', '\u001b', '\u007f', '\u00e9', '\u2028', '\ud800', '\udfff', '\ud83d\ude00', '\uffff'];
const NUMBERS = [0, -0, 1, -1, 0.1, 2 ** 53, -(2 ** 53), 2 ** 63, 1e308, 5e-324, 1e21, 123456789.123];
const text = () => Array.from({ length: random(pick([4, 40])) }, () => pick(CHARACTERS)).join('');

function value(depth) {
  switch (random(depth > 0 ? 7 : 5)) {
    case 0:
      return null;
    case 1:
      return random(2) === 0;
    case 2:
      return pick(NUMBERS);
    case 3:
      return random(1e9) / pick([1, 7, 1e9]);
    case 4:
      return text();
    case 5:
      return Array.from({ length: random(5) }, () => value(depth - 1));
    default: {
      const object = {};
      for (let i = random(5); i > 0; i--)
        Object.defineProperty(object, pick([text(), 'toString', '__proto__', '0', '']), {
          value: value(depth - 1),
          enumerable: true,
          configurable: true,
          writable: true,
        });
      return object;
    }
  }
}

// Without what no UTF-8 can say: a lone surrogate may arrive as another character than it was only where it is a name.
test('values arrive as they were sent: arguments, results, errors, messages', async () => {
  const server = clouds.createServer('inproc:fuzz'),
    client = clouds.createClient('inproc:fuzz');
  let wanted;
  await server.registerP('same', (...all) => {
    assert.deepStrictEqual(all, wanted);
    return all;
  });
  await server.registerP('fails', (members) => Promise.reject(members));
  for (const end = Date.now() + TIME; Date.now() < end; ) {
    const args = Array.from({ length: random(4) }, () => value(4));
    wanted = args.map((each) => each);
    assert.deepStrictEqual(await client.call('same', args), args);
    const members = Object.assign({ message: text() }, value(0));
    const error = await client.call('fails', [members]).catch((problem) => problem);
    assert.ok(error instanceof clouds.CloudsError && String(error) && error.stack);
    assert.deepStrictEqual(error.members, members);
    const heard = new Promise((resolve) => server.once('message', (sender, data) => resolve(data)));
    const message = value(3);
    client.send(server.id, message);
    assert.deepStrictEqual(await heard, message);
  }
  await Promise.all([server.exitP(), client.exitP()]);
});

test('orders of any kind with any numbers and texts are refused or carried out', async () => {
  const ended = new Promise((resolve) => {
    const receiver = {
      dispatch(count, texts) {
        JSON.parse(texts);
        const numbers = addon.numbers();
        for (let i = 0; i < count; i++)
          if (numbers[i * addon.shape.EVENT_NUMBERS] === addon.shape.events.CONTEXT_CLOSED) resolve();
      },
    };
    const port = addon.open(receiver, ['url', 'inproc:orders', 'log_level', 'debug'], ['type', 'server']);
    const each = addon.shape.ORDER_NUMBERS,
      kinds = Object.keys(addon.shape.orders).length;
    const orders = new Float64Array(1024 * each);
    const areas = [Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(100000)];
    const numbers = [0, 1, 2, 3, -1, 1e-9, 0.001, 1e18, 2 ** 53, NaN, Infinity, -Infinity, 4294967296, 9223372036854775807];
    const words = ['m', '[]', '{}', '[1]', 'null', '{"message":"x"}', '[', '', 'x'.repeat(200), addon.id(port)];
    const end = Date.now() + TIME / 3;
    const some = () => {
      const count = random(20);
      for (let i = 0; i < count * each; i++) orders[i] = i % each === 0 ? random(kinds + 2) : pick(numbers);
      const all = Array.from({ length: random(50) }, () => (random(4) ? pick(words) : text())).join('\0');
      const problems = addon.submit(port, orders, count, all, all.length, random(9) ? areas : pick([undefined, null, 5, [], [{}]]));
      if (problems) for (let i = 1; i < problems.length; i += 2) assert.ok(JSON.parse(problems[i]).message);
      if (Date.now() < end) setImmediate(some);
      else addon.close(port, 0);
    };
    some();
  });
  await ended;
});
