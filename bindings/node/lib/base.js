// What all nodes have. A node sends through a transport: a Bridge (the library), or a ConnectionTransport for a
// connection that the program brings.
'use strict';

const { AsyncResource } = require('async_hooks');
const { EventEmitter } = require('events');
const clock = require('./clock');
const Bridge = require('./bridge');
const Protocol = require('./protocol');
const ConnectionTransport = require('./connection_transport');
require('./events');
require('./bridge_channels');
require('./bridge_told');
require('./bridge_asking');
require('./bridge_canceled');
const calls = require('./call');
const channels = require('./channels');
const asking = require('./asking');
const { complete, live, forLibrary, debugName, DEFAULTS } = require('./options');
const { failure } = require('./errors');

const PEER_STATES = ['well', 'avoided', 'open', 'probing', 'paused', 'draining', 'gone'];
const { fault } = require('./faults');
const { checkNames } = require('./names');
const { encode } = require('./json');
const log = require('./log');
const { bound, promised, extend, inherit } = require('./util');
const { split, limitOf, within } = require('./timeouts');

const LISTEN_DELAY = 200; // that of npm clouds 0.1, which gives others the time to listen, too
const HOOKS = {
  find_one_server: 'find_server',
  save_server_list: 'save_servers',
  remove_server: 'remove_server',
  clear_server_list: 'clear_servers',
};
const MESSAGE_EVENTS = new Set(['message', 'unknown message', 'up', 'down', 'handler error']);

/** A node: one identity on the bus. */
function Base(options, kind) {
  if (!(this instanceof Base)) return new Base(options);
  EventEmitter.call(this, { captureRejections: true });
  const all = complete(options, kind || 'base');
  this._timeout = Number(all.timeout) || DEFAULTS.timeout;
  this._retry = calls.count(all.retry);
  this._deadline = all.deadline > 0 ? Number(all.deadline) : 0;
  this._serverMaxAge = Number(all.serverMaxAge) || DEFAULTS.serverMaxAge;
  this._heartbeat = Number(all.heartbeat) || DEFAULTS.heartbeat;
  this._operationTimeout = all.operationTimeout > 0 ? Number(all.operationTimeout) : DEFAULTS.operationTimeout;
  this._reason = null; // why it is not connected
  this._exiting = this._keptAlive = this._unheld = false;
  this._readiness = null;
  this._waiting = [];
  this._handlers = Object.create(null);
  this._handlers['message.m'] = emitMessage;
  this._scope = new AsyncResource('CLOUDS_NODE');
  this._type = all.type;
  this._debugs = log.isWanted(debugName(all.type, all.id)) || Boolean(all.logLevel || all.log_level);
  this.connected = false;
  this._transport = open(this, all);
  this._defaults = this._transport.handlers(this);
  Object.assign(this._handlers, this._defaults);
  this.id = this._transport.id;
  this._connection = this._transport.connection;
  this._protocol = new Protocol(this.id);
}

inherit(Base, EventEmitter);

function open(node, all) {
  if (all.connection) return new ConnectionTransport(node, all);
  const { ofContext, ofNode } = forLibrary(all);
  return new Bridge(node, ofContext, ofNode);
}

// Seconds; -1 is what the node was made with.
function drainOf(options) {
  const all = options === undefined || options === null || typeof options === 'function' ? {} : options;
  checkNames(all, ['drain'], 'exit');
  const { drain } = all;
  if (drain === undefined || drain === null) return -1;
  if (typeof drain !== 'number' || !(drain >= 0)) throw new TypeError('clouds: drain is a number of seconds');
  return drain;
}

function emitMessage(message) {
  this._emitSafely('message', message.sender, message.data);
}

// ---- events of the transport

const makeScope = () => new AsyncResource('CLOUDS_EVENT');

