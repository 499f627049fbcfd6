// Where a node connects to: the options `url` and `redis`, in every form that npm clouds and the ioredis below it take.
// What cannot be meant is refused with the name of what was wrong, so that no node talks to a server that nobody named.
'use strict';

const { failure } = require('./errors');
const { isNothing } = require('./util');

const DEFAULT_URL = 'redis://127.0.0.1:6379';
const OWN_SCHEME = /^(rediss?|redis\+unix|rediss?\+sentinel|etcds?|local|inproc):/i;

// Members of `redis` that say where the server is, and those that say what is used there.
const IN_URL = ['url', 'host', 'port', 'path'];
const PLACE = [...IN_URL, 'sentinels'];
const OF_SENTINELS = ['name', 'sentinelUsername', 'sentinelPassword'];
const IN_QUERY = [...IN_URL, 'db', 'prefix', 'username', 'password', 'auth_pass'];
const OF_TLS = ['ca_file', 'cert_file', 'cert_key_file', 'server_name']; // in the query of an address
const TLS_FOR_ALL = ['tls', 'sentinelTLS', 'enableTLSForSentinelMode'];
const WORDS = [...IN_QUERY, 'sentinels', ...OF_SENTINELS, ...TLS_FOR_ALL];
const MOST_SENTINELS = 16;

// Members with which ioredis and node_redis tune their client. The library connects by itself, so they change nothing.
const TUNING = new Set(
  (
    'family keepAlive noDelay connectionName connectTimeout commandTimeout socketTimeout retryStrategy retry_strategy ' +
    'reconnectOnError enableReadyCheck enableOfflineQueue enable_offline_queue autoResubscribe lazyConnect parser ' +
    'autoResendUnfulfilledCommands showFriendlyErrorStack maxRetriesPerRequest dropBufferSupport stringNumbers ' +
    'enableAutoPipelining autoPipeliningIgnoredCommands maxLoadingRetryTime readOnly role return_buffers detect_buffers ' +
    'socket_keepalive socket_initialdelay no_ready_check retry_max_delay connect_timeout max_attempts retry_unfulfilled_commands ' +
    'sentinelRetryStrategy sentinelReconnectStrategy sentinelMaxConnections sentinelCommandTimeout updateSentinels failoverDetector'
  ).split(' ')
);

// What would need another client.
const IMPOSSIBLE = {
  natMap: 'addresses are taken as the sentinels say them',
  preferredSlaves: 'only the master is used',
  keyPrefix: 'keys and channels have the prefix that the member prefix says',
};

// ioredis' own defaults for the members above, as programs write them out.
function isUnset(value) {
  return isNothing(value) || value === false;
}

function refuse(where, what) {
  return failure('CLOUDS_INVALID_OPTION', `the option ${where}: ${what}`);
}

function show(value) {
  const text = typeof value === 'string' ? JSON.stringify(value) : Object.prototype.toString.call(value).slice(8, -1);
  const plain = typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint';
  return plain ? String(value) : text.replace(/:[^:@/]*@/, ':***@').slice(0, 100);
}

function escape(text) {
  return encodeURIComponent(String(text)).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16));
}

function unescape(text, where) {
  try {
    return decodeURIComponent(text);
  } catch (unused) {
    throw refuse(where, 'it has a broken % in it');
  }
}

function queryOf(redis) {
  const words = [];
  if (!isUnset(redis.db)) words.push('db=' + escape(redis.db));
  if (redis.prefix) words.push('prefix=' + escape(redis.prefix));
  for (const name of OF_TLS) if (redis[name]) words.push(`${name}=${escape(redis[name])}`);
  return words.length ? '?' + words.join('&') : '';
}

function userOf(redis) {
  const password = redis.password || redis.auth_pass;
  if (!password) return '';
  return `${redis.username ? escape(redis.username) : ''}:${escape(password)}@`;
}

function hostOf(host) {
  return host.includes(':') ? `[${host}]` : host;
}

const schemeOf = (redis) => (redis.tls ? 'rediss' : 'redis');

function urlOfSentinels(redis) {
  const hosts = redis.sentinels.map(({ host, port }) => `${hostOf(host || '127.0.0.1')}:${port || 26379}`).join(',');
  const { db, ...rest } = redis;
  return `${schemeOf(redis)}+sentinel://${userOf(redis)}${hosts}/${escape(redis.name)}${isUnset(db) ? '' : '/' + escape(db)}${queryOf(rest)}`;
}

