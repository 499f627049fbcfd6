// Callers that give up: what a bridge knows of them until their requests are answered.
'use strict';

const Bridge = require('./bridge');
const { failure } = require('./errors');
const { extend } = require('./util');

const MOST = 100000; // that are remembered: of those that were answered at that moment nobody says so again

// Its listeners may throw, which is theirs alone.
function giveUp(controller) {
  controller.abort(failure('CLOUDS_CANCELED', 'the caller has given up'));
}

extend(Bridge.prototype, {
  // A handler has asked for its signal.
  watch(request, controller) {
    if (this.canceled.has(request)) giveUp(controller);
    else this.signals.set(request, controller);
  },

  onCanceled(request) {
    this.canceled.add(request);
    if (this.canceled.size > MOST) this.canceled.delete(this.canceled.values().next().value);
    const controller = this.signals.get(request);
    this.signals.delete(request);
    if (controller) giveUp(controller);
  },

  // It is answered.
  forgetCanceled(request) {
    this.canceled.delete(request);
    this.signals.delete(request);
  },
});
