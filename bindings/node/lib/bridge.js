// A node of the library, and the orders to it. Orders are collected within a turn of the loop and given to the addon
// in one call: their numbers in one array, their texts in one string. Each that completes later has a slot, which comes
// back with the event. events.js takes what happened.
'use strict';

const addon = require('./native');
const { failure, closed, adopt, codeOf } = require('./errors');
const { encodeAlong, along } = require('./bytes');
const { checkName } = require('./names');
const { guarded } = require('./util');
const { nextTick, setImmediate, setTimeout } = require('./clock');
const { warnNow } = require('./log');

const { CALL, REPLY, FAIL, SEND, PUBLISH, SUBSCRIBE, REGISTER, UNREGISTER } = addon.shape.orders;
const { PAUSE, RESUME, STATUS, CANCEL, CHOOSE, ATTEMPT, REFUSE, CALL_WITH } = addon.shape.orders;
const { CALL_ASK, CALL_NOTIFY, SEND_CONFIRM, TELL_SERVER } = addon.shape;
// Kind, id (of a call first its parent's), timeout (then the code), deadline, retries, slot, flags, number of its bytes.
const NUMBERS = addon.shape.ORDER_NUMBERS;
const MAX_ORDERS = 1024;
const MAX_TEXT = 16 << 20; // characters that are given to the addon at once: texts have an end, and are copied
const TEXTS = addon.shape.orderTexts; // by kind
const RETRY_DELAY = 10; // ms until answers that found no room are tried again
const MAX_DEFERRED = 64 << 20; // characters of such answers
const LIMIT = codeOf('CLOUDS_LIMIT_REACHED'),
  STALE = codeOf('CLOUDS_STALE_ID'),
  CLOSED = codeOf('CLOUDS_CLOSED'),
  INVALID = codeOf('CLOUDS_INVALID_ARGUMENT'),
  NO_MEMORY = codeOf('CLOUDS_OUT_OF_MEMORY');
const UNSENDABLE = 'the answer could not be sent';

// The texts of each order, as they were appended.
function textsOf(orders, count, text) {
  const all = [];
  for (let i = 0, from = 0; i < count; i++) {
    const start = from;
    for (let n = TEXTS[orders[i * NUMBERS]]; n > 0; n--) from = text.indexOf('\0', from) + 1;
    all.push(text.slice(start, from));
  }
  return all;
}

const sizeOf = ({ text, area }) => text.length + (area ? area.length : 0);

function flush(bridge) {
  bridge.due = false;
  bridge.flush();
}

// The process ends with open nodes, by process.exit or an exception that nobody caught: who waits for an answer gets
// an error, and the methods are unregistered, as far as that is possible at once.
const EXIT_TIMEOUT = 0.5; // more than the 0.2 s for which a server that leaves still answers
const SPANS_TIMEOUT = 1; // and for spans, which the library gives up then
const opened = new Set();
process.on('exit', () => {
  for (const bridge of opened) bridge.finish(EXIT_TIMEOUT / opened.size);
});

// Nodes that nothing refers to, have nothing outstanding and listen to nothing are closed when they are collected.
const collected = new FinalizationRegistry((bridge) => bridge.close(0, () => {}));

class Bridge {
  constructor(owner, ofContext, ofNode) {
    this.owner = owner;
    this.weak = new WeakRef(owner);
    this.turn = 0;
    this.holders = 1; // it is not ready yet
    this.slots = [null];
    this.free = [];
    this.operations = new Map();
    this.subscriptions = new Map(); // by their ids
    this.orders = new Float64Array(MAX_ORDERS * NUMBERS);
    this.count = 0;
    this.text = '';
    this.areas = []; // the bytes of the orders that have some
    this.areasSize = 0;
    this.due = false;
    this.closing = false;
    this.closed = false;
    this.whenClosed = [];
    this.unanswered = 0;
    this.open = 0; // requests that were not answered
    this.deferred = []; // answers, and what else has to reach the library, that found no room
    this.deferredSize = 0;
    this.lost = 0; // answers for which there was none either
    this.expired = 0; // requests that were not started, and that the library had closed for their deadline meanwhile
    this.signals = new Map(); // requests whose handlers have asked for their signal
    this.canceled = new Set(); // open requests whose callers have given up
    this.serving = null; // the request whose handler is running
    this.waitingClosers = []; // who left from within a handler, with its request
    try {
      this.handle = addon.open(this, ofContext, ofNode);
    } catch (error) {
      throw adopt(error);
    }
    this.id = addon.id(this.handle);
    opened.add(this);
    collected.register(owner, this, this);
  }

  // ---- what keeps the node from being collected

  retain() {
    if (this.holders++ === 0) this.owner = this.weak.deref();
  }

