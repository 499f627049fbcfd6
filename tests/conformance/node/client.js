// The client in JavaScript, for npm's clouds and ours: see README.md for its commands.
'use strict';

const canonical = require('./canonical.js');
const { clouds, original, options, say, messages, serve } = require('./lines.js');
const { callWith, extra, end } = require(original ? './original.js' : './ours.js');

const TIMEOUT = 60;
const OURS = ['message', 'code', 'outcome', 'retryable', 'values', 'originStack', 'stack'];

const client = clouds.createClient(options({ timeout: TIMEOUT }));
const monitor = clouds.createMonitor(options());

function describe(error, values) {
  const members = {};
  Object.keys(error).filter((key) => !OURS.includes(key)).forEach((key) => { members[key] = error[key]; });
  return { code: error.code, message: error.message, outcome: error.outcome, members: canonical(members),
           values: values.length ? canonical(values) : undefined };
}

function told(error, values) {
  return error ? { error: describe(error, values) } : { values: canonical(values) };
}

// The onRetry that adds the number of the attempt to the arguments.
function counting(attempts) {
  return (...args) => {
    const go = args.pop();
    attempts.count++;
    go(...args, attempts.count);
  };
}

const commands = {
  call: (line) => callWith(client, line, told),

  async bind(line) {
    const { node, retry } = await extra.bindOptions(client, line.options);
    const attempts = { count: 0 };
    const bound = node.bind(line.method, retry, line.options.on_retry && counting(attempts));
    return new Promise((resolve) => bound(...line.args, (error, ...values) =>
      resolve(Object.assign(told(error, values), { attempts: attempts.count }))));
  },

  notify: (line) => extra.notify(client, line, told),
  cancel: (line) => extra.cancel(client, line, told),
  close: (line) => extra.close(options({ timeout: TIMEOUT }), line),

  status: () => new Promise((resolve, reject) =>
    monitor.status((error, status) => (error ? reject(error) : resolve({ status })))),
};

client.once('listen', () => {
  say({ ready: client.id });
  serve(Object.assign(messages(client), commands), () => end([client, monitor]));
});
