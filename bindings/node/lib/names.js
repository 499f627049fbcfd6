// The names of options: one that a function has not is an error that says which was meant.
'use strict';

const { failure } = require('./errors');
const { printable } = require('./log');
const { hint } = require('./util');

/** Refuses what is not in the list `known`; `what` has the options. */
function checkNames(options, known, what) {
  if (typeof options !== 'object') throw new TypeError(`clouds: the options of ${what} are an object`);
  for (const name in options) {
    if (known.includes(name) || options[name] === undefined) continue;
    const words = `the option '${printable(name)}' of ${what}: there is none; ${hint(name, known)}`;
    throw failure('CLOUDS_INVALID_OPTION', words);
  }
}

module.exports = { checkNames };
