// Errors: from the library and from services to the program, and from handlers to their callers.
'use strict';

const addon = require('./native');
const { encode } = require('./json');

// By number and by name: { code, name, text, outcome, retry }.
const known = new Map();

(function read(list) {
  for (let i = 0; i < list.length; i += 5) {
    const row = { code: list[i], name: list[i + 1], text: list[i + 2], outcome: list[i + 3], retry: list[i + 4] };
    known.set(row.code, row).set(row.name, row);
  }
})(addon.errors());

const OUTCOMES = addon.shape.outcomes;
const OURS = new Set(['outcome', 'retryable', 'values', 'members', 'stack', 'message', '__proto__']);

function hide(error, name, value) {
  Object.defineProperty(error, name, { value, configurable: true, writable: true });
}

/** What a call, or anything else that was asked of the library, ends with when it fails. */
class CloudsError extends Error {
  constructor(message, outcome, values) {
    super(message);
    hide(this, 'outcome', outcome);
    if (values && values.length) hide(this, 'values', values);
  }

  get retryable() {
    return this.outcome === 'NOT_DONE';
  }
}

hide(CloudsError.prototype, 'name', 'CloudsError');

// Makes the members that came those of an error, but what would stand in the way of the class: toString, constructor,
// stack ...
function assign(error, from, except) {
  for (const key of Object.keys(from)) {
    const value = from[key];
    const shadows = OURS.has(key) || (key === 'name' ? typeof value !== 'string' : key in CloudsError.prototype);
    if (!shadows && !except(key, value)) error[key] = value;
  }
}

// The members that a service sent. All of them, as they came, are in the member `members`.
function adoptMembers(error, from, except) {
  hide(error, 'members', from);
  assign(error, from, except);
}

// What a promise is rejected with. Called in a reaction of the promise, where V8 knows who waits for it: the stack of
// an error of ours is that of the async functions that made the call.
function located(error) {
  if (error instanceof CloudsError && !error[TRACED]) Error.captureStackTrace(error, located);
  throw error;
}

// With CLOUDS_STACKS=1 every call keeps the stack with which it was made, for the error that may come.
const TRACED = Symbol('traced');
const keepsStacks = process.env.CLOUDS_STACKS === '1';

function trace(call, below) {
  if (!keepsStacks) return;
  call.trace = {};
  Error.captureStackTrace(call.trace, below);
}

function traced(call, error) {
  if (!call.trace || !(error instanceof CloudsError)) return;
  const { stack } = call.trace;
  hide(error, 'stack', `${error.name}: ${error.message}${stack.slice(stack.indexOf('\n'))}`);
  hide(error, TRACED, true);
}

// How a command ends with an error.
function exitCode({ code, outcome }) {
  return addon.exitCode(known.has(code) ? known.get(code).code : 0, OUTCOMES.indexOf(outcome));
}

function retryRule(name) {
  return known.has(name) ? known.get(name).retry : 0;
}

// The members of an error of the library that say what it is about. Where its message is that of npm clouds, what the
// library says itself is the cause.
function describe(error, members) {
  if (members.message && !error.message.includes(members.message)) {
    const cause = new CloudsError(members.message, error.outcome);
    cause.code = error.code;
    hide(cause, 'stack', `${cause.name}: ${cause.message}`);
    hide(error, 'cause', cause);
  }
  assign(error, members, (key) => key === 'code' || key === 'name');
}

// An error of the library, by the number or the name of its code. `words` is a text or an object with a message.
function failure(code, words) {
  const row = known.get(code) || { name: 'CLOUDS_E?', text: 'unknown error', outcome: 'UNKNOWN' };
  const members = words !== null && typeof words === 'object' ? words : { message: words };
  const error = new CloudsError(members.message || row.text, row.outcome);
  error.code = row.name;
  describe(error, members);
  return error;
}

function closed() {
  return failure('CLOUDS_CLOSED', 'Connection is closed.');
}

