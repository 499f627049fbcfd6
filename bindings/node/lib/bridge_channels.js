// What a bridge has to do with channels.
'use strict';

const addon = require('./native');
const Bridge = require('./bridge');
const { encode } = require('./json');
const { encodeAlong, along } = require('./bytes');
const { checkName } = require('./names');
const { inherited } = require('./trace');
const { extend } = require('./util');

const { PUBLISH, SUBSCRIBE, UNSUBSCRIBE } = addon.shape.orders;
const { SEND_CONFIRM } = addon.shape;

extend(Bridge.prototype, {
  publish(topic, value, meta, done, seconds) {
    checkName(topic, 'the topic');
    const text = encodeAlong(value) ?? 'null',
      { area } = along;
    const texts = text + '\0' + (meta ? encode(meta) : '') + '\0' + inherited() + '\0';
    if (this.closing) return done && this.refuse({ finish: done });
    const at = this.order(PUBLISH, 0);
    this.carry(at, area);
    this.orders[at + 2] = seconds;
    this.orders[at + 5] = done ? this.addSlot({ finish: done }) : 0;
    this.orders[at + 6] = done ? SEND_CONFIRM : 0;
    this.text += topic + '\0' + texts;
  },

  subscribe(subscription, options, done, seconds) {
    if (options.group) checkName(options.group, 'the group');
    if (this.closing) return this.refuse({ finish: done });
    const at = this.order(SUBSCRIBE, 0);
    this.orders[at + 2] = seconds;
    this.orders[at + 3] = options.queue;
    this.orders[at + 4] = options.queueBytes;
    this.orders[at + 5] = this.addSlot({ finish: done, subscription });
    this.orders[at + 6] = options.flags;
    this.text += encode(subscription.topics) + '\0' + options.group + '\0';
  },

  // The library has taken it. It keeps its node from being collected.
  subscribed(id, slot) {
    const { subscription } = this.slots[slot];
    subscription.number = id;
    this.subscriptions.set(id, subscription);
    this.retain();
  },

  unsubscribe(subscription) {
    if (!subscription.number) this.flush();
    this.forget(subscription.number, true);
    subscription._end(null);
  },

  // Nothing of it is delivered any more; `ends` says whether the library has to be told.
  forget(id, ends) {
    const subscription = this.subscriptions.get(id);
    if (!subscription) return undefined;
    this.subscriptions.delete(id);
    this.release();
    if (ends && !this.closed) this.order(UNSUBSCRIBE, id);
    return subscription;
  },
});
