// The attempts of a call over a connection that the program brings (connection_transport.js), without the library: by
// its rule of what is tried again, within one deadline, each with the arguments that the hook gives.
'use strict';

const { shape } = require('./native');
const clock = require('./clock');
const { failure, retryRule } = require('./errors');

const NOW = shape.RETRY_NOW;
const MAX_TIMER = 2147483647;

class Attempts {
  // `retries` as they are left at first; `how.timeout` is set.
  constructor(transport, method, args, how, entry, retries) {
    Object.assign(this, { transport, method, args, how, entry, left: retries, over: false, inner: null, timer: null });
    this.until = how.deadline > 0 ? clock.now() + how.deadline * 1000 : Infinity;
    if (how.deadline > 0) {
      const period = Math.min(how.deadline * 1000, MAX_TIMER);
      this.limit = clock.setTimeout(() => this.end(failure('CLOUDS_CALL_SERVICE_TIMEOUT'), []), period);
    }
    transport.running.add(this);
  }

  // Before every attempt: with a hook, by the arguments that it gives.
  ask() {
    const { hook } = this.how;
    if (!hook) return this.attempt(this.args);
    let gone = false;
    const go = (...args) => {
      if (gone || this.over) return;
      gone = true;
      this.attempt(args);
    };
    try {
      return hook(...this.args, go);
    } catch (problem) {
      return this.end(problem, []);
    }
  }

  attempt(args) {
    const deadline = this.until < Infinity ? Math.max(0.001, (this.until - clock.now()) / 1000) : 0;
    this.inner = { slot: 0, id: 0, about: this.entry.about, finish: (error, values) => this.ended(error, values) };
    this.transport.attempt(this.method, args, Object.assign({}, this.how, { deadline }), this.inner);
  }

  ended(error, values) {
    this.inner = null;
    const rule = error && error.outcome !== 'APP_ERROR' && this.left > 0 ? retryRule(error.code) : 0;
    if (this.over) return;
    if (rule === 0) {
      this.end(error, values);
      return;
    }
    this.left--;
    if (rule === NOW) this.ask();
    else this.timer = clock.setTimeout(() => this.ask(), Math.min(this.how.timeout * 1000, MAX_TIMER));
  }

  // Ended by its last attempt, the deadline, a cancellation, or the end of the node; once.
  end(error, values) {
    if (this.over) return;
    this.over = true;
    clock.clearTimeout(this.timer);
    clock.clearTimeout(this.limit);
    this.transport.running.delete(this);
    if (this.inner) this.transport.cancel(this.inner);
    this.transport.finish(this.entry, error, values);
  }
}

module.exports = Attempts;
