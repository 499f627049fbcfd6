// The protocol over a connection that the program brings (the option `connection`), as npm clouds 0.1 speaks it. The
// connection has setId, registerKey, deleteKey, deleteKeys, keys, send and exit, and raises "message" and "listen".
'use strict';

const { randomBytes } = require('crypto');
const Attempts = require('./attempts');
const clock = require('./clock');
const { encode } = require('./json');
const { Request } = require('./request');
const { failure, closed, received, codeOf, pack } = require('./errors');
const { fault } = require('./faults');
const { uncaught } = require('./util');
const { within } = require('./timeouts');

const EXIT_DELAY = 200; // callers that do not know yet are still answered
const MAX_TIMER = 2147483647;
const SERVICE_ERROR = codeOf('CLOUDS_SERVICE_ERROR');
const PROCESS = randomBytes(4).toString('hex'); // containers share host names and process ids

let counter = 0;

function makeId(type) {
  return [type[0].toLowerCase(), PROCESS, process.pid, `w${counter++}`].join('.');
}

// A name as a part of a glob pattern.
function literal(name) {
  return name.replace(/[\\*?[\]]/g, '\\$&');
}

function periodOf(seconds) {
  return Math.min(seconds * 1000, MAX_TIMER);
}

function after(seconds, fn) {
  return clock.setTimeout(fn, periodOf(seconds));
}

function nextOf(list) {
  return list.ids[list.next++ % list.ids.length];
}

function noChannels() {
  return failure('CLOUDS_NOT_SUPPORTED', 'a connection of the program has no channels');
}

class ConnectionTransport {
  constructor(owner, options) {
    this.owner = owner;
    this.connection = options.connection;
    this.id = options.id || makeId(options.type);
    this.autoClean = !options.notAutoCleanRemoteServer;
    this.lists = new Map(); // method -> { ids, since, next }
    this.pending = new Map(); // message id -> entry
    this.running = new Set(); // calls with several attempts
    this.methods = new Set();
    this.closing = false;
    this.timers = [clock.setInterval(() => this.sweep(), periodOf(owner._serverMaxAge / 2))];
    if (options.type === 'server') this.timers.push(clock.setInterval(() => this.renew(), periodOf(owner._heartbeat)));
    this.connection.setId(this.id);
    this.connection.on('listen', () => this.owner._onReady(null, 0));
    this.connection.on('message', (text) => this.receive(text));
  }

  retain() {}

  release() {}

  // The library makes no choice here.
  configure() {}

  counters() {
    return {};
  }

  hold(yes) {
    this.timers.forEach((timer) => (yes ? timer.ref() : timer.unref()));
  }

  get calls() {
    return [...this.pending.values()];
  }

  answered() {}

  watch() {} // nobody says that he gives up

  isOpen() {
    return !this.closing;
  }

  // ---- what comes in

  receive(text) {
    let message;
    try {
      message = this.owner._protocol.unpack(String(text));
    } catch (unused) {
      return; // not an envelope
    }
    try {
      const handler = this.owner._getHandler('message.' + message.type);
      if (typeof handler === 'function') handler.call(this.owner, message);
      else this.owner._emitSafely('unknown message', message);
    } catch (error) {
      fault(this.owner, error, undefined, 'message.' + message.type);
    }
  }

  // The handlers that a program may replace by name.
  handlers(node) {
    const all = {
      clear_server_list: () => this.clearLists(),
      save_server_list: (method, ids) => this.saveList(method, ids),
      find_one_server: (method, callback) => this.findServer(method, callback),
      remove_server: (id, method) => this.removeServer(id, method),
      'message.r': (message) => this.onResult(message),
    };
    if (typeof node.register === 'function') all['message.c'] = (message) => this.onCall(message);
    return all;
  }

  onResult({ data }) {
    const entry = data && this.pending.get(data.i);
    if (!entry) return;
    const values = Array.isArray(data.r) ? data.r : [];
    if (data.e) this.settle(entry, received(SERVICE_ERROR, 1, data.e.members, values), values);
    else this.settle(entry, null, values);
  }

