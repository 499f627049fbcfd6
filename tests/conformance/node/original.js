// How the original is called: with callbacks. It has a timeout per node and none per call, so there is a node for each.
'use strict';

const { clouds, options } = require('./lines.js');

const others = {};

function nodeFor(client, timeout) {
  if (!timeout) return Promise.resolve(client);
  others[timeout] = others[timeout] || new Promise((resolve) => {
    const node = clouds.createClient(options({ timeout }));
    node.once('listen', () => resolve(node));
  });
  return others[timeout];
}

async function callWith(client, line, told) {
  const node = await nodeFor(client, line.options.timeout);
  return new Promise((resolve) =>
    node.call(line.method, line.args, (error, ...values) => resolve(told(error, values))));
}

const extra = {
  bindOptions: async (client, { timeout, retry }) => ({ node: await nodeFor(client, timeout), retry }),
};

// Its clients keep a timer that would hold the process.
function end(nodes) {
  nodes.forEach((node) => node.exit());
  process.exit();
}

module.exports = { callWith, extra, end };
