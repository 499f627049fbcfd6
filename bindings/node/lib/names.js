// Names: of options, where one that a function has not is an error that says which was meant; and of methods and such.
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

// A name with NUL would end there.
function checkName(name, what) {
  if (typeof name !== 'string') throw new TypeError(`clouds: ${what} is a text`);
  if (name.includes('\0')) throw failure('CLOUDS_INVALID_ARGUMENT', `${what} has a NUL character in it`);
}

module.exports = { checkNames, checkName };
