// What a worker does one at a time in its group, and again and again.
'use strict';

const addon = require('./native');
const { clearTimeout, now, setTimeout } = require('./clock');
const { printable, warnNow } = require('./log');

const { WANT_TURN, END_TURN } = addon.shape.worker;

// The token of the group, and who waits for it in this process. Without a master it is always there.
class Turns {
  constructor() {
    this.isSolo = true;
    this._waiting = [];
    this._isAsked = false; // and not given back yet
  }

  _ask() {
    if (this._isAsked) return;
    this._isAsked = true;
    if (this.isSolo) this.given();
    else addon.workerTell(WANT_TURN, '');
  }

  _end() {
    this._isAsked = false;
    if (!this.isSolo) addon.workerTell(END_TURN, '');
  }

  given() {
    const next = this._waiting.shift();
    if (next) next();
    else this._end();
  }

  // Other workers come before those of this process that wait.
  _giveBack() {
    this._end();
    if (this._waiting.length) this._ask();
  }

  async run(fn) {
    await new Promise((resolve) => {
      this._waiting.push(resolve);
      this._ask();
    });
    try {
      return await fn();
    } finally {
      this._giveBack();
    }
  }
}

// A function that is called again and again, not before the call before has ended.
class Repeated {
  constructor(seconds, fn, ended) {
    this._pause = seconds * 1000;
    this._fn = fn;
    this._ended = ended;
    this._isStopped = false;
    this._running = Promise.resolve();
    this._schedule(this._pause);
  }

  /** It is not called any more; a call that runs goes on. */
  stop() {
    this._isStopped = true;
    clearTimeout(this._timer);
    this._ended(this);
  }

  _schedule(pause) {
    this._timer = setTimeout(() => {
      const begun = now();
      this._running = this._run().then(() => this._isStopped || this._schedule(Math.max(0, begun + this._pause - now())));
    }, pause);
    this._timer.unref();
  }

  async _run() {
    try {
      await this._fn.call(undefined);
    } catch (error) {
      warnNow(`a function of worker.every failed: ${printable((error && error.stack) || error, true)}`);
    }
  }
}

class Repetitions {
  constructor() {
    this._all = new Set();
  }

  begin(seconds, fn) {
    if (!(seconds > 0 && seconds < Infinity) || typeof fn !== 'function')
      throw new TypeError('clouds: expected a number of seconds, more than 0, and a function');
    const one = new Repeated(seconds, fn, (ended) => this._all.delete(ended));
    this._all.add(one);
    return one;
  }

  // None is called any more; those that run now are waited for.
  end() {
    const all = [...this._all];
    for (const one of all) one.stop();
    return Promise.all(all.map((one) => one._running));
  }
}

module.exports = { Turns, Repetitions };
