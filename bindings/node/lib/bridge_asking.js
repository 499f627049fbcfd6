// What a bridge asks other nodes.
'use strict';

const addon = require('./native');
const Bridge = require('./bridge');
const { checkName } = require('./names');

Bridge.prototype.askNode = function (peer, what, args, done, seconds) {
  checkName(peer, 'the id of a node');
  this.operate(addon.shape.orders.ASK, peer + '\0' + what + '\0' + args, done, seconds);
};
