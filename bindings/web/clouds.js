// A client of the gateway for browsers, in one file: calls, subscriptions, messages over one WebSocket that is opened
// again when it is lost. docs/GATEWAY.md, "In a browser".
//
//   import { Client } from '/clouds.js';
//   const client = new Client();
//   const sum = await client.call('shop.add', [1, 2]);

const PROTOCOL = 'clouds.v1';
const UNAUTHORIZED = 4401;
const DEFAULT_TIMEOUT = 60;
const GRACE = 1; // seconds that the gateway has to say itself that a time is over
const FIRST_DELAY = 0.1;
const LONGEST_DELAY = 10;

/** What a call, or anything else that was asked for, ends with when it fails. */
export class CloudsError extends Error {
  constructor(error) {
    super(String(error.message));
    Object.assign(this, error, { message: String(error.message) });
    this.name = 'CloudsError';
  }
}

function failure(code, outcome, message, retryable = outcome === 'NOT_DONE') {
  return new CloudsError({ code, outcome, message, retryable });
}

const lost = () => failure('CLOUDS_CONNECTION_LOST', 'UNKNOWN', 'the connection was lost before the answer');
const closed = () => failure('CLOUDS_CLOSED', 'NOT_DONE', 'the client is closed', false);

// ---- bytes in JSON: {"$base64":"..."}

function toBase64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

function replace(key, value) {
  const given = this[key]; // before its own toJSON
  return given instanceof Uint8Array ? { $base64: toBase64(given) } : value;
}

function revive(key, value) {
  if (value === null || typeof value !== 'object' || typeof value.$base64 !== 'string') return value;
  if (Object.keys(value).length !== 1) return value;
  try {
    return Uint8Array.from(atob(value.$base64), (c) => c.charCodeAt(0));
  } catch {
    return value; // only looks like it
  }
}