extend(Base.prototype, {
  // Runs what the program brought, in an asynchronous context of its own that begins as the one in which the node was
  // made: what it puts there (AsyncLocalStorage) reaches nobody else.
  _within(fn) {
    this._scope.runInAsyncScope(makeScope).runInAsyncScope(fn);
  },

  // An event. An exception of a listener is reported, and ends neither the process nor what follows.
  _emitSafely(event, ...args) {
    this._within(() => {
      try {
        this.emit(event, ...args);
      } catch (error) {
        fault(this, error, undefined, event);
      }
    });
  },

  // As _emitSafely for a handler that was set by name.
  _run(name, handler, args) {
    this._within(() => {
      try {
        const result = handler.apply(this, args);
        if (result instanceof Promise) result.then(undefined, (error) => fault(this, error, undefined, name));
      } catch (error) {
        fault(this, error, undefined, name);
      }
    });
  },

  // The promise of a listener was rejected.
  [Symbol.for('nodejs.rejection')](error, event) {
    fault(this, error, undefined, String(event));
  },

  _onReady(error, delay = LISTEN_DELAY) {
    this._readiness = { error };
    this._waiting.splice(0).forEach((entry) => entry(error));
    if (error) return;
    this._emitSafely('ready');
    if (delay === 0) {
      this._emitSafely('listen');
      return;
    }
    const timer = clock.setTimeout(() => {
      if (!this._exiting) this._emitSafely('listen');
    }, delay);
    if (this._unheld) timer.unref();
  },

  _onMessage(type, sender, data, raw) {
    const handler = this._handlers['message.' + type];
    if (handler === emitMessage) {
      this._emitSafely('message', sender, data);
      return;
    }
    const message = { type, sender, data, raw: raw || encode({ t: type, s: sender, d: data }) };
    if (typeof handler === 'function') this._run('message.' + type, handler, [message]);
    else this._emitSafely('unknown message', message);
  },

  // Only servers offer methods.
  _onRequest(request) {
    request.refuse('CLOUDS_NO_SUCH_METHOD');
  },

  _onUp() {
    this.connected = true;
    this._reason = null;
    this._emitSafely('up');
  },

  _onDown(error) {
    this.connected = false;
    this._reason = error;
    this._emitSafely('down', error);
  },

  // A server is in another state, for a method or for all.
  _onPeer(id, state, method) {
    this._emitSafely('peer', id, PEER_STATES[state] || String(state), method || undefined);
  },

  // A line of the library's log: for who listens to 'log'; else warnings are those of the process, once a minute each,
  // and DEBUG gets all of them.
  _onLog(level, line) {
    if (this.listenerCount('log') > 0) {
      this._emitSafely('log', log.LEVELS[level], line);
      return;
    }
    const facts = ['method', 'request', 'caller'].filter((name) => line[name] !== undefined);
    const text = line.message + facts.map((name) => ` ${name}=${line[name]}`).join('');
    if (level >= log.WARN) log.warnNow(log.printable(text));
    if (this._debugs) log.debug(debugName(this._type, this.id), text);
  },

  // The choice of a server, taken over by a handler: it calls back with an error, or the id.
  _onFindServer(eventId, call, method, ids) {
    let answered = false;
    const answer = (error, id) => {
      if (answered) return;
      answered = true;
      const none = error ? error.code === 'CLOUDS_NO_AVAILABLE_SERVER' : !id;
      if (error && !none) this._transport.failCall(call, error);
      else this._transport.choose(eventId, none ? '' : String(id));
    };
    this._within(() => {
      try {
        this._handlers.find_one_server.call(this, method, answer, ids);
      } catch (error) {
        answer(error);
      }
    });
  },

  _onHook(name, ...args) {
    const handler = this._handlers[name];
    if (typeof handler === 'function') this._run(name, handler, args);
  },
});

// ---- what listens, and the handlers that are replaceable by name as in npm clouds 0.1

extend(Base.prototype, {
  _setHandler(name, handler) {
    this._handlers[name] = handler;
    const taken = typeof handler === 'function' && handler !== this._defaults[name];
    if (HOOKS[name]) this._transport.configure([HOOKS[name], String(taken)]);
    if (String(name).startsWith('message.')) this._keepAlive();
  },

  _getHandler(name) {
    return this._handlers[name];
  },

  // A node with listeners is not collected, even when nothing else refers to it.
  _keepAlive() {
    if (this._keptAlive) return;
    this._keptAlive = true;
    this._transport.retain();
  },

  on(event, listener) {
    if (MESSAGE_EVENTS.has(event)) this._keepAlive();
    return EventEmitter.prototype.on.call(this, event, listener);
  },

  addListener(event, listener) {
    return this.on(event, listener);
  },

  prependListener(event, listener) {
    if (MESSAGE_EVENTS.has(event)) this._keepAlive();
    return EventEmitter.prototype.prependListener.call(this, event, listener);
  },
});

