// Calls: callbacks and promises, errors, handlers of every form, retries, options of a call, giving up.
'use strict';

const assert = require('assert');
const { getEventListeners } = require('events');
const fs = require('fs');
const path = require('path');
const { test, before, after } = require('node:test');
const { clouds, PACKAGE, cluster, until } = require('./support.js');

let redis, server, client;

before(async () => {
  redis = await cluster();
  server = clouds.createServer();
  client = clouds.createClient({ timeout: 20 });
  await Promise.all([server.ready(), client.ready()]);
});

after(async () => {
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
  await redis.stop();
});

// Registers, and waits until others can see it.
const serve = (name, handler) =>
  new Promise((resolve, reject) => server.register(name, handler, (error) => (error ? reject(error) : resolve())));

// What a callback got.
const got = (begin) => new Promise((resolve) => begin((...all) => resolve(all)));

test('with a callback, and bound', async () => {
  await got((done) => server.register('add', (a, b, callback) => callback(null, a + b), done));
  assert.deepStrictEqual(await got((done) => client.call('add', [1, 2], done)), [null, 3]);
  assert.deepStrictEqual(await got((done) => client.bind('add')(3, 4, done)), [null, 7]);
  assert.strictEqual(
    client.call('add', [1, 2], () => {}),
    client
  );
  assert.throws(() => client.bind('add')(1, 2), /^Error: must provide a callback function$/);
});

test('register calls back with the key, and gives the server', async () => {
  let result;
  const given = await got((done) => {
    result = server.register('key', () => {}, done);
  });
  assert.strictEqual(result, server);
  assert.deepStrictEqual(given, [null, `S:key:${server.id}`]);
});

test('for a promise', async () => {
  await server.registerP('many', () => 1);
  await serve('three', (callback) => callback(null, 'a', undefined, { b: [] }));
  assert.strictEqual(await client.call('many'), 1);
  assert.strictEqual(await client.callP('three', []), 'a');
  assert.deepStrictEqual(await client.call('three', [], { all: true }), ['a', null, { b: [] }]);
  assert.deepStrictEqual(await client.bindP('three', { all: true })(), ['a', null, { b: [] }]);
  assert.strictEqual(await client.bindP('add', 3)(20, 22), 42);
  await server.registerP('void', async () => {});
  assert.strictEqual(await client.call('void'), undefined);
  assert.deepStrictEqual(await got((done) => client.call('void', [], done)), [null]);
});

test('a thousand at once, each its own answer', async () => {
  await server.registerP('same', (value) => value);
  const answers = await Promise.all(Array.from({ length: 1000 }, (unused, i) => client.call('same', [i])));
  assert.deepStrictEqual(
    answers,
    Array.from({ length: 1000 }, (unused, i) => i)
  );
});

test('more at once than fit into one batch, in the order in which they were made', async () => {
  const seen = [];
  await server.registerP('seen', (i) => {
    seen.push(i);
  });
  await Promise.all(Array.from({ length: 5000 }, (unused, i) => client.call('seen', [i])));
  assert.deepStrictEqual(
    seen,
    Array.from({ length: 5000 }, (unused, i) => i)
  );
});

test('requests of several methods and callers that come at once are told apart', async () => {
  const other = clouds.createClient(),
    plain = ['', 'é', 'a"b', '\\', '\n', '\ud800', '😀', 1, -1, 0.1, 1e21, null, true, false];
  for (const name of ['apart.a', 'apart.b', 'apart.bb']) await server.registerP(name, tell);
  function tell(...args) {
    return [this.method, this.caller, args];
  }
  const wanted = [];
  for (let i = 0; i < 300; i++) {
    const from = i % 5 < 3 ? client : other;
    wanted.push([['apart.a', 'apart.b', 'apart.bb'][(i >> 1) % 3], from.id, [i, plain[i % plain.length]]]);
  }
  const calls = wanted.map(([method, id, args]) => (id === client.id ? client : other).call(method, args));
  assert.deepStrictEqual(await Promise.all(calls), wanted);
  await other.exitP();
});

test('many large answers at once', async () => {
  await serve('large', (i, callback) => callback(null, String(i % 10).repeat(400000)));
  const answers = await Promise.all(Array.from({ length: 60 }, (unused, i) => client.call('large', [i])));
  assert.ok(answers.every((answer, i) => answer.length === 400000 && answer[0] === String(i % 10)));
});

