// Channels: publishing at topics, subscriptions to them, and watching them.
'use strict';

const addon = require('./native');
const { checkNames } = require('./names');
const { checkMeta } = require('./bytes');
const { bound, promised } = require('./util');
const { split, limitOf } = require('./timeouts');
const { consuming } = require('./span');

const { SUBSCRIBE_ALL, SUBSCRIBE_DROP_NEWEST, SUBSCRIBE_QUEUE: QUEUE, SUBSCRIBE_BYTES: BYTES, FLAG_LAGGED, LONGEST_SECONDS } = addon.shape;

/** What a node has subscribed to. */
class Subscription {
  constructor(node, topics, listener) {
    this.topics = topics;
    this.closed = false;
    Object.defineProperties(this, {
      number: { value: 0, writable: true },
      _node: { value: node },
      _listener: { value: listener },
    });
  }

  /** Ends it: nothing of it comes any more. */
  close() {
    if (!this.closed) this._node._transport.unsubscribe(this);
  }

  // A message: at `at` in the array are its numbers.
  _put(at, numbers, sender, topic, value, meta) {
    const message = {
      value,
      topic,
      sender,
      missed: numbers[at + 5],
      lagged: (numbers[at + 2] & FLAG_LAGGED) !== 0,
      sequence: numbers[at + 4],
      meta,
    };
    this._take(message, numbers[at + 6]);
  }

  _take(message, _size) {
    const listener = consuming(this._node._transport, message, this._listener);
    this._node._run(message.topic, listener, [message.value, message]);
  }

  _end() {
    this.closed = true;
  }
}

/** The messages of a subscription, one after the other, in a queue that drops the oldest when it is full. */
class Watch extends Subscription {
  constructor(node, topics, most, mostBytes) {
    super(node, topics, undefined);
    Object.defineProperties(this, {
      _messages: { value: [] }, // { message, size }
      _bytes: { value: 0, writable: true },
      _most: { value: most },
      _mostBytes: { value: mostBytes },
      _waiting: { value: [] },
      _problem: { value: null, writable: true },
    });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this._messages.length) return Promise.resolve({ value: this._shift(), done: false });
    return new Promise((resolve, reject) => {
      this._waiting.push({ resolve, reject });
      if (this.closed) this._settle();
    });
  }

  /** What a loop that is left calls. */
  return(value) {
    this.close();
    this._messages.length = this._bytes = 0;
    return Promise.resolve({ value, done: true });
  }

  // The oldest of those that wait.
  _shift() {
    const { message, size } = this._messages.shift();
    this._bytes -= size;
    return message;
  }

  _isFull(size) {
    return this._messages.length >= this._most || this._bytes + size > this._mostBytes;
  }

  _take(message, size) {
    const first = this._waiting.shift();
    if (first) {
      first.resolve({ value: message, done: false });
      return;
    }
    while (this._messages.length && this._isFull(size)) {
      const dropped = this._shift();
      const next = this._messages.length ? this._messages[0].message : message;
      next.missed += dropped.missed + 1;
      next.lagged = true;
    }
    this._messages.push({ message, size });
    this._bytes += size;
  }

  _end(problem) {
    this.closed = true;
    this._problem = problem || this._problem;
    this._settle();
  }

  // Those who wait at the end.
  _settle() {
    for (const { resolve, reject } of this._waiting.splice(0)) {
      if (this._problem) reject(this._problem);
      else resolve({ value: undefined, done: true });
    }
  }
}

function topicsOf(topics) {
  const all = Array.isArray(topics) ? topics.slice() : [topics];
  for (const topic of all) if (typeof topic !== 'string') throw new TypeError('clouds: a topic is a text');
  return Object.freeze(all);
}

function countOf(name, value) {
  if (value === undefined || value === null) return 0;
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`clouds: ${name} is a whole number from 1 on`);
  return value;
}

const PUBLISH_OPTIONS = ['timeout', 'meta'];
const SUBSCRIBE_OPTIONS = ['timeout', 'all', 'group', 'queue', 'queueBytes', 'keepOldest'];
const WATCH_OPTIONS = ['all', 'group', 'queue', 'queueBytes'];

// The options for the transport.
function complete(options, known, what) {
  const all = options === undefined || options === null ? {} : options;
  checkNames(all, known, what);
  const { group } = all;
  if (group !== undefined && (typeof group !== 'string' || group === '')) throw new TypeError('clouds: group is a text, not an empty one');
  return {
    flags: (all.all ? SUBSCRIBE_ALL : 0) | (all.keepOldest ? SUBSCRIBE_DROP_NEWEST : 0),
    queue: countOf('queue', all.queue),
    queueBytes: countOf('queueBytes', all.queueBytes),
    group: group || '',
  };
}

function publish(node, topic, value, options, done) {
  const all = options === undefined || options === null ? {} : options;
  checkNames(all, PUBLISH_OPTIONS, 'publish');
  const { meta, timeout } = all;
  if (meta !== undefined && (meta === null || typeof meta !== 'object')) throw new TypeError('clouds: meta is an object');
  if (meta !== undefined) checkMeta(meta);
  node._transport.publish(topic, value, meta, done, limitOf(node, { timeout }, 'publish'));
}

// What of it is a node's.
module.exports = {
  publish(topic, value, ...rest) {
    const [options, callback] = split(...rest);
    const ended = (error, receivers) => (error ? callback(error) : callback(null, receivers));
    publish(this, topic, value, options, typeof callback === 'function' ? bound(ended) : undefined);
    return this;
  },

  publishP(topic, value, options) {
    return promised((done) => publish(this, topic, value, options, done));
  },

  subscribe(topics, listener, options) {
    return promised((done) => {
      if (typeof listener !== 'function') throw new TypeError('clouds: the listener of a subscription is a function');
      const subscription = new Subscription(this, topicsOf(topics), listener);
      const all = complete(options, SUBSCRIBE_OPTIONS, 'subscribe');
      const { timeout } = options || {};
      const ended = (error) => {
        if (error) subscription._end();
        done(error, subscription);
      };
      this._transport.subscribe(subscription, all, ended, limitOf(this, { timeout }, 'subscribe'));
    });
  },

  watch(topics, options) {
    const all = complete(options, WATCH_OPTIONS, 'watch');
    const watch = new Watch(this, topicsOf(topics), all.queue || QUEUE, all.queueBytes || BYTES);
    const wasExiting = this._exiting; // else it ends with its node, complete or not
    const ended = (error) => error && watch._end(this._exiting && !wasExiting ? null : error);
    this._transport.subscribe(watch, all, ended, LONGEST_SECONDS);
    return watch;
  },
};
