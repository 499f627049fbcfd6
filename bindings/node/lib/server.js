// A node that serves.
'use strict';

const { AsyncResource } = require('async_hooks');
const { serving } = require('./trace');
const Base = require('./base');
const { Handler, ReturningHandler } = require('./request');
const { bound, promised, extend, inherit } = require('./util');
const { split, limitOf } = require('./timeouts');
const { splitLimits } = require('./limits');
const worker = require('./worker');

function checkHandler(handler) {
  if (typeof handler !== 'function') throw new TypeError('clouds: the handler of a method is a function');
}

function serve(node, handler, request, args) {
  const transport = node._transport,
    around = transport.serving;
  transport.serving = request;
  try {
    handler.serve(request, args, node);
  } finally {
    transport.serving = around;
  }
}

/** A node that offers methods. */
function Server(options) {
  if (!(this instanceof Server)) return new Server(options);
  this._services = new Map();
  Base.call(this, options, 'server');
}

inherit(Server, Base);

extend(Server.prototype, {
  register(method, handler, ...rest) {
    checkHandler(handler);
    const [options, callback] = split(...rest);
    const done = typeof callback === 'function' ? bound(callback) : () => {};
    const registered = (error) => (error ? done(error) : done(null, `S:${method}:${this.id}`));
    const [others, limits] = splitLimits(options);
    this._register(method, new Handler(handler), registered, limitOf(this, others, 'register'), limits);
    return this;
  },

  registerP(method, handler, options) {
    checkHandler(handler);
    return promised((done) => {
      const [rest, limits] = splitLimits(options);
      this._register(method, new ReturningHandler(handler), (error) => done(error), limitOf(this, rest, 'register'), limits);
    });
  },

  unregister(method, ...rest) {
    const [options, callback] = split(...rest);
    if (callback === undefined) return this.unregisterP(method, options);
    const done = bound((error) => callback(error || null));
    this._unregister(method, done, limitOf(this, options, 'unregister'));
    return undefined;
  },

  unregisterP(method, options) {
    return promised((done) => this._unregister(method, (error) => done(error), limitOf(this, options, 'unregister')));
  },

  pause(method, options) {
    return this._setPaused(true, method, options);
  },

  resume(method, options) {
    return this._setPaused(false, method, options);
  },

  // Without a name: all methods.
  _setPaused(isPause, method, options) {
    if (typeof method === 'object' && method !== null) return this._setPaused(isPause, undefined, method);
    const name = method === undefined || method === null ? '' : method;
    return promised((done) => {
      if (name === '' && typeof method === 'string') throw new TypeError('clouds: the name of a method is a text');
      this._transport.pause(name, isPause, (error) => done(error), limitOf(this, options));
    });
  },

  // A node with methods is not collected, even when nothing else refers to it.
  _register(method, handler, done, seconds, limits) {
    const replaced = this._services.get(method);
    this._services.set(method, handler);
    const registered = worker._registers();
    const ended = (error) => {
      registered(error);
      done(error);
    };
    try {
      this._transport.register(method, ended, seconds, limits);
    } catch (error) {
      registered(error);
      if (replaced) this._services.set(method, replaced);
      else this._services.delete(method);
      throw error;
    }
    if (!replaced) this._transport.retain();
  },

  _forget(method) {
    if (this._services.delete(method)) this._transport.release();
  },

  // Its handler goes when the registration has gone, and stays when another was registered meanwhile.
  _unregister(method, done, seconds) {
    const handler = this._services.get(method);
    const ended = (error) => {
      if (!error && this._services.get(method) === handler) this._forget(method);
      done(error);
    };
    this._transport.unregister(method, ended, seconds);
  },

  // Within the node's asynchronous context: the handler has one of its own, which begins as that.
  _onRequest(request, args) {
    const handler = this._services.get(request.method);
    if (handler) new AsyncResource('CLOUDS_EVENT').runInAsyncScope(serving, undefined, request, serve, this, handler, request, args);
    else request.refuse('CLOUDS_NO_SUCH_METHOD');
  },
});

module.exports = Server;
