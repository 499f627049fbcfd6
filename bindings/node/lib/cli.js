// `npx clouds`: the commands call, send and status of the program clouds, with the same words, output and exit codes.
'use strict';

const fs = require('fs');
const clouds = require('./index');
const addon = require('./native');
const { exitCode } = require('./errors');
const { encode } = require('./json');
const { printable } = require('./log');
const { nearest } = require('./util');

const { OK, ERROR, USAGE, UNREACHABLE } = addon.shape.exits;
const CLOSE_TIME = 250; // ms: a command serves nothing, so nobody misses anything when it ends before all have heard
const FACTS = ['method', 'server', 'node', 'cluster', 'size', 'limit'];

const COMMON = {
  url: { value: 'URL', help: "the cluster (default: the environment's CLOUDS_URL, else local:)" },
  'url-file': { value: 'FILE', help: 'the first line of FILE is the URL' },
  'password-file': { value: 'FILE', help: 'the first line of FILE is the password for Redis' },
  'sentinel-user': { value: 'NAME', help: 'the user at the sentinels, if they have one of their own' },
  'sentinel-password-file': { value: 'FILE', help: 'the first line of FILE is the password for the sentinels' },
  help: { short: 'h', help: 'show this help' },
};
const STRING = { short: 's', help: 'take the arguments as plain text instead of JSON' };
const SECONDS = { short: 't', value: 'SECONDS', number: true };

const COMMANDS = {
  call: {
    usage: 'call [options] METHOD [JSON ...]',
    summary: 'Call a method and print what it returns, one value a line, as JSON.',
    operands: [1, Infinity],
    options: {
      string: STRING,
      json: { help: 'print one JSON array; an error as {"error":{...}}' },
      timeout: Object.assign({ help: 'longest wait for one attempt (default 60)' }, SECONDS),
      deadline: { short: 'd', value: 'SECONDS', number: true, help: 'longest wait for everything' },
      retry: { short: 'r', value: 'COUNT', number: true, whole: true, help: 'further attempts' },
      server: { value: 'ID', help: 'ask this node and no other' },
      once: { value: 'KEY', help: 'idempotency key: who repeats the call gets the same answer' },
    },
    run: call,
  },
  send: {
    usage: 'send [options] NODE JSON',
    summary: 'Send a message to a node: fire and forget.',
    operands: [2, 2],
    options: {
      string: STRING,
      strict: { help: 'exit 3 when no one received it' },
      timeout: Object.assign({ help: 'longest wait for everything (default 10)' }, SECONDS),
    },
    run: send,
  },
  status: {
    usage: 'status [options]',
    summary: 'Show which servers serve which methods.',
    operands: [0, 0],
    options: {
      json: { help: 'print {"servers":{id:[methods]},"methods":{name:[ids]}}' },
      timeout: Object.assign({ help: 'longest wait for everything (default 10)' }, SECONDS),
    },
    run: status,
  },
  version: {
    usage: 'version [--json]',
    summary: 'The version of the library.',
    operands: [0, 0],
    options: { json: { help: 'as JSON' } },
    run: version,
  },
};

class Usage extends Error {}

// ---- the command line

function valueOf(name, option, text) {
  if (!option.number) return text;
  const number = Number(text);
  const isRight = /^[\d.]+$/.test(text) && number >= 0 && (!option.whole || Number.isInteger(number));
  if (isRight) return number;
  throw new Usage(`--${name}: expected a ${option.whole ? 'whole ' : ''}number of 0 or more, got '${text}'`);
}

// Which option was meant; else all of them.
function meant(name, names) {
  const near = name && nearest(name, names);
  return near ? `did you mean --${near}?` : `expected one of --${names.join(', --')}`;
}

class Line {
  constructor(command, words) {
    this.options = Object.assign({}, command.options, COMMON);
    this.words = words.slice();
    this.given = {};
    this.operands = [];
  }

  set(name, shown, value) {
    const option = Object.hasOwn(this.options, name) ? this.options[name] : undefined;
    if (!option)
      throw new Usage(`unknown option ${shown}; ${meant(name, Object.keys(this.options))}`);
    if (!option.value) {
      if (value !== undefined) throw new Usage(`${shown} takes no value`);
      this.given[name] = true;
      return;
    }
    const text = value === undefined ? this.words.shift() : value;
    if (text === undefined) throw new Usage(`${shown} needs a value: ${option.value}`);
    this.given[name] = valueOf(name, option, text);
  }