test('no call is left in _messages when its callback runs', async () => {
  const left = await new Promise((resolve) => client.call('add', [1, 1], () => resolve(Object.keys(client._messages))));
  assert.deepStrictEqual(left, []);
  const call = client.call('add', [1, 1]);
  assert.strictEqual(Object.keys(client._messages).length, 1);
  await call;
});

// ---- errors

test('an error of a service: message, code, members, values beside it', async () => {
  await serve('fails', (callback) =>
    callback(Object.assign(new Error('boom'), { code: 'E', status: 5, extra: { a: [] } }), 1, null)
  );
  const [error, ...values] = await got((done) => client.call('fails', [], done));
  assert.ok(error instanceof Error && error instanceof clouds.CloudsError);
  assert.deepStrictEqual([error.message, error.code, error.status, error.extra], ['boom', 'E', 5, { a: [] }]);
  assert.deepStrictEqual(
    [error.outcome, error.retryable, error.values, values],
    ['APP_ERROR', false, [1, null], [1, null]]
  );
  assert.deepStrictEqual(Object.keys(error).sort(), ['code', 'extra', 'status']);
  assert.strictEqual(error.originStack, undefined);
  assert.match(error.stack, /boom/);
  await assert.rejects(client.call('fails'), { message: 'boom', code: 'E', status: 5 });
});

test('in the error of a service every member is its own', async () => {
  const said = { method: 'm', server: 's', node: 'n', cluster: 'c', size: 1, limit: 2 };
  await serve('says', (what, callback) => callback(Object.assign(new Error('said'), what)));
  const one = await client.call('says', [said]).catch((error) => error);
  assert.deepStrictEqual({ ...one, code: undefined }, { ...said, code: undefined });
  assert.deepStrictEqual(one.members, { message: 'said', ...said });
  const other = await client.call('says', [{}]).catch((error) => error);
  assert.deepStrictEqual([other.message, ...Object.keys(said).map((name) => other[name])], ['said', ...Array(6).fill(undefined)]);
  const ours = await client.call('says', [{}], { server: 'nobody' }).catch((error) => error);
  assert.strictEqual(ours.method, 'says');
});

test('errors that are no Error', async () => {
  const wanted = [
    ['plain', 'plain'],
    [5, '5'],
    [true, 'true'],
    [{ message: 'm', code: 'C' }, 'm'],
    [{ code: 'C' }, ''],
    [{ message: 7 }, '7'],
    [Object.create(null), ''],
    [Symbol('s'), 'Symbol(s)'],
    [10n, '10'],
    [() => {}, ''],
  ];
  await serve('fail_with', (i, callback) => callback(wanted[i][0]));
  for (let i = 0; i < wanted.length; i++)
    await assert.rejects(client.call('fail_with', [i]), { message: wanted[i][1] }, String(i));
});

test('an error that is false is none', async () => {
  for (const falsy of [0, '', false, undefined, null]) {
    await serve('falsy', (callback) => callback(falsy, 'value'));
    assert.deepStrictEqual(await got((done) => client.call('falsy', [], done)), [null, 'value']);
  }
});

test('an error with members that cannot be sent loses those', async () => {
  const circular = {};
  circular.self = circular;
  await serve('odd', (callback) => callback(Object.assign(new Error('odd'), { circular, big: 1n, kept: 1 })));
  await assert.rejects(client.call('odd'), (error) => error.message === 'odd' && error.kept === 1 && !('big' in error));
});

test('an error may cross two hops, and gets no code from us on its way', async () => {
  await serve('inner', (callback) => callback(new Error('deep')));
  await serve('outer', async () => client.call('inner'));
  const error = await client.call('outer').catch((problem) => problem);
  assert.deepStrictEqual([error.message, error.code, Object.keys(error)], ['deep', 'CLOUDS_SERVICE_ERROR', []]);
});

test('an error of the library that a handler hands on names what it is about', async () => {
  await serve('hands.on', async () => client.call('nobody.inside'));
  server.once('handler error', () => {});
  const error = await client.call('hands.on').catch((problem) => problem);
  assert.deepStrictEqual([error.code, error.method, error.outcome], ['CLOUDS_NO_AVAILABLE_SERVER', 'nobody.inside', 'APP_ERROR']);
  assert.match(error.message, /^no available server for nobody\.inside on /);
});

