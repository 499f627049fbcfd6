// Calls as a program makes them: with a callback or for a promise, bound to a method, given up by an AbortSignal.
'use strict';

const { AsyncResource } = require('async_hooks');
const { failure, located, trace, traced } = require('./errors');
const { nextTick } = require('./clock');
const { checkNames } = require('./names');
const { encode } = require('./json');
const { checkMeta } = require('./bytes');
const { inherited } = require('./trace');
const { CALL_IDEMPOTENT } = require('./native').shape;

const NOTHING = [];

// finish(error, values) is called exactly once. `about` is the option, or null; `slot` and `id` belong to the bridge. The
// callback runs in the asynchronous context of the call (AsyncLocalStorage).
class CallbackCall extends AsyncResource {
  constructor(callback) {
    super('CLOUDS_CALL');
    this.callback = callback;
    this.about = null;
    this.slot = 0;
    this.id = 0;
    trace(this, CallbackCall);
  }

  finish(error, values) {
    const { callback } = this;
    if (error) traced(this, error);
    if (values.length === 1) this.runInAsyncScope(callback, undefined, error, values[0]);
    else if (values.length === 0) this.runInAsyncScope(callback, undefined, error);
    else this.runInAsyncScope(callback, undefined, error, ...values);
  }
}

class PromiseCall {
  constructor(resolve, reject, all) {
    this.resolve = resolve;
    this.reject = reject;
    this.all = all;
    this.about = null;
    this.slot = 0;
    this.id = 0;
    trace(this, callP);
  }

  finish(error, values) {
    if (error) {
      traced(this, error);
      this.reject(error);
    } else this.resolve(this.all ? values : values[0]);
  }
}

// Calls whose finish does something before the real one's.
class WatchedCall {
  constructor(call, before) {
    this.call = call;
    this.before = before;
    this.about = call.about;
    this.slot = 0;
    this.id = 0;
  }

  finish(error, values) {
    this.call.finish(this.before(error), values);
  }
}

function aborted(signal, error) {
  const problem = error || failure('CLOUDS_CANCELED');
  Object.defineProperty(problem, 'name', { value: 'AbortError', configurable: true, writable: true });
  Object.defineProperty(problem, 'cause', { value: signal.reason, configurable: true, writable: true });
  return problem;
}

// What each signal ends. It has one listener, however many calls it is for: with more than ten Node suspects a leak.
const enders = new WeakMap();

function onAbort(signal, end) {
  let known = enders.get(signal);
  if (!known) {
    const ends = new Set();
    known = { ends, listener: () => ends.forEach((each) => each()) };
    enders.set(signal, known);
    signal.addEventListener('abort', known.listener);
  }
  known.ends.add(end);
}

function offAbort(signal, end) {
  const known = enders.get(signal);
  if (!known || !known.ends.delete(end) || known.ends.size > 0) return;
  enders.delete(signal);
  signal.removeEventListener('abort', known.listener);
}

function watch(transport, call, signal) {
  const abort = () => transport.cancel(watched);
  const watched = new WatchedCall(call, (error) => {
    offAbort(signal, abort);
    return error && error.code === 'CLOUDS_CANCELED' && signal.aborted ? aborted(signal, error) : error;
  });
  onAbort(signal, abort);
  return watched;
}

function seconds(options, name) {
  const value = options[name];
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number' || !(value >= 0)) throw new TypeError(`clouds: ${name} is a number of seconds`);
  return value;
}

// A call on behalf of a request has the time that is left for that; none is set by one with an idempotency key that is
// still to be answered behind its deadline.
function deadlineOf(options) {
  const own = seconds(options, 'deadline');
  const left = options.parent ? options.parent.timeLeft() : null;
  if (left === null || (left === 0 && options.parent.open())) return own;
  return Math.max(0.001, own === 0 ? left : Math.min(own, left));
}

function count(value) {
  const number = Number(value);
  return number > 0 ? Math.min(Math.floor(number), 2147483647) : 0;
}

// What runs before every attempt, in the asynchronous context of the call.
function hookOf({ onRetry }) {
  return typeof onRetry === 'function' ? AsyncResource.bind((...all) => onRetry(...all), 'CLOUDS_ATTEMPT') : null;
}

const MORE = ['key', 'once', 'replyTo', 'correlation'],
  FILLED = ['once', 'replyTo'];
const LIMITS = ['timeout', 'deadline', 'retry', 'server', 'signal', 'parent', 'onRetry'];
const OPTIONS = [...LIMITS, 'all', 'meta', 'about', 'hedge', 'idempotent', ...MORE];

const NONE = {},
  PLAIN = { parent: 0, timeout: 0, deadline: 0, retries: 0, server: '', hook: null, meta: '', flags: 0, notify: false };

