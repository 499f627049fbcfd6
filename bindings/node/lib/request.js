// A request that is served, and the handler that serves it.
'use strict';

const { pack } = require('./errors');
const addon = require('./native');
const { encode } = require('./json');
const clock = require('./clock');
const { fault } = require('./faults');

/** The request being served: `this` of its handler. */
class Request {
  // `due`: when the caller gives up, in milliseconds of clock.now; null is not known.
  constructor(transport, id, method, caller, due, meta) {
    this.transport = transport;
    this.id = id;
    this.method = method;
    this.caller = caller;
    this.due = due;
    this.meta = meta || {}; // what came along with the call
    this.answered = false;
    this.giving = null; // the AbortController of its signal, when that was asked for
  }

  /** An AbortSignal: aborted when the caller has given up. */
  get signal() {
    if (!this.giving) {
      this.giving = new AbortController();
      if (!this.answered) this.transport.watch(this.id, this.giving);
    }
    return this.giving.signal;
  }

  /** The id of the trace that it is part of; '' when it is in none. */
  get trace() {
    return this.meta.traceparent === undefined ? '' : addon.traceId(encode([this.meta]).slice(1, -1));
  }

  /** Seconds until the caller gives up; null when it did not say. */
  timeLeft() {
    return this.due === null ? null : Math.max(0, (this.due - clock.now()) / 1000);
  }

  /** May it still be answered? Not when it was, when its deadline has passed, or when the node has left. The library says
      when that is, as for the answer itself: by a clock of one's own an answer could go out behind a "no". */
  open() {
    return !this.answered && this.transport.isOpen(this.id);
  }

  /** Nothing has been done for it: its caller gets the error of that name, and may ask another server. */
  refuse(name) {
    if (!this.answered) this.transport.answered(this);
    this.answered = true;
    this.transport.refuseRequest(this.id, name);
  }

  /** It is over without an answer of ours. */
  close() {
    if (!this.answered) this.transport.answered(this);
    this.answered = true;
  }

  reply(error, values) {
    if (!this.answered) this.transport.answered(this);
    this.answered = true;
    if (error) {
      this.transport.fail(this.id, pack(error), values.length ? encodeOr(values, '') : '');
      return;
    }
    try {
      this.transport.reply(this.id, values);
    } catch (problem) {
      this.transport.fail(this.id, pack(new Error('the result cannot be sent: ' + problem.message)), '');
    }
  }
}

function encodeOr(values, otherwise) {
  try {
    return encode(values);
  } catch (unused) {
    return otherwise;
  }
}

function isThenable(value) {
  return typeof value === 'object' && value !== null && typeof value.then === 'function';
}

function give(request, value) {
  request.reply(null, value === undefined ? [] : [value]);
}

// It threw, or its promise was rejected: the caller gets the error, and listeners of this node do.
function failed(request, error, server) {
  request.reply(error || new Error('the handler failed'), []);
  fault(server, error, request);
}

// Does it take as many arguments as come, so that no parameter is surely the last?
function isVariable(fn) {
  if (fn.length === 0) return true;
  const source = Function.prototype.toString.call(fn);
  const head = source.slice(0, source.indexOf(')') + 1);
  return head.includes('...') || /=(?!>)/.test(head) || /\barguments\b/.test(source);
}

function seesReply(fn) {
  if (fn.length > 0) return true;
  const source = Function.prototype.toString.call(fn);
  return /\barguments\b|\[native code\]/.test(source) || source.slice(0, source.indexOf(')') + 1).includes('...');
}

/** A handler as in npm clouds 0.1: the function to answer with is its last argument, behind those that were sent.
 * One that is declared with parameters gets it as the last of these, whatever number of arguments came; an async
 * function gets all arguments first. A promise that it returns is an answer, too. */
class Handler {
  constructor(fn) {
    this.fn = fn;
    this.isAsync = Object.prototype.toString.call(fn) === '[object AsyncFunction]';
    this.fixed = isVariable(fn) ? -1 : fn.length;
    this.sees = seesReply(fn);
  }

  place(args, reply) {
    const room = this.fixed - 1;
    const fits = args.length === room || (this.isAsync && args.length > room);
    if (this.fixed > 0 && !fits) args.length = room;
    args.push(reply);
    return args;
  }

  serve(request, args, server) {
    const count = args.length;
    let result;
    try {
      result = this.fn.apply(
        request,
        this.place(args, (error, ...values) => request.reply(error, values))
      );
    } catch (error) {
      failed(request, error, server);
      return;
    }
    if (!isThenable(result)) return;
    // Nothing is no answer where the function to answer with may be used later.
    const later = this.sees && (!this.isAsync || this.fixed < 0 || this.fixed > count);
    result.then(
      (value) => {
        if (value !== undefined || !later) give(request, value);
      },
      (error) => failed(request, error, server)
    );
  }
}

/** A handler that gets the arguments that were sent and nothing else, and whose result, or the result of its promise,
 * is the answer. */
class ReturningHandler {
  constructor(fn) {
    this.fn = fn;
  }

  serve(request, args, server) {
    try {
      const result = this.fn.apply(request, args);
      if (isThenable(result))
        result.then(
          (value) => give(request, value),
          (error) => failed(request, error, server)
        );
      else give(request, result);
    } catch (error) {
      failed(request, error, server);
    }
  }
}

module.exports = { Request, Handler, ReturningHandler };