function defaultUrl() {
  if (typeof location === 'undefined') throw new TypeError('expected { url: "ws://host:port/ws" }');
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

/** What was subscribed to; close() ends it. */
class Subscription {
  constructor(client, topic, listener) {
    this.topic = topic;
    this.closed = false;
    this._client = client;
    this._listener = listener;
    this._missed = 0; // null: nobody knows how many
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this._client._unsubscribe(this);
  }

  _miss(count) {
    this._missed = count === null || this._missed === null ? null : this._missed + count;
  }

  _take(topic, value) {
    const message = { topic, missed: this._missed };
    this._missed = 0;
    this._listener(value, message);
  }
}

/** A connection to the gateway. Events: "open", "close" (with `code` and `reason`), and "error" for what a listener of a
 * subscription throws. */
export class Client extends EventTarget {
  /** options: url, token (a text, or a function that gives one), timeout (seconds), WebSocket (the class). */
  constructor(options = {}) {
    super();
    this.url = options.url || defaultUrl();
    this._token = options.token;
    this._timeout = options.timeout || DEFAULT_TIMEOUT;
    this._WebSocket = options.WebSocket || globalThis.WebSocket;
    if (!this._WebSocket) throw new TypeError('there is no WebSocket here: expected { WebSocket: class }');
    this._last = 0;
    this._waiting = new Map(); // id -> what is asked for and not answered
    this._subscriptions = new Map(); // id -> Subscription
    this._delay = FIRST_DELAY;
    this._isOpen = this._isClosed = false;
    this._connect();
  }

  /** Is it connected? */
  get connected() {
    return this._isOpen;
  }

  /** Calls a method: a promise for its first result, with { all: true } for the list of all. options: timeout (seconds),
   * signal (an AbortSignal), once (an idempotency key: the call is repeated when the connection is lost), traceparent,
   * about (an object that gets `server`, the id of who answered, if the gateway tells). */
  async call(method, args = [], options = {}) {
    const { timeout = this._timeout, signal, once, all, traceparent, about } = options;
    const message = { call: method, args, key: once, traceparent };
    const answer = await this._ask(message, { timeout, signal, about, isRepeatable: once !== undefined });
    return all ? answer.results : answer.results[0];
  }

  /** Calls listener(value, { topic, missed }) for what is published at a topic or a pattern: a promise for the
   * subscription, which goes on through losses of the connection; `missed` is null then, for nobody knows. options:
   * signal, timeout. */
  async subscribe(topic, listener, options = {}) {
    if (typeof listener !== 'function') throw new TypeError('expected a function');
    const { timeout = this._timeout, signal } = options;
    const subscription = new Subscription(this, topic, listener);
    subscription._id = ++this._last;
    this._subscriptions.set(subscription._id, subscription);
    try {
      await this._ask({ subscribe: topic }, { id: subscription._id, timeout, signal, isRepeatable: true });
    } catch (error) {
      subscription.close();
      throw error;
    }
    if (signal) signal.addEventListener('abort', () => subscription.close(), { once: true });
    return subscription;
  }

  /** Publishes a value at a topic. */
  async publish(topic, value, options = {}) {
    await this._ask({ publish: topic, value }, { timeout: this._timeout, ...options });
  }

  /** Sends a value to a node. */
  async send(node, value, options = {}) {
    await this._ask({ send: node, value }, { timeout: this._timeout, ...options });
  }

  /** Ends it, and all that waits. */
  close() {
    this._end(closed(), 1000);
  }

  // ---- what is asked for

  _ask(message, { id = ++this._last, timeout, signal, about, isRepeatable = false }) {
    if (this._isClosed) return Promise.reject(this._why);
    if (signal && signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const asked = { id, message, isRepeatable, isSent: false, due: Date.now() + timeout * 1000 };
      const abort = () => this._give_up(asked, signal.reason);
      asked.settle = (error, answer) => {
        clearTimeout(asked.timer);
        if (signal) signal.removeEventListener('abort', abort);
        this._waiting.delete(id);
        if (about) about.server = answer?.server;
        if (error) reject(error);
        else resolve(answer);
      };
      asked.timer = setTimeout(() => this._late(asked, timeout), (timeout + GRACE) * 1000);
      if (signal) signal.addEventListener('abort', abort);
      this._waiting.set(id, asked);
      if (this._isOpen) this._transmit(asked);
    });
  }

  _transmit(asked) {
    const message = { id: asked.id, ...asked.message };
    if (message.call !== undefined) message.timeout = Math.max(0.001, (asked.due - Date.now()) / 1000);
    let text;
    try {
      text = JSON.stringify(message, replace);
    } catch (error) {
      asked.settle(error);
      return;
    }
    asked.isSent = true;
    this._socket.send(text);
  }

  _give_up(asked, error) {
    if (asked.isSent && this._isOpen && asked.message.call) this._say({ id: asked.id, cancel: true });
    asked.settle(error);
  }

  _late(asked, timeout) {
    const words = `no answer within ${timeout} s`;
    if (asked.isSent) this._give_up(asked, failure('CLOUDS_CALL_SERVICE_TIMEOUT', 'UNKNOWN', words, false));
    else asked.settle(failure('CLOUDS_UNREACHABLE', 'NOT_DONE', `not connected within ${timeout} s`));
  }

  _unsubscribe(subscription) {
    if (!this._subscriptions.delete(subscription._id)) return;
    const asked = this._waiting.get(subscription._id);
    if (asked && !asked.isSent) return;
    if (this._isOpen) this._say({ id: subscription._id, unsubscribe: true });
  }

  _say(message) {
    this._socket.send(JSON.stringify(message));
  }

  // ---- the connection

  async _connect() {
    let token = this._token;
    try {
      if (typeof token === 'function') token = await token();
    } catch {
      this._again();
      return;
    }
    if (this._isClosed) return;
    const socket = new this._WebSocket(this.url, PROTOCOL);
    this._socket = socket;
    socket.onopen = () => {
      if (token !== undefined) this._say({ auth: token });
      else this._opened();
    };
    socket.onmessage = (event) => this._heard(JSON.parse(event.data, revive));
    const ended = (event) => {
      if (this._socket !== socket) return;
      this._socket = undefined;
      this._lost(event);
    };
    socket.onclose = ended;
    // The end follows, but not in each Node when nobody listens there.
    socket.onerror = () => setTimeout(ended, 0, { code: 1006, reason: '' });
  }

  _opened() {
    this._isOpen = true;
    this._delay = FIRST_DELAY;
    for (const [id, subscription] of this._subscriptions) {
      if (!this._waiting.has(id)) this._say({ id, subscribe: subscription.topic });
    }
    for (const asked of [...this._waiting.values()]) this._transmit(asked);
    this.dispatchEvent(new Event('open'));
  }

  _heard(message) {
    if (message.auth !== undefined && !this._isOpen) return this._opened();
    if (message.sub !== undefined) return this._published(message);
    const asked = this._waiting.get(message.id);
    if (asked) asked.settle(message.error && new CloudsError(message.error), message);
    else if (message.error && this._subscriptions.has(message.id)) this._subscription_lost(message);
  }

  _published(message) {
    const subscription = this._subscriptions.get(message.sub);
    if (!subscription) return;
    if (message.gap !== undefined) {
      subscription._miss(message.gap);
      return;
    }
    try {
      subscription._take(message.topic, message.value);
    } catch (error) {
      this._tell('error', { error });
    }
  }

  // It was there before the connection was lost, and is refused now.
  _subscription_lost(message) {
    const subscription = this._subscriptions.get(message.id);
    this._subscriptions.delete(message.id);
    subscription.closed = true;
    this._tell('error', { error: new CloudsError(message.error), subscription });
  }

  _lost(event) {
    const wasOpen = this._isOpen;
    this._isOpen = false;
    if (event.code === UNAUTHORIZED && typeof this._token !== 'function') {
      this._end(failure('CLOUDS_AUTH_FAILED', 'NOT_DONE', event.reason || 'the token is not known', false), undefined, event);
      return;
    }
    for (const asked of [...this._waiting.values()]) {
      if (asked.isSent && !asked.isRepeatable) asked.settle(lost());
      asked.isSent = false;
    }
    for (const subscription of this._subscriptions.values()) subscription._miss(null);
    if (wasOpen) this._tell('close', { code: event.code, reason: event.reason });
    this._again();
  }

  // Clients that lost one gateway at one time do not come back at one time.
  _again() {
    if (this._isClosed) return;
    const delay = this._delay * (0.5 + Math.random());
    this._delay = Math.min(LONGEST_DELAY, this._delay * 2);
    this._timer = setTimeout(() => this._connect(), delay * 1000);
  }

  _end(why, code, event = { code, reason: '' }) {
    if (this._isClosed) return;
    this._isClosed = true;
    this._isOpen = false;
    this._why = why;
    clearTimeout(this._timer);
    for (const asked of [...this._waiting.values()]) asked.settle(asked.isSent && code ? lost() : why);
    for (const subscription of this._subscriptions.values()) subscription.closed = true;
    this._subscriptions.clear();
    const socket = this._socket;
    this._socket = undefined;
    if (socket && code) socket.close(code);
    this._tell('close', { code: event.code, reason: event.reason });
  }

  _tell(name, members) {
    this.dispatchEvent(Object.assign(new Event(name), members));
  }
}