function urlOfRedis(redis) {
  if (redis.sentinels) return urlOfSentinels(redis);
  if (redis.path) {
    const path = String(redis.path).split('/').map(escape).join('/');
    return `redis+unix://${userOf(redis)}${path}${queryOf(redis)}`;
  }
  return `${schemeOf(redis)}://${userOf(redis)}${hostOf(redis.host || '127.0.0.1')}:${redis.port || 6379}${queryOf(redis)}`;
}

// ---- texts

function given(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => !isUnset(value)));
}

function splitUser(text, where) {
  const at = text.indexOf(':');
  if (at < 0) return { username: unescape(text, where) };
  return { username: unescape(text.slice(0, at), where), password: unescape(text.slice(at + 1), where) };
}

function readQuery(query, where, isTls) {
  const words = {},
    known = isTls ? [...IN_QUERY, ...OF_TLS] : IN_QUERY;
  for (const [name, value] of new URLSearchParams(query || '')) {
    if (IMPOSSIBLE[name]) throw refuse(where, `${name}: ${IMPOSSIBLE[name]}`);
    if (!known.includes(name) && !TUNING.has(name)) throw refuse(where, `it knows no ${JSON.stringify(name)}`);
    if (known.includes(name)) words[name] = value;
  }
  return words;
}

// The words of the address of a Redis server; undefined when it is none.
function wordsOfUrl(url, where) {
  const unix = /^redis\+unix:\/\/(?:([^/]*)@)?(\/[^?]*)(?:\?(.*))?$/i.exec(url);
  const tcp = /^redis(s?):\/\/(?:([^/?]*)@)?(\[[^\]]*\]|[^:/?@]*)(?::(\d+))?(?:\/([^?]*))?(?:\?(.*))?$/i.exec(url);
  if (!unix && !tcp) return undefined;
  const tls = Boolean(tcp && tcp[1]);
  const user = splitUser((unix ? unix[1] : tcp[2]) || ':', where);
  const query = readQuery(unix ? unix[3] : tcp[6], where, tls);
  const place = unix
    ? { path: unescape(unix[2], where) }
    : { host: unescape(tcp[3], where).replace(/[[\]]/g, ''), port: tcp[4], db: tcp[5], tls };
  return Object.assign(given(query), given(user), given(place));
}

