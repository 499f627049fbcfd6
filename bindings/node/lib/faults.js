// What a handler or a listener of the program throws, and what the promise it returned is rejected with: the event
// 'handler error' or 'listener error', or a warning of the process where nothing listens. It never ends the process.
'use strict';

const { CloudsError, textOf } = require('./errors');
const { guarded } = require('./util');
const { printable, warn } = require('./log');

const NATIVE = [TypeError, RangeError, ReferenceError, SyntaxError, URIError, EvalError, CloudsError];

const KINDS = 1000;
const reportedKinds = new Set();

// What a service says on purpose: an object that is no Error, or an Error itself that was given a code (one of the
// system has a number besides), or one that says so by expose.
function isForCaller(error) {
  if (typeof error !== 'object' || error === null) return false;
  if (!(error instanceof Error) || error.expose === true) return true;
  if (NATIVE.some((kind) => error instanceof kind)) return false;
  return isCoded(error) && Object.getPrototypeOf(error) === Error.prototype;
}

function isCoded(error) {
  return typeof error.code === 'string' && error.errno === undefined && !error.code.startsWith('ERR_');
}

// Errors of other classes with a code may be meant for the caller, or be those of a data base, say: once for each kind.
function wasReported(error, where) {
  if (!(error instanceof Error) || NATIVE.some((kind) => error instanceof kind) || !isCoded(error)) return false;
  const kind = `${where}\0${error.name}\0${error.code}`;
  if (reportedKinds.has(kind)) return true;
  if (reportedKinds.size < KINDS) reportedKinds.add(kind);
  return false;
}

function detailOf(error) {
  const stack = error instanceof Error ? error.stack : undefined;
  return printable(typeof stack === 'string' ? stack : textOf(error), true);
}

function report(error, request, where) {
  if (isForCaller(error) || wasReported(error, where)) return;
  const from = request ? `, called by ${printable(request.caller)} (request ${printable(textOf(request.id))})` : '';
  warn(`${where} failed${from}`, detailOf(error));
}

function emitListenerError(node, error, event) {
  return event !== 'handler error' && event !== 'listener error' && node.emit('listener error', error, event);
}

/** `request` is undefined for a listener, then `event` is what it listened to. */
function fault(node, error, request, event) {
  guarded(() => {
    const heard = request ? node.emit('handler error', error, request) : emitListenerError(node, error, event);
    if (heard) return;
    report(error, request, request ? `the handler of ${printable(request.method)}` : `a listener of ${printable(event)}`);
  })();
}

module.exports = { fault };