test('nobody there', async () => {
  const [error] = await got((done) => client.call('nobody', [], done));
  assert.deepStrictEqual(
    [error.message, error.code, error.outcome, error.retryable],
    ['no available server', 'CLOUDS_NO_AVAILABLE_SERVER', 'NOT_DONE', true]
  );
  await assert.rejects(client.call('nobody.here', [], { server: server.id }), {
    message: 'service handler not found',
    code: 'CLOUDS_NO_SUCH_METHOD',
    outcome: 'NOT_DONE',
  });
});

test('built-in names are no methods', async () => {
  for (const name of ['hasOwnProperty', 'toString', 'constructor', '__proto__'])
    await assert.rejects(client.call(name, [1], { server: server.id }), { code: 'CLOUDS_NO_SUCH_METHOD' });
  await serve('__proto__', (callback) => callback(null, 'mine'));
  assert.strictEqual(await client.call('__proto__', [], { server: server.id }), 'mine');
});

test('timeout', async () => {
  await serve('never', () => {});
  const since = Date.now();
  await assert.rejects(client.call('never', [], { timeout: 1 }), {
    message: 'timeout',
    code: 'CLOUDS_CALL_SERVICE_TIMEOUT',
    outcome: 'UNKNOWN',
  });
  assert.ok(Date.now() - since >= 990);
});

// ---- handlers

test('however many arguments came, the reply is where the handler expects it', async () => {
  await serve('two', (a, b, callback) => callback(null, a, b));
  const of = (...args) => client.call('two', args, { all: true });
  assert.deepStrictEqual(await of(1, 2), [1, 2]);
  assert.deepStrictEqual(await of(1), [1, null]);
  assert.deepStrictEqual(await of(), [null, null]);
  assert.deepStrictEqual(await of(1, 2, 3, 4), [1, 2]);
  await serve('rest', (a, ...rest) => rest.pop()(null, a, rest));
  assert.deepStrictEqual(await client.call('rest', [1, 2, 3], { all: true }), [1, [2, 3]]);
  await serve('arguments', function () {
    arguments[arguments.length - 1](null, arguments.length);
  });
  assert.strictEqual(await client.call('arguments', [1, 2, 3]), 4);
});

test('handlers that are async, or give a promise', async () => {
  await serve('async', async (a, b) => a + b);
  assert.strictEqual(await client.call('async', [1, 2]), 3);
  await serve('nothing', async () => {});
  assert.strictEqual(await client.call('nothing', [], { timeout: 5 }), undefined);
  await serve('async.old', async (a, callback) => {
    await null;
    callback(null, a * 2);
  });
  assert.strictEqual(await client.call('async.old', [4]), 8);
  await serve('promise', (...args) => Promise.resolve(args.length));
  assert.strictEqual(await client.call('promise', [4]), 2);
  await serve('rejects', async () => {
    throw Object.assign(new Error('no'), { code: 'N' });
  });
  await assert.rejects(client.call('rejects'), { message: 'no', code: 'N', outcome: 'APP_ERROR' });
  await server.registerP('plain', (a) => a + 1);
  assert.strictEqual(await client.call('plain', [4, 'more']), 5);
  await server.registerP('plain', (a) => {
    throw new RangeError('too ' + a);
  });
  await assert.rejects(client.call('plain', ['far']), { message: 'too far' });
});

test('a handler that throws answers its caller, and tells who listens', async () => {
  const told = new Promise((resolve) =>
    server.once('handler error', (error, request) => resolve([error.message, request.method]))
  );
  await serve('throws', () => {
    throw new TypeError('a fault');
  });
  await assert.rejects(client.call('throws'), { message: 'a fault', outcome: 'APP_ERROR' });
  assert.deepStrictEqual(await told, ['a fault', 'throws']);
  for (const nothing of [undefined, null, 0]) {
    await serve('throws', () => {
      throw nothing;
    });
    await assert.rejects(client.call('throws'), { message: 'the handler failed' });
  }
});

test('a result that cannot be sent answers with an error', async () => {
  const circular = {};
  circular.self = circular;
  let deep = [];
  for (let i = 0; i < 300; i++) deep = [deep];
  for (const value of [
    circular,
    5n,
    {
      toJSON() {
        throw new Error('no JSON');
      },
    },
    deep,
    deep, // the second is refused in the place of the order that told of the first
  ]) {
    await serve('unsendable', (callback) => callback(null, value));
    await assert.rejects(
      client.call('unsendable', [], { timeout: 10 }),
      (error) => error.message.length > 0 && error.outcome === 'APP_ERROR'
    );
  }
});