// A text error of npm clouds 0.1 travels as numbered characters, without a message.
function wordsOf(members) {
  if (typeof members.message === 'string') return members.message;
  if (members.message !== undefined && members.message !== null) return encode(members.message);
  let words = '';
  for (let i = 0; typeof members[i] === 'string'; i++) words += members[i];
  return words;
}

// Errors that npm clouds 0.1 has too, which have its messages.
const PLAIN = new Set(['CLOUDS_CALL_SERVICE_TIMEOUT', 'CLOUDS_NO_AVAILABLE_SERVER', 'CLOUDS_NO_SUCH_METHOD']);

// A call that was never sent, because Redis was away, say, times out in npm clouds 0.1. What the library said is kept.
function timedOut(members, values) {
  const row = known.get('CLOUDS_CALL_SERVICE_TIMEOUT');
  const words = members && members.message;
  const error = new CloudsError(words ? `${row.text}: ${words}` : row.text, 'NOT_DONE', values);
  error.code = row.name;
  if (members) describe(error, members);
  return error;
}

// The error of a call, made of the members that came; an error of a service is what the service said.
function received(code, outcome, members, values) {
  if (code === known.get('CLOUDS_CLOSED').code) return closed();
  const row = known.get(code) || known.get('CLOUDS_SERVICE_ERROR');
  if (row.name === 'CLOUDS_EXPIRED') return timedOut(members, values);
  const from = members && typeof members === 'object' ? members : { message: members || row.text };
  const words = PLAIN.has(row.name) ? row.text : wordsOf(from);
  const error = new CloudsError(words, OUTCOMES[outcome] || 'UNKNOWN', values);
  if (row.name !== 'CLOUDS_SERVICE_ERROR') {
    error.code = row.name;
    describe(error, from);
    return error;
  }
  const spelled = typeof from.message !== 'string' && error.message !== '';
  const isAbsent = (key, value) => (key === 'code' && value === null) || (spelled && /^\d+$/.test(key));
  adoptMembers(error, from, isAbsent);
  if (error.code === undefined) hide(error, 'code', row.name);
  return error;
}

function textOf(value) {
  try {
    return typeof value === 'string' ? value : String(value);
  } catch (unused) {
    return canBeSent(value) ? encode(value) : 'an error without words';
  }
}

// What an error says that is handed on: npm clouds' own messages do not say which method was meant.
function saidByLibrary(error) {
  const { cause } = error;
  return error instanceof CloudsError && cause instanceof CloudsError && error.code === cause.code && cause.message;
}

function membersOf(error) {
  const isObject = (typeof error === 'object' && error !== null) || typeof error === 'function';
  if (!isObject) return { message: textOf(error) };
  const members = { message: '' };
  for (const key of Object.keys(error)) {
    if (key === '__proto__') Object.defineProperty(members, key, { value: error[key], enumerable: true });
    else if (key !== 'stack' && key !== 'originStack') members[key] = error[key];
  }
  const message = members.message || saidByLibrary(error) || error.message;
  members.message = message === undefined || message === null ? '' : textOf(message);
  return members;
}

function canBeSent(value) {
  try {
    encode(value);
    return true;
  } catch (unused) {
    return false;
  }
}

// The error object of a handler's failure, as JSON. Its stack stays here; members that cannot be sent are left out.
function pack(error) {
  let members;
  try {
    members = membersOf(error);
    return encode(members);
  } catch (unused) {
    for (const key of Object.keys(members || {})) {
      if (!canBeSent(members[key])) delete members[key];
    }
    return encode(members || { message: 'the error could not be described' });
  }
}

// Makes an exception of the addon one of ours.
function adopt(error) {
  return known.has(error.code) ? failure(error.code, error.message) : error;
}

module.exports = {
  CloudsError,
  failure,
  closed,
  received,
  pack,
  membersOf,
  textOf,
  adopt,
  adoptMembers,
  hide,
  wordsOf,
  located,
  trace,
  traced,
  retryRule,
  exitCode,
  codeOf: (name) => known.get(name).code,
};
