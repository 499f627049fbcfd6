// The test suite of clouds 0.1.14, unchanged, with ours in its place.
'use strict';

const assert = require('assert');
const path = require('path');
const { test } = require('node:test');
const { BUILD, cluster, run } = require('./support.js');

const SUITE = path.join(BUILD, 'tests', 'node', 'npm', 'suite');

test('all 22 tests of the original pass', async () => {
  const redis = await cluster();
  const mocha = path.join(SUITE, '..', 'node_modules', 'mocha', 'bin', '_mocha');
  const child = run(process.execPath, [mocha, '-t', '60000', '-R', 'tap'], { cwd: SUITE });
  const { code } = await child.ended;
  const passed = child.out.match(/^ok \d+ /gm) || [];
  assert.strictEqual(code, 0, child.out + child.err);
  assert.strictEqual(passed.length, 22, child.out);
  assert.doesNotMatch(child.out, /^not ok/m);
  await redis.stop();
});
