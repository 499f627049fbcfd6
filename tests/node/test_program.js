// The program around it: asynchronous contexts, timers that tests put in the place of the true ones, faults of handlers and
// listeners, errors that travel with hostile members, nodes that leave from within.
'use strict';

const assert = require('assert');
const { AsyncLocalStorage } = require('async_hooks');
const util = require('util');
const { test, before, after } = require('node:test');
const { clouds, cluster, until, program, finished, PACKAGE } = require('./support.js');

let redis, server, client;

before(async () => {
  redis = await cluster();
  server = clouds.createServer();
  client = clouds.createClient();
  await server.registerP('add', (a, b) => a + b);
});
after(async () => {
  await Promise.all([server.exitP({ drain: 0 }), client.exitP()]);
  await redis.stop();
});

const got = (begin) => new Promise((resolve) => begin((...all) => resolve(all)));

test('AsyncLocalStorage: callbacks, hooks and promises keep that of who called', async () => {
  const store = new AsyncLocalStorage();
  const seen = await store.run('mine', async () => {
    const all = [];
    const note = () => all.push(store.getStore());
    await got((done) => client.call('add', [1, 2], (...r) => (note(), done(...r))));
    await got((done) => client.bind('add', 0, (a, b, go) => (note(), go(a, b)))(1, 2, (...r) => (note(), done(...r))));
    await client.call('add', [1, 2]).then(note);
    await got((done) => client.call('nobody.there', [], (...r) => (note(), done(...r))));
    await got((done) => client.status((...r) => (note(), done(...r))));
    await got((done) => client.send('nobody', 1, (...r) => (note(), done(...r))));
    await got((done) => client.ready((...r) => (note(), done(...r))));
    await got((done) => server.register('ctx', () => {}, (...r) => (note(), done(...r))));
    await got((done) => server.unregister('ctx', (...r) => (note(), done(...r))));
    const gone = clouds.createClient();
    await got((done) => gone.exit((...r) => (note(), done(...r))));
    return all;
  });
  assert.deepStrictEqual(seen, Array(11).fill('mine'));
});

test('AsyncLocalStorage: what a handler puts there reaches no other request', async () => {
  const store = new AsyncLocalStorage();
  const seen = [];
  await server.registerP('enters', (name) => {
    seen.push(store.getStore());
    store.enterWith(name);
  });
  server.on('message', (sender, name) => {
    seen.push(store.getStore());
    store.enterWith(name);
  });
  await Promise.all(['a', 'b', 'c'].map((name) => client.call('enters', [name])));
  for (const name of ['d', 'e']) await client.sendP(server.id, name);
  await client.call('enters', ['f']);
  await until(() => seen.length === 6);
  assert.deepStrictEqual(seen, Array(6).fill(undefined));
  server.removeAllListeners('message');
});

test('-0 stays -0, in arguments, values, messages and members of errors', async () => {
  await server.registerP('same', (...all) => all);
  const values = [-0, 0, [-0], { a: -0, b: [{ c: -0 }] }, '-0', { toJSON: () => -0 }, Object(-0)];
  assert.deepStrictEqual(await client.call('same', values), [-0, 0, [-0], { a: -0, b: [{ c: -0 }] }, '-0', -0, -0]);
  await server.registerP('zero', () => {
    throw Object.assign(new Error('z'), { code: 'E', zero: -0 });
  });
  await assert.rejects(client.call('zero'), (error) => Object.is(error.zero, -0));
  const heard = new Promise((resolve) => client.once('message', (sender, value) => resolve(value)));
  server.send(client.id, [-0]);
  assert.deepStrictEqual(await heard, [-0]);
});

test('without new it constructs', async () => {
  for (const kind of ['Base', 'Client', 'Server', 'Monitor']) {
    const { [kind]: make } = clouds;
    const nodes = [make({ url: 'inproc:new' }), clouds[kind]({ url: 'inproc:new' })];
    for (const node of nodes) assert.ok(node instanceof clouds[kind] && node.id);
    await Promise.all(nodes.map((node) => node.exitP()));
  }
});

