// What a bridge asks the library about itself: why a server would be called, what links there are, and what was
// counted by method.
'use strict';

const addon = require('./native');
const Bridge = require('./bridge');
const { checkName } = require('./names');
const { extend } = require('./util');

const { EXPLAIN, LINKS, STATS } = addon.shape.orders;

extend(Bridge.prototype, {
  explain(method, done, seconds) {
    checkName(method, 'the name of a method');
    this.operate(EXPLAIN, method, done, seconds);
  },

  links(done, seconds) {
    this.operate(LINKS, null, done, seconds);
  },

  stats(done, seconds) {
    this.operate(STATS, null, done, seconds);
  },
});