// A text or a number in the place of an object, as ioredis takes them: a port, the path of a socket, an address with
// or without its scheme. `where` names the option.
function wordsOfText(text, where) {
  if (/^\d+$/.test(text)) return { port: text };
  if (/^\/(?!\/)/.test(text)) {
    const [path, query] = text.split('?', 2);
    return Object.assign(given(readQuery(query, where)), { path });
  }
  const plain = /^[^:/?#@]*(:\d*)?([/?].*)?$/.test(text) || /^[^/?]*@[^/]+$/.test(text);
  const url = text.startsWith('//') ? 'redis:' + text : plain && !OWN_SCHEME.test(text) ? 'redis://' + text : text;
  const words = wordsOfUrl(url, where);
  if (words && (words.host || words.path)) return words;
  throw refuse(where, `${show(text)} is no address of a Redis server`);
}

// ---- the option `redis`

const isHost = (value) => typeof value === 'string' && !/[/@?#\s,]/.test(value);
const isPort = (value) => /^\d{1,5}$/.test(value) && Number(value) <= 65535;

// What ioredis hands to Node's own TLS. The library reads files, so what is in them cannot be taken here.
function isTls(value) {
  if (value === true) return true;
  if (typeof value !== 'object') return false;
  for (const name of Object.keys(given(value))) {
    if (['ca', 'cert', 'key', 'pfx'].includes(name))
      throw refuse('redis.tls.' + name, 'expected the file of it in the option caFile, certFile or certKeyFile of the node');
    if (!['servername', 'rejectUnauthorized'].includes(name)) throw refuse('redis.tls.' + name, 'there is none');
  }
  return true;
}

const CHECKS = {
  url: (value) => typeof value === 'string' || value instanceof URL,
  host: isHost,
  port: isPort,
  sentinels: (value) => Array.isArray(value) && value.length > 0 && value.length <= MOST_SENTINELS,
  path: (value) => typeof value === 'string',
  db: (value) => /^\d+$/.test(value),
  tls: isTls,
  sentinelTLS: isTls,
  enableTLSForSentinelMode: (value) => value === true,
};
const IS_TEXT = (value) => typeof value === 'string' || typeof value === 'number';

function checkMember(name, value) {
  if (isUnset(value)) return;
  if (IMPOSSIBLE[name]) throw refuse('redis.' + name, IMPOSSIBLE[name]);
  if (TUNING.has(name)) return;
  if (!WORDS.includes(name)) throw refuse('redis.' + name, 'there is none');
  if (!(CHECKS[name] || IS_TEXT)(value)) throw refuse('redis.' + name, `it cannot be ${show(value)}`);
}

// The sentinels and Redis have it, or neither.
function checkTls(words) {
  const said = TLS_FOR_ALL.filter((name) => words[name] !== undefined);
  if (!words.sentinels && said.some((name) => name !== 'tls')) throw refuse('redis.' + said.find((name) => name !== 'tls'), 'there are no sentinels');
  const lacking = words.sentinels && said.length ? TLS_FOR_ALL.find((name) => words[name] === undefined) : undefined;
  if (lacking) throw refuse('redis.' + said[0], `TLS is for the sentinels and for Redis: expected ${lacking}, too`);
  if (words.tls && words.path) throw refuse('redis.tls', 'there is no TLS over a unix socket');
}

// A list of { host, port }, with the name of the master beside it.
function checkSentinels(words) {
  const lone = OF_SENTINELS.find((name) => words[name] !== undefined);
  if (!words.sentinels && lone) throw refuse('redis.' + lone, 'it belongs to sentinels, and there are none');
  if (!words.sentinels) return;
  words.sentinels.forEach((one, i) => {
    const where = `redis.sentinels[${i}]`;
    if (typeof one !== 'object' || one === null) throw refuse(where, `expected { host, port }, not ${show(one)}`);
    if (!isUnset(one.host) && !isHost(one.host)) throw refuse(where + '.host', `it cannot be ${show(one.host)}`);
    if (!isUnset(one.port) && !isPort(one.port)) throw refuse(where + '.port', `it cannot be ${show(one.port)}`);
  });
  const other = IN_URL.find((name) => words[name] !== undefined);
  if (other) throw refuse('redis.' + other, 'it names a server, and so do sentinels');
  if (words.name === undefined) throw refuse('redis.name', 'expected the name of the master that the sentinels watch');
  if (words.sentinelUsername && !words.sentinelPassword) throw refuse('redis.sentinelUsername', 'expected sentinelPassword, too');
}

// The words of `redis`. That of its url are taken where it does not say otherwise.
function wordsOfObject(redis) {
  for (const name of Object.keys(redis)) checkMember(name, redis[name]);
  const words = given(Object.fromEntries(WORDS.map((name) => [name, redis[name]])));
  if (Number(words.port) === 0) delete words.port;
  checkSentinels(words);
  checkTls(words);
  if (words.tls && words.tls.servername) words.server_name = words.tls.servername;
  if (!words.url) return words;
  const { url } = words;
  delete words.url;
  return Object.assign(wordsOfText(String(url), 'redis.url'), words);
}

function wordsOfRedis(redis) {
  if (!redis) return {}; // as npm clouds
  if (redis instanceof URL) return wordsOfText(redis.href, 'redis');
  if (typeof redis === 'string' || typeof redis === 'number') return wordsOfText(String(redis), 'redis');
  if (typeof redis !== 'object' || Array.isArray(redis)) throw refuse('redis', `it cannot be ${show(redis)}`);
  return wordsOfObject(redis);
}

function textOfUrl(url) {
  if (isUnset(url)) return '';
  if (typeof url !== 'string' && !(url instanceof URL)) throw refuse('url', `it cannot be ${show(url)}`);
  return String(url);
}

/** The url for the library: `url`, with what `redis` adds to it; else what `redis` says, and CLOUDS_URL or the default
 * for what it does not say. */
function addressOf(options) {
  const url = textOfUrl(options.url);
  if (typeof options.redis === 'string' && /^(local|inproc|etcds?|rediss?\+sentinel):/i.test(options.redis) && !url) return options.redis;
  const redis = wordsOfRedis(options.redis);
  const said = PLACE.some((name) => redis[name] !== undefined);
  const base = url || process.env.CLOUDS_URL || DEFAULT_URL;
  if (Object.keys(redis).length === 0) return base;
  if (url && said) throw refuse('redis', 'it names a server, and so does url');
  const around = said ? {} : wordsOfUrl(base, 'url');
  if (url && !around) throw refuse('redis', `it says nothing for ${show(url)}`);
  return around ? urlOfRedis(Object.assign(around, redis)) : base;
}

/** Who a node is for sentinels, and whether a server must be known, as the option `redis` says: options of the library. */
function loginOf({ redis }) {
  if (!redis) return {};
  const verify = redis.tls && redis.tls.rejectUnauthorized === false ? { verify: false } : {};
  if (!redis.sentinels || isUnset(redis.sentinelPassword)) return verify;
  const user = isUnset(redis.sentinelUsername) ? {} : { sentinel_user: redis.sentinelUsername };
  return { ...verify, ...user, sentinel_password: redis.sentinelPassword };
}

module.exports = { addressOf, loginOf };