// The options of a call as a transport takes them, or null when there are none. Its own requests it knows by id, until
// they are answered.
function howOf(transport, options) {
  if (options === undefined || options === null) {
    const more = moreOf(NONE, inherited());
    return more ? { ...PLAIN, more } : null;
  }
  checkNames(options, OPTIONS, 'a call');
  const { parent } = options,
    own = parent && parent.transport === transport && !parent.answered;
  return {
    parent: own ? parent.id : 0,
    timeout: seconds(options, 'timeout'),
    deadline: own ? seconds(options, 'deadline') : deadlineOf(options),
    retries: options.retry === undefined ? 0 : count(options.retry) || -1,
    server: options.server === undefined || options.server === null ? '' : nameOf(options.server),
    hook: hookOf(options),
    meta: metaOf(options),
    more: moreOf(options, own ? '' : inherited(parent)),
    flags: options.idempotent ? CALL_IDEMPOTENT : 0,
    notify: false,
  };
}

// The rarer options, as texts of an order; of hedge the microseconds. Behind them the trace that the call is in.
function moreOf(options, ofTrace) {
  const { key, once, hedge, replyTo, correlation } = options;
  if (!ofTrace && (key ?? once ?? hedge ?? replyTo ?? correlation ?? null) === null) return '';
  if (hedge !== undefined && hedge !== null && !Number.isFinite(hedge)) throw new TypeError('clouds: hedge is a number of seconds');
  let texts = '';
  for (const name of MORE) {
    const value = options[name] ?? '';
    if (typeof value !== 'string' || value.includes('\0')) throw new TypeError(`clouds: ${name} is a string, without NUL`);
    if (options[name] === '' && FILLED.includes(name)) throw new TypeError(`clouds: ${name} is a string, and not an empty one`);
    texts += value + '\0';
  }
  return texts + Math.round((hedge ?? 0) * 1e6) + '\0' + ofTrace + '\0';
}

function metaOf({ meta }) {
  if (meta === undefined || meta === null) return '';
  if (typeof meta !== 'object' || Array.isArray(meta)) throw new TypeError('clouds: meta is an object');
  checkMeta(meta);
  return encode([meta]).slice(1, -1);
}

function nameOf(server) {
  if (typeof server !== 'string' || server.includes('\0')) throw new TypeError('clouds: server is the id of a node');
  if (server === '') throw new TypeError('clouds: server is the id of a node, and not an empty one'); // that would be taken for none
  return server;
}

function listOf(args) {
  if (args === undefined || args === null) return NOTHING;
  if (!Array.isArray(args)) throw new TypeError('clouds: the arguments of a call are an array');
  return args;
}

// A call on behalf of a request of another node ends with that too; those of the same node the library ends.
function signalOf(transport, options) {
  const { signal, parent } = options || NOTHING;
  if (signal === undefined || signal === null) return parent && parent.transport !== transport ? parent.signal : undefined;
  if (typeof signal.addEventListener === 'function') return signal;
  throw new TypeError('clouds: signal is an AbortSignal');
}

// What the program wants to know of a call beside its values: nothing, until it has ended.
function aboutOf({ about }) {
  if (about === undefined || about === null) return null;
  if (typeof about !== 'object') throw new TypeError('clouds: about is an object');
  about.server = undefined;
  return about;
}

function start(transport, method, args, options, call, notify) {
  call.about = aboutOf(options || NONE);
  const signal = signalOf(transport, options);
  if (!signal) {
    const plain = howOf(transport, options);
    if (notify) plain.notify = true;
    transport.call(method, listOf(args), plain, call);
    return;
  }
  if (signal.aborted) {
    nextTick(() => call.finish(aborted(signal), NOTHING));
    return;
  }
  const list = listOf(args),
    how = Object.assign(howOf(transport, options), { notify: notify === true }),
    watched = watch(transport, call, signal);
  try {
    transport.call(method, list, how, watched);
  } catch (problem) {
    watched.before(null); // it never began
    throw problem;
  }
}

function callWith(node, method, args, options, callback) {
  if (typeof callback !== 'function') throw new TypeError('clouds: the callback is a function');
  start(node._transport, method, args, options, new CallbackCall(callback));
}

// An error is given its stack in a reaction of the promise, where V8 knows the async functions that wait for it.
function callP(node, method, args, options) {
  return new Promise((resolve, reject) => {
    start(node._transport, method, args, options, new PromiseCall(resolve, reject, options && options.all));
  }).then(undefined, located);
}

// It ends when one server has the call.
function notifyP(node, method, args, options) {
  return new Promise((resolve, reject) => {
    start(node._transport, method, args, options || {}, new PromiseCall(resolve, reject, false), true);
  }).then(() => undefined, located);
}

// ---- bind

function bindOptions(retry, onRetry) {
  if (retry === undefined && !onRetry) return null;
  const options = Object.assign({ onRetry }, retry !== null && typeof retry === 'object' ? retry : { retry });
  if (options.retry !== undefined) options.retry = count(options.retry);
  checkNames(options, OPTIONS, 'a call');
  return options;
}

function bind(node, method, retry, onRetry) {
  const options = bindOptions(retry, onRetry);
  return function (...args) {
    const callback = args.pop();
    if (typeof callback !== 'function') throw new Error('must provide a callback function');
    start(node._transport, method, args, options, new CallbackCall(callback));
  };
}

function bindP(node, method, retry, onRetry) {
  const options = bindOptions(retry, onRetry);
  return (...args) => callP(node, method, args, options);
}

module.exports = { callWith, callP, notifyP, bind, bindP, count };