  release() {
    if (--this.holders === 0) this.owner = null;
  }

  addSlot(entry) {
    this.retain();
    const slot = this.free.length ? this.free.pop() : this.slots.length;
    this.slots[slot] = entry;
    return slot;
  }

  removeSlot(slot) {
    const entry = this.slots[slot];
    this.slots[slot] = null;
    this.free.push(slot);
    this.release();
    return entry;
  }

  // ---- orders

  order(kind, id) {
    if (this.count === MAX_ORDERS || this.text.length > MAX_TEXT || this.areasSize > MAX_TEXT) this.flush();
    if (!this.due) {
      this.due = true;
      nextTick(flush, this);
    }
    const at = this.count++ * NUMBERS;
    this.orders[at] = kind;
    this.orders[at + 1] = id;
    this.orders[at + 7] = 0;
    return at;
  }

  // Bytes of the order at `at`.
  carry(at, area) {
    if (area === null) return;
    this.orders[at + 7] = this.areas.push(area);
    this.areasSize += area.length;
  }

  /** entry.finish(error, values) is called exactly once; `how` has the options of this call. A node that leaves
   * still calls on behalf of what it serves. */
  call(method, args, how, entry) {
    checkName(method, 'the name of a method');
    const text = encodeAlong(args),
      { area } = along;
    const parent = how ? how.parent : 0;
    if (this.closed || (this.closing && !parent)) return this.refuse(entry);
    const at = this.order(how && how.more ? CALL_WITH : CALL, parent),
      orders = this.orders;
    if (area) this.carry(at, area);
    entry.slot = orders[at + 5] = this.addSlot(entry);
    if (how) {
      orders[at + 2] = how.timeout;
      orders[at + 3] = how.deadline;
      orders[at + 4] = how.retries;
      orders[at + 6] = (how.hook ? CALL_ASK : 0) | (how.notify ? CALL_NOTIFY : 0) | (entry.about ? TELL_SERVER : 0) | how.flags;
      if (how.hook) Object.assign(entry, { hook: how.hook, args });
      this.text += method + '\0' + how.server + '\0' + text + '\0' + how.meta + '\0' + how.more;
    } else {
      orders[at + 2] = orders[at + 3] = orders[at + 4] = orders[at + 6] = 0;
      this.text += method + '\0\0' + text + '\0\0';
    }
  }

  refuse(entry) {
    nextTick(() => entry.finish(closed(), []));
  }

  cancel(entry) {
    if (this.slots[entry.slot] !== entry) return;
    if (!entry.id) this.flush();
    if (entry.id) this.order(CANCEL, entry.id);
  }

  // The library asks what to attempt. The hook gets the arguments of the call; its first answer counts, and what it
  // throws ends the call.
  ask(slot, id) {
    const entry = this.slots[slot];
    if (!entry || !entry.hook) return;
    let gone = false;
    const go = (...own) => {
      if (gone || this.slots[slot] !== entry) return;
      const text = encodeAlong(own),
        { area } = along;
      gone = true;
      const at = this.order(ATTEMPT, id);
      this.orders[at + 5] = slot;
      this.carry(at, area);
      this.text += text + '\0';
    };
    try {
      entry.hook(...entry.args, go);
    } catch (error) {
      this.failCall(entry, error);
    }
  }

  // A request is served, unless its caller has given up while those before it in this batch were.
  begin(request, args) {
    const node = this.owner || this.weak.deref();
    this.open++;
    if (request.timeLeft() === 0 && this.expire(request)) request.close();
    else if (node) node._onRequest(request, args);
    else request.refuse('CLOUDS_NO_SUCH_METHOD');
  }

  // Whether nobody waits for it any more. Who repeats one with an idempotency key may wait for longer than who called.
  expire(request) {
    const code = this.closed ? CLOSED : addon.requestExpire(this.handle, request.id);
    if (code === STALE) this.expired++; // the library has closed it
    return code !== INVALID;
  }

  answered(request) {
    this.open--;
    this.forgetCanceled(request.id);
    if (this.waitingClosers.length) this.endWaitingClosers();
  }

  // Who leaves from within a handler cannot wait until that has answered, which may wait for it: that ends when no
  // other request is open.
  endWaitingClosers() {
    const left = this.waitingClosers.filter((each) => !each.request.answered);
    for (const each of this.waitingClosers) if (each.request.answered) this.whenClosed.push(each.done);
    const others = this.open > left.length;
    this.waitingClosers = others ? left : [];
    if (!others) left.forEach((each) => setImmediate(each.done, null, 0));
  }

  isOpen(request) {
    return !this.closed && addon.requestOpen(this.handle, request);
  }

