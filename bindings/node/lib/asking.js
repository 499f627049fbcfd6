// What a node asks another, whose library answers, and what becomes of a node that is asked to stop.
'use strict';

const { encode } = require('./json');
const { promised } = require('./util');
const { limitOf } = require('./timeouts');

const TAKES = {
  ping: [], info: [], status: [], stats: [], methods: [], links: [], pause: ['method'], resume: ['method'], stop: ['drain'],
};
const KINDS = { method: 'string', drain: 'number' };

// What the question needs, as JSON; '' for nothing.
function question(what, args) {
  if (typeof what !== 'string' || !Object.hasOwn(TAKES, what)) {
    throw new TypeError(`clouds: a node cannot be asked to ${JSON.stringify(what)}; expected one of ${Object.keys(TAKES).join(', ')}`);
  }
  if (args === undefined || args === null) return '';
  if (typeof args !== 'object' || Array.isArray(args)) throw new TypeError('clouds: expected an object of what the question needs');
  const given = Object.entries(args).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (!TAKES[what].includes(name)) throw new TypeError(`clouds: '${what}' does not take ${JSON.stringify(name)}`);
    if (typeof value !== KINDS[name] || Number.isNaN(value)) throw new TypeError(`clouds: ${name} is a ${KINDS[name]}`);
  }
  return given.length ? encode(Object.fromEntries(given)) : '';
}

module.exports = {
  ask(peer, what, args, options) {
    return promised((done) => this._transport.askNode(peer, what, question(what, args), done, limitOf(this, options, 'ask')));
  },

  // Without a listener the node leaves in order, and the process ends when nothing else keeps it.
  _onStop(peer, drain) {
    if (this.listenerCount('stop') > 0) this._emitSafely('stop', peer, drain);
    else this.exit(drain === undefined ? {} : { drain });
  },
};
