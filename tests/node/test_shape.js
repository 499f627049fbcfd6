// What the package has from the addon, and not by itself: numbers of events, orders, flags; and an older library is refused.
'use strict';

const assert = require('assert');
const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { test } = require('node:test');
const { PACKAGE, folder } = require('./support.js');

const { shape } = require(path.join(PACKAGE, 'clouds.node'));
const header = fs.readFileSync(path.join(process.env.CLOUDS_SOURCE, 'capi', 'include', 'clouds.h'), 'utf8');
const constants = (pattern) =>
  Object.fromEntries([...header.matchAll(pattern)].map(([, name, number]) => [name, Number(number)]));

test('the numbers are those of clouds.h', () => {
  assert.deepStrictEqual({ ...shape.events }, constants(/^ *CLOUDS_EVENT_(\w+) = (\d+)/gm));
  const flags = constants(/^ *CLOUDS_((?:CALL|SEND|RETRY)_\w+) = (\d+)/gm);
  for (const name of ['CALL_ASK', 'SEND_CONFIRM', 'RETRY_NOW']) assert.strictEqual(shape[name], flags[name]);
  assert.strictEqual(shape.logLevels[shape.LOG_WARN], 'warn');
  assert.strictEqual(shape.orderTexts.length, Object.keys(shape.orders).length + 1);
});

test('what talks with the addon has no numbers of their own', () => {
  for (const name of ['events.js', 'bridge.js']) {
    const text = fs.readFileSync(path.join(PACKAGE, 'lib', name), 'utf8');
    for (const known of [...Object.keys(shape.events), ...Object.keys(shape.orders), 'CALL_ASK'])
      assert.doesNotMatch(text, new RegExp(`\\b${known} = \\d`), name);
  }
});

test('a library that is older than the addon is refused with its version', { skip: process.env.CLOUDS_SANITIZE }, () => {
  const old = path.join(folder, 'old');
  fs.writeFileSync(`${old}.c`, 'const char *clouds_version(void) { return "0.0.9"; } unsigned clouds_version_number(void) { return 9; }');
  execFileSync('cc', ['-shared', '-fPIC', '-o', `${old}.so`, `${old}.c`]);
  const done = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(PACKAGE)})`], {
    env: { ...process.env, LD_PRELOAD: `${old}.so` },
    encoding: 'utf8',
  });
  assert.match(done.stderr, /clouds needs libclouds \d+\.\d+\.\d+ or later, this one is 0\.0\.9/);
  assert.notStrictEqual(done.status, 0);
});