test('the first reply counts', async () => {
  await serve('twice', (callback) => {
    callback(null, 1);
    callback(null, 2);
    callback(new Error('3'));
  });
  assert.strictEqual(await client.call('twice'), 1);
  assert.strictEqual(await client.call('add', [1, 1]), 2);
});

test('the request is this, and hands its time on', async () => {
  let seen;
  await serve('who', function (callback) {
    seen = [this.caller, this.method, this.timeLeft()];
    callback(null);
  });
  await client.call('who', [], { deadline: 7 });
  assert.deepStrictEqual(seen.slice(0, 2), [client.id, 'who']);
  assert.ok(seen[2] > 0 && seen[2] <= 7.5, seen[2]);
  await serve('inherits', async function () {
    return client.call('who', [], { parent: this });
  });
  await client.call('inherits', [], { deadline: 4 });
  assert.ok(seen[2] > 0 && seen[2] <= 4.5, seen[2]);
  await serve('inherits.itself', async function () {
    return server.call('who', [], { parent: this });
  });
  await client.call('inherits.itself', [], { deadline: 4 });
  assert.ok(seen[2] > 0 && seen[2] <= 4.5, seen[2]);
});

test('a handler hears that its caller gives up, and so do those that it calls', async () => {
  const ended = new Map();
  const wait = (request, name) =>
    new Promise((resolve) => {
      assert.strictEqual(request.signal.aborted, false);
      assert.strictEqual(request.signal, request.signal);
      request.signal.addEventListener('abort', () => {
        ended.set(name, request.signal.reason.code);
        resolve();
      });
    });
  let running;
  await server.registerP('gives.up.inner', async function () {
    running();
    await wait(this, 'inner');
  });
  for (const [name, through] of [['itself', () => server], ['elsewhere', () => client]]) {
    await server.registerP('gives.up', async function () {
      await through()
        .call('gives.up.inner', [], { parent: this, timeout: 60 })
        .catch((error) => ended.set('call', error.code));
      ended.set('outer', this.signal.aborted);
    });
    ended.clear();
    const begun = new Promise((resolve) => {
      running = resolve;
    });
    const abort = new AbortController();
    const call = client.call('gives.up', [], { signal: abort.signal, timeout: 60 });
    await begun;
    abort.abort();
    await assert.rejects(call, { name: 'AbortError' });
    await until(() => ended.size === 3);
    assert.deepStrictEqual(Object.fromEntries(ended), { inner: 'CLOUDS_CANCELED', call: 'CLOUDS_CANCELED', outer: true }, name);
  }
});

test('meta goes along, and on; and calls that want no answer', async () => {
  const seen = [];
  await server.registerP('meta', function (...args) {
    seen.push([args, this.meta]);
    return this.meta;
  });
  await server.registerP('meta.on', function () {
    return server.call('meta', [], { parent: this, meta: { own: 1 } });
  });
  assert.deepStrictEqual(await client.call('meta.on', [], { meta: { a: [1], '-b': 2 } }), { a: [1], own: 1 });
  assert.deepStrictEqual(await client.call('meta', []), {});
  seen.length = 0;
  assert.strictEqual(await client.notify('meta', [7], { meta: { x: 1 } }), undefined);
  await until(() => seen.length === 1);
  assert.deepStrictEqual(seen, [[[7], { x: 1 }]]);
  await assert.rejects(client.notify('nobody.has.this', []), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  await assert.rejects(client.call('meta', [], { meta: [1] }), TypeError);
});

test('a trace goes along without a word, and its id is known', async () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736',
    traceparent = `00-${id}-00f067aa0ba902b7-01`;
  await server.registerP('traced', function () {
    return [this.trace, this.meta];
  });
  await server.registerP('traced.on', async function () {
    const later = await new Promise((resolve) => setTimeout(resolve, 1, [client.call('traced', []), server.call('traced', [])]));
    return [await later[0], await later[1], await client.call('traced', [], { meta: { traceparent: 'own' } })];
  });
  const meta = { traceparent, other: 1, '-b': 2 };
  const on = [id, { traceparent }];
  assert.deepStrictEqual(await client.call('traced.on', [], { meta }), [on, on, ['', { traceparent: 'own' }]]);
  assert.deepStrictEqual(await client.call('traced', []), ['', {}]);
});

