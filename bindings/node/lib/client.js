// A node that calls.
'use strict';

const Base = require('./base');
const { inherit } = require('./util');

/** A node that calls services. */
function Client(options) {
  if (!(this instanceof Client)) return new Client(options);
  Base.call(this, options, 'client');
}

inherit(Client, Base);

module.exports = Client;