test('timers that stand still hang nothing', async () => {
  const faked = `
    const names = ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'];
    function fake() { // as @sinonjs/fake-timers does
      const timers = require('timers');
      const clock = {};
      for (const name of names) {
        clock['_' + name] = globalThis[name];
        const stopped = () => ({ ref() {}, unref() {} });
        stopped.clock = clock;
        globalThis[name] = timers[name] = stopped;
      }
      clock._nextTick = process.nextTick;
      process.nextTick = () => {};
      process.nextTick.clock = clock;
      Date.now = () => 0;
      Object.defineProperty(performance, 'now', { value: () => 0 }); // Node 18 has no other way
    }`;
  const use = (clouds) => `
    (async () => {
      const s = ${clouds}.createServer('inproc:f'), c = ${clouds}.createClient('inproc:f');
      await s.registerP('x', () => 1);
      await new Promise((resolve) => c.on('listen', resolve));
      const all = [await c.call('x'), await c.bindP('x', 1, (go) => go())()];
      all.push(await c.call('nobody').catch((error) => error.code));
      await new Promise((resolve) => c.call('x', [], resolve));
      await c.ready();
      await s.exitP();
      await new Promise((resolve) => c.exit(resolve));
      await new Promise((resolve) => c.exit(resolve));
      console.log(all.join());
    })();`;
  const wanted = '1,1,CLOUDS_NO_AVAILABLE_SERVER\n';
  const later = `delete require.cache[require.resolve(${JSON.stringify(PACKAGE)})];
    for (const file of Object.keys(require.cache)) if (file.endsWith('.js')) delete require.cache[file];`;
  const runs = [
    program(`${faked} fake(); ${use('clouds')}`),
    program(`${faked} fake(); ${later} const again = require(${JSON.stringify(PACKAGE)}); ${use('again')}`),
  ];
  for (const child of runs) assert.strictEqual(await finished(child), wanted);
});

test('faults of listeners and of their promises end nothing', async () => {
  const child = program(`
    const s = clouds.createServer(), c = clouds.createClient();
    s.on('message', (sender, what) => { if (what === 1) throw new Error('thrown'); });
    s.on('message', async (sender, what) => { if (what === 2) throw new Error('rejected'); });
    s._setHandler('message.x', async () => { throw new Error('by type'); });
    (async () => {
      await s.registerP('later', async () => { await null; throw new Error('of a handler'); });
      for (const what of [1, 2, 3]) await c.sendP(s.id, what);
      await c.call('later').catch((error) => console.log(error.message));
      await s.exitP();
      await c.exitP();
      console.log('done');
    })();`);
  assert.strictEqual(await finished(child), 'of a handler\ndone\n');
  assert.match(child.err, /CloudsWarning: a listener of message failed\nError: thrown/);
  assert.match(child.err, /CloudsWarning: a listener of message failed\nError: rejected/);
  assert.match(child.err, /CloudsWarning: the handler of later failed, called by c\..*\nError: of a handler/);
});

test("which errors are the program's fault, and which a service says", async () => {
  const child = program(`
    const s = clouds.createServer('inproc:e'), c = clouds.createClient('inproc:e');
    class Database extends Error {}
    const all = {
      system: () => require('fs').readFileSync('/nowhere/at/all'),
      node: () => Buffer.alloc('x'),
      passed: () => c.call('nobody'),
      database() { throw Object.assign(new Database('duplicate'), { code: '23505' }); },
      said() { throw Object.assign(new Error('said'), { code: 'E_SAID' }); },
      exposed() { throw Object.assign(new Database('shown'), { code: 'E', expose: true }); },
      escaped() { throw new Error('\\u001b[31mred\\nnext'); },
    };
    (async () => {
      for (const name of Object.keys(all)) await s.registerP(name, all[name]);
      for (const name of Object.keys(all)) await c.call(name).catch(() => {});
      await c.call('database').catch(() => {});
      await s.exitP();
      await c.exitP();
    })();`);
  await finished(child);
  const told = [...child.err.matchAll(/CloudsWarning: the handler of (\w+) failed/g)].map((match) => match[1]);
  assert.deepStrictEqual(told, ['system', 'node', 'passed', 'database', 'escaped']);
  assert.ok(!child.err.includes('\u001b') && child.err.includes('\\u001b[31mred'));
});

