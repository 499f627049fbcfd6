// The events of a bridge: one call of the addon for a batch. The numbers of the events lie in an array that is
// shared with it, their texts are the elements of one JSON array.
'use strict';

const addon = require('./native');
const Bridge = require('./bridge');
const { received, failure, hide, codeOf } = require('./errors');
const { Request } = require('./request');
const { uncaught } = require('./util');
const { ahead } = require('./clock');
const { restore } = require('./bytes');

const { READY, RESULT, REQUEST, MESSAGE, UNKNOWN, REGISTERED, UNREGISTERED, SENT, STATUS, PAUSED } = addon.shape.events;
const { NODE_CLOSED, CONTEXT_CLOSED, BUS_UP, BUS_DOWN, ATTEMPT, LOG, CANCELED, PEER } = addon.shape.events;
const { SUBSCRIBED, UNSUBSCRIBED, PUBLISHED, STOP } = addon.shape.events;
const { FIND_SERVER, SAVE_SERVERS, REMOVE_SERVER, CLEAR_SERVERS } = addon.shape.events;

// Type, code, outcome (flags), id, slot (sequence), number, whether it has data, number of its bytes.
const NUMBERS = addon.shape.EVENT_NUMBERS;
const NONE = [];
const SERVICE_ERROR = codeOf('CLOUDS_SERVICE_ERROR');
const AS_BEFORE = 0; // the method or the caller of the request before

const numbers = addon.numbers();

function settle(bridge, slot, code, outcome, values, error, method, server) {
  const entry = bridge.slots[slot];
  if (!entry) return;
  bridge.removeSlot(slot);
  try {
    if (server && entry.about) entry.about.server = server;
    if (code === 0) entry.finish(null, values);
    else entry.finish(withFacts(received(code, outcome, error, values), code, method, server), values || NONE);
  } catch (problem) {
    uncaught(problem);
  }
}

// What a call was, for errors of the library that do not say so themselves. In that of a service everything is its own.
function withFacts(error, code, method, server) {
  if (code === SERVICE_ERROR) return error;
  if (method && error.method === undefined) hide(error, 'method', method);
  if (server && error.server === undefined) hide(error, 'server', server);
  return error;
}

function operationEnded(bridge, id, code, words, value) {
  const slot = bridge.operations.get(id);
  if (slot === undefined) return;
  bridge.operations.delete(id);
  bridge.removeSlot(slot).finish(code === 0 ? null : failure(code, words), value);
}

// All but results and requests.
function onEvent(bridge, at, peer, method, data, words) {
  const node = bridge.owner || bridge.weak.deref();
  const type = numbers[at],
    code = numbers[at + 1],
    id = numbers[at + 3];
  const problem = code === 0 ? null : failure(code, words);
  switch (type) {
    case REGISTERED:
    case UNREGISTERED:
      return operationEnded(bridge, id, code, words, method);
    case PAUSED:
      if (id === 0) break;
      return operationEnded(bridge, id, code, words, method);
    case SENT:
      return operationEnded(bridge, id, code, words, numbers[at + 5]);
    case PUBLISHED:
      return bridge.subscriptions.get(id)?._put(at, numbers, peer, method, data, words);
    case SUBSCRIBED:
      if (code !== 0) bridge.forget(id, numbers[at + 5] === 1);
      return operationEnded(bridge, id, code, words, method);
    case UNSUBSCRIBED:
      return bridge.forget(id, false)?._end(problem);
    case STATUS:
      return operationEnded(bridge, id, code, words, data);
    case NODE_CLOSED:
      bridge.unanswered = numbers[at + 5];
      return undefined;
    case CONTEXT_CLOSED:
      return bridge.ended();
    case CANCELED:
      return bridge.onCanceled(id);
    case ATTEMPT:
      return bridge.ask(numbers[at + 4], id);
    case READY:
      bridge.release();
      return node ? node._onReady(problem) : undefined;
  }
  return node ? onNodeEvent(node, bridge, at, peer, method, data, words) : undefined;
}

// What nobody hears of when the node is gone.
function onNodeEvent(node, bridge, at, peer, method, data, words) {
  switch (numbers[at]) {
    case MESSAGE:
      return node._onMessage('m', peer, numbers[at + 6] ? data : undefined);
    case UNKNOWN:
      return node._onMessage(method, peer, numbers[at + 6] ? data : undefined, words);
    case PAUSED:
      return node._emitSafely('paused', peer, method === '' ? null : method, numbers[at + 5] === 1);
    case STOP:
      return node._onStop(peer, numbers[at + 5] < 0 ? undefined : numbers[at + 5] / 1000);
    case LOG:
      return node._onLog(numbers[at + 5], data);
    case PEER:
      return node._onPeer(peer, numbers[at + 5], method);
    case BUS_UP:
      return node._onUp();
    case BUS_DOWN:
      return node._onDown(failure(numbers[at + 1], words));
    case FIND_SERVER:
      return node._onFindServer(numbers[at + 3], bridge.slots[numbers[at + 4]], method, data || []);
    case SAVE_SERVERS:
      return node._onHook('save_server_list', method, data || []);
    case REMOVE_SERVER:
      return node._onHook('remove_server', peer, method);
    case CLEAR_SERVERS:
      return node._onHook('clear_server_list');
  }
  return undefined;
}

// A batch happens within the asynchronous context of the node.
Bridge.prototype.dispatch = function (count, text, areas) {
  const node = this.owner || this.weak.deref();
  if (node) node._scope.runInAsyncScope(dispatch, this, count, text, areas);
  else dispatch.call(this, count, text, areas);
};

// A value of the event at `at`, which may have come with bytes.
function whole(at, value, areas) {
  return numbers[at + 7] ? restore(value, areas[numbers[at + 7] - 1]) : value;
}

function dispatch(count, text, areas) {
  const values = JSON.parse(text);
  let method, peer; // of the request before
  for (let i = 0, at = 0, v = 0; i < count; i++, at += NUMBERS) {
    const type = numbers[at],
      code = numbers[at + 1];
    if (type === RESULT) {
      const data = whole(at, values[v++], areas),
        failed = code !== 0,
        named = numbers[at + 5] !== 0;
      settle(
        this,
        numbers[at + 4],
        code,
        numbers[at + 2],
        data,
        failed ? values[v] : null,
        failed ? values[v + 1] : '',
        failed ? values[v + 2] : named ? values[v] : ''
      );
      if (failed) v += 3;
      else if (named) v++;
      continue;
    }
    try {
      if (type === REQUEST) {
        if (values[v] !== AS_BEFORE) method = values[v];
        if (values[v + 1] !== AS_BEFORE) peer = values[v + 1];
        v += 4;
        const due = numbers[at + 5] ? numbers[at + 5] - ahead : null;
        const request = new Request(this, numbers[at + 3], method, peer, due, values[v - 1]);
        this.begin(request, whole(at, values[v - 2], areas));
      } else {
        v += 4;
        onEvent(this, at, values[v - 4], values[v - 3], whole(at, values[v - 2], areas), values[v - 1]);
      }
    } catch (problem) {
      uncaught(problem);
    }
  }
}