  onCall({ sender, data }) {
    if (!data || typeof data !== 'object' || typeof data.i !== 'string' || typeof sender !== 'string') return;
    const request = new Request(this, { sender, id: data.i }, data.m, sender, null);
    const { owner } = this;
    if (Array.isArray(data.a)) owner._scope.runInAsyncScope(() => owner._onRequest(request, data.a));
    else request.reply(failure('CLOUDS_PROTOCOL_ERROR', 'the arguments of a call are an array'), []);
  }

  // ---- calls

  call(method, args, how, entry) {
    const own = how ? how.retries : 0,
      retries = Math.max(0, own === 0 ? this.owner._retry : own);
    const limits = {
      timeout: (how && how.timeout) || this.owner._timeout,
      deadline: (how && how.deadline) || this.owner._deadline,
    };
    const all = Object.assign({}, how, limits);
    if (this.closing || (retries === 0 && !all.hook)) {
      this.attempt(method, args, all, entry);
      return;
    }
    encode(args); // what cannot be sent is an error of the caller
    entry.attempts = new Attempts(this, method, args, all, entry, retries);
    entry.attempts.ask();
  }

  /** One attempt. */
  attempt(method, args, how, entry) {
    const message = this.owner._protocol.packCall(method, args);
    if (this.closing) {
      clock.nextTick(() => entry.finish(closed(), []));
      return;
    }
    entry.id = message.params.d.i;
    this.pending.set(entry.id, entry);
    entry.timer = after(Math.min(...[how.timeout].concat(how.deadline || [])), () => this.timedOut(entry, method));
    if (how.server) this.ask(entry, how.server, message.raw);
    else this.choose(entry, method, message.raw);
  }

  choose(entry, method, text) {
    const found = (error, id) => {
      if (this.pending.get(entry.id) !== entry || entry.server) return;
      if (error) this.settle(entry, error, []);
      else this.ask(entry, id, text);
    };
    try {
      this.owner._getHandler('find_one_server').call(this.owner, method, found);
    } catch (error) {
      found(error);
    }
  }

  ask(entry, server, text) {
    entry.server = server;
    this.connection.send(server, text, () => {});
  }

  settle(entry, error, values) {
    if (!this.pending.delete(entry.id)) return;
    clock.clearTimeout(entry.timer);
    if (entry.about && entry.server) entry.about.server = entry.server;
    this.finish(entry, error, values);
  }

  finish(entry, error, values) {
    try {
      entry.finish(error, values);
    } catch (problem) {
      uncaught(problem);
    }
  }

  timedOut(entry, method) {
    if (!this.pending.has(entry.id)) return;
    const { server } = entry;
    if (server) this.owner._getHandler('remove_server').call(this.owner, server, method);
    this.settle(entry, failure('CLOUDS_CALL_SERVICE_TIMEOUT'), []);
  }

  cancel(entry) {
    if (entry.attempts) entry.attempts.end(failure('CLOUDS_CANCELED'), []);
    else this.settle(entry, failure('CLOUDS_CANCELED'), []);
  }

  // ---- the servers of a method

  findServer(method, callback) {
    const list = this.lists.get(method);
    if (list && list.ids.length > 0) {
      callback(null, nextOf(list));
      return;
    }
    this.connection.keys(`S:${literal(method)}:*`, (error, keys) => {
      if (error) {
        callback(error);
        return;
      }
      const before = `S:${method}:`;
      const ids = (Array.isArray(keys) ? keys : [])
        .filter((key) => key.startsWith(before))
        .map((key) => key.slice(before.length))
        .filter((id) => id && !id.includes(':'));
      this.owner._getHandler('save_server_list').call(this.owner, method, ids);
      const known = this.lists.get(method);
      if (known && known.ids.length > 0) callback(null, nextOf(known));
      else callback(failure('CLOUDS_NO_AVAILABLE_SERVER'));
    });
  }

  saveList(method, ids) {
    const before = this.lists.get(method);
    this.lists.set(method, { ids: ids || [], since: clock.now(), next: before ? before.next : 0 });
  }

