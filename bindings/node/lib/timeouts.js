// The limits of what a node is asked for besides calls. Those of register, unregister, send and status are the library's;
// here is that of ready, and all of a node with a connection of the program.
'use strict';

const clock = require('./clock');
const { failure } = require('./errors');
const { checkNames } = require('./names');

const MAX_TIMER = 2147483647;

/** The options and the callback of a function whose options may be left out. */
function split(options, callback) {
  return typeof options === 'function' ? [undefined, options] : [options, callback];
}

const OPTIONS = ['timeout'];

/** Seconds; the node's own where nothing is said. `what` has the options. */
function limitOf(node, options, what) {
  const all = options === undefined || options === null ? {} : options;
  checkNames(all, OPTIONS, what);
  const value = all.timeout;
  if (value === undefined || value === null) return node._operationTimeout;
  if (typeof value !== 'number' || !(value >= 0)) throw new TypeError('clouds: timeout is a number of seconds');
  return value;
}

function tooLong(node, what, seconds) {
  const reason = node._reason;
  const words = `${what} took more than ${seconds} s${reason ? ': ' + reason.message : ''}`;
  const error = failure(reason ? reason.code : 'CLOUDS_CALL_SERVICE_TIMEOUT', { message: words, node: node.id });
  if (reason) Object.defineProperty(error, 'cause', { value: reason, configurable: true, writable: true });
  return error;
}

/** `done`, which is called at the latest after so many seconds; once. */
function within(node, what, seconds, done) {
  let timer = null;
  const once = (...all) => {
    if (timer === undefined) return;
    clock.clearTimeout(timer);
    timer = undefined;
    done(...all);
  };
  timer = clock.setTimeout(() => once(tooLong(node, what, seconds)), Math.min(seconds * 1000, MAX_TIMER));
  timer.unref(); // what it waits for holds the process, as long as the node does
  return once;
}

module.exports = { split, limitOf, within };