test('members of an error that are named like its methods are data only', async () => {
  const members = JSON.parse(
    `{"message":"hostile","code":"E","toString":1,"constructor":{"name":{}},"__proto__":{"x":1},"stack":{"a":1},` +
      `"name":{"toString":1},"hasOwnProperty":2,"valueOf":null,"toJSON":3,"then":4,"inspect":5,"retryable":6,` +
      `"outcome":"OK","values":"no","members":7,"isPrototypeOf":[],"extra":8,"cause":{"toString":0}}`
  );
  await server.registerP('hostile', () => Promise.reject(members));
  const error = await client.call('hostile').catch((problem) => problem);
  assert.ok(error instanceof clouds.CloudsError && error instanceof Error);
  for (const print of [String, util.inspect, JSON.stringify, util.format, (e) => `${e}`, (e) => e.stack])
    assert.match(print(error), print === JSON.stringify ? /E/ : /CloudsError: hostile/);
  assert.deepStrictEqual([error.extra, error.code, error.retryable, error.outcome], [8, 'E', false, 'APP_ERROR']);
  assert.strictEqual(error.constructor, clouds.CloudsError);
  const { stack, ...sent } = members; // a stack is never sent
  assert.ok(stack);
  assert.deepStrictEqual(error.members, sent);
  assert.strictEqual(Object.prototype.x, undefined);
  // Messages that are no text, a code that is null.
  for (const [thrown, message] of [
    [{ message: { toString: 1 } }, '{"toString":1}'],
    [{ message: null, code: null }, ''],
    [{ message: 'm', code: null }, 'm'],
  ]) {
    await server.registerP('hostile', () => Promise.reject(thrown));
    const problem = await client.call('hostile').catch((e) => e);
    assert.strictEqual(problem.code, 'CLOUDS_SERVICE_ERROR');
    assert.strictEqual(typeof problem.message, 'string');
    if (message) assert.ok(problem.message === message || problem.message === '[object Object]', problem.message);
  }
  // The same through the protocol helper.
  const text = JSON.stringify({ t: 'r', s: 'x', d: { i: '1', e: members, r: [] } });
  assert.match(util.inspect(clouds.createProtocol('y').unpack(text).data.e), /hostile/);
});

test('the stack of an error is that of who waits for it; with CLOUDS_STACKS=1 of every call', async () => {
  async function whoCalls() {
    await client.call('nobody.there');
  }
  const error = await whoCalls().catch((problem) => problem);
  assert.match(error.stack, /^CloudsError: no available server\n[^]*async whoCalls/);
  const child = program(
    `const c = clouds.createClient('inproc:s');
    function whoCalls() { c.call('nobody', [], (error) => { console.log(error.stack); c.exit(); }); }
    whoCalls();`,
    { CLOUDS_STACKS: '1' }
  );
  assert.match(await finished(child), /^CloudsError: no available server\n[^]*at whoCalls/);
});

test('leaving from within a handler does not wait for it', async () => {
  const ways = {
    async promise(own) {
      await own.exitP();
      return 'bye';
    },
    callback: (own) => new Promise((resolve) => own.exit(() => resolve('bye'))),
    forgets(own) {
      own.exit();
      return 'bye';
    },
  };
  for (const name of Object.keys(ways)) {
    const own = clouds.createServer({ drainTimeout: 1000 });
    await own.registerP('leave', () => ways[name](own));
    assert.strictEqual(await client.call('leave', [], { server: own.id }), 'bye', name);
    await own.exitP();
  }
});

test('a request whose caller has given up while others were served is not started', async () => {
  const own = clouds.createServer();
  let begun = 0;
  await own.registerP('slow', () => {
    begun++;
    for (const end = Date.now() + 400; Date.now() < end; );
  });
  await client.call('slow', [], { timeout: 20 });
  begun = 0;
  const calls = Array.from({ length: 6 }, () => client.call('slow', [], { deadline: 0.5 }).catch((error) => error));
  await Promise.all(calls);
  await until(() => begun + own.counters().expired_requests === 6, 'each was begun, or has expired');
  assert.ok(begun <= 3, `${begun} were started`);
  await own.exitP();
});

test('a request that is late is not begun, and its key is free again', async () => {
  const own = clouds.createServer();
  let begun = 0;
  await own.registerP('busy', () => {
    for (const end = Date.now() + 400; Date.now() < end; );
  });
  await own.registerP('order', () => {
    begun++;
    return 'done';
  });
  await client.call('busy', [], { timeout: 20 });
  await client.call('order', [], { timeout: 20 }); // so that it is known where both go
  begun = 0;
  const busy = client.call('busy', [], { timeout: 20 });
  await assert.rejects(client.call('order', [], { deadline: 0.2, once: 'o7' }));
  await busy;
  await until(() => own.counters().expired_requests === 1, 'it has expired');
  assert.strictEqual(begun, 0);
  assert.strictEqual(await client.call('order', [], { once: 'o7', timeout: 20 }), 'done');
  // Who repeats it has more time: it is begun for that.
  begun = 0;
  const again = client.call('busy', [], { timeout: 20 });
  const late = client.call('order', [], { deadline: 0.2, once: 'o8' }).catch(() => {});
  const repeat = client.call('order', [], { deadline: 20, timeout: 20, once: 'o8' });
  await Promise.all([again, late]);
  assert.strictEqual(await repeat, 'done');
  assert.strictEqual(begun, 1);
  await own.exitP();
});

