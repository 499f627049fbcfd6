// Spans of the program's own.
'use strict';

const addon = require('./native');
const Bridge = require('./bridge');
const { pack } = require('./errors');
const { encode } = require('./json');
const { inherited, inSpan, isTraced, served } = require('./trace');

const { SPAN_INTERNAL: INTERNAL, SPAN_CONSUMER: CONSUMER } = addon.shape;

// By the connection of the node that serves, else by one that records: { bridge, text }, or null.
function begin() {
  const request = served(),
    meta = inherited();
  const own = request && !request.answered ? Bridge.open().filter((bridge) => bridge === request.transport) : [];
  for (const bridge of own.length ? own : Bridge.open()) {
    const text = addon.spanBegin(bridge.handle, meta);
    if (text) return { bridge, text, kind: INTERNAL };
  }
  return null;
}

function end({ bridge, text, kind, isHandedOn }, name, error) {
  if (!bridge.closed && !isHandedOn) addon.spanEnd(bridge.handle, text, kind, name, error ? pack(error.problem) : '');
}

const isThenable = (result) => Boolean(result) && typeof result.then === 'function';
const isPromise = (result) => result instanceof Promise; // what else has a then is not waited for in listeners

// Calls fn() in a span, which ends when what it returns does, a promise or not. What it throws goes on.
function runIn(begun, name, fn, isPending) {
  let result;
  try {
    result = inSpan(begun.text, fn);
  } catch (problem) {
    end(begun, name, { problem });
    throw problem;
  }
  if (!isPending(result)) {
    end(begun, name);
    return result;
  }
  return result.then(
    (value) => {
      end(begun, name);
      return value;
    },
    (problem) => {
      end(begun, name, { problem });
      throw problem;
    }
  );
}

/** Calls fn(...args) in a span of this name, which ends when what it returns does, a promise or not. What it throws goes
 * on. */
function span(name, fn, ...args) {
  if (typeof name !== 'string' || !name) throw new TypeError('clouds: the name of a span is a text');
  if (typeof fn !== 'function') throw new TypeError('clouds: a span takes a function');
  const begun = begin();
  return begun ? runIn(begun, name, () => fn(...args), isThenable) : fn(...args);
}

/** The listener of a subscription for a message: in a span of the trace of that, if it is in one. */
function consuming(bridge, message, listener) {
  if (!isTraced(message)) return listener;
  const meta = encode([message.meta]).slice(1, -1);
  const text = addon.spanBegin(bridge.handle, meta);
  const begun = { bridge, text: text || meta, kind: CONSUMER, isHandedOn: !text }; // where nothing is recorded
  return function consume(...args) {
    return runIn(begun, message.topic, () => listener.apply(this, args), isPromise);
  };
}

module.exports = { span, consuming };