test('a server may leave its handlers alone', async () => {
  const alone = clouds.createServer({ cancelEvents: false });
  let signal, end;
  const ended = new Promise((resolve) => (end = resolve));
  await alone.registerP('left.alone', function () {
    ({ signal } = this);
    return ended;
  });
  const controller = new AbortController();
  const call = client.call('left.alone', [], { signal: controller.signal });
  await until(() => signal !== undefined);
  controller.abort();
  await assert.rejects(call, { name: 'AbortError' });
  await until(() => alone.counters().canceled_requests === 1); // it has heard of that
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.strictEqual(signal.aborted, false);
  end();
  await alone.exitP();
});

test('a call made after its request was answered has the time that was left all the same', async () => {
  let left;
  const later = new Promise((resolve) => {
    serve('afterwards', function (callback) {
      callback(null, 'done');
      const parent = this;
      setImmediate(() => server.call('left', [], { parent, timeout: 60 }).then(resolve, resolve));
    });
  });
  await serve('left', function (callback) {
    left = this.timeLeft();
    callback(null);
  });
  await server.ready();
  assert.strictEqual(await client.call('afterwards', [], { deadline: 5, retry: 3 }), 'done');
  await later;
  assert.ok(left > 0 && left <= 5.5, left);
});

test('a method that is taken back and offered again at once is served', async () => {
  const { holders } = server._transport;
  await server.registerP('renewed', () => 1);
  const withdrawn = server.unregister('renewed');
  await server.registerP('renewed', () => 2);
  await withdrawn;
  assert.strictEqual(await client.call('renewed'), 2);
  await server.unregister('renewed');
  assert.strictEqual(server._transport.holders, holders);
});

test('registering again replaces, unregistering takes back', async () => {
  await server.registerP('replaced', () => 1);
  await server.registerP('replaced', () => 2);
  assert.strictEqual(await client.call('replaced'), 2);
  await server.unregister('replaced');
  await assert.rejects(client.call('replaced', [], { server: server.id }), { code: 'CLOUDS_NO_SUCH_METHOD' });
  await assert.rejects(server.unregisterP('replaced'), { code: 'CLOUDS_INVALID_ARGUMENT' });
});

// ---- retries

test('retries after timeouts, as often as allowed', async () => {
  let count = 0,
    silent = 0;
  await serve('third', (callback) => {
    if (++count === 3) callback(null, count);
  });
  await serve('silent', () => {
    silent++;
  });
  const retrying = clouds.createClient({ timeout: 1, notAutoCleanRemoteServer: true });
  await Promise.all([
    retrying.bindP('third', 5)().then((value) => assert.strictEqual(value, 3)),
    assert.rejects(retrying.bindP('silent', 1)(), { code: 'CLOUDS_CALL_SERVICE_TIMEOUT' }),
  ]);
  assert.deepStrictEqual([count, silent], [3, 2]);
  await retrying.exitP();
});

test('onRetry runs before every attempt and gives its arguments', async () => {
  const attempts = [];
  await serve('attempt', (a, b, callback) => {
    if (a === 'y2') callback(null, a, b);
  });
  const retrying = clouds.createClient({ timeout: 1, notAutoCleanRemoteServer: true });
  const bound = retrying.bind('attempt', 5, (x, y, go) => {
    attempts.push([x, y]);
    go(y + attempts.length, x);
  });
  assert.deepStrictEqual(await got((done) => bound('x', 'y', done)), [null, 'y2', 'x']);
  assert.deepStrictEqual(attempts, [
    ['x', 'y'],
    ['x', 'y'],
  ]);
  assert.strictEqual(await retrying.bindP('add', { retry: 1, onRetry: (a, go) => go(a, 5) })(1), 6);
  await retrying.exitP();
});

