// Calls as a program makes them: with a callback or for a promise, bound to a method, given up by an AbortSignal.
'use strict';

const { failure } = require('./errors');
const { guarded } = require('./tools');

const NOTHING = [];

// Both are told by finish(error, values), exactly once. `slot` and `id` belong to the port.
class CallbackCall {
  constructor(callback) {
    this.callback = callback;
    this.slot = 0;
    this.id = 0;
  }

  finish(error, values) {
    const callback = this.callback;
    if (values.length === 1) callback(error, values[0]);
    else if (values.length === 0) callback(error);
    else callback(error, ...values);
  }
}

class PromiseCall {
  constructor(resolve, reject, all) {
    this.resolve = resolve;
    this.reject = reject;
    this.all = all;
    this.slot = 0;
    this.id = 0;
  }

  finish(error, values) {
    if (error) this.reject(error);
    else this.resolve(this.all ? values : values[0]);
  }
}

// Calls whose finish does something before the real one's.
class WatchedCall {
  constructor(call, before) {
    this.call = call;
    this.before = before;
    this.slot = 0;
    this.id = 0;
  }

  finish(error, values) {
    this.call.finish(this.before(error), values);
  }
}

function aborted(signal, error) {
  const problem = error || failure('CLOUDS_CANCELED');
  problem.name = 'AbortError';
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

// A call on behalf of a request has the time that is left for that.
function deadlineOf(options) {
  const own = seconds(options, 'deadline');
  const left = options.parent ? options.parent.timeLeft() : null;
  if (left === null) return own;
  return Math.max(0.001, own === 0 ? left : Math.min(own, left));
}

function count(value) {
  const number = Number(value);
  return number > 0 ? Math.min(Math.floor(number), 2147483647) : 0;
}

// The options of a call as a transport takes them, or null when there are none. Its own requests it knows by id, until
// they are answered.
function howOf(transport, options) {
  if (options === undefined || options === null) return null;
  if (typeof options !== 'object') throw new TypeError('clouds: the options of a call are an object');
  const { parent } = options,
    own = parent && parent.transport === transport && !parent.answered;
  return {
    parent: own ? parent.id : 0,
    timeout: seconds(options, 'timeout'),
    deadline: own ? seconds(options, 'deadline') : deadlineOf(options),
    retries: options.retry === undefined ? 0 : count(options.retry) || -1,
    server: options.server === undefined || options.server === null ? '' : nameOf(options.server),
  };
}

function nameOf(server) {
  if (typeof server !== 'string' || server.includes('\0')) throw new TypeError('clouds: server is the id of a node');
  return server;
}

function listOf(args) {
  if (args === undefined || args === null) return NOTHING;
  if (!Array.isArray(args)) throw new TypeError('clouds: the arguments of a call are an array');
  return args;
}

function signalOf(options) {
  const signal = options && options.signal;
  if (signal === undefined || signal === null || typeof signal.addEventListener === 'function') return signal;
  throw new TypeError('clouds: signal is an AbortSignal');
}

function start(transport, method, args, options, call) {
  const signal = signalOf(options);
  if (!signal) {
    transport.call(method, listOf(args), howOf(transport, options), call);
    return;
  }
  if (signal.aborted) {
    process.nextTick(() => call.finish(aborted(signal), NOTHING));
    return;
  }
  const list = listOf(args),
    how = howOf(transport, options),
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
  startAll(node, method, options, args, new CallbackCall(callback));
}

function callP(node, method, args, options) {
  return new Promise((resolve, reject) => {
    startAll(node, method, options, args, new PromiseCall(resolve, reject, options && options.all));
  });
}

// ---- bind

const AT_ONCE = new Set(['CLOUDS_CALL_SERVICE_TIMEOUT', 'CLOUDS_CONNECTION_LOST']);
const now = () => performance.now() / 1000;
const LATER = new Set(['CLOUDS_NO_AVAILABLE_SERVER', 'CLOUDS_DRAINING']);

function bindOptions(retry, onRetry) {
  const options = Object.assign({ onRetry }, retry !== null && typeof retry === 'object' ? retry : { retry });
  if (options.retry !== undefined) options.retry = count(options.retry);
  return options;
}

function retriesOf(node, options) {
  return options && options.retry !== undefined ? count(options.retry) : node._retry;
}

// One attempt after the other, each with what onRetry hands on.
class Attempts {
  constructor(node, method, options, args, call) {
    Object.assign(this, { node, method, options, args, call, left: retriesOf(node, options), over: false });
    const deadline = deadlineOf(options) || node._deadline;
    this.until = deadline ? now() + deadline : Infinity;
  }

  begin() {
    this.options.onRetry(...this.args, (...args) => this.attempt(args));
  }

  attempt(args) {
    const options = Object.assign({}, this.options, { retry: 0 });
    if (this.until < Infinity) options.deadline = Math.max(0.001, this.until - now());
    const attempt = { slot: 0, id: 0, finish: (error, values) => this.ended(error, values) };
    start(this.node._transport, this.method, args, options, attempt);
  }

  ended(error, values) {
    const code = error && error.outcome !== 'APP_ERROR' && this.left > 0 ? error.code : '';
    const pause = AT_ONCE.has(code) ? 0 : this.options.timeout || this.node._timeout;
    if ((!AT_ONCE.has(code) && !LATER.has(code)) || now() + pause >= this.until) {
      this.finish(error, values);
      return;
    }
    this.left--;
    if (pause === 0) this.again();
    else this.pause(Math.min(pause * 1000, 2147483647));
  }

  // What onRetry throws ends the call: no attempt would.
  again() {
    try {
      this.begin();
    } catch (problem) {
      this.finish(problem, NOTHING);
    }
  }

  // Once, though onRetry may go on twice, or go on and throw.
  finish(error, values) {
    if (this.over) return;
    this.over = true;
    this.call.finish(error, values);
  }

  // Until the time is over, the node leaves, or the call is given up.
  pause(period) {
    const pauses = this.node._pauses,
      signal = signalOf(this.options);
    const end = (error) => {
      clearTimeout(timer);
      pauses.delete(end);
      if (signal) offAbort(signal, abort);
      if (error) this.finish(error, NOTHING);
      else this.again();
    };
    const abort = () => guarded(end)(aborted(signal));
    const timer = setTimeout(end, period);
    pauses.add(end);
    if (signal && signal.aborted) abort();
    else if (signal) onAbort(signal, abort);
  }
}

// One call for all attempts where the transport sees to them.
function startAll(node, method, options, args, call) {
  const hook = options && options.onRetry;
  if (!hook && (node._transport.retries || retriesOf(node, options) === 0)) {
    start(node._transport, method, args, options, call);
    return;
  }
  const onRetry = typeof hook === 'function' ? hook : handOn;
  new Attempts(node, method, Object.assign({}, options, { onRetry }), listOf(args), call).begin();
}

function handOn(...args) {
  args.pop()(...args);
}

function bind(node, method, retry, onRetry) {
  const options = bindOptions(retry, onRetry);
  return function (...args) {
    const callback = args.pop();
    if (typeof callback !== 'function') throw new Error('must provide a callback function');
    startAll(node, method, options, args, new CallbackCall(callback));
  };
}

function bindP(node, method, retry, onRetry) {
  const options = bindOptions(retry, onRetry);
  return (...args) =>
    new Promise((resolve, reject) => {
      startAll(node, method, options, args, new PromiseCall(resolve, reject, options.all));
    });
}

module.exports = { callWith, callP, bind, bindP, count };
