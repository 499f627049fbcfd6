// Commands on standard input, answers on standard output, JSON lines both; and the clouds under test: npm's or ours.
'use strict';

const readline = require('readline');
const canonical = require('./canonical.js');

const clouds = require(process.env.CONFORMANCE_CLOUDS);

// Where the cluster is: the original cannot read CLOUDS_URL, ours does so by itself.
const original = require(process.env.CONFORMANCE_CLOUDS + '/package.json').version === '0.1.14';
const place = original ? { redis: { path: process.env.CLOUDS_URL.replace('redis+unix://', '') } } : {};

function options(more) {
  return Object.assign({}, place, more);
}

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// The commands that both sides know, for a node.
function messages(node) {
  const heard = {};
  const hear = (key, value) => (heard[key] = heard[key] || []).push(canonical(value));
  node.on('message', hear);
  return {
    messages: (line) => ({ values: heard[line.from] || [] }),
    send(line) {
      line.values.forEach((value) => node.send(line.to, value));
      return {};
    },
    async subscribe({ topics, key, all, group, meta }) {
      await node.subscribe(topics, (value, message) => hear(key, meta ? [value, message.meta] : value), { all, group });
      return {};
    },
    publish(line) {
      line.values.forEach((value) => node.publish(line.topic, value));
      return {};
    },
  };
}

async function obey(commands, line) {
  let answer;
  try {
    answer = await commands[line.do](line);
  } catch (error) {
    answer = { problem: String(error && error.stack) };
  }
  say(Object.assign({ n: line.n }, answer));
}

// What stands for bytes in a command becomes some.
function revive(key, value) {
  const isBytes = value !== null && typeof value === 'object' && typeof value.$bin === 'string';
  return isBytes ? Buffer.from(value.$bin, 'hex') : value;
}

// Does the commands until the input ends; then ends the process, by itself if it can.
function serve(commands, end) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (text) => obey(commands, JSON.parse(text, revive)));
  lines.on('close', end);
}

module.exports = { clouds, original, options, say, messages, serve };