test('what waits for its turn is served when its method is unregistered', async () => {
  const own = clouds.createServer();
  let open;
  const gate = new Promise((resolve) => {
    open = resolve;
  });
  await own.registerP('slow', (i) => gate.then(() => i), { concurrency: 1, queue: 10, queueAge: 20 });
  const calls = [1, 2, 3, 4].map((i) => client.call('slow', [i], { timeout: 20 }));
  const state = async () => Object.values((await own.statusP()).own)[0].methods.slow;
  for (let now = {}; now.running !== 1 || now.waiting !== 3; ) now = await state();
  const unregistered = own.unregisterP('slow');
  setTimeout(open, 20);
  await unregistered;
  assert.deepStrictEqual(await Promise.all(calls), [1, 2, 3, 4]);
  await own.exitP();
});

test('behind its deadline the handler of one with an idempotency key still calls others', async () => {
  const own = clouds.createServer();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await own.registerP('put', () => pause(50).then(() => 'put'));
  await own.registerP('pay', async function () {
    await pause(400);
    return client.call('put', [], { parent: this });
  });
  await client.call('put', [], { timeout: 20 });
  await assert.rejects(client.call('pay', [], { deadline: 0.2, once: 'pay 1', server: own.id }));
  assert.strictEqual(await client.call('pay', [], { once: 'pay 1', timeout: 20, server: own.id }), 'put');
  await own.exitP();
});

test('a process that ends by process.exit or an exception leaves its callers an answer and no registration', async () => {
  for (const end of ['process.exit(3)', 'setTimeout(() => { throw new Error("end"); })']) {
    const child = program(`
      const s = clouds.createServer();
      s.registerP('ends', () => { ${end}; return new Promise(() => {}); }).then(() => console.log('ready'));`);
    await until(() => child.out.includes('ready'));
    const error = await client.call('ends', [], { timeout: 60 }).catch((problem) => problem);
    assert.ok(error instanceof clouds.CloudsError && error.code !== 'CLOUDS_CALL_SERVICE_TIMEOUT', String(error));
    assert.notStrictEqual((await child.ended).code, 0);
    await until(async () => !(await client.status()).methods.ends, 'the registration goes');
  }
});

test('process.exit in a handler of a worker thread ends that thread', async () => {
  const child = program(`
    const { Worker } = require('worker_threads');
    const code = \`const clouds = require(${JSON.stringify(PACKAGE)});
      const s = clouds.createServer();
      s.registerP('worker.ends', () => process.exit(4)).then(() => require('worker_threads').parentPort.postMessage(1));\`;
    const worker = new Worker(code, { eval: true });
    const c = clouds.createClient();
    worker.on('message', () => {
      for (let i = 0; i < 50; i++) c.call('worker.ends', [], { timeout: 60 }).catch(() => {});
    });
    worker.on('exit', (code) => { console.log(code); c.exit(); });`);
  assert.strictEqual(await finished(child), '4\n');
});

test('answers that find no room are sent when there is some', async () => {
  const own = clouds.createServer({ writeSoft: 20000, writeHard: 40000 });
  const served = [];
  await own.registerP('large', (i) => {
    served.push(i);
    return 'x'.repeat(15000) + i;
  });
  await client.call('large', [0]);
  const calls = Array.from({ length: 40 }, (unused, i) => client.call('large', [i], { timeout: 60 }));
  const values = await Promise.all(calls);
  assert.deepStrictEqual(values.map((value) => Number(value.slice(15000))), Array.from(calls.keys()));
  assert.deepStrictEqual([served.length, own.counters().lost_answers], [41, 0]);
  await own.exitP();
});

