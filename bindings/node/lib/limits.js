// What a method is offered with: its limits and its schema, the options of register, checked, as the addon takes them.
'use strict';

const addon = require('./native');
const { encode } = require('./json');
const { checkNames } = require('./names');

const MAX_COUNT = 2147483647;
const SERIAL = addon.shape.OFFER_SERIAL;

const isNumber = (value) => typeof value === 'number' && !Number.isNaN(value);
const isCount = (least) => (value) => Number.isInteger(value) && value >= least && value <= MAX_COUNT;
const seconds = { fits: (value) => isNumber(value) && value > 0, expected: 'a number of seconds above 0' };
const amount = { fits: (value) => isNumber(value) && value > 0 && value < Infinity, expected: 'a number above 0' };

const KINDS = {
  serial: { fits: (value) => typeof value === 'boolean', expected: 'true or false' },
  key: { fits: isCount(0), expected: 'the number of an argument, from 0 on' },
  concurrency: { fits: (value) => value === 'auto' || isCount(1)(value), expected: "a whole number above 0, or 'auto'" },
  queue: { fits: isCount(0), expected: 'a whole number, 0 or more' },
  queueAge: seconds,
  queueTarget: seconds,
  rate: amount,
  burst: amount,
  callerRate: amount,
  callerBurst: amount,
};
const OF_SCHEMA = ['doc', 'args', 'returns']; // that it is right is for the library to say
const NAMES = ['timeout', ...OF_SCHEMA, ...Object.keys(KINDS)];

// Those of some names that have a value.
function given(options, names) {
  return Object.fromEntries(names.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined && value !== null));
}

function check(name, value) {
  const { fits, expected } = KINDS[name];
  if (!fits(value)) throw new TypeError(`clouds: ${name} is ${expected}`);
}

// The numbers of the record, in their order: as digits of their bytes, since a text goes along with every order.
function pack(all) {
  const queue = all.queue === 0 ? -1 : all.queue || 0; // for the library 0 is the default, and below 0 is none
  const queueAge = all.queueAge === Infinity ? -1 : all.queueAge || 0;
  const key = all.key === undefined ? 0 : all.key + 1;
  const concurrency = all.concurrency === 'auto' ? -1 : all.concurrency || 0;
  const numbers = [all.serial ? SERIAL : 0, concurrency, key, queue, queueAge];
  for (const name of ['queueTarget', 'rate', 'burst', 'callerRate', 'callerBurst']) numbers.push(all[name] || 0);
  return Buffer.from(new Float64Array(numbers).buffer).toString('hex');
}

// What the method says of itself, as JSON; '' for nothing.
function schemaOf(options) {
  const schema = given(options, OF_SCHEMA);
  return Object.keys(schema).length ? encode(schema) : '';
}

/** [the options without these, limits and schema for the addon: '' for none]. */
function splitLimits(options) {
  if (options === undefined || options === null) return [options, ''];
  checkNames(options, NAMES, 'register');
  const { timeout, ...rest } = options;
  const schema = schemaOf(options);
  const all = given(rest, Object.keys(KINDS));
  for (const name of Object.keys(all)) check(name, all[name]);
  const limits = Object.keys(all).length ? pack(all) : '';
  return [{ timeout }, limits || schema ? limits + '\0' + schema : ''];
}

module.exports = { splitLimits };