  reply(request, values) {
    const text = encodeAlong(values),
      { area } = along;
    if (this.closed) return;
    const at = this.order(REPLY, request);
    this.orders[at + 6] = 0;
    if (area) this.carry(at, area);
    this.text += text + '\0';
  }

  fail(request, error, values, isLast) {
    if (this.closed) return;
    const at = this.order(FAIL, request);
    this.orders[at + 6] = isLast ? 1 : 0;
    this.text += error + '\0' + (values || '') + '\0';
  }

  // Nothing has been done for it, and its caller is told so.
  refuseRequest(request, name) {
    if (this.closed) return;
    this.order(REFUSE, request);
    this.text += codeOf(name) + '\0';
  }

  send(receiver, value, done, seconds = 0) {
    checkName(receiver, 'the receiver');
    const text = value === undefined ? '' : encodeAlong(value),
      area = value === undefined ? null : along.area;
    if (this.closing) return done && this.refuse({ finish: done });
    const at = this.order(SEND, 0);
    this.carry(at, area);
    this.orders[at + 2] = seconds;
    this.orders[at + 5] = done ? this.addSlot({ finish: done }) : 0;
    this.orders[at + 6] = done ? SEND_CONFIRM : 0;
    this.text += receiver + '\0' + (text === undefined ? '' : text) + '\0';
  }

  // At the latest after so many seconds it ends with the last known reason; 0: the option operation_timeout.
  operate(kind, text, done, seconds = 0) {
    if (this.closing) return this.refuse({ finish: done });
    const at = this.order(kind, 0);
    this.orders[at + 2] = seconds;
    this.orders[at + 5] = this.addSlot({ finish: done });
    if (text !== null) this.text += text + '\0';
  }

  register(method, done, seconds, limits) {
    checkName(method, 'the name of a method');
    this.operate(REGISTER, method + '\0' + (limits || '\0'), done, seconds); // limits, and a schema
  }

  unregister(method, done, seconds) {
    checkName(method, 'the name of a method');
    this.operate(UNREGISTER, method, done, seconds);
  }

  pause(method, isPause, done, seconds) {
    if (method !== '') checkName(method, 'the name of a method');
    this.operate(isPause ? PAUSE : RESUME, method, done, seconds);
  }

  status(done, seconds) {
    this.operate(STATUS, null, done, seconds);
  }

  // What find_one_server is when nobody replaced it, for those who call it from their own: one after the other.
  handlers() {
    return {
      find_one_server: (method, callback, ids = []) => {
        if (ids.length) callback(null, ids[this.turn++ % ids.length]);
        else callback(failure('CLOUDS_NO_AVAILABLE_SERVER'));
      },
      save_server_list() {},
      remove_server() {},
      clear_server_list() {},
    };
  }

  // The program's own error ends the call.
  failCall(entry, error) {
    if (!entry || this.slots[entry.slot] !== entry) return;
    const { slot } = entry;
    this.order(CANCEL, entry.id);
    this.slots[slot] = { slot, id: entry.id, finish: () => entry.finish(error, []) };
  }

  choose(id, server) {
    checkName(server, 'the id of a server');
    this.order(CHOOSE, id);
    this.text += server + '\0';
  }

  // ---- the one call a turn

  flush() {
    const { count, text, orders, areas } = this;
    if (count === 0) return;
    this.count = 0;
    this.text = '';
    if (areas.length) {
      this.areas = [];
      this.areasSize = 0;
    }
    if (this.closed) return; // ended() has ended all that waited
    let problems;
    try {
      problems = addon.submit(this.handle, orders, count, text, text.length, areas);
    } catch (error) {
      problems = [];
      for (let i = 0; i < count; i++) {
        orders[i * NUMBERS + 2] = codeOf(error.code);
        problems.push(i, JSON.stringify({ message: error.message }));
      }
    }
    for (let at = 0; at < count * NUMBERS; at += NUMBERS) {
      const slot = orders[at + 5];
      if (orders[at] === SUBSCRIBE && orders[at + 2] === 0) this.subscribed(orders[at + 1], slot);
      if (orders[at] === CALL || orders[at] === CALL_WITH) this.slots[slot].id = orders[at + 1];
      else if (orders[at] >= SEND && orders[at] <= STATUS && slot) this.operations.set(orders[at + 1], slot);
    }
    if (problems) this.settleProblems(problems, textsOf(orders, count, text), areas);
  }

