// Options of a node, as the program gives them and as the library takes them.
'use strict';

const addon = require('./native');
const { failure } = require('./errors');
const { addressOf, loginOf } = require('./address');
const log = require('./log');
const { hint, isNothing } = require('./util');

const DEFAULTS = { heartbeat: 5, timeout: 60, serverMaxAge: 60, operationTimeout: 10 };

// npm clouds 0.1 has no limits, and programs start thousands of calls at once.
const LIMITS = {
  max_in_flight: 1000000,
  max_events: 1000000,
  write_soft: 64 << 20,
  write_hard: 256 << 20,
};

// Name in the library -> scope.
const scopes = new Map();

(function read(list) {
  for (let i = 0; i < list.length; i += 2) scopes.set(list[i], list[i + 1]);
})(addon.listOptions());

// What is not passed on under its own name.
const TAKEN = new Set([
  'url',
  'redis',
  'connection',
  'type',
  'retry',
  'retries',
  'notAutoCleanRemoteServer',
  'user_data',
  'mode',
  'find_server',
  'save_servers',
  'remove_server',
  'clear_servers',
]);

// Where a node is connected to, and what it is.
const OF_CONNECTION = new Set(['url', 'redis', 'connection']),
  FIXED = new Set(['type', 'notAutoCleanRemoteServer']);

function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase());
}

function camel(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

// Options of the package that are none of the library.
const OWN = new Set(['operationTimeout', 'url', 'redis', 'connection', 'type', 'retry', 'notAutoCleanRemoteServer']);

// An address or a part of one that stands where nobody reads it would leave the node at another cluster.
const MISPLACED = { host: 1, port: 1, path: 1, db: 1, username: 1, password: 1, auth_pass: 1, tls: 1, sentinels: 1 };

// All of them, as programs write them.
const NAMES = [...OWN];
for (const name of scopes.keys()) {
  const ours = camel(name);
  if (!TAKEN.has(name) && !OWN.has(ours)) NAMES.push(ours);
}

function looksMisspelled(name) {
  const plain = (text) => text.replace(/[_-]/g, '').toLowerCase();
  return NAMES.some((known) => plain(known) === plain(name));
}

// npm clouds ignores what it does not know, and so programs may give anything: that is a warning. A mistake that would
// lead to another cluster, an option that was spelled in another way, or one of the library that has another name or no
// use here, is an error.
function checkNames(options) {
  for (const name of Object.keys(options)) {
    const option = snake(name);
    if (OWN.has(name) || (scopes.has(option) && !TAKEN.has(option)) || options[name] === undefined) continue;
    if (options.connection) continue;
    const isAddress = /^(local:|inproc:|redis(\+unix)?:\/\/)/.test(options[name]);
    if (isAddress) throw new TypeError(`clouds: the option for an address is url, not ${name}`);
    if (Object.hasOwn(MISPLACED, name))
      throw failure('CLOUDS_INVALID_OPTION', `the option ${name}: there is none; it belongs into redis, as redis.${name}`);
    const words = `the option ${log.printable(name)}: there is none`;
    const meant = hint(name, NAMES, 'docs/CONFIGURATION.md lists them');
    if (looksMisspelled(name) || scopes.has(option)) throw failure('CLOUDS_INVALID_OPTION', `${words}; ${meant}`);
    log.warnOnce(`${words}, and it is ignored; ${meant}`);
  }
}

function push(list, name, value) {
  list.push(name, String(value));
}

function passOn(options, ofContext, ofNode) {
  for (const name of Object.keys(options)) {
    const option = snake(name),
      value = options[name];
    if (!scopes.has(option) || TAKEN.has(name) || TAKEN.has(option) || isNothing(value)) continue;
    if (!['string', 'number', 'boolean'].includes(typeof value))
      throw failure('CLOUDS_INVALID_OPTION', `the option ${name}: it cannot be an object or a function`);
    push(scopes.get(option) === 'context' ? ofContext : ofNode, option, value);
  }
}

// The options as an object of our own, with the defaults of npm clouds 0.1, which also wrote them into what it was given.
function complete(options, kind) {
  if (typeof options === 'string') options = { url: options };
  if (options === undefined || options === null) options = {};
  if (typeof options !== 'object') throw new TypeError('clouds: the options are an object, or a url as text');
  const all = Object.assign({}, options);
  for (const name of Object.keys(DEFAULTS)) {
    const other = snake(name);
    if (other !== name && all[other] !== undefined) {
      if (all[name] === undefined) all[name] = all[other];
      delete all[other];
    }
  }
  const wanted = { server: ['heartbeat'], client: ['timeout', 'serverMaxAge'] }[kind] || [];
  for (const name of wanted) {
    if (!(all[name] > 0)) all[name] = DEFAULTS[name];
    Reflect.set(options, name, all[name]);
  }
  for (const name of Object.keys(DEFAULTS)) {
    if (!(all[name] > 0)) delete all[name];
  }
  all.type = kind === 'base' ? all.type || 'base' : kind;
  if (kind !== 'base') Reflect.set(options, 'type', kind);
  return all;
}

// The name of a node for DEBUG, as npm clouds has it.
function debugName(type, id) {
  return `clouds:${type}:${id || ''}`;
}

function forLibrary(all) {
  const ofContext = [],
    ofNode = [];
  checkNames(all);
  push(ofContext, 'url', addressOf(all));
  for (const [name, value] of Object.entries(loginOf(all))) push(ofContext, name, value);
  for (const name of Object.keys(LIMITS)) push(ofContext, name, LIMITS[name]);
  push(ofNode, 'cancel_events', true); // a handler hears of it, unless the program wants otherwise
  passOn(all, ofContext, ofNode);
  if (!all.logLevel && !all.log_level) push(ofContext, 'log_level', log.isWanted(debugName(all.type, all.id)) ? 'debug' : 'warn');
  push(ofNode, 'type', all.type);
  if (all.retry > 0) push(ofNode, 'retries', all.retry);
  push(ofNode, all.notAutoCleanRemoteServer ? 'auto_clean' : 'shun_silent', !all.notAutoCleanRemoteServer);
  for (const text of [...ofContext, ...ofNode]) {
    if (text.includes('\0')) throw failure('CLOUDS_INVALID_OPTION', 'an option has a NUL character in it');
  }
  return { ofContext, ofNode };
}

// Those of a node that lives. Whether they can change is for the library to say.
function live(options) {
  if (typeof options !== 'object' || options === null) throw new TypeError('clouds: the options are an object');
  const list = [];
  for (const name of Object.keys(options)) {
    const option = name === 'retry' ? 'retries' : snake(name),
      value = options[name];
    if (value === undefined) continue;
    if (OF_CONNECTION.has(name)) throw failure('CLOUDS_INVALID_OPTION', `the option '${name}' belongs to the connection, and cannot be changed`);
    if (FIXED.has(name)) throw failure('CLOUDS_INVALID_OPTION', `the option '${name}' cannot change while the node lives`);
    if (!scopes.has(option) || (TAKEN.has(option) && name !== 'retry'))
      throw failure('CLOUDS_INVALID_OPTION', `the option ${log.printable(name)}: ${hint(name, NAMES, 'docs/CONFIGURATION.md lists them')}`);
    if (!['string', 'number', 'boolean'].includes(typeof value))
      throw failure('CLOUDS_INVALID_OPTION', `the option ${name}: it cannot be an object or a function`);
    push(list, option, value);
  }
  return list;
}

module.exports = { complete, live, forLibrary, debugName, DEFAULTS };
