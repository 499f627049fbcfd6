// The server in JavaScript, for npm's clouds and ours: see README.md for its methods.
'use strict';

const canonical = require('./canonical.js');
const { clouds, original, options, say, messages, serve } = require('./lines.js');

// A starved machine must not let registrations expire.
const server = (heartbeat) => clouds.createServer(options({ heartbeat: heartbeat || 30 }));
const nodes = { first: server() };
const counts = {};
const kept = {};
const givenUp = {};

function count(key) {
  counts[key] = (counts[key] || 0) + 1;
  return counts[key];
}

// Keeps the answer for later; how many of the key there are.
function keep(key, reply) {
  (kept[key] = kept[key] || []).push(reply);
  return kept[key].length;
}

function answerKept(key, ...values) {
  const replies = kept[key] || [];
  delete kept[key];
  replies.forEach((reply) => reply(null, ...values));
  return replies.length > 0;
}

function failure(members) {
  return Object.assign(new Error(members.message), members);
}

function circular() {
  const value = {};
  value.value = value;
  return value;
}

// Each gets the function that answers first, then the arguments; `this` is the request, where there is one.
const methods = {
  echo: (reply, ...args) => reply(null, ...args),
  describe: (reply, ...args) => reply(null, canonical(args)),
  add: (reply, a, b) => reply(null, a + b),
  many: (reply) => reply(null, 1, 'two', null, [3], null),
  nothing: (reply) => reply(),
  one_null: (reply) => reply(null, null),
  big: (reply, size) => reply(null, 'x'.repeat(size)),
  slow: (reply, seconds, ...values) => setTimeout(() => reply(null, ...values), seconds * 1000),
  meet: (reply, key, wanted) => { if (keep(key, reply) === wanted) answerKept(key, wanted); },
  hold: (reply, key) => { keep(key, reply); },
  release: (reply, key, ...values) => reply(null, answerKept(key, ...values)),
  fail: (reply, members, ...values) => reply(failure(members), ...values),
  fail_text: (reply, text) => reply(text),
  throws: () => { throw new TypeError('a fault'); },
  unsendable: (reply) => reply(null, circular()),
  count_failures: (reply, key) => reply(failure({ message: 'counted', code: 'E_COUNT', count: count(key) })),
  never: () => {},
  time_left(reply) {
    const left = this.timeLeft();
    reply(null, left > 0 && left <= 45);
  },
  meta(reply) {
    reply(null, this.meta);
  },
  async pass_on(reply) {
    reply(null, await nodes.first.call('meta', [], { parent: this }));
  },
  watch_caller(reply, key) {
    this.signal.addEventListener('abort', () => { givenUp[key] = true; });
  },
  second: (reply) => reply(null, 'second'),
  attempts(reply, key, silent) {
    const attempt = count(key);
    if (attempt > silent) reply(null, attempt);
  },
};

const commands = messages(nodes.first);

function register(node, name, method) {
  function handler(...args) {
    const reply = args.pop();
    method.call(this, reply, ...args);
  }
  return new Promise((resolve, reject) => node.register(name, handler, (error) => (error ? reject(error) : resolve())));
}

commands.register = async (line) => {
  const name = line.node || 'first';
  nodes[name] = nodes[name] || server(line.heartbeat);
  await register(nodes[name], line.method, methods[line.as]);
  return {};
};

commands.held = (line) => ({ count: (kept[line.key] || []).length });

commands.canceled = (line) => ({ canceled: givenUp[line.key] === true });

commands.leave = async (line) => {
  await nodes[line.node].exitP({ drain: line.drain });
  return {};
};

function end() {
  Object.values(nodes).forEach((node) => node.exit({ drain: 0 }));
  if (original) process.exit();
}

nodes.first.on('handler error', () => {}); // the faults in handlers are wanted
nodes.first.once('listen', async () => {
  await Promise.all(Object.keys(methods).map((name) => register(nodes.first, name, methods[name])));
  say({ ready: nodes.first.id });
  serve(commands, end);
});
