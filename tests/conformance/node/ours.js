// How ours is called: with promises, and with what the original does not have.
'use strict';

const { clouds } = require('./lines.js');

// The options of a call, as they are named here.
function named({ reply_to: replyTo, ...options }) {
  return { ...options, replyTo };
}

async function callWith(client, line, told) {
  try {
    return told(null, await client.call(line.method, line.args, { all: true, ...named(line.options) }));
  } catch (error) {
    return told(error, error.values || []);
  }
}

const extra = {
  async notify(client, line, told) {
    try {
      await client.notify(line.method, line.args, named(line.options));
    } catch (error) {
      return told(error, []);
    }
    return {};
  },

  bindOptions: (client, { on_retry: unused, ...retry }) => ({ node: client, retry }),

  async cancel(client, line, told) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    return callWith(client, Object.assign(line, { options: { signal: abort.signal } }), told);
  },

  // A node of its own with calls outstanding, closed at once.
  async close(options, line) {
    const own = clouds.createClient(options);
    await own.ready();
    const ends = Promise.allSettled(Array.from({ length: line.calls }, () => own.call(line.method, [])));
    await own.exitP({ drain: 0 });
    return { codes: (await ends).map((call) => (call.reason ? call.reason.code : 'answered')) };
  },
};

// Nothing holds the process when everything is closed.
function end(nodes) {
  nodes.forEach((node) => node.exit({ drain: 0 }));
}

module.exports = { callWith, extra, end };