test('lost and found clusters, and rights that are missing, are told', async () => {
  const own = await new (require('./support.js').Redis)().start();
  await own.command('ACL', 'SETUSER', 'weak', 'on', '>pw', '~*', '&*', '+@all', '-publish');
  const code = `
    const url = process.env.CLOUDS_URL;
    const weak = url.replace('redis+unix://', 'redis+unix://weak:pw@');
    const wrong = url.replace('redis+unix://', 'redis+unix://weak:nothing@');
    const nodes = [clouds.createServer(), clouds.createServer(), clouds.createClient(weak), clouds.createClient(wrong),
      clouds.createClient({ url: 'redis+unix:///nowhere/r.sock', logLevel: 'off' })];
    const quiet = clouds.createServer();
    quiet.on('log', (level, line) => console.log('log', level, line.message));
    nodes[0].registerP('q', () => 1).then(() => nodes[2].call('q', [], { timeout: 60 }).catch(() => console.log('asked')));
    process.stdin.on('data', () => Promise.all([...nodes, quiet].map((node) => node.exitP({ drain: 0 })))
      .then(() => process.exit()));`;
  const text = `'use strict'; const clouds = require(${JSON.stringify(PACKAGE)});\n${code}`;
  const child = require('./support.js').run(process.execPath, ['-e', text], {
    env: Object.assign({}, process.env, { CLOUDS_URL: own.url, DEBUG: 'clouds:server:*,-clouds:client:*' }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  await until(() => child.out.includes('asked') && /WRONGPASS/.test(child.err), 'the warnings');
  await own.stop();
  await until(() => /log warn .*(closed|reset)/.test(child.out), 'the loss is told');
  await own.start();
  await until(() => /log warn .*connected again/.test(child.out) && /CloudsWarning: .*connected again/.test(child.err));
  child.stdin.end('end');
  await child.ended;
  await own.stop();
  const warnings = child.err.split('\n').filter((line) => line.includes('CloudsWarning'));
  const count = (what) => warnings.filter((line) => what.test(line)).length;
  assert.deepStrictEqual([count(/PUBLISH: .*NOPERM/), count(/connected again/)], [1, 1], child.err);
  assert.strictEqual(count(/nowhere/), 0);
  assert.match(child.err, /Z clouds:server:s\.\S+ .*: connected\n/);
  assert.ok(!child.err.includes('clouds:client:'));
});

test('every wait has a limit, and gives the last known reason', async () => {
  await redis.command('ACL', 'SETUSER', 'limited', 'on', '>pw', '~*', '&*', '+@all');
  const wrong = redis.url.replace('redis+unix://', 'redis+unix://limited:nothing@');
  const own = clouds.createServer({ url: wrong, logLevel: 'off' });
  const timeout = 0.2;
  const waits = [
    () => own.ready({ timeout }),
    () => own.registerP('x', () => 1, { timeout }),
    () => got((done) => own.register('y', () => {}, { timeout }, done)).then(([error]) => Promise.reject(error)),
    () => own.status({ timeout }),
    () => got((done) => own.status({ timeout }, done)).then(([error]) => Promise.reject(error)),
    () => own.unregister('x', { timeout }),
  ];
  await new Promise((resolve) => own.once('down', resolve));
  assert.strictEqual(own.connected, false);
  for (const wait of waits)
    await assert.rejects(wait(), { code: 'CLOUDS_AUTH_FAILED', message: /WRONGPASS/ }, String(wait));
  await assert.rejects(own.sendP('nobody', 1, { timeout }), clouds.CloudsError);
  await own.exitP({ drain: 0 });
  const nowhere = clouds.createServer({ url: 'redis+unix:///nowhere/r.sock', logLevel: 'off', operationTimeout: 0.2 });
  await new Promise((resolve) => nowhere.once('down', resolve)); // the reason is known
  await assert.rejects(nowhere.ready(), { message: /nowhere/, node: nowhere.id });
  await assert.rejects(nowhere.registerP('x', () => 1), { message: /nowhere/ }); // it is tried on
  await nowhere.exitP({ drain: 0 });
  assert.throws(() => server.status({ timeout: 'x' }, () => {}), TypeError);
});

test('a request knows whether it is open', async () => {
  const seen = [];
  let kept;
  await server.registerP('open', async function () {
    kept = this;
    seen.push(this.open());
    await until(() => !this.open(), 'its caller gives up');
    seen.push(this.timeLeft() < 0.1);
  });
  await assert.rejects(client.call('open', [], { deadline: 2 }));
  await until(() => seen.length === 2);
  assert.deepStrictEqual([...seen, kept.open()], [true, true, false]);
});