  removeServer(id, method) {
    const list = this.lists.get(method);
    if (list) list.ids = list.ids.filter((other) => other !== id);
    if (this.autoClean) this.connection.deleteKey(this.key(method, id), () => {});
  }

  sweep() {
    this.owner._getHandler('clear_server_list').call(this.owner);
  }

  clearLists() {
    const oldest = clock.now() - this.owner._serverMaxAge * 1000;
    for (const [method, list] of this.lists) {
      if (list.since <= oldest) this.lists.delete(method);
    }
  }

  // ---- services

  key(method, id) {
    return `S:${method}:${id}`;
  }

  putKey(method, done) {
    const ttl = Math.max(1, Math.ceil(this.owner._heartbeat * 2));
    this.connection.registerKey(this.key(method, this.id), ttl, done);
  }

  register(method, report, seconds, limits) {
    if (limits) throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program a method has no limits and no schema');
    const done = within(this.owner, `register ${method}`, seconds, report);
    if (typeof method !== 'string') throw new TypeError('clouds: the name of a method is a text');
    this.methods.add(method);
    this.putKey(method, (error) => done(error || null));
  }

  unregister(method, report, seconds) {
    const done = within(this.owner, `unregister ${method}`, seconds, report);
    this.methods.delete(method);
    this.connection.deleteKey(this.key(method, this.id), (error) => done(error || null));
  }

  pause() {
    throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program nothing is paused');
  }

  askNode() {
    throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program no node is asked');
  }

  renew() {
    this.methods.forEach((method) => this.putKey(method, () => {}));
  }

  answer(request, error, values) {
    const data = `{"i":${JSON.stringify(request.id)},"e":${error},"r":${values}}`;
    const text = `{"t":"r","s":${JSON.stringify(this.id)},"d":${data}}`;
    this.connection.send(request.sender, text, () => {});
  }

  reply(request, values) {
    this.answer(request, 'null', encode(values));
  }

  fail(request, error, values) {
    this.answer(request, error, values || '[]');
  }

  refuseRequest(request, name) {
    this.answer(request, pack(failure(name)), '[]');
  }

  // ---- messages, status, end

  send(receiver, value, report, seconds) {
    const done = report && within(this.owner, 'the message', seconds, report);
    this.connection.send(
      receiver,
      this.owner._protocol.packMessage(value).raw,
      (error, receivers) => done && done(error || null, receivers)
    );
  }

  publish(topic, value, meta, report) {
    clock.nextTick(() => report && report(noChannels()));
  }

  subscribe(subscription, options, report) {
    clock.nextTick(() => report(noChannels()));
  }

  unsubscribe(subscription) {
    subscription._end(null);
  }

  explain() {
    throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program nothing is explained');
  }

  stats() {
    throw failure('CLOUDS_NOT_SUPPORTED', 'over a connection of the program nothing is counted by method');
  }

  // There are none beside a connection of the program.
  links(report) {
    clock.nextTick(() => report(null, []));
  }

  status(report, seconds) {
    const done = within(this.owner, 'the status', seconds, report);
    this.connection.keys('S:*', (error, keys) => {
      if (error) {
        done(error);
        return;
      }
      const servers = {},
        methods = {};
      for (const key of keys || []) {
        const at = key.lastIndexOf(':'),
          id = key.slice(at + 1),
          method = key.slice(2, at);
        (servers[id] = servers[id] || []).push(method);
        (methods[method] = methods[method] || []).push(id);
      }
      done(null, { servers, methods });
    });
  }

  close(drain, done) {
    const end = () => this.connection.exit(() => done(null, 0));
    if (this.closing) {
      clock.setImmediate(done, null, 0);
      return;
    }
    this.closing = true;
    this.timers.forEach(clock.clearInterval);
    for (const attempts of this.running) attempts.end(closed(), []);
    for (const entry of this.calls) this.settle(entry, failure('CLOUDS_CANCELED'), []);
    const keys = [...this.methods].map((method) => this.key(method, this.id));
    const later = () => clock.setTimeout(end, EXIT_DELAY);
    if (keys.length) this.connection.deleteKeys(keys, later);
    else later();
  }
}

module.exports = ConnectionTransport;
