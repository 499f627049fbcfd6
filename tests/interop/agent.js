// A process of the original, clouds 0.1.14, that does what JSON lines on its standard input say:
//   {"n":1,"do":"call","node":"c","method":"echo","args":[1]}  ->  {"n":1,"error":null,"values":[1]}
// and tells what happens to its nodes in lines without n: {"event":"message",...}. agent.lua is its twin.
'use strict';

const { createRequire } = require('module');
const readline = require('readline');
const path = require('path');
const { isDeepStrictEqual } = require('util');
const samples = require('./samples.js');

const clouds = createRequire(path.join(process.env.CLOUDS_INTEROP_NPM, 'index.js'))('clouds');
const creators = { server: clouds.createServer, client: clouds.createClient, monitor: clouds.createMonitor,
                   base: clouds.createBase };
const nodes = {};
const created = [];
let socket;

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// An Error's message is not enumerable; its own properties are what came with it.
function describe(error) {
  if (!error) return null;
  return Object.assign({ message: error.message, is_error: error instanceof Error }, error);
}

// ---- what a registered method may do ----

function failure(kind) {
  const error = new Error('boom');
  switch (kind) {
    case 'members': return Object.assign(error, { code: 'E_BOOM', status: 500, extra: { a: [1, null, {}], b: [] } });
    case 'object': return { message: 'plain', code: 'E_PLAIN' };
    case 'string': return 'plain';
    case 'number': return 5;
    case 'true': return true;
    default: return error;
  }
}

const behaviours = {
  echo: (node, args, reply) => reply(null, ...args),
  who: (node, args, reply) => reply(null, node.id),
  count: (node, args, reply) => reply(null, args.length),
  hang: () => {},
  fail: (node, args, reply) => reply(failure(args[0]), ...args.slice(1)),
  falsy: (node, args, reply) => reply(args[0], 'values'),
  nothing: (node, args, reply) => reply(),
  twice: (node, args, reply) => { reply(null, 'first'); reply(null, 'second'); },
  slow: (node, args, reply) => setTimeout(() => reply(null, node.id), args[0] * 1000),
  give: (node, args, reply) => reply(null, samples.give(args[0])),
  take: (node, args, reply) => reply(null, samples.is(args[0], args[1])),
};

// ---- what the lines ask for ----

function finished(done) {
  return (error, ...values) => done({ error: describe(error), values });
}

const commands = {
  use(line, done) { socket = line.socket; done({}); },

  // Cuts all nodes off at once, so that the process can serve another test.
  forget(line, done) {
    created.splice(0).forEach((node) => node._connection.exit());
    done({});
  },

  node(line, done) {
    const options = Object.assign({ redis: { path: socket } }, line.options);
    const node = nodes[line.name] = creators[line.kind](options);
    created.push(node);
    node.on('message', (from, value) => say({ event: 'message', node: line.name, from, value }));
    node.on('unknown message', (message) =>
      say({ event: 'unknown message', node: line.name, type: message.type, from: message.sender }));
    node.once('listen', () => done({ id: node.id }));
  },

  register(line, done) {
    const node = nodes[line.node];
    node.register(line.method, (...args) => behaviours[line.as || line.method](node, args, args.pop()),
      (error) => done({ error: describe(error) }));
  },

  call(line, done) {
    nodes[line.node].call(line.method, line.args, finished((result) => {
      if (!result.error) result.same = isDeepStrictEqual(result.values, line.args);
      done(result);
    }));
  },

  // Calls one after the other, or all at once; what each gave: its first value or its error's code.
  calls(line, done) {
    const call = nodes[line.node].bind(line.method, line.retry);
    const got = [];
    let left = line.count;
    const next = () => call(...(line.args || []), (error, value) => {
      got.push(error ? error.code || error.message : value);
      if (got.length === line.count) done({ got });
      else if (left > 0) { left--; next(); }
    });
    for (let i = Math.min(line.at_once || 1, line.count); i > 0; i--) { left--; next(); }
  },

  // bind with an onRetry that gives each attempt its number as a further argument.
  bind(line, done) {
    let attempts = 0;
    const hook = (...args) => {
      const go = args.pop();
      attempts++;
      go(...args, attempts);
    };
    const bound = nodes[line.node].bind(line.method, line.retry, line.hook ? hook : undefined);
    bound(...line.args, (error, ...values) => done({ error: describe(error), values, attempts }));
  },

  sample(line, done) {
    const node = nodes[line.node];
    node.call('give', [line.name], (error, value) => {
      const given = !error && samples.is(line.name, value);
      node.call('take', [line.name, samples.give(line.name)], (problem, taken) =>
        done({ error: describe(error || problem), given, taken }));
    });
  },

  samples: (line, done) => done({ names: samples.names }),
  send(line, done) { nodes[line.node].send(line.to, line.value); done({}); },
  status(line, done) { nodes[line.node].status((error, status) => done({ error: describe(error), status })); },
  exit(line, done) { nodes[line.node].exit(); done({}); },
};

readline.createInterface({ input: process.stdin }).on('line', (text) => {
  const line = JSON.parse(text);
  commands[line.do](line, (answer) => say(Object.assign({ n: line.n }, answer)));
}).on('close', () => process.exit(0));