// ---- messages and calls

extend(Base.prototype, {
  send(receiver, message, ...rest) {
    const [options, callback] = split(...rest);
    const ended = (error, receivers) => (error ? callback(error) : callback(null, receivers));
    const done = typeof callback === 'function' ? bound(ended) : undefined;
    this._transport.send(String(receiver), message, done, limitOf(this, options, 'send'));
    return this;
  },

  sendP(receiver, message, options) {
    return promised((done) => this._transport.send(String(receiver), message, done, limitOf(this, options, 'send')));
  },

  call(method, args, options, callback) {
    if (typeof options === 'function') {
      callback = options;
      options = undefined;
    }
    if (callback === undefined) return calls.callP(this, method, args, options);
    calls.callWith(this, method, args, options, callback);
    return this;
  },

  /** A call that wants no answer: a promise that is fulfilled when one server has it. */
  notify(method, args, options) {
    return calls.notifyP(this, method, args, options);
  },

  callP(method, args, options) {
    return calls.callP(this, method, args, options);
  },

  bind(method, retry, onRetry) {
    return calls.bind(this, method, retry, onRetry);
  },

  bindP(method, retry, onRetry) {
    return calls.bindP(this, method, retry, onRetry);
  },

  status(...all) {
    const [options, callback] = split(...all);
    if (callback === undefined) return this.statusP(options);
    const done = bound((error, status) => (error ? callback(error) : callback(null, status)));
    this._transport.status(done, limitOf(this, options, 'status'));
    return undefined;
  },

  statusP(options) {
    return promised((done) => this._transport.status(done, limitOf(this, options, 'status')));
  },

  // Changes options while the node lives, such as weight or timeout, for what begins from then on.
  configure(options) {
    const list = live(options);
    if (this._transport instanceof ConnectionTransport)
      throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program no option changes');
    if (this._transport.closing) throw failure('CLOUDS_CLOSED', `${this.id} is closed`);
    this._transport.configure(list);
    const limit = options.operationTimeout || options.operation_timeout;
    if (limit > 0) this._operationTimeout = Number(limit);
    return this;
  },

  // Who would be called for a method now, and why.
  explain(method, options) {
    return promised((done) => this._transport.explain(method, done, limitOf(this, options, 'explain')));
  },

  // The direct links of this process's connection to other processes.
  links(options) {
    return promised((done) => this._transport.links(done, limitOf(this, options, 'links')));
  },

  // How many calls and requests of each method there were, how they ended, and how long they took.
  stats(options) {
    return promised((done) => this._transport.stats(done, limitOf(this, options, 'stats')));
  },

  // The calls that are outstanding, as npm clouds 0.1 has them: an object with a member for each.
  get _messages() {
    return Object.fromEntries(this._transport.calls.map((call, i) => [call.id || `queued ${i}`, call]));
  },
});

extend(Base.prototype, channels);
extend(Base.prototype, asking);

// ---- life

extend(Base.prototype, {
  ready(...all) {
    const [options, callback] = split(...all);
    if (callback === undefined) return this.readyP(options);
    const entry = within(this, 'getting ready', limitOf(this, options, 'ready'), bound((error) => callback(error || null)));
    if (this._readiness) clock.nextTick(entry, this._readiness.error);
    else if (this._exiting) clock.nextTick(entry, failure('CLOUDS_CLOSED'));
    else this._waiting.push(entry);
    return undefined;
  },

  readyP(options) {
    return promised((done) => this.ready(options, done));
  },

  exit(options, callback) {
    if (typeof options === 'function') callback = options;
    const drain = drainOf(options);
    if (!this._exiting) {
      this._exiting = true;
      this._emitSafely('exit', this);
    }
    const done = typeof callback === 'function' ? bound(callback) : () => {};
    this._transport.close(drain, (error, unanswered) => {
      this._waiting.splice(0).forEach((entry) => entry(failure('CLOUDS_CLOSED')));
      done(error || null, unanswered);
    });
  },

  exitP(options) {
    return promised((done) => this.exit(options || {}, done));
  },

  ref() {
    this._unheld = false;
    this._transport.hold(true);
    return this;
  },

  unref() {
    this._unheld = true;
    this._transport.hold(false);
    return this;
  },

  counters() {
    return this._transport.counters();
  },
});

module.exports = Base;
