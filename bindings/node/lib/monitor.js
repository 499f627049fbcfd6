// A node that looks on.
'use strict';

const Base = require('./base');
const { inherit } = require('./util');

/** A node that asks who serves what. */
function Monitor(options) {
  if (!(this instanceof Monitor)) return new Monitor(options);
  Base.call(this, options, 'monitor');
}

inherit(Monitor, Base);

module.exports = Monitor;