test("the node's retry counts with onRetry as well", async () => {
  const retrying = clouds.createClient({ url: 'inproc:retry', timeout: 1.5, retry: 2 });
  let attempts = 0;
  const onRetry = (go) => go(attempts++);
  await assert.rejects(retrying.bindP('nobody', { onRetry })(), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  assert.strictEqual(attempts, 3);
  await assert.rejects(retrying.bindP('nobody', 0, onRetry)(), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
  assert.strictEqual(attempts, 4);
  await retrying.exitP();
});

test('the pause before a next attempt ends with the node and with the signal, and onRetry may throw', async () => {
  const node = clouds.createClient();
  await node.ready();
  const controller = new AbortController();
  let paused = 0;
  const onRetry = (go) => {
    paused++;
    go();
  };
  const left = node.bindP('nobody', { retry: 3, timeout: 1000, onRetry })();
  const aborted = node.bindP('nobody', { retry: 3, timeout: 1000, onRetry, signal: controller.signal })();
  let attempts = 0;
  const thrown = node.bindP('nobody', {
    retry: 3,
    timeout: 0.5,
    onRetry(go) {
      if (attempts++) throw new Error('mine');
      go();
    },
  })();
  const ends = [
    assert.rejects(left, { code: 'CLOUDS_CLOSED' }),
    assert.rejects(aborted, { code: 'CLOUDS_CANCELED', name: 'AbortError' }),
    assert.rejects(thrown, { message: 'mine' }),
  ];
  await until(() => paused === 2);
  controller.abort();
  await Promise.all(ends.slice(1));
  await node.exitP();
  await ends[0];
});

test('deadline, signal and exit hold while onRetry has not gone on; one that goes on twice calls once', async () => {
  for (const url of [undefined, 'local:hooks', 'inproc:hooks']) {
    const own = clouds.createServer(url),
      node = clouds.createClient(url);
    const ran = [];
    await own.registerP('once', (a) => ran.push(a) && a);
    const never = () => {};
    const since = Date.now();
    await assert.rejects(node.bindP('once', { deadline: 0.2, retry: 3, onRetry: never })(1), clouds.CloudsError);
    assert.ok(Date.now() - since >= 150);
    const controller = new AbortController();
    const given = node.bindP('once', { retry: 3, onRetry: never, signal: controller.signal })(1);
    setTimeout(() => controller.abort(), 10);
    await assert.rejects(given, { name: 'AbortError' });
    const twice = node.bindP('once', 3, (a, go) => {
      go(a);
      go(a);
      setTimeout(go, 10, a);
    });
    assert.strictEqual(await twice(2), 2);
    let late;
    await assert.rejects(
      node.bindP('once', { deadline: 0.5, onRetry: (a, go) => (late = () => go(a)) })(3),
      clouds.CloudsError
    );
    late(); // its call has ended
    assert.strictEqual(await node.bindP('once', 0, async (a, go) => setTimeout(go, 5, a + 1))(3), 4);
    await assert.rejects(node.bindP('once', 0, (a, go) => go(1n))(1), TypeError);
    const left = assert.rejects(node.bindP('once', { retry: 3, onRetry: never })(1), { code: 'CLOUDS_CLOSED' });
    await node.exitP();
    await left;
    await own.exitP();
    assert.deepStrictEqual(ran, [2, 4]);
  }
});

test('with onRetry as without a call goes on when a server comes up', async () => {
  const waiting = clouds.createClient({ timeout: 1000 });
  let attempts = 0;
  const call = waiting.bindP('comes.up', { retry: 1, onRetry: (go) => go(attempts++) })();
  await until(() => attempts === 1);
  await server.registerP('comes.up', () => 'here');
  assert.strictEqual(await call, 'here');
  await waiting.exitP();
});

test('an error of the service is not retried', async () => {
  let count = 0;
  await serve('counts', (callback) =>
    callback(Object.assign(new Error('x'), { code: 'CLOUDS_CALL_SERVICE_TIMEOUT', count: ++count }))
  );
  await assert.rejects(client.bindP('counts', 5)(), { count: 1, outcome: 'APP_ERROR' });
  await assert.rejects(client.bindP('counts', 5, (go) => go())(), { count: 2 });
});

test('no server is retried after a timeout each, until one comes', async () => {
  const waiting = clouds.createClient({ timeout: 0.5 });
  let attempts = 0;
  const call = waiting.bindP('comes.late', 100)();
  const hooked = waiting.bindP('comes.late', 100, (go) => go(attempts++))();
  await until(() => attempts > 1);
  await server.registerP('comes.late', () => 'here');
  assert.deepStrictEqual(await Promise.all([call, hooked]), ['here', 'here']);
  await waiting.exitP();
});

test('the deadline ends all attempts', async () => {
  const since = Date.now();
  await assert.rejects(client.bindP('never', { retry: 1000, timeout: 0.1, deadline: 0.5 })());
  await assert.rejects(client.bindP('never', { retry: 1000, timeout: 0.1, deadline: 0.5, onRetry: (go) => go() })());
  assert.ok(Date.now() - since < 10000);
});

// ---- giving up

test('an AbortSignal gives a call up', async () => {
  let begun = 0;
  await serve('hangs', () => begun++);
  const controller = new AbortController();
  const call = client.call('hangs', [], { signal: controller.signal });
  await until(() => begun === 1);
  controller.abort(new Error('enough'));
  const error = await call.catch((problem) => problem);
  assert.deepStrictEqual(
    [error.name, error.code, error.outcome, error.cause.message],
    ['AbortError', 'CLOUDS_CANCELED', 'UNKNOWN', 'enough']
  );
  await assert.rejects(client.call('add', [1, 2], { signal: controller.signal }), {
    name: 'AbortError',
    code: 'CLOUDS_CANCELED',
  });
  const other = new AbortController();
  const at = client.call('hangs', [], { signal: other.signal });
  other.abort(); // before it was even handed to the library
  await assert.rejects(at, { name: 'AbortError' });
  const third = new AbortController();
  assert.strictEqual(await client.call('add', [1, 2], { signal: third.signal }), 3);
  third.abort();
  const bound = new AbortController();
  const attempts = client.bindP('hangs', { retry: 9, timeout: 0.1, signal: bound.signal, onRetry: (go) => go() })();
  setTimeout(() => bound.abort(), 150);
  await assert.rejects(attempts, { name: 'AbortError' });
  const [error2] = await got((done) =>
    client.call('hangs', [], { signal: AbortSignal.timeout(50), server: server.id }, done)
  );
  assert.strictEqual(error2.code, 'CLOUDS_CANCELED');
});

test('one AbortSignal gives up many calls, with one listener', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = () => getEventListeners(signal, 'abort').length;
  const pausing = clouds.createClient();
  let paused = 0;
  await serve('hangs.all', () => {});
  const calls = Array.from({ length: 20 }, () => client.call('hangs.all', [], { signal }));
  calls.push(pausing.bindP('nobody', { retry: 1, signal, onRetry: (go) => go(paused++) })());
  const ends = calls.map((call) => assert.rejects(call, { name: 'AbortError' }));
  await until(() => paused === 1);
  assert.strictEqual(await client.call('add', [1, 2], { signal }), 3);
  assert.strictEqual(listeners(), 1);
  controller.abort();
  await Promise.all(ends);
  assert.strictEqual(listeners(), 0);
  const fresh = new AbortController();
  await assert.rejects(client.call('add', [1n], { signal: fresh.signal }), TypeError);
  assert.strictEqual(getEventListeners(fresh.signal, 'abort').length, 0); // it never began
  await pausing.exitP();
});

// ---- misuse

test('an unknown option of a call is refused by its name, with the one that was meant', async () => {
  const refused = (words) => (error) => error.code === 'CLOUDS_INVALID_OPTION' && error.message.includes(words);
  const cases = [
    [{ timout: 1 }, "the option 'timout' of a call: there is none; did you mean 'timeout'?"],
    [{ timeout: 1, retries: 2 }, "the option 'retries' of a call: there is none; did you mean 'retry'?"],
    [{ onretry() {} }, "did you mean 'onRetry'?"],
    [{ 'quite\nanother': 1 }, 'there are timeout, deadline, retry, server'],
  ];
  for (const [options, words] of cases) {
    await assert.rejects(client.call('add', [1, 2], options), refused(words));
    assert.throws(() => client.call('add', [1, 2], options, () => {}), refused(words));
    assert.throws(() => client.bind('add', options), refused(words));
    assert.throws(() => client.bindP('add', options), refused(words));
    const signal = new AbortController().signal;
    await assert.rejects(client.call('add', [1, 2], { signal, ...options }), refused(words));
    assert.strictEqual(getEventListeners(signal, 'abort').length, 0);
  }
  assert.strictEqual(await client.call('add', [1, 2], { timeout: 5, unknown: undefined }), 3);
});

// What declares an options parameter, by what it takes besides.
const WITH_OPTIONS = {
  notify: ['walked', []],
  call: ['add', []],
  callP: ['add', []],
  bind: ['add'],
  bindP: ['add'],
  send: ['nobody'],
  sendP: ['nobody', 1],
  status: [],
  explain: ['walked'],
  ask: ['nobody', 'ping', null],
  statusP: [],
  links: [],
  stats: [],
  ready: [],
  readyP: [],
  exit: [],
  exitP: [],
  register: ['walked', () => {}],
  registerP: ['walked', () => {}],
  unregister: ['add'],
  unregisterP: ['add'],
  pause: ['add'],
  resume: ['add'],
};

test('every function with options refuses an unknown one by its name, with the one that was meant', async () => {
  const declared = fs.readFileSync(path.join(PACKAGE, 'index.d.ts'), 'utf8');
  const found = [...declared.matchAll(/^  (\w+)(?:<[^(]*>)?\(((?:[^()]|\([^()]*\))*)\)/gm)]
    .filter(([, name, parameters]) => name !== 'constructor' && /(Wait|Exit|Call|CallAll|Bind|Register)Options/.test(parameters))
    .map(([, name]) => name);
  assert.deepStrictEqual([...new Set(found)].sort(), Object.keys(WITH_OPTIONS).sort());
  const refused = (known) => ({ code: 'CLOUDS_INVALID_OPTION', message: new RegExp(`'${known}s'.*did you mean '${known}'`) });
  for (const [name, args] of Object.entries(WITH_OPTIONS)) {
    const known = name.startsWith('exit') ? 'drain' : 'timeout';
    const use = async (options) => server[name](...(name === 'send' ? [...args, 1] : args), options);
    await assert.rejects(use({ [known + 's']: 1 }), refused(known), name);
    await assert.rejects(use({ zzzzzzzz: 1 }), { code: 'CLOUDS_INVALID_OPTION' }, name);
    if (!name.startsWith('bind')) await assert.rejects(use(5), TypeError, name);
  }
  assert.strictEqual(await client.call('add', [1, 2]), 3); // nothing was done
  await assert.rejects(client.call('walked'), { code: 'CLOUDS_NO_AVAILABLE_SERVER' });
});

test('wrong input is told at once', async () => {
  for (const method of [undefined, null, 5, {}, []]) assert.throws(() => client.call(method, [], () => {}), TypeError);
  for (const args of ['text', 5, {}, true]) assert.throws(() => client.call('add', args, () => {}), TypeError);
  for (const callback of [null, 5, 'x']) assert.throws(() => client.call('add', [], {}, callback), TypeError);
  for (const options of [5, 'x', true]) assert.throws(() => client.call('add', [], options, () => {}), TypeError);
  for (const timeout of ['1', -1, NaN, {}])
    assert.throws(() => client.call('add', [], { timeout }, () => {}), TypeError);
  assert.throws(() => client.call('add', [], { server: 5 }, () => {}), TypeError);
  const nobody = { server: '' };
  for (const call of [client.callP('add', [1, 2], nobody), client.notify('add', [1, 2], nobody), client.bindP('add', nobody)(1, 2)])
    await assert.rejects(call, { name: 'TypeError', message: /server is .* not an empty one/ });
  await assert.rejects(client.callP('add', [], { signal: 5 }), { message: 'clouds: signal is an AbortSignal' });
  const circular = [];
  circular.push(circular);
  assert.throws(() => client.call('add', [circular], () => {}), /circular/);
  assert.throws(() => client.call('add', [1n], () => {}), /BigInt/);
  assert.throws(() => server.register('x', 'no function'), TypeError);
  assert.throws(() => server.register(5, () => {}), TypeError);
  assert.throws(() => client.call('a\0b', [], () => {}), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(client.call(undefined), TypeError);
  await assert.rejects(client.call('add', 'text'), TypeError);
  await assert.rejects(client.call('add', [circular]), /circular/);
  await assert.rejects(client.call('', []), { code: 'CLOUDS_INVALID_ARGUMENT' });
  await assert.rejects(client.call('add', ['x'.repeat(5 << 20)]), { code: 'CLOUDS_TOO_BIG' });
  assert.strictEqual(await client.call('add', [1, 2]), 3);
});

test('a callback that throws is an uncaught exception, and takes no other along', async () => {
  const thrown = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  let others = 0;
  for (let i = 0; i < 10; i++)
    client.call('add', [i, 1], () => {
      if (i % 2) throw new Error('mine ' + i);
      others++;
    });
  await until(() => others === 5 && thrown.length === 5);
  process.removeAllListeners('uncaughtException');
  listeners.forEach((listener) => process.on('uncaughtException', listener));
  assert.deepStrictEqual(
    thrown,
    [1, 3, 5, 7, 9].map((i) => 'mine ' + i)
  );
});
