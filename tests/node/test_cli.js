// npx clouds: output and exit codes of its commands.
'use strict';

const assert = require('assert');
const net = require('net');
const os = require('os');
const path = require('path');
const fs = require('fs');
const { test, before, after } = require('node:test');
const { clouds, PACKAGE, run } = require('./support.js');

const { bin } = require(path.join(PACKAGE, 'package.json'));
let server;

before(async () => {
  process.env.CLOUDS_URL = 'local:cli';
  server = clouds.createServer();
  await server.registerP('add', (a, b) => a + b);
  server.register('two', (callback) => callback(null, -0, [null]));
  await server.registerP('isBytes', (value) => [value, Buffer.isBuffer(value)]);
  server.register('none', (callback) => callback(null));
  await server.registerP('fails', () => {
    throw Object.assign(new Error('no\u001b[31m'), { code: 'E', id: 7 });
  });
  await server.registerP('never', () => new Promise(() => {}));
});
after(() => server.exitP({ drain: 0 }));

async function npx(...words) {
  const child = run(process.execPath, [path.join(PACKAGE, bin.clouds), ...words]);
  const { code } = await child.ended;
  return [code, child.out, child.err];
}

test('call', async () => {
  const runs = [
    [['call', 'add', '1', '-3'], [0, '-2\n', '']],
    [['call', '-s', 'add', 'a', '--', '-b'], [0, '"a-b"\n', '']],
    [['call', '--json', 'two'], [0, '[-0,[null]]\n', '']],
    [['call', 'two'], [0, '-0\n[null]\n', '']],
    [['call', 'none'], [0, '', '']],
    [['call', 'isBytes', '{"$base64":"AP8="}'], [0, '[{"$base64":"AP8="},true]\n', '']],
    [['call', '--json', 'isBytes', '{"$base64":"AP8"}'], [0, '[[{"$base64":"AP8"},false]]\n', '']],
    [['call', 'fails'], [1, '', 'E: no\\u001b[31m\n']],
    [['call', 'nobody'], [3, '', 'CLOUDS_NO_AVAILABLE_SERVER: no available server for nobody on local:cli\n']],
    [['call', '--url', 'redis+unix:///nowhere/r.sock', 'add'], [3, '', /^CLOUDS_\w+: .*nowhere.*\n$/]],
    [['call', '-t5', 'never'], [4, '', /^CLOUDS_CALL_SERVICE_TIMEOUT: /]],
    [['call', 'add', 'x'], [2, '', /argument 'x' is not JSON/]],
    [['call', '--what', 'add'], [2, '', /unknown option --what; expected one of --/]],
    [['call', '--timout', '1', 'add'], [2, '', /unknown option --timout; did you mean --timeout\?/]],
    [['call', '--timeout=soon', 'add'], [2, '', /--timeout: expected a number/]],
    [['call'], [2, '', /an argument is missing/]],
    [['call', '--url', 'http://x', 'add'], [2, '', /CLOUDS_INVALID_URL|url/]],
    [['call', '--help'], [0, /usage: clouds call/, '']],
    [['what'], [2, '', /unknown command 'what'/]],
    [['satus'], [2, '', /unknown command 'satus'; did you mean status\?/]],
    [[], [2, '', /usage/]],
  ];
  await Promise.all(
    runs.map(async ([words, wanted]) => {
      const found = await npx(...words);
      found.forEach((each, i) => {
        if (wanted[i] instanceof RegExp) assert.match(each, wanted[i], words.join(' '));
        else assert.strictEqual(each, wanted[i], `${words.join(' ')}: ${found}`);
      });
    })
  );
  const [code, out] = await npx('call', '--json', 'fails');
  const error = { message: 'no\u001b[31m', code: 'E', id: 7, outcome: 'APP_ERROR' };
  assert.deepStrictEqual([code, JSON.parse(out)], [1, { error }]);
});

test('a key of a call', async () => {
  let runs = 0;
  await server.registerP('count', () => ++runs);
  const once = (key, ...args) => npx('call', '--once', key, 'count', ...args);
  for (const [key, value] of [['order 7', '1'], ['order 7', '1'], ['order 8', '2']])
    assert.deepStrictEqual(await once(key, '1'), [0, `${value}\n`, '']);
  const refused = [
    [await once('order 7', '2'), 3, /^CLOUDS_KEY_CONFLICT: /],
    [await once('x'.repeat(256)), 2, /^CLOUDS_TOO_BIG: /],
    [await once(''), 2, /once is a string, and not an empty one/],
    [await npx('call', '--server', '', 'count'), 2, /server is the id of a node, and not an empty one/],
  ];
  for (const [[code, out, said], wanted, words] of refused) {
    assert.deepStrictEqual([code, out], [wanted, '']);
    assert.match(said, words);
  }
  assert.strictEqual(runs, 2);
});

test('a Redis that does not answer ends a command at its limit', async () => {
  const socket = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'clouds-cli-')), 'redis.sock');
  const silent = net.createServer((link) => link.on('error', () => {}));
  await new Promise((resolve) => silent.listen(socket, resolve));
  const url = ['--url', `redis+unix://${socket}`, '-t', '0.3'];
  for (const words of [['status'], ['send', 'n', '1'], ['call', 'm']]) {
    const [code, , said] = await npx(words[0], ...url, ...words.slice(1));
    assert.deepStrictEqual([code, said.includes(`${socket}: not connected yet`)], [3, true], said);
  }
  silent.close();
  fs.rmSync(path.dirname(socket), { recursive: true });
});

test('send, status, version, and output that cannot be written', async () => {
  const heard = new Promise((resolve) => server.once('message', (sender, value) => resolve(value)));
  assert.deepStrictEqual(await npx('send', server.id, '{"a":1}'), [0, '', '']);
  assert.deepStrictEqual(await heard, { a: 1 });
  const nobody = "clouds send: no one received it: there is no node 'nobody'\n";
  assert.deepStrictEqual(await npx('send', 'nobody', '1'), [0, '', nobody]);
  assert.deepStrictEqual(await npx('send', '--strict', 'nobody', '1'), [3, '', nobody]);
  const [, out] = await npx('status', '--json');
  assert.deepStrictEqual(JSON.parse(out).methods.add, [server.id]);
  assert.match((await npx('status'))[1], new RegExp(`^METHOD +SERVERS +IDS\nadd +1 +${server.id}\n`));
  assert.match((await npx('version'))[1], /^clouds \d/);
  const full = fs.openSync('/dev/full', 'w');
  const child = run(process.execPath, [path.join(PACKAGE, bin.clouds), 'status'], { stdio: ['ignore', full, 'pipe'] });
  assert.strictEqual((await child.ended).code, 1);
  fs.closeSync(full);
});
