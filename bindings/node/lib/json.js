// Values as JSON text. JSON.stringify makes 0 of -0; here it stays what it is, as every other number.
'use strict';

const { randomBytes } = require('crypto');

// Stands for -0 within JSON.stringify; nobody can send it by chance.
const MARK = `-0:${randomBytes(12).toString('hex')}`;
const MARKED = new RegExp(`"${MARK}"`, 'g');

function mark(key, value) {
  return Object.is(value, -0) || (value instanceof Number && Object.is(value.valueOf(), -0)) ? MARK : value;
}

// May there be a -0 in it? Objects that say themselves what they are in JSON may have one.
function mayHave(value) {
  if (typeof value === 'number') return Object.is(value, -0);
  if (typeof value !== 'object' || value === null) return false;
  if (typeof value.toJSON === 'function') return !(value instanceof Date);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (mayHave(value[i])) return true;
    }
    return false;
  }
  if (value instanceof Number) return true;
  for (const key in value) {
    if (mayHave(value[key])) return true;
  }
  return false;
}

const FEW = 8;
const SHORT = 64;
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/;

// A value that is no object, as an element of a list; '' when that takes a closer look.
function encodePlain(value) {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : Number.isFinite(value) ? '' + value : 'null';
  if (typeof value === 'string') return value.length > SHORT || ESCAPED.test(value) ? '' : `"${value}"`;
  if (value === true) return 'true';
  if (value === false) return 'false';
  return value === null || value === undefined ? 'null' : '';
}

// A list of few plain values, which is what most calls have; '' for all else. JSON.stringify takes longer to begin.
function encodeFew(list) {
  if (!Array.isArray(list) || list.length === 0 || list.length > FEW || list.toJSON !== undefined) return '';
  let text = '[';
  for (let i = 0; i < list.length; i++) {
    const one = encodePlain(list[i]);
    if (one === '') return '';
    text += i === 0 ? one : ',' + one;
  }
  return text + ']';
}

/** As JSON.stringify, of what may have a -0. */
function encodeMarked(value) {
  return JSON.stringify(value, mark).replace(MARKED, '-0');
}

/** As JSON.stringify, which comes first: what it accepts has an end. */
function encode(value) {
  const few = encodeFew(value);
  if (few !== '') return few;
  const text = JSON.stringify(value);
  return mayHave(value) ? encodeMarked(value) : text;
}

module.exports = { encode, encodeFew, encodeMarked };
