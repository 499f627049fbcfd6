// The timers and the clock of Node itself. Tests of programs put others in their place (sinon, Jest) and stop time with
// them: what is taken here when the package is loaded keeps running. Those of @sinonjs/fake-timers keep the true ones
// as clock._<name>, for a package that is loaded afterwards.
'use strict';

const timers = require('timers');
const { performance } = require('perf_hooks');

function original(fn, name) {
  return (fn.clock && fn.clock['_' + name]) || fn;
}

const nextTick = original(process.nextTick, 'nextTick');
const read = performance.now;
const hrtime = original(process.hrtime, 'hrtime');

// What the monotonic clock of the machine is ahead of that of this process, in milliseconds. Between two readings the
// process may be stopped, so the nearest of several counts.
function readAhead() {
  let ahead = Infinity;
  for (let i = 0; i < 5; i++) {
    const own = read.call(performance),
      [seconds, rest] = hrtime.call(process);
    ahead = Math.min(ahead, seconds * 1e3 + rest / 1e6 - own);
  }
  return ahead;
}

module.exports = {
  setTimeout: original(timers.setTimeout, 'setTimeout'),
  clearTimeout: original(timers.clearTimeout, 'clearTimeout'),
  setInterval: original(timers.setInterval, 'setInterval'),
  clearInterval: original(timers.clearInterval, 'clearInterval'),
  setImmediate: original(timers.setImmediate, 'setImmediate'),
  nextTick: (...args) => nextTick.apply(process, args),
  now: () => read.call(performance), // milliseconds
  ahead: readAhead(),
};