  settleProblems(problems, texts, areas) {
    for (let i = 0; i < problems.length; i += 2) {
      const at = problems[i] * NUMBERS,
        words = JSON.parse(problems[i + 1] || 'null');
      const [kind, id, code, , , slot, flags, number] = this.orders.subarray(at, at + NUMBERS);
      const again = { kind, id, text: texts[problems[i]], area: number ? areas[number - 1] : null };
      if (kind === CALL || kind === CALL_WITH || (kind >= SEND && kind <= STATUS)) this.orderFailed(kind, id, slot, code, words);
      else if (kind === ATTEMPT) this.attemptFailed(slot, id, code, words);
      else if (code === STALE || code === CLOSED) continue;
      else if (kind !== REPLY && kind !== FAIL) this.defer(again);
      else if (!flags) this.replyFailed(again, code, words);
    }
  }

  // For an answer that cannot be sent its caller gets an error. One for which there is no room stays, with its
  // request open, and is tried again until there is, or its caller has given up.
  replyFailed(answer, code, words) {
    const size = sizeOf(answer);
    if (code !== LIMIT && code !== NO_MEMORY) {
      const message = words ? words.message : UNSENDABLE;
      this.fail(answer.id, JSON.stringify({ message }), '', true);
    } else if (this.deferredSize + size > MAX_DEFERRED) {
      this.lost++;
      warnNow(`${this.id}: an answer was lost: ${words.message}`);
    } else this.defer(answer);
  }

  // An order for which there is no room: an answer, a cancel, the end of a subscription, a choice.
  defer(order) {
    this.deferredSize += sizeOf(order);
    if (this.deferred.push(order) === 1) setTimeout(() => this.retryDeferred(), RETRY_DELAY);
  }

  retryDeferred() {
    this.deferredSize = 0;
    for (const { kind, id, text, area } of this.deferred.splice(0)) {
      if (this.closed) return;
      const at = this.order(kind, id);
      this.orders[at + 5] = this.orders[at + 6] = 0;
      this.carry(at, area);
      this.text += text;
    }
  }

  // The arguments of an attempt cannot be sent, which ends the call.
  attemptFailed(slot, id, code, words) {
    const entry = this.slots[slot];
    if (code !== STALE && code !== CLOSED && entry && entry.id === id) this.failCall(entry, failure(code, words));
  }

  orderFailed(kind, id, slot, code, words) {
    if (!slot && kind === PUBLISH && code !== CLOSED) warnNow(`nothing was published: ${words ? words.message : code}`);
    if (!slot) return;
    if (kind !== CALL && kind !== CALL_WITH && this.operations.get(id) === slot) this.operations.delete(id);
    const error = code === CLOSED ? closed() : failure(code, words);
    nextTick(() => {
      if (this.slots[slot]) this.removeSlot(slot).finish(error, []);
    });
  }

  // ---- its end

  close(drain, done) {
    if (this.closed) return setImmediate(done, null, 0);
    const request = this.serving && !this.serving.answered ? this.serving : null;
    if (request) this.waitingClosers.push({ request, done });
    else this.whenClosed.push(done);
    if (!this.closing) {
      this.flush();
      this.closing = true;
      this.retain();
      addon.close(this.handle, drain);
    }
    if (request) this.endWaitingClosers();
    return undefined;
  }

  // The last event of the context. Its descriptors are closed when this has returned.
  ended() {
    this.closed = this.closing = true;
    opened.delete(this);
    collected.unregister(this);
    for (const id of this.subscriptions.keys()) this.forget(id, false)._end(null);
    this.slots.forEach((entry, slot) => entry && guarded(() => this.removeSlot(slot).finish(closed(), []))());
    for (const each of this.waitingClosers.splice(0)) this.whenClosed.push(each.done);
    for (const done of this.whenClosed.splice(0)) setImmediate(done, null, this.unanswered);
    this.owner = null;
  }

  finish(seconds) {
    if (this.closed) return;
    try {
      this.flush();
      const limit = seconds + (this.counters().spans > 0 ? SPANS_TIMEOUT : 0);
      for (const { level, line } of addon.finish(this.handle, limit))
        (this.owner || this.weak.deref())?._onLog(level, JSON.parse(line));
    } catch (unused) {
      // the process ends whatever happens
    }
  }

  get calls() {
    return this.slots.filter((entry) => entry && entry.slot !== undefined);
  }

  hold(yes) {
    if (!this.closed) addon.hold(this.handle, yes);
  }

  configure(options) {
    if (!this.closing) addon.configure(this.handle, options);
  }

  counters() {
    if (this.closed) return {};
    const all = addon.counters(this.handle);
    all.expired_requests += this.expired;
    all.lost_answers += this.lost;
    return all;
  }
}

/** Those of this process that are open, and their nodes. */
Bridge.open = () => [...opened];
Bridge.nodes = () => [...opened].map((bridge) => bridge.owner || bridge.weak.deref()).filter(Boolean);

module.exports = Bridge;
