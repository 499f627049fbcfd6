// clouds.worker of a program that runs by itself: it is the only one of its group, and what it is told is checked.
'use strict';

const assert = require('assert');
const { test } = require('node:test');
const { worker } = require('./support.js').clouds;

test('what it is', () => {
  assert.deepStrictEqual([worker.solo, worker.index, worker.count, worker.ports, worker.draining], [true, 1, 1, [], false]);
  worker.ready(() => {});
});

test('what is wrong', () => {
  for (const [wrong, words] of [
    [() => worker.ready('server'), /expected a server of http, https, tls or net, or a function/],
    [() => worker.ready(() => {}, { handover: 1 }), /handover: expected true or false/],
    [() => worker.release(-1), /expected how many things remain/],
    [() => worker.release(0.5), /expected how many things remain/],
    [() => worker.every(0, () => {}), /more than 0, and a function/],
    [() => worker.every(1), /more than 0, and a function/],
    [() => worker.serial(), /expected a function/],
  ])
    assert.throws(wrong, words);
});

test('turns', async () => {
  const order = [];
  let inside = 0;
  const run = (number) =>
    worker.serial(async () => {
      assert.strictEqual(++inside, 1);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(number);
      inside--;
      if (number === 1) throw new Error('no');
      return number;
    });
  const results = await Promise.allSettled([0, 1, 2].map(run));
  assert.deepStrictEqual(results.map((one) => one.value), [0, undefined, 2]);
  assert.strictEqual(results[1].reason.message, 'no');
  assert.deepStrictEqual(order, [0, 1, 2]);
  assert.strictEqual(await worker.serial(() => 'at once'), 'at once');
});

test('again and again', async () => {
  let runs = 0;
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning.message));
  const keep = setInterval(() => {}, 1000); // it keeps no program running
  await new Promise((resolve) => {
    const one = worker.every(0.001, async () => {
      if (++runs === 1) throw new Error('it goes on');
      if (runs < 3) return;
      one.stop();
      resolve();
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 10));
  clearInterval(keep);
  assert.strictEqual(runs, 3);
  assert.match(warnings.join('\n'), /a function of worker\.every failed: Error: it goes on/);
});

test('what is under way', () => {
  worker.transact();
  worker.release();
  worker.release(3);
  worker.release(0);
  worker.release(); // below none there is nothing
});
