// Options of a node, as the program gives them and as the library takes them.
'use strict';

const addon = require('./native');
const { failure } = require('./errors');

const DEFAULTS = { heartbeat: 5, timeout: 60, serverMaxAge: 60 };
const DEFAULT_URL = 'redis://127.0.0.1:6379';

// The original has no limits, and programs start thousands of calls at once.
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

function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase());
}

function escape(text) {
  return encodeURIComponent(String(text)).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16));
}

function queryOf(redis) {
  const words = [];
  if (redis.db) words.push('db=' + escape(redis.db));
  if (redis.prefix) words.push('prefix=' + escape(redis.prefix));
  return words.length ? '?' + words.join('&') : '';
}

function userOf(redis) {
  const password = redis.password || redis.auth_pass;
  if (!password) return '';
  return `${redis.username ? escape(redis.username) : ''}:${escape(password)}@`;
}

function hostOf(host) {
  return String(host).includes(':') ? `[${host}]` : String(host);
}

function urlOfRedis(redis) {
  if (redis.path) {
    const path = String(redis.path).split('/').map(escape).join('/');
    return `redis+unix://${userOf(redis)}${path}${queryOf(redis)}`;
  }
  return `redis://${userOf(redis)}${hostOf(redis.host || '127.0.0.1')}:${redis.port || 6379}${queryOf(redis)}`;
}

// The parts of an address for those that `redis` leaves open; undefined when it is no Redis server.
function redisOfUrl(url) {
  const unix = /^redis\+unix:\/\/(?:([^/]*)@)?(\/[^?]*)(?:\?(.*))?$/i.exec(url);
  const tcp = /^redis:\/\/(?:(.*)@)?(\[[^\]]*\]|[^:/?]*)(?::(\d+))?(?:\/(\d*))?(?:\?(.*))?$/i.exec(url);
  if (!unix && !tcp) return undefined;
  const query = new URLSearchParams((unix ? unix[3] : tcp[5]) || '');
  const [username, password] = ((unix ? unix[1] : tcp[1]) || ':').split(':').map(decodeURIComponent);
  const place = unix ? { path: decodeURIComponent(unix[2]) } : { host: tcp[2].replace(/[[\]]/g, ''), port: tcp[3] };
  return Object.assign(place, {
    username,
    password,
    prefix: query.get('prefix'),
    db: query.get('db') || (tcp && tcp[4]),
  });
}

function given(object) {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined && value !== null && value !== '')
  );
}

// Where to: `url`; else what `redis` says, and CLOUDS_URL or the default for what it does not say.
function addressOf(options) {
  if (options.url) return String(options.url);
  const base = process.env.CLOUDS_URL || DEFAULT_URL;
  const redis = given(options.redis || {});
  if (Object.keys(redis).length === 0) return base;
  const said = redis.host || redis.port || redis.path;
  const around = said ? {} : redisOfUrl(base);
  return around ? urlOfRedis(Object.assign(given(around), redis)) : base;
}

// The original ignores what it does not know, and so programs may give anything; but an address in vain is a mistake.
function checkMisspelled(options) {
  if (options.url || options.redis || options.connection) return;
  for (const name of ['address', 'addr', 'uri', 'host', 'server', 'bus']) {
    if (/^(local:|inproc:|redis(\+unix)?:\/\/)/.test(options[name]))
      throw new TypeError(`clouds: the option for an address is url, not ${name}`);
  }
}

function push(list, name, value) {
  list.push(name, String(value));
}

function passOn(options, ofContext, ofNode) {
  for (const name of Object.keys(options)) {
    const option = snake(name),
      value = options[name];
    const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    if (!scopes.has(option) || TAKEN.has(name) || TAKEN.has(option) || !plain || value === '') continue;
    push(scopes.get(option) === 'context' ? ofContext : ofNode, option, value);
  }
}

// The options as an object of our own, with the defaults of the original, which also wrote them into what it was given.
function complete(options, kind) {
  if (typeof options === 'string') options = { url: options };
  if (options === undefined || options === null) options = {};
  if (typeof options !== 'object') throw new TypeError('clouds: the options are an object, or a url as text');
  const all = Object.assign({}, options);
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

function forLibrary(all) {
  const ofContext = [],
    ofNode = [];
  checkMisspelled(all);
  push(ofContext, 'url', addressOf(all));
  for (const name of Object.keys(LIMITS)) push(ofContext, name, LIMITS[name]);
  passOn(all, ofContext, ofNode);
  push(ofNode, 'type', all.type);
  if (all.retry > 0) push(ofNode, 'retries', all.retry);
  push(ofNode, all.notAutoCleanRemoteServer ? 'auto_clean' : 'shun_silent', !all.notAutoCleanRemoteServer);
  for (const text of [...ofContext, ...ofNode]) {
    if (text.includes('\0')) throw failure('CLOUDS_INVALID_OPTION', 'an option has a NUL character in it');
  }
  return { ofContext, ofNode };
}

module.exports = { complete, forLibrary, addressOf, DEFAULTS };
