// What the tests share: the package under test, private Redis servers, child processes, waiting for a condition.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const { after } = require('node:test');

const BUILD = process.env.CLOUDS_BUILD_DIR;
const PACKAGE = path.join(BUILD, 'bindings', 'node');
const BOUND = 1000 * Number(process.env.CLOUDS_TEST_BOUND || 30); // ms until a test says that something will not come
const LONG = process.env.CLOUDS_LONG === '1';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'clouds-node-'));
const children = new Set();

fs.mkdirSync(path.join(folder, 'run'), { mode: 0o700 });
process.env.CLOUDS_RUNTIME_DIR = path.join(folder, 'run');
delete process.env.CLOUDS_URL;

process.on('exit', () => {
  children.forEach((child) => child.kill('SIGKILL'));
  fs.rmSync(folder, { recursive: true, force: true });
});

// A test that failed may leave nodes open.
after(() =>
  setTimeout(() => {
    console.error('the process does not end after its tests');
    process.exit(1);
  }, BOUND).unref()
);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until condition() gives something true, and gives that. */
async function until(condition, what = 'the condition') {
  const end = Date.now() + BOUND;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`not within ${BOUND} ms: ${what}`);
    await sleep(5);
  }
}

/** A program that runs; `out` and `err` are what it has said, `ended` gives { code, signal }. */
function run(program, args, options = {}) {
  const child = spawn(program, args, Object.assign({ stdio: ['ignore', 'pipe', 'pipe'] }, options));
  children.add(child);
  child.out = child.err = '';
  if (child.stdout) child.stdout.on('data', (data) => {
    child.out += data;
  });
  child.stderr.on('data', (data) => {
    child.err += data;
  });
  child.ended = new Promise((resolve) =>
    child.on('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal });
    })
  );
  return child;
}

/** A node process that runs this code; `clouds` is there. It ends by itself, or the test fails. */
function program(code, env = {}) {
  const text = `'use strict'; const clouds = require(${JSON.stringify(PACKAGE)});\n${code}`;
  return run(process.execPath, ['--expose-gc', '-e', text], { env: Object.assign({}, process.env, env) });
}

/** Waits for the end of a process: what it said, when it ended well. */
async function finished(child) {
  const limit = setTimeout(() => child.kill('SIGABRT'), BOUND);
  const { code, signal } = await child.ended;
  clearTimeout(limit);
  if (code !== 0) throw new Error(`ended with ${code} ${signal}: ${child.out} ${child.err}`);
  return child.out;
}

function answerOf(text) {
  const [line, ...rest] = text.split('\r\n');
  if (line[0] === '-') throw new Error(line.slice(1));
  if (line[0] === '$') return line === '$-1' ? null : rest[0];
  if (line[0] === '*') return rest.filter((part, i) => i % 2 === 1 && i < 2 * Number(line.slice(1)));
  return line[0] === ':' ? Number(line.slice(1)) : line.slice(1);
}

/** A Redis server on a unix socket in a folder of its own; it saves nothing. */
class Redis {
  constructor(...options) {
    this.folder = fs.mkdtempSync(path.join(folder, 'redis-'));
    this.socket = path.join(this.folder, 'redis.sock');
    this.url = 'redis+unix://' + this.socket;
    this.options = options;
  }

  async start() {
    this.child = run('redis-server', [
      '--port',
      '0',
      '--unixsocket',
      this.socket,
      '--save',
      '',
      '--dir',
      this.folder,
      ...this.options,
    ]);
    await until(
      () =>
        this.command('PING').then(
          () => true,
          (error) => /NOAUTH/.test(error.message)
        ),
      'redis-server answers'
    );
    return this;
  }

  async stop() {
    this.child.kill('SIGKILL');
    await this.child.ended;
  }

  /** One command on a connection of its own; simple answers, and lists of texts. */
  command(...words) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.socket);
      let text = '';
      socket.on('error', reject);
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => {
        try {
          resolve(answerOf(text));
        } catch (error) {
          reject(error);
        }
      });
      const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
      socket.end(`*${words.length}\r\n${parts}*1\r\n$4\r\nQUIT\r\n`);
    });
  }

  keys(pattern = 'clouds:S:*') {
    return this.command('KEYS', pattern);
  }
}

/** A Redis server that is the cluster of this process from now on. */
async function cluster(...options) {
  const redis = await new Redis(...options).start();
  process.env.CLOUDS_URL = redis.url;
  return redis;
}

/** The original, clouds 0.1.14. */
function original() {
  return require(path.join(BUILD, 'interop', 'node_modules', 'clouds'));
}

function descriptors() {
  return fs.readdirSync('/proc/self/fd').length;
}

function residentKb() {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);
}

module.exports = {
  clouds: require(PACKAGE),
  PACKAGE,
  BUILD,
  LONG,
  folder,
  sleep,
  until,
  run,
  program,
  finished,
  Redis,
  cluster,
  original,
  descriptors,
  residentKb,
};