  byLetter(letter) {
    return Object.keys(this.options).find((name) => this.options[name].short === letter);
  }

  letters(word) {
    for (let i = 1; i < word.length; i++) {
      const name = this.byLetter(word[i]);
      const takes = name && this.options[name].value;
      this.set(name, '-' + word[i], takes && i + 1 < word.length ? word.slice(i + 1) : undefined);
      if (takes) return;
    }
  }

  read() {
    while (this.words.length) {
      const word = this.words.shift();
      const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) || [];
      if (word === '--') this.operands.push(...this.words.splice(0));
      else if (name) this.set(name, '--' + name, value);
      else if (/^-[^\d]/.test(word)) this.letters(word);
      else this.operands.push(word);
    }
    return this;
  }
}

function helpOf(command) {
  const lines = Object.entries(Object.assign({}, command.options, COMMON)).map(([name, { short, value, help }]) => {
    const head = `${short ? `-${short}, ` : '    '}--${name}${value ? ' ' + value : ''}`;
    return `  ${head.padEnd(26)} ${help}`;
  });
  return [`usage: clouds ${command.usage}`, '', command.summary, '', 'options', ...lines].join('\n');
}

function unknownCommand(name) {
  const near = nearest(name, Object.keys(COMMANDS));
  return `clouds: unknown command '${name}'; ${near ? `did you mean ${near}?` : 'clouds --help lists them'}`;
}

function overview() {
  const rows = Object.keys(COMMANDS).map((name) => `  ${name.padEnd(10)} ${COMMANDS[name].summary}`);
  return ['usage: clouds COMMAND [options]', '', ...rows, '', 'clouds COMMAND --help describes one.'].join('\n');
}

// ---- output

// Written whole before the end, or the end is an error.
function write(text) {
  const shown = process.stdout.isTTY ? printable(text, true) : text;
  for (let rest = Buffer.from(shown + '\n'); rest.length; ) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function complain(text) {
  process.stderr.write(printable(text) + '\n');
}

// The message of the library, which names what it was about, is the cause where that of npm clouds does not.
function wordsOf(error) {
  return error.cause instanceof clouds.CloudsError ? error.cause.message : error.message;
}

function describe(error) {
  const facts = Object.fromEntries(FACTS.map((name) => [name, error[name]]).filter(([, value]) => value !== undefined));
  const own = error.outcome === 'APP_ERROR' ? error.members : facts;
  return Object.assign({}, own, { code: error.code, message: wordsOf(error), outcome: error.outcome });
}

function failed(error, asJson) {
  if (asJson) write(encode({ error: describe(error) }));
  complain(`${error.code}: ${wordsOf(error)}`);
  return exitCode(error);
}

// What stands for bytes in JSON, on the way out and in.
const BASE64 = '$base64';

function shown(value) {
  if (Buffer.isBuffer(value)) return { [BASE64]: value.toString('base64') };
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.keys(value).map((key) => [key, shown(value[key])]));
}

function revive(key, value) {
  const isOne = typeof value === 'object' && value !== null && Object.keys(value).join() === BASE64;
  if (!isOne || typeof value[BASE64] !== 'string') return value;
  const bytes = Buffer.from(value[BASE64], 'base64');
  return bytes.toString('base64') === value[BASE64] ? bytes : value;
}

// ---- input

function firstLine(option, file) {
  let text;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new Usage(`--${option}: ${error.message}`);
  }
  const line = text.split('\n', 1)[0].trim();
  if (!line) throw new Usage(`--${option}: ${file} is empty, expected a text in its first line`);
  return line;
}

function valuesOf(words, asText) {
  return words.map((word) => {
    if (asText) return word;
    try {
      return JSON.parse(word, revive);
    } catch (error) {
      const hint = `text needs quotes: '"${word}"', or use --string`;
      throw new Usage(`argument '${word}' is not JSON (${error.message}); ${hint}`);
    }
  });
}

