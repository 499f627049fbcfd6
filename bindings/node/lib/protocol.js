// The envelopes of the protocol, for those who bring their own connection or talk to Redis by themselves.
'use strict';

const { randomBytes } = require('crypto');
const { membersOf, CloudsError } = require('./errors');

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function messageId() {
  let id = '';
  for (const byte of randomBytes(8)) id += LETTERS[byte % LETTERS.length];
  return id;
}

/** Makes and reads envelopes in the name of `sender`. */
function Protocol(sender) {
  this.sender = sender;
}

Protocol.prototype._envelope = function (type, data) {
  const params = { t: type, s: this.sender, d: data };
  return { params, raw: JSON.stringify(params) };
};

Protocol.prototype.packMessage = function (content) {
  return this._envelope('m', content);
};

Protocol.prototype.packCall = function (method, args) {
  return this._envelope('c', { i: messageId(), m: method, a: args });
};

Protocol.prototype.packResult = function (id, error, result) {
  return this._envelope('r', { i: id, e: error ? membersOf(error) : null, r: result === undefined ? [] : result });
};

/** { type, sender, data, raw } of the text of an envelope. Throws when it is none. */
Protocol.prototype.unpack = function (text) {
  const envelope = JSON.parse(text);
  if (envelope === null || typeof envelope !== 'object') throw new CloudsError('not an envelope', 'UNKNOWN');
  const message = { type: envelope.t, sender: envelope.s, data: envelope.d, raw: text };
  if (message.type === 'r' && message.data && message.data.e) message.data.e = errorOf(message.data.e);
  return message;
};

function errorOf(members) {
  const error = new Error(typeof members === 'object' ? members.message : String(members));
  if (typeof members !== 'object') return error;
  for (const key of Object.keys(members)) {
    if (key !== '__proto__') error[key] = members[key];
  }
  return error;
}

module.exports = Protocol;
