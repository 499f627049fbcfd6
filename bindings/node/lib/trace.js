// The trace of what is served: calls that a handler makes are in it without a word of the program, also when it has
// waited meanwhile (AsyncLocalStorage), and when it calls by another node than the one that serves. And the spans of the
// program's own in it.
'use strict';

const { AsyncLocalStorage } = require('async_hooks');
const addon = require('./native');
const { encode } = require('./json');

// Node pays for it from the first use on, so what came without a trace does not use it. It has a request, or a span.
const storage = new AsyncLocalStorage();

/** One of the program's own: the request that it is in, if any, and the text of clouds_span_begin. */
class Span {
  constructor(request, text) {
    this.request = request;
    this.text = text;
  }
}

function isTraced({ meta }) {
  return Boolean(meta) && (meta.traceparent !== undefined || meta['trace-to'] !== undefined);
}

/** Calls fn(...args), which serves this request. */
function serving(request, fn, ...args) {
  return isTraced(request) ? storage.run(request, fn, ...args) : fn(...args);
}

/** The request that is served here, if it has a trace. */
function served() {
  const here = storage.getStore();
  return here instanceof Span ? here.request : here;
}

/** What a call takes along of the trace of `parent`, or of the span or the request that is here; the library knows which
 * of it counts. */
function inherited(parent) {
  const here = storage.getStore();
  if (here instanceof Span && (!parent || here.request === parent)) return here.text;
  const request = parent || here;
  return request && isTraced(request) ? encode([request.meta]).slice(1, -1) : '';
}

/** Calls fn(...args) in a span with this text. */
function inSpan(text, fn, ...args) {
  return storage.run(new Span(served(), text), fn, ...args);
}

/** The ids of the trace and the span that this code is in, and whether that is recorded; null where it is in none. */
function trace() {
  const meta = inherited();
  const id = meta && addon.traceId(meta);
  if (!id) return null;
  const { span, recorded } = addon.spanId(meta);
  return { trace: id, span, recorded };
}

module.exports = { serving, served, inherited, inSpan, isTraced, trace };