function optionsOf(given) {
  const file = given['url-file'],
    url = given.url || (file && firstLine('url-file', file)) || process.env.CLOUDS_URL || 'local:';
  const passwordFile = given['password-file'],
    sentinelUser = given['sentinel-user'],
    sentinelPasswordFile = given['sentinel-password-file'];
  if (given.url && !/^[a-z+]+:/i.test(given.url)) throw new Usage(`--url: expected a URL, got '${given.url}'`);
  return { url, logLevel: 'off', passwordFile, sentinelUser, sentinelPasswordFile };
}

// ---- the commands

async function call(open, given, [method, ...words]) {
  const args = valuesOf(words, given.string);
  const { timeout, deadline, retry, server, once } = given;
  const values = await open('client').call(method, args, { timeout, deadline, retry, server, once, all: true });
  if (given.json) write(encode(shown(values)));
  else if (values.length) write(values.map((value) => encode(shown(value))).join('\n'));
  return OK;
}

async function send(open, given, [receiver, word]) {
  const [value] = valuesOf([word], given.string);
  const count = await open('client').sendP(receiver, value, { timeout: given.timeout || 10 });
  if (count !== 0) return OK;
  complain(`clouds send: no one received it: there is no node '${receiver}'`);
  return given.strict ? UNREACHABLE : OK;
}

// The id of a server, with its weight when that is not 1, and whether it is paused for the method.
function shownServer(id, method, states) {
  const state = states[id] || { weight: 1, paused: [] };
  return printable(id) + (state.weight === 1 ? '' : `*${state.weight}`) + (state.paused.includes(method) ? '(paused)' : '');
}

async function status(open, given) {
  const found = await open('monitor').status({ timeout: given.timeout || 10 });
  const names = Object.keys(found.methods).sort();
  if (given.json) write(encode(found));
  else if (names.length === 0) write('no services');
  else {
    const width = Math.max(6, ...names.map((name) => printable(name).length));
    const row = (name) => {
      const ids = found.methods[name].map((id) => shownServer(id, name, found.states || {})).sort();
      return `${printable(name).padEnd(width)}  ${String(ids.length).padStart(7)}  ${ids.join(' ')}`;
    };
    write([`${'METHOD'.padEnd(width)}  SERVERS  IDS`, ...names.map(row)].join('\n'));
  }
  return OK;
}

async function version(open, given) {
  write(given.json ? encode({ clouds: clouds.version, node: process.version }) : `clouds ${clouds.version}`);
  return OK;
}

function end(code) {
  process.exit(code);
}

async function run(command, words) {
  const { given, operands } = new Line(command, words).read();
  if (given.help) {
    write(helpOf(command));
    return OK;
  }
  const [least, most] = command.operands;
  if (operands.length < least) throw new Usage(`an argument is missing; expected: clouds ${command.usage}`);
  if (operands.length > most) throw new Usage(`unexpected argument '${operands[most]}'; expected: clouds ${command.usage}`);
  let node;
  const open = (type) => {
    node = new clouds[type === 'client' ? 'Client' : 'Monitor'](optionsOf(given));
    node.on('down', (error) => end(failed(error, given.json))); // at the first failed attempt to connect
    return node;
  };
  const code = await command.run(open, given, operands).catch((error) => {
    if (!(error instanceof clouds.CloudsError)) throw error;
    return failed(error, given.json);
  });
  if (!node) return code;
  setTimeout(end, CLOSE_TIME, code);
  await node.exitP({ drain: 0 });
  return code;
}

function wrong(error, name) {
  if (error instanceof Usage) complain(`clouds ${name}: ${error.message}`);
  else if (error.code === 'EPIPE') return OK;
  else if (error.syscall === 'write') complain(`clouds ${name}: the output could not be written: ${error.message}`);
  else complain(`clouds ${name}: ${error.message}`);
  return error.syscall === 'write' ? ERROR : USAGE;
}

/** Ends the process with the code of the command. */
function main(words) {
  const [name, ...rest] = words;
  const command = Object.hasOwn(COMMANDS, name || '') ? COMMANDS[name] : undefined;
  if (!command) {
    const asks = name === '--help' || name === '-h' || name === 'help';
    if (asks) write(overview());
    else complain(name ? unknownCommand(name) : overview().split('\n')[0]);
    end(asks ? OK : USAGE);
  }
  run(command, rest).then(end, (error) => end(wrong(error, name)));
}

module.exports = { main };
