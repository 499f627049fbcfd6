// Buffers and Uint8Arrays beside JSON: { $bytes: [offset, length] } stands for a piece of the bytes of a message
// (clouds_bytes_mark in clouds.h).
'use strict';

const { isUint8Array, isBoxedPrimitive } = require('util').types;
const addon = require('./native');
const { encode, encodeFew, encodeMarked } = require('./json');

const NAME = '$bytes';
const EMPTY = Buffer.alloc(1); // goes along where all pieces are empty: no bytes are told from some by it

// ---- out

const NONE = 0,
  MINUS_ZERO = 1,
  BYTES = 2,
  UNKNOWN = 3;
const LOOKS = 1000000,
  DEEPEST = 1000;

// What a value has, as far as so many looks tell: it may have no end.
class Look {
  constructor() {
    this.left = LOOKS;
    this.depth = 0;
    this.found = NONE;
  }

  // Goes on, unless it is known.
  at(value) {
    if (typeof value === 'number') {
      if (Object.is(value, -0)) this.found = MINUS_ZERO;
    } else if (typeof value === 'object' && value !== null) return this.within(value);
    return true;
  }

  within(value) {
    if (isUint8Array(value)) {
      this.found = BYTES;
      return false;
    }
    if (this.left-- === 0 || this.depth === DEEPEST) {
      this.found = UNKNOWN;
      return false;
    }
    if (typeof value.toJSON === 'function') {
      if (!(value instanceof Date)) this.found = UNKNOWN;
      return this.found !== UNKNOWN;
    }
    if (value instanceof Number) this.found = MINUS_ZERO;
    this.depth++;
    const goesOn = Array.isArray(value) ? this.elements(value) : this.members(value);
    this.depth--;
    return goesOn;
  }

  elements(list) {
    for (let i = 0; i < list.length; i++) if (!this.at(list[i])) return false;
    return true;
  }

  members(object) {
    for (const key in object) if (!this.at(object[key])) return false;
    return true;
  }
}

function look(value) {
  const look = new Look();
  look.at(value);
  return look.found;
}

/** A TypeError where there are bytes. */
function checkMeta(meta) {
  const found = look(meta);
  if (found === BYTES || (found === UNKNOWN && new Taker().looksInto(meta)))
    throw new TypeError('clouds: meta has no bytes: only arguments, results, messages and what is published have');
}

function isWritten(value) {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

// Makes the value as JSON.stringify would see it, with objects in the place of bytes. They are looked for in a first run
// and taken in a second, in which objects that look like one are written otherwise.
class Taker {
  constructor() {
    this.parts = [];
    this.size = 0;
    this.found = this.takes = false;
    this.path = new Set();
  }

  looksInto(value) {
    this.take('', value);
    return this.found;
  }

  take(key, given) {
    let value = given;
    if (isUint8Array(value)) return this.put(value);
    if (typeof value !== 'object' || value === null) return value;
    if (typeof value.toJSON === 'function') value = value.toJSON(key);
    if (isUint8Array(value)) return this.put(value);
    if (typeof value !== 'object' || value === null || isBoxedPrimitive(value)) return value;
    if (this.path.has(value)) throw new TypeError('Converting circular structure to JSON');
    this.path.add(value);
    const made = Array.isArray(value) ? Array.from(value, (each, i) => this.take(String(i), each)) : this.takeObject(value);
    this.path.delete(value);
    return made;
  }

  takeObject(value) {
    const made = Object.create(null);
    for (const key of Object.keys(value)) {
      const member = this.take(key, value[key]);
      if (isWritten(member)) made[key] = member;
    }
    const keys = this.takes ? Object.keys(made) : [];
    if (keys.length !== 1 || addon.bytesMark(keys[0]) === 0) return made;
    return { ['$' + keys[0]]: made[keys[0]] };
  }

  put(value) {
    this.found = true;
    if (!this.takes) return null;
    const place = [this.size, value.length];
    this.parts.push(value);
    this.size += value.length;
    return { [NAME]: place };
  }

  text(value) {
    this.takes = true;
    return encode(this.take('', value));
  }

  // A copy: what the program has may change before it is sent.
  area() {
    return this.size ? Buffer.concat(this.parts, this.size) : EMPTY;
  }
}

/** The bytes of what encodeAlong gave last, or null. */
const along = { area: null };

function encodeTaken(value) {
  const taker = new Taker();
  if (!taker.looksInto(value)) return encode(value);
  const text = taker.text(value);
  along.area = taker.area();
  return text;
}

/** As encode, and what bytes there are go beside the text. */
function encodeAlong(value) {
  along.area = null;
  const few = encodeFew(value);
  if (few !== '') return few;
  const found = look(value);
  if (found === NONE) return JSON.stringify(value);
  return found === MINUS_ZERO ? encodeMarked(value) : encodeTaken(value);
}

// ---- in

function pieceOf(place, area) {
  if (!Array.isArray(place) || place.length !== 2) return undefined;
  const [offset, length] = place;
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) return undefined;
  return offset + length <= area.length ? area.subarray(offset, offset + length) : undefined;
}

/** A value that came with these bytes, with Buffers in their places. */
function restore(value, area) {
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value);
  const marks = keys.length === 1 && !Array.isArray(value) ? addon.bytesMark(keys[0]) : 0;
  if (marks > 1) return { [keys[0].slice(1)]: restore(value[keys[0]], area) };
  const piece = marks === 1 ? pieceOf(value[keys[0]], area) : undefined;
  if (piece !== undefined) return piece;
  for (const key of keys) value[key] = restore(value[key], area);
  return value;
}

module.exports = { encodeAlong, along, checkMeta, restore };
